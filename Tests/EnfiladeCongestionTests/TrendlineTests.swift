// The trend of delays, against the figures of libwebrtc's own tests.

import EnfiladeCongestion
import EnfiladeWire
import Testing

@Suite("Trendline")
struct TrendlineTests {
  /// Packets sent 20 ms apart that arrive so far apart; the first usage other than `normal` within so many packets.
  static func usage(arrivalMilliseconds: Double, count: Int) -> BandwidthUsage {
    var estimator = TrendlineEstimator()
    var arrival = 1_000_000_000.0
    for _ in 0..<count {
      arrival += arrivalMilliseconds * 1e6
      let delta = InterArrival.Delta(send: .milliseconds(20), arrival: .nanoseconds(Int64(arrivalMilliseconds * 1e6)))
      estimator.handle(delta, arrivalNanoseconds: Int64(arrival))
      if estimator.usage != .normal { return estimator.usage }
    }
    return .normal
  }

  @Test(
    "20 ms apart sent: 20 ms is normal, 22 overuse, 17 underuse, within 25 packets",
    arguments: [(20.0, BandwidthUsage.normal), (22.0, .overusing), (17.0, .underusing)])
  func spacing(arrival: Double, expected: BandwidthUsage) {
    #expect(Self.usage(arrivalMilliseconds: arrival, count: 25) == expected)
  }

  @Test("Steady delays stay normal for as long as one likes")
  func steady() { #expect(Self.usage(arrivalMilliseconds: 20, count: 2000) == .normal) }

  @Test("The threshold follows usual delays and stays within 6 to 600")
  func threshold() {
    var estimator = TrendlineEstimator()
    #expect(estimator.threshold == 12.5)
    for index in 0..<500 {
      estimator.handle(
        InterArrival.Delta(send: .milliseconds(20), arrival: .milliseconds(20)), arrivalNanoseconds: Int64(index) * 20_000_000)
    }
    #expect(estimator.threshold == 6)
  }
}

@Suite("Inter-arrival")
struct InterArrivalTests {
  /// Packets as (send ms, arrival ms); the differences that come out.
  static func deltas(_ packets: [(Double, Double)]) -> [InterArrival.Delta] {
    var arrivals = InterArrival()
    return packets.compactMap { send, arrival in
      let now = Instant(nanoseconds: Int64(arrival * 1e6))
      return arrivals.handleArrival(
        ArrivalRun(sent: Instant(nanoseconds: Int64(send * 1e6)), arrivalNanoseconds: Int64(arrival * 1e6)), reportedAt: now)
    }
  }

  @Test("Packets within 5 ms are one group; a difference needs two groups closed")
  func groups() {
    #expect(
      Self.deltas([(0, 100), (3, 110), (20, 125), (40, 150), (60, 165)]) == [
        InterArrival.Delta(send: .milliseconds(17), arrival: .milliseconds(15)),
        InterArrival.Delta(send: .milliseconds(20), arrival: .milliseconds(25)),
      ])
  }

  @Test("What a radio held back and let go together is one group")
  func burst() {
    let deltas = Self.deltas([(0, 100), (20, 120), (40, 170), (50, 171), (60, 172), (80, 190), (100, 210)])
    #expect(deltas.count == 3)
    #expect(deltas[1] == InterArrival.Delta(send: .milliseconds(40), arrival: .milliseconds(52)))
  }

  @Test("A packet sent before its group is ignored, and three groups from the past begin anew")
  func reordering() {
    #expect(Self.deltas([(0, 100), (20, 120), (10, 121), (40, 140)]).count == 1)
    #expect(Self.deltas([(0, 100), (20, 120), (40, 60), (60, 40), (80, 20), (100, 30), (120, 50)]).count <= 2)
  }
}
