// The VP8 payload descriptor (RFC 7741 §4.2).

import EnfiladeWire

/// Parsed descriptor with the places of the fields that a forwarder rewrites.
package struct VP8Descriptor: Hashable, Sendable {
  /// The descriptor's own length.
  package var byteCount: UInt8
  /// N: nothing refers to this frame.
  package var isNonReference: Bool
  /// S: the packet begins a partition.
  package var startsPartition: Bool
  /// PID.
  package var partitionIndex: UInt8
  /// Whether the frame header's P bit says key frame; only meaningful where a frame begins.
  package var isKeyframe: Bool
  /// M: the picture id has 15 bits, else 7.
  package var hasLongPictureID: Bool
  package var pictureID: UInt16?
  package var tl0PictureIndex: UInt8?
  package var temporalID: UInt8?
  /// Y: may be switched up to from any lower temporal layer.
  package var isLayerSync: Bool
  package var keyIndex: UInt8?
  /// Where the picture id stands in the payload, or zero.
  package var pictureIDOffset: UInt8
  /// Where TL0PICIDX stands in the payload, or zero.
  package var tl0PictureIndexOffset: UInt8
  /// Where the byte of TID, Y and KEYIDX stands in the payload, or zero.
  package var layerOffset: UInt8

  /// Whether a frame begins here: the start of partition zero.
  package var startsFrame: Bool { startsPartition && partitionIndex == 0 }

  package init?(_ payload: RawSpan) {
    guard payload.byteCount > 0 else { return nil }
    let first = payload.loadUInt8(at: 0)
    isNonReference = first & 0x20 != 0
    startsPartition = first & 0x10 != 0
    partitionIndex = first & 0x07
    hasLongPictureID = false
    isLayerSync = false
    pictureIDOffset = 0
    tl0PictureIndexOffset = 0
    layerOffset = 0
    var offset = 1
    var flags: UInt8 = 0
    if first & 0x80 != 0 {
      guard payload.byteCount > 1 else { return nil }
      flags = payload.loadUInt8(at: 1)
      offset = 2
    }
    if flags & 0x80 != 0 {
      guard offset < payload.byteCount else { return nil }
      pictureIDOffset = UInt8(offset)
      let byte = payload.loadUInt8(at: offset)
      if byte & 0x80 != 0 {
        guard offset + 1 < payload.byteCount else { return nil }
        hasLongPictureID = true
        pictureID = payload.loadUInt16(at: offset) & 0x7FFF
        offset += 2
      } else {
        pictureID = UInt16(byte)
        offset += 1
      }
    }
    if flags & 0x40 != 0 {
      guard offset < payload.byteCount else { return nil }
      tl0PictureIndexOffset = UInt8(offset)
      tl0PictureIndex = payload.loadUInt8(at: offset)
      offset += 1
    }
    if flags & 0x30 != 0 {
      guard offset < payload.byteCount else { return nil }
      layerOffset = UInt8(offset)
      let byte = payload.loadUInt8(at: offset)
      if flags & 0x20 != 0 {
        temporalID = byte >> 6
        isLayerSync = byte & 0x20 != 0
      }
      if flags & 0x10 != 0 { keyIndex = byte & 0x1F }
      offset += 1
    }
    // A descriptor without a frame behind it carries nothing.
    guard offset < payload.byteCount else { return nil }
    byteCount = UInt8(offset)
    isKeyframe = startsPartition && partitionIndex == 0 && payload.loadUInt8(at: offset) & 1 == 0
  }
}
