// A dependency descriptor with another frame number, and with the decode targets that its receiver is sent
// (AV1 RTP payload format, appendix A.8).

import EnfiladeWire

/// A template dependency structure as it stands in a descriptor, bit for bit.
package struct DependencyStructureBits: Hashable, Sendable {
  /// Larger ones would not fit a header extension beside anything else; those in use have 40 to 80 bytes.
  package static let maximumByteCount = 200

  fileprivate let bytes: [UInt8]
  fileprivate let bitCount: Int
  fileprivate let decodeTargetCount: Int

  /// Cuts the structure out of the descriptor that brings it; `nil` when it brings none, or one that is too large.
  package init?(of descriptor: RawSpan) {
    let start = DependencyHeader.byteCount
    guard descriptor.byteCount > start else { return nil }
    var reader = BitReader(descriptor.extracting(start..<descriptor.byteCount))
    guard reader.readBits(5) & 0x10 != 0, let count = DependencyStructure.skip(&reader) else { return nil }
    let bitCount = reader.bitOffset - 5
    guard bitCount <= 8 * Self.maximumByteCount else { return nil }
    var copied = [UInt8](repeating: 0, count: (bitCount + 7) / 8)
    var span = copied.mutableSpan
    // Sound: bytes have no padding, and every bit pattern is one.
    var writer = unsafe BitWriter(span.mutableBytes)
    DependencyDescriptor.copyBits(descriptor, from: 8 * start + 5, to: 8 * start + 5 + bitCount, into: &writer)
    guard !writer.overflowed else { return nil }
    bytes = copied
    self.bitCount = bitCount
    decodeTargetCount = count
  }

  /// How much a descriptor grows that is given this structure.
  package var byteCount: Int { bytes.count }
}

extension DependencyDescriptor {
  /// The most that ``rewrite(_:frameNumber:activeDecodeTargets:decodeTargetCount:structure:into:)`` makes a descriptor longer without adding a structure: five flags and 32 bits.
  package static let maximumGrowth = 5

  /// Copies a descriptor, changing what differs from one receiver to the next.
  ///
  /// - Parameters:
  ///   - source: the descriptor as it came.
  ///   - frameNumber: the number of the frame in the outgoing stream.
  ///   - activeDecodeTargets: replaces or adds the bit mask; `nil` leaves what is there.
  ///   - decodeTargetCount: how many targets the structure in force has; not used when `source` brings a structure.
  ///   - structure: added when `source` brings none; then the mask must be given too.
  /// - Returns: the new length, or `nil` when `source` is malformed or `destination` too small.
  @_lifetime(destination: copy destination)
  package static func rewrite(
    _ source: RawSpan, frameNumber: UInt16, activeDecodeTargets: UInt32?, decodeTargetCount: Int,
    structure: DependencyStructureBits? = nil, into destination: inout MutableRawSpan
  ) -> Int? {
    guard source.byteCount >= DependencyHeader.byteCount, destination.byteCount >= DependencyHeader.byteCount else { return nil }
    destination.storeUInt8(source.loadUInt8(at: 0), at: 0)
    destination.storeUInt16(frameNumber, at: DependencyHeader.frameNumberOffset)
    guard let activeDecodeTargets else {
      guard source.byteCount <= destination.byteCount else { return nil }
      for index in DependencyHeader.byteCount..<source.byteCount { destination.storeUInt8(source.loadUInt8(at: index), at: index) }
      return source.byteCount
    }
    return rewriteFields(source, activeDecodeTargets, decodeTargetCount, structure, into: &destination)
  }

  /// The fields behind the first three bytes: flags, structure, mask, and whatever follows, moved by the bits that were added.
  @_lifetime(destination: copy destination)
  private static func rewriteFields(
    _ source: RawSpan, _ activeDecodeTargets: UInt32, _ decodeTargetCount: Int, _ added: DependencyStructureBits?,
    into destination: inout MutableRawSpan
  ) -> Int? {
    let start = DependencyHeader.byteCount
    var flags: UInt32 = 0
    var reader = BitReader(source.extracting(start..<source.byteCount))
    if source.byteCount > start { flags = reader.readBits(5) }
    let hasStructure = flags & 0x10 != 0
    let hasMask = flags & 0x08 != 0
    var targetCount = decodeTargetCount
    if hasStructure {
      guard let count = DependencyStructure.skip(&reader) else { return nil }
      targetCount = count
    } else if let added {
      targetCount = added.decodeTargetCount
    }
    guard targetCount >= 1, targetCount <= DependencyStructure.maximumDecodeTargetCount, !reader.overran else { return nil }
    let room = destination.byteCount - start
    var writer = BitWriter(destination._mutatingExtracting(start..<start + room))
    writer.writeBits(flags | 0x08 | (added == nil ? 0 : 0x10), count: 5)
    // The structure as it came, bit by bit: it may begin anywhere in a byte and end anywhere.
    if hasStructure {
      copyBits(source, from: 8 * start + 5, to: 8 * start + reader.bitOffset, into: &writer)
    } else if let added {
      copyBits(added.bytes.rawBytes, from: 0, to: added.bitCount, into: &writer)
    }
    writer.writeBits(activeDecodeTargets, count: targetCount)
    if hasMask { _ = reader.readBits(targetCount) }
    guard !reader.overran else { return nil }
    // What is customized comes last; the zeros that fill the last byte may come along.
    if flags & 0x07 != 0 { copyBits(source, from: 8 * start + reader.bitOffset, to: 8 * source.byteCount, into: &writer) }
    guard !writer.overflowed else { return nil }
    return start + writer.byteCount
  }

  @_lifetime(writer: copy writer)
  fileprivate static func copyBits(_ source: RawSpan, from first: Int, to end: Int, into writer: inout BitWriter) {
    var reader = BitReader(source)
    reader.skip(first)
    var left = end - first
    while left > 0 {
      let width = min(32, left)
      writer.writeBits(reader.readBits(width), count: width)
      left -= width
    }
  }
}

extension DependencyStructure {
  /// Goes past a structure without keeping it, and gives how many decode targets it has; `nil` when it is malformed.
  @_lifetime(bits: copy bits)
  static func skip(_ bits: inout BitReader) -> Int? {
    _ = bits.readBits(6)
    let targetCount = Int(bits.readBits(5)) + 1
    var templateCount = 0
    var temporalID = 0
    var spatialID = 0
    layers: while true {
      guard templateCount < maximumTemplateCount, !bits.overran else { return nil }
      templateCount += 1
      switch bits.readBits(2) {
      case 0: break
      case 1:
        temporalID += 1
        guard temporalID < maximumTemporalLayerCount else { return nil }
      case 2:
        temporalID = 0
        spatialID += 1
        guard spatialID < maximumSpatialLayerCount else { return nil }
      default: break layers
      }
    }
    bits.skip(2 * templateCount * targetCount)
    for _ in 0..<templateCount {
      var count = 0
      while bits.readBit() {
        guard count < DependencyTemplate.maximumFrameDifferenceCount else { return nil }
        bits.skip(4)
        count += 1
      }
    }
    let chainCount = Int(bits.readNonSymmetric(UInt32(targetCount + 1)))
    if chainCount > 0 {
      for _ in 0..<targetCount { _ = bits.readNonSymmetric(UInt32(chainCount)) }
      bits.skip(4 * chainCount * templateCount)
    }
    if bits.readBit() { bits.skip(32 * (spatialID + 1)) }
    return bits.overran ? nil : targetCount
  }
}
