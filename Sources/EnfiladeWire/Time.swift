// Instants and spans of time, as the engine is told them. Nothing below the runtime reads a clock.

/// A point on the monotonic clock of whoever drives the engine, in nanoseconds since an arbitrary origin.
@usableFromInline
package struct Instant: Hashable, Comparable, Sendable {
  /// Nanoseconds since the driver's origin; never negative in practice.
  @usableFromInline package var nanoseconds: Int64

  @inlinable package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The driver's origin.
  @inlinable package static var zero: Instant { Instant(nanoseconds: 0) }
  /// Later than anything that will happen: a deadline that is not set.
  @inlinable package static var distantFuture: Instant { Instant(nanoseconds: .max) }

  @inlinable package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  @inlinable package static func - (a: Instant, b: Instant) -> TimeDelta {
    TimeDelta(nanoseconds: a.nanoseconds &- b.nanoseconds)
  }
  /// Saturates at ``distantFuture``, so that a deadline can always be computed.
  @inlinable package static func + (a: Instant, b: TimeDelta) -> Instant {
    let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
    return overflow ? .distantFuture : Instant(nanoseconds: sum)
  }
  @inlinable package static func - (a: Instant, b: TimeDelta) -> Instant {
    Instant(nanoseconds: a.nanoseconds &- b.nanoseconds)
  }
  @inlinable package static func += (a: inout Instant, b: TimeDelta) { a = a + b }
}

/// A signed span of time in nanoseconds.
@usableFromInline
package struct TimeDelta: Hashable, Comparable, Sendable {
  /// The length in nanoseconds.
  @usableFromInline package var nanoseconds: Int64

  @inlinable package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  @inlinable package static var zero: TimeDelta { TimeDelta(nanoseconds: 0) }
  @inlinable package static func nanoseconds(_ value: Int64) -> TimeDelta { TimeDelta(nanoseconds: value) }
  @inlinable package static func microseconds(_ value: Int64) -> TimeDelta { TimeDelta(nanoseconds: value * 1_000) }
  @inlinable package static func milliseconds(_ value: Int64) -> TimeDelta { TimeDelta(nanoseconds: value * 1_000_000) }
  @inlinable package static func seconds(_ value: Int64) -> TimeDelta { TimeDelta(nanoseconds: value * 1_000_000_000) }
  /// Rounds towards zero; a value that does not fit saturates.
  @inlinable package static func seconds(_ value: Double) -> TimeDelta {
    TimeDelta(nanoseconds: Int64(max(-9.2e18, min(9.2e18, value * 1e9))))
  }

  @inlinable package var microseconds: Int64 { nanoseconds / 1_000 }
  @inlinable package var milliseconds: Int64 { nanoseconds / 1_000_000 }
  @inlinable package var seconds: Double { Double(nanoseconds) * 1e-9 }

  @inlinable package static func < (a: TimeDelta, b: TimeDelta) -> Bool { a.nanoseconds < b.nanoseconds }
  @inlinable package static func + (a: TimeDelta, b: TimeDelta) -> TimeDelta {
    TimeDelta(nanoseconds: a.nanoseconds &+ b.nanoseconds)
  }
  @inlinable package static func - (a: TimeDelta, b: TimeDelta) -> TimeDelta {
    TimeDelta(nanoseconds: a.nanoseconds &- b.nanoseconds)
  }
  @inlinable package static prefix func - (a: TimeDelta) -> TimeDelta { TimeDelta(nanoseconds: 0 &- a.nanoseconds) }
  @inlinable package static func * (a: TimeDelta, b: Int64) -> TimeDelta { TimeDelta(nanoseconds: a.nanoseconds &* b) }
  @inlinable package static func / (a: TimeDelta, b: Int64) -> TimeDelta { TimeDelta(nanoseconds: a.nanoseconds / b) }
}

/// A 64-bit NTP timestamp: seconds since 1900 in the upper half, the fraction in the lower (RFC 5905 §6).
@usableFromInline
package struct NTPTimestamp: Hashable, Comparable, Sendable {
  @usableFromInline package var rawValue: UInt64

  @inlinable package init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The middle 32 bits, as LSR and RFC 8888 carry them (RFC 3550 §4).
  @inlinable package var compact: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 16) }

  /// Moves by a span of time, wrapping with the era.
  @inlinable package static func + (a: NTPTimestamp, b: TimeDelta) -> NTPTimestamp {
    let seconds = b.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    // 2^32 / 10^9, exact to the last bit of the fraction for any remainder below a second.
    let fraction = (seconds.remainder << 32) / 1_000_000_000
    return NTPTimestamp(rawValue: a.rawValue &+ UInt64(bitPattern: (seconds.quotient << 32) &+ fraction))
  }

  /// The signed distance, for timestamps less than 68 years apart.
  @inlinable package static func - (a: NTPTimestamp, b: NTPTimestamp) -> TimeDelta {
    let difference = Int64(bitPattern: a.rawValue &- b.rawValue)
    let whole = difference >> 32
    let fraction = difference & 0xFFFF_FFFF
    return TimeDelta(nanoseconds: whole &* 1_000_000_000 &+ ((fraction &* 1_000_000_000) >> 32))
  }

  @inlinable package static func < (a: NTPTimestamp, b: NTPTimestamp) -> Bool { a.rawValue < b.rawValue }
}

/// Which wall-clock time an instant was; given to the engine once, because it has no clock of its own.
@usableFromInline
package struct WallClock: Hashable, Sendable {
  @usableFromInline package var instant: Instant
  @usableFromInline package var ntp: NTPTimestamp

  @inlinable package init(instant: Instant, ntp: NTPTimestamp) {
    self.instant = instant
    self.ntp = ntp
  }

  @inlinable package func ntp(at now: Instant) -> NTPTimestamp { ntp + (now - instant) }
}
