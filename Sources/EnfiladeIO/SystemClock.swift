// The machine's clocks and its source of randomness, as the engine's values.

import CEnfiladeShims
package import EnfiladeWire
import Glibc

/// The clock that drives an engine.
package enum MonotonicClock {
  /// Now, since the machine started.
  package static var now: Instant { Instant(nanoseconds: read(CLOCK_MONOTONIC)) }

  /// The processor time the calling thread has used.
  package static var threadProcessorTime: TimeDelta { .nanoseconds(read(CLOCK_THREAD_CPUTIME_ID)) }

  fileprivate static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

/// Which time of day the monotonic clock's present instant is (RFC 5905 §6: the era that begins in 1900).
package func wallClock() -> WallClock {
  let before = MonotonicClock.now
  let sinceEpoch = MonotonicClock.read(CLOCK_REALTIME)
  let (seconds, remainder) = sinceEpoch.quotientAndRemainder(dividingBy: 1_000_000_000)
  // Seconds between 1900 and 1970.
  let high = UInt64(truncatingIfNeeded: seconds &+ 2_208_988_800) & 0xFFFF_FFFF
  let low = (UInt64(remainder) << 32) / 1_000_000_000
  return WallClock(instant: before, ntp: NTPTimestamp(rawValue: high << 32 | low))
}

/// Random bits from the operating system: seeds, passwords, keys. A machine without any cannot run this software.
package func osRandom() -> UInt64 {
  var value: UInt64 = 0
  precondition(enfilade_random(&value, MemoryLayout<UInt64>.size) == 0, "the operating system has no randomness")
  return value
}

/// Random bytes from the operating system.
package func osRandomBytes(_ count: Int) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: count)
  precondition(enfilade_random(&bytes, count) == 0, "the operating system has no randomness")
  return bytes
}
