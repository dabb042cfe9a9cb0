// Additive increase, multiplicative decrease, against the figures of libwebrtc's own tests.

import EnfiladeCongestion
import EnfiladeWire
import Testing

@Suite("AIMD")
struct AIMDRateControlTests {
  static func at(_ milliseconds: Int64) -> Instant { .zero + .milliseconds(milliseconds) }

  @Test(
    "Near the maximum the rate grows by 4000 at 30 kbit/s, 5000 at 90, 12000 at 216, each second",
    arguments: [(30_000.0, 4000.0), (90_000, 5000), (216_000, 12_000)])
  func nearMaximum(rate: Double, increase: Double) {
    #expect(abs(AIMDRateControl(start: rate).nearMaximumIncrease - increase) < 1)
  }

  @Test("A fall from 264 to 216 kbit/s is won back in 4 s")
  func period() {
    var control = AIMDRateControl(start: 264_000)
    #expect(control.expectedPeriod == .seconds(Int64(3)))
    control.handle(.overusing, throughput: 260_000, at: Self.at(0))
    #expect(abs(control.rate - 216_000) < 1)
    #expect(abs(control.lastDecreaseAmount - 48_000) < 1)
    #expect(abs(control.expectedPeriod.seconds - 4) < 0.01)
  }

  @Test("Overuse leaves 85 % of the throughput less 5 kbit/s, and never more than there was")
  func decrease() {
    var control = AIMDRateControl(start: 1_000_000)
    control.handle(.overusing, throughput: 500_000, at: Self.at(0))
    #expect(abs(control.rate - 420_000) < 1)
    control.handle(.overusing, throughput: 2_000_000, at: Self.at(500))
    #expect(control.rate <= 420_001)
  }

  @Test("Without a known capacity it grows by 8 % a second, up to one and a half times the throughput")
  func multiplicative() {
    var control = AIMDRateControl(start: 1_000_000)
    for step in 0...10 { control.handle(.normal, throughput: 1_000_000, at: Self.at(Int64(step) * 100)) }
    #expect(abs(control.rate - 1_080_000) < 2000)
    for step in 11...200 { control.handle(.normal, throughput: 1_000_000, at: Self.at(Int64(step) * 100)) }
    #expect(abs(control.rate - 1_510_000) < 1)
  }

  @Test("With a known capacity it grows by packets, or by what the caller asks at least")
  func additive() {
    func grown(_ least: Double) -> Double {
      var control = AIMDRateControl(start: 1_000_000)
      control.handle(.overusing, throughput: 1_000_000, at: Self.at(0))
      let before = control.rate
      for step in 1...11 { control.handle(.normal, throughput: 1_000_000, leastIncrease: least, at: Self.at(Int64(step) * 100)) }
      return control.rate - before
    }
    #expect(abs(grown(0) - AIMDRateControl(start: 845_000).nearMaximumIncrease) < 1500)
    #expect(abs(grown(100_000) - 100_000) < 1500)
  }

  @Test("Two decreases are a round trip apart, between 10 and 200 ms, unless throughput is below half")
  func reduceFurther() {
    var control = AIMDRateControl(start: 1_000_000)
    control.roundTrip = .milliseconds(500)
    control.handle(.overusing, throughput: 900_000, at: Self.at(1000))
    #expect(!control.canReduceFurther(700_000, at: Self.at(1199)))
    #expect(control.canReduceFurther(700_000, at: Self.at(1200)))
    #expect(control.canReduceFurther(300_000, at: Self.at(1010)))
  }

  @Test("Without a start rate the first five seconds' throughput is it")
  func initialization() {
    var control = AIMDRateControl(start: nil)
    for step in 0...49 { control.handle(.normal, throughput: 700_000, at: Self.at(Int64(step) * 100)) }
    #expect(control.rate == 300_000)
    for step in 50...52 { control.handle(.normal, throughput: 700_000, at: Self.at(Int64(step) * 100)) }
    #expect(abs(control.rate - 700_000) < 10_000)
  }
}
