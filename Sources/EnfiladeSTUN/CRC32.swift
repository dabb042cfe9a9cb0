// The CRC-32 of ISO 3309 (ITU-T V.42), which FINGERPRINT uses (RFC 8489 §14.7).

import EnfiladeWire

/// CRC-32 over bytes that come piece by piece.
package struct CRC32: Sendable {
  private var register: UInt32 = 0xFFFF_FFFF

  package init() {}

  package var value: UInt32 { ~register }

  package mutating func update(_ bytes: RawSpan) {
    for index in 0..<bytes.byteCount { update(bytes.byte(at: index)) }
  }

  /// Bit by bit with the reflected polynomial. A check is about a hundred bytes and comes every few seconds, so a table, and the
  /// lazy global it would live in, earns nothing.
  private mutating func update(_ byte: UInt8) {
    register ^= UInt32(byte)
    for _ in 0..<8 { register = register >> 1 ^ (0xEDB8_8320 & (0 &- (register & 1))) }
  }
}
