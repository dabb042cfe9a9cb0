// What a datagram on a shared port is, by its first bytes (RFC 7983 §7 with the ranges of RFC 9443; RFC 5761 §4).

import EnfiladeWire

/// The protocol a datagram belongs to.
package enum DatagramKind: UInt8, Hashable, Sendable, CaseIterable {
  case stun
  case zrtp
  case dtls
  /// TURN ChannelData.
  case turnChannel
  /// QUIC, where it shares the port (RFC 9443).
  case quic
  case rtp
  case rtcp
  /// Empty, too short to tell, or in a range that nobody owns.
  case unknown

  /// Looks at one byte, and for RTP at the second: RTCP's packet types 192 to 223 are RTP's payload types 64 to 95 with the marker set,
  /// which RFC 5761 §4 keeps free for it.
  package init(_ datagram: RawSpan) {
    guard datagram.byteCount > 0 else {
      self = .unknown
      return
    }
    switch datagram.byte(at: 0) {
    case 128...191:
      guard datagram.byteCount > 1 else {
        self = .unknown
        return
      }
      self = 192...223 ~= datagram.byte(at: 1) ? .rtcp : .rtp
    case 0...3: self = .stun
    case 20...63: self = .dtls
    case 16...19: self = .zrtp
    case 64...79: self = .turnChannel
    case 80...127, 192...255: self = .quic
    default: self = .unknown
    }
  }
}
