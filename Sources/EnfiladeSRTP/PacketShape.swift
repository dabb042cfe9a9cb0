// As much of a packet's layout as protection must know (RFC 3550 §5.1, §6.4; RFC 3711 §3.1, §3.4).

import EnfiladeWire

/// Reads the fields that protection needs from bytes that a guard has measured.
enum PacketShape {
  static let rtpFixedHeaderByteCount = 12
  /// The clear part of an SRTCP packet: the first header word and the sender's SSRC (RFC 3711 §3.4).
  static let rtcpClearByteCount = 8
  /// The E flag and the SRTCP index.
  static let rtcpIndexByteCount = 4

  /// The length of fixed header, CSRCs and header extension; `nil` when the bytes are not RTP or end before the header does.
  @inline(__always)
  static func rtpHeaderByteCount(_ packet: UnsafeRawPointer, byteCount: Int) -> Int? {
    guard byteCount >= rtpFixedHeaderByteCount else { return nil }
    let first = packet.load(as: UInt8.self)
    guard first >> 6 == 2 else { return nil }
    var header = rtpFixedHeaderByteCount + 4 * Int(first & 0x0F)
    if first & 0x10 != 0 {
      guard header + 4 <= byteCount else { return nil }
      header += 4 + 4 * Int(loadUInt16(packet, at: header + 2))
    }
    return header <= byteCount ? header : nil
  }

  @inline(__always)
  static func loadUInt16(_ packet: UnsafeRawPointer, at offset: Int) -> UInt16 {
    UInt16(bigEndian: packet.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  @inline(__always)
  static func loadUInt32(_ packet: UnsafeRawPointer, at offset: Int) -> UInt32 {
    UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
}
