// Digits, and other tones, as events instead of sound (RFC 4733 §2.3).

import EnfiladeWire

/// The payload of one packet of `telephone-event`.
package struct TelephoneEvent: Hashable, Sendable {
  /// Four bytes; what follows them is not looked at.
  package static let byteCount = 4

  /// Which tone (RFC 4733 §3.2): 0…15 are the keys of a telephone.
  package var code: UInt8
  /// The tone is over (§2.3.2).
  package var isEnd: Bool
  /// Minus dBm0, 0…63 (§2.3.4).
  package var volume: UInt8
  /// How long it has lasted, in ticks of the RTP clock (§2.3.5).
  package var duration: UInt16

  package init(code: UInt8, isEnd: Bool, volume: UInt8, duration: UInt16) {
    self.code = code
    self.isEnd = isEnd
    self.volume = volume & 0x3F
    self.duration = duration
  }

  /// Reads a payload; `nil` when it is too short.
  package init?(_ payload: RawSpan) {
    guard payload.byteCount >= Self.byteCount else { return nil }
    let word = payload.loadUInt32(at: 0)
    // §2.3.3: the reserved bit is ignored.
    self.init(
      code: UInt8(truncatingIfNeeded: word >> 24), isEnd: word >> 23 & 1 == 1, volume: UInt8(truncatingIfNeeded: word >> 16 & 0x3F),
      duration: UInt16(truncatingIfNeeded: word))
  }

  /// The payload.
  package var bytes: [UInt8] {
    [code, (isEnd ? 0x80 : 0) | volume, UInt8(truncatingIfNeeded: duration >> 8), UInt8(truncatingIfNeeded: duration)]
  }
}
