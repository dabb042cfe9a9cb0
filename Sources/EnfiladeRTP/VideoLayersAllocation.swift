// What a sender intends to send in each layer of each of its encodings (the video-layers-allocation00 header extension).

import EnfiladeWire

/// The layers that are sent now. A layer that is not listed is off, which is not the same as unknown.
package struct VideoLayersAllocation: Hashable, Sendable {
  package static let maximumStreamCount = 4
  package static let maximumSpatialLayerCount = 4
  package static let maximumTemporalLayerCount = 4

  /// One spatial layer of one encoding.
  package struct SpatialLayer: Hashable, Sendable {
    /// How many temporal layers it has; zero is a layer that is off.
    package var temporalLayerCount: UInt8 = 0
    /// Kilobits per second up to and including each temporal layer.
    package var kilobitsPerSecond: SIMD4<UInt32> = .zero
    /// Zero when the element says nothing of resolutions.
    package var width: UInt16 = 0
    package var height: UInt16 = 0
    /// Frames per second with all temporal layers; zero like ``width``.
    package var frameRate: UInt8 = 0
  }

  /// Which encoding the packet with this element belongs to.
  package var streamIndex: UInt8 = 0
  /// 0…4; zero says that nothing is sent at all.
  package var streamCount: UInt8 = 0
  package var hasResolutions = false
  private var layers = InlineArray<16, SpatialLayer>(repeating: SpatialLayer())

  /// A spatial layer of an encoding; off when there is no such layer.
  package func layer(stream: Int, spatialID: Int) -> SpatialLayer {
    guard stream >= 0, stream < Self.maximumStreamCount, spatialID >= 0, spatialID < Self.maximumSpatialLayerCount else {
      return SpatialLayer()
    }
    return layers[stream * Self.maximumSpatialLayerCount + spatialID]
  }

  /// `nil` when the element ends early or says more than it may.
  package init?(_ data: RawSpan) {
    guard data.byteCount >= 1 else { return nil }
    let first = data.loadUInt8(at: 0)
    // One byte of zero: nothing is sent.
    if data.byteCount == 1 {
      guard first == 0 else { return nil }
      return
    }
    streamIndex = first >> 6
    streamCount = (first >> 4 & 3) + 1
    guard streamIndex < streamCount else { return nil }
    var offset = 1
    guard let masks = Self.readMasks(first, streamCount: Int(streamCount), data, &offset) else { return nil }
    guard readTemporalCounts(masks, data, &offset), readRates(masks, data, &offset) else { return nil }
    if offset < data.byteCount {
      guard readResolutions(masks, data, &offset) else { return nil }
    }
  }

  /// Which spatial layers each encoding has: one mask for all, or four bits each.
  private static func readMasks(_ first: UInt8, streamCount: Int, _ data: RawSpan, _ offset: inout Int) -> SIMD4<UInt8>? {
    let shared = first & 0x0F
    var masks = SIMD4<UInt8>(repeating: 0)
    for stream in 0..<streamCount {
      if shared != 0 {
        masks[stream] = shared
        continue
      }
      let place = offset + stream / 2
      guard place < data.byteCount else { return nil }
      let byte = data.loadUInt8(at: place)
      masks[stream] = stream & 1 == 0 ? byte >> 4 : byte & 0x0F
    }
    if shared == 0 { offset += (streamCount + 1) / 2 }
    return masks
  }

  /// Two bits for each layer, as many as there are, up to the next byte.
  private mutating func readTemporalCounts(_ masks: SIMD4<UInt8>, _ data: RawSpan, _ offset: inout Int) -> Bool {
    var position = 0
    for index in 0..<16 where masks[index / 4] >> UInt8(index & 3) & 1 != 0 {
      guard offset + position / 4 < data.byteCount else { return false }
      let byte = data.loadUInt8(at: offset + position / 4)
      layers[index].temporalLayerCount = (byte >> UInt8(6 - 2 * (position & 3)) & 3) + 1
      position += 1
    }
    offset += (position + 3) / 4
    return true
  }

  private mutating func readRates(_ masks: SIMD4<UInt8>, _ data: RawSpan, _ offset: inout Int) -> Bool {
    for index in 0..<16 where masks[index / 4] >> UInt8(index & 3) & 1 != 0 {
      for temporal in 0..<Int(layers[index].temporalLayerCount) {
        guard let rate = Self.readLEB128(data, &offset) else { return false }
        layers[index].kilobitsPerSecond[temporal] = rate
      }
    }
    return true
  }

  private mutating func readResolutions(_ masks: SIMD4<UInt8>, _ data: RawSpan, _ offset: inout Int) -> Bool {
    hasResolutions = true
    for index in 0..<16 where masks[index / 4] >> UInt8(index & 3) & 1 != 0 {
      guard offset + 5 <= data.byteCount else { return false }
      // Both are sent less one; 65,536 does not occur and would read as zero.
      layers[index].width = data.loadUInt16(at: offset) &+ 1
      layers[index].height = data.loadUInt16(at: offset + 2) &+ 1
      layers[index].frameRate = data.loadUInt8(at: offset + 4)
      offset += 5
    }
    return true
  }

  /// At most four bytes, 28 bits: more kilobits than any link has.
  private static func readLEB128(_ data: RawSpan, _ offset: inout Int) -> UInt32? {
    var value: UInt32 = 0
    for step in 0..<4 {
      guard offset < data.byteCount else { return nil }
      let byte = data.loadUInt8(at: offset)
      offset += 1
      value |= UInt32(byte & 0x7F) << UInt32(7 * step)
      if byte & 0x80 == 0 { return value }
    }
    return nil
  }

  package static func == (a: Self, b: Self) -> Bool {
    guard a.streamIndex == b.streamIndex, a.streamCount == b.streamCount, a.hasResolutions == b.hasResolutions else { return false }
    for index in 0..<16 where a.layers[index] != b.layers[index] { return false }
    return true
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(streamIndex)
    hasher.combine(streamCount)
    for index in 0..<16 { hasher.combine(layers[index]) }
  }
}
