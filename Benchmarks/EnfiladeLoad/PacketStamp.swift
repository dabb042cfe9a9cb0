// What a publisher writes into each payload, so that a subscriber can tell when it left.

import EnfiladeRTP
package import EnfiladeWire

/// A magic word and the sender's monotonic clock, behind what a codec-aware server looks at.
package enum PacketStamp {
  /// Big-endian magic word, then nanoseconds.
  package static let byteCount = 12
  private static let magic: UInt32 = 0x454E_4649

  /// VP8: the descriptor with a 15-bit picture id, and the ten bytes that begin a key frame (RFC 7741 §4.2, RFC 6386 §9.1).
  package static let videoPrefixByteCount = 14
  /// Opus: the table-of-contents byte (RFC 6716 §3.1).
  package static let audioPrefixByteCount = 1

  /// Writes the head of a VP8 payload with a stamp into `payload`, which must have room for both; the rest is left as it is.
  package static func writeVideo(
    _ packet: ScheduledPacket, pictureID: UInt16, width: Int = 1280, height: Int = 720, sentAt now: Instant,
    into payload: UnsafeMutableRawPointer
  ) {
    writeDescriptor(packet, pictureID: pictureID, into: payload)
    if packet.startsFrame {
      // The frame tag: the lowest bit is zero for a key frame; shown, version zero. Then start code and size, little-endian.
      let size = [width, height].flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8 & 0x3F)] }
      let tag: [UInt8] = packet.isKeyframe ? [0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A] + size : [0x11, 0x02, 0x00, 0, 0, 0, 0, 0, 0, 0]
      for (offset, byte) in tag.enumerated() { payload.storeBytes(of: byte, toByteOffset: 4 + offset, as: UInt8.self) }
    }
    write(now, at: payload + videoPrefixByteCount)
  }

  /// Writes the four bytes in front of a piece of a VP8 frame.
  package static func writeDescriptor(_ packet: ScheduledPacket, pictureID: UInt16, into payload: UnsafeMutableRawPointer) {
    // X set, S where the first partition begins; I set in the second byte; the picture id's long form.
    payload.storeBytes(of: packet.startsFrame ? 0x90 : 0x80, as: UInt8.self)
    payload.storeBytes(of: 0x80, toByteOffset: 1, as: UInt8.self)
    payload.storeBytes(of: (pictureID | 0x8000).bigEndian, toByteOffset: 2, as: UInt16.self)
  }

  /// Writes the head of an Opus payload with a stamp.
  package static func writeAudio(sentAt now: Instant, into payload: UnsafeMutableRawPointer) {
    // CELT, fullband, 20 ms, stereo, one frame.
    payload.storeBytes(of: 0xFC, as: UInt8.self)
    write(now, at: payload + audioPrefixByteCount)
  }

  private static func write(_ now: Instant, at place: UnsafeMutableRawPointer) {
    place.storeBytes(of: magic.bigEndian, as: UInt32.self)
    place.storeBytes(of: now.nanoseconds.bigEndian, toByteOffset: 4, as: Int64.self)
  }

  /// When a received payload was sent; `nil` when it carries no stamp.
  package static func read(_ payload: RawSpan, kind: MediaKind) -> Instant? {
    var offset = audioPrefixByteCount
    if kind == .video {
      // A server may have written another descriptor, of another length.
      guard let descriptor = VP8Descriptor(payload) else { return nil }
      offset = Int(descriptor.byteCount) + videoPrefixByteCount - 4
    }
    var reader = ByteReader(payload)
    guard reader.skip(offset), reader.readUInt32() == magic, let nanoseconds = reader.readUInt64() else { return nil }
    return Instant(nanoseconds: Int64(bitPattern: nanoseconds))
  }
}
