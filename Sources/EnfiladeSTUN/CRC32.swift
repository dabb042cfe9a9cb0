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

  /// Half a byte a step.
  private mutating func update(_ byte: UInt8) {
    register ^= UInt32(byte)
    register = register >> 4 ^ Self.remainder(of: register & 15)
    register = register >> 4 ^ Self.remainder(of: register & 15)
  }

  /// What a nibble leaves when divided by the reflected polynomial 0xEDB88320. A switch, which the compiler turns into a constant table,
  /// because a global would have a lazy start.
  @inline(__always)
  private static func remainder(of nibble: UInt32) -> UInt32 {
    switch nibble {
    case 0: 0
    case 1: 0x1DB7_1064
    case 2: 0x3B6E_20C8
    case 3: 0x26D9_30AC
    case 4: 0x76DC_4190
    case 5: 0x6B6B_51F4
    case 6: 0x4DB2_6158
    case 7: 0x5005_713C
    case 8: 0xEDB8_8320
    case 9: 0xF00F_9344
    case 10: 0xD6D6_A3E8
    case 11: 0xCB61_B38C
    case 12: 0x9B64_C2B0
    case 13: 0x86D3_D2D4
    case 14: 0xA00A_E278
    default: 0xBDBD_F21C
    }
  }
}
