// Time: what goes in comes out, at the edges too.

import EnfiladeWire
import Testing

@Suite("Time")
struct TimeTests {
  @Test("An instant plus a span, less the instant, is the span", arguments: [0, 1, -1, 1_000_000_007, Int64.max / 2, -(Int64.max / 2)])
  func instantArithmetic(nanoseconds: Int64) {
    let start = Instant(nanoseconds: 123_456_789)
    let span = TimeDelta(nanoseconds: nanoseconds)
    #expect((start + span) - start == span)
    #expect((start + span) - span == start)
    var moved = start
    moved += span
    #expect(moved == start + span)
  }

  @Test("A deadline beyond the end of time is never")
  func saturation() {
    #expect(Instant(nanoseconds: Int64.max - 5) + .nanoseconds(6) == .distantFuture)
    #expect(Instant.distantFuture + .seconds(Int64(1)) == .distantFuture)
    #expect(Instant.zero + TimeDelta(nanoseconds: .max) == .distantFuture)
  }

  @Test("Spans are made and read in every unit")
  func units() {
    #expect(TimeDelta.microseconds(3) == .nanoseconds(3_000))
    #expect(TimeDelta.milliseconds(3) == .microseconds(3_000))
    #expect(TimeDelta.seconds(Int64(3)) == .milliseconds(3_000))
    #expect(TimeDelta.seconds(0.25) == .milliseconds(250))
    #expect(TimeDelta.nanoseconds(1_999_999).milliseconds == 1)
    #expect(TimeDelta.nanoseconds(-1_999_999).milliseconds == -1)
    #expect(TimeDelta.milliseconds(1_500).seconds == 1.5)
    #expect(-TimeDelta.milliseconds(5) + .milliseconds(5) == .zero)
    #expect(TimeDelta.milliseconds(5) * 3 / 5 == .milliseconds(3))
    #expect(TimeDelta.milliseconds(1) < .milliseconds(2))
  }

  @Test("A number of seconds that does not fit saturates", arguments: [(1e30, true), (-1e30, false), (Double.infinity, true)])
  func secondsSaturate(seconds: Double, isPositive: Bool) {
    #expect((TimeDelta.seconds(seconds) > .seconds(Int64(9_000_000_000))) == isPositive)
    #expect((TimeDelta.seconds(seconds) < .seconds(Int64(-9_000_000_000))) == !isPositive)
  }

  @Test("NTP fractions are 2⁻³² s: half a second is the top bit")
  func ntpFractions() {
    let start = NTPTimestamp(rawValue: 0x1234_5678_0000_0000)
    #expect((start + .milliseconds(500)).rawValue == 0x1234_5678_8000_0000)
    #expect((start + .milliseconds(-500)).rawValue == 0x1234_5677_8000_0000)
    #expect((start + .seconds(Int64(-3))).rawValue == 0x1234_5675_0000_0000)
    #expect((start + .milliseconds(250)).compact == 0x5678_4000)
  }

  @Test("NTP time moved by a span and back is the same within one nanosecond", arguments: 0..<10)
  func ntpRoundTrip(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    for _ in 0..<500 {
      let start = NTPTimestamp(rawValue: random.next())
      // Up to 34 years, either way, the era's end included.
      let span = TimeDelta(nanoseconds: Int64.random(in: -(1 << 60)...(1 << 60), using: &random))
      let error = ((start + span) - start).nanoseconds - span.nanoseconds
      #expect(abs(error) <= 1)
      #expect(abs(((start + span) + -span - start).nanoseconds) <= 1)
    }
  }

  @Test("NTP distances are signed and cross the era")
  func ntpDistance() {
    let last = NTPTimestamp(rawValue: UInt64.max - (1 << 31) + 1)
    let first = NTPTimestamp(rawValue: 1 << 31)
    #expect(first - last == .seconds(Int64(1)))
    #expect(last - first == .seconds(Int64(-1)))
    #expect(last + .seconds(Int64(1)) == first)
  }

  @Test("The wall clock runs with the instants")
  func wallClock() {
    let clock = WallClock(instant: Instant(nanoseconds: 5_000_000_000), ntp: NTPTimestamp(rawValue: 100 << 32))
    #expect(clock.ntp(at: Instant(nanoseconds: 7_500_000_000)).rawValue == (102 << 32) | (1 << 31))
    #expect(clock.ntp(at: Instant(nanoseconds: 4_000_000_000)).rawValue == 99 << 32)
  }

  @Test("Bytes over time are a rate, and no time is no rate")
  func rates() {
    #expect(DataSize.bytes(125_000).rate(over: .seconds(Int64(1))) == .megabitsPerSecond(1))
    #expect(DataSize.bytes(125_000).rate(over: .zero) == .zero)
    #expect(DataSize.bytes(5).rate(over: .milliseconds(-1)) == .zero)
    #expect(DataSize.bytes(3) + .bytes(4) - .bytes(1) == .bytes(6))
    #expect(Bitrate.kilobitsPerSecond(2) - .bitsPerSecond(500) + .zero == .bitsPerSecond(1_500))
    #expect(Bitrate.kilobitsPerSecond(999) < .megabitsPerSecond(1))
    #expect(DataSize.zero < .bytes(1))
  }
}
