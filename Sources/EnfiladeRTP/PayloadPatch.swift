// The few bytes in front of a payload that a forwarder says anew for each subscriber; all that follows stays as it came.

import EnfiladeWire

/// New bytes for the beginning of a payload. Picture ids are always written with 15 bits, so that a receiver's counter does not change its
/// width when another publisher's stream takes over; the payload can therefore grow by a byte.
package struct PayloadPatch: Hashable, Sendable {
  /// The first ``byteCount`` count.
  package private(set) var bytes: SIMD8<UInt8> = .zero
  package private(set) var byteCount: UInt8 = 0
  /// How many bytes of the original these stand for.
  package private(set) var replacedByteCount: UInt8 = 0

  /// The most that a patch makes a payload longer.
  package static let maximumGrowth = 1

  /// The descriptor of a VP8 packet with other running numbers (RFC 7741 §4.2).
  ///
  /// - Parameters:
  ///   - pictureID: its low 15 bits are written, if the original has a picture id.
  ///   - tl0PictureIndex: written if the original has one.
  ///   - keyIndex: its low five bits are written if the original has one.
  /// - Returns: `nil` when `payload` is not VP8.
  package static func vp8(_ payload: RawSpan, pictureID: UInt16, tl0PictureIndex: UInt8, keyIndex: UInt8) -> PayloadPatch? {
    guard let descriptor = VP8Descriptor(payload) else { return nil }
    var patch = PayloadPatch()
    patch.replacedByteCount = descriptor.byteCount
    patch.append(payload.loadUInt8(at: 0))
    // Without the second byte there is no running number.
    guard descriptor.byteCount > 1 else { return patch }
    patch.append(payload.loadUInt8(at: 1))
    if descriptor.pictureID != nil { patch.appendPictureID(pictureID) }
    if descriptor.tl0PictureIndex != nil { patch.append(tl0PictureIndex) }
    if descriptor.layerOffset != 0 {
      let byte = payload.loadUInt8(at: Int(descriptor.layerOffset))
      patch.append(descriptor.keyIndex == nil ? byte : byte & 0xE0 | keyIndex & 0x1F)
    }
    return patch
  }

  /// The beginning of a VP9 descriptor with other running numbers (RFC 9628 §4.2). References are told by distances and stay true.
  ///
  /// - Returns: `nil` when `payload` is not VP9.
  package static func vp9(_ payload: RawSpan, pictureID: UInt16, tl0PictureIndex: UInt8) -> PayloadPatch? {
    guard let descriptor = VP9Descriptor(payload) else { return nil }
    var patch = PayloadPatch()
    var offset = 1
    patch.append(payload.loadUInt8(at: 0))
    if descriptor.pictureID != nil {
      patch.appendPictureID(pictureID)
      offset += descriptor.hasLongPictureID ? 2 : 1
    }
    if descriptor.hasLayerIndices {
      patch.append(payload.loadUInt8(at: offset))
      offset += 1
      if descriptor.tl0PictureIndex != nil {
        patch.append(tl0PictureIndex)
        offset += 1
      }
    }
    patch.replacedByteCount = UInt8(truncatingIfNeeded: offset)
    return patch
  }

  /// Whether `payload` begins with these bytes already.
  package func isIdentity(of payload: RawSpan) -> Bool {
    guard byteCount == replacedByteCount, Int(byteCount) <= payload.byteCount else { return false }
    for index in 0..<Int(byteCount) where payload.loadUInt8(at: index) != bytes[index] { return false }
    return true
  }

  /// Writes the new bytes at `offset`; `false`, with nothing written, when there is no room.
  @_lifetime(destination: copy destination)
  package func write(at offset: Int, in destination: inout MutableRawSpan) -> Bool {
    guard offset >= 0, offset + Int(byteCount) <= destination.byteCount else { return false }
    for index in 0..<Int(byteCount) { destination.storeUInt8(bytes[index], at: offset + index) }
    return true
  }

  private mutating func append(_ byte: UInt8) {
    bytes[Int(byteCount)] = byte
    byteCount += 1
  }

  private mutating func appendPictureID(_ pictureID: UInt16) {
    append(0x80 | UInt8(truncatingIfNeeded: pictureID >> 8))
    append(UInt8(truncatingIfNeeded: pictureID))
  }
}
