// Whose fault is loss?

import EnfiladeCongestion
import EnfiladeWire
import Testing

@Suite("Loss")
struct LossEstimatorTests {
  /// Sends at `rate(estimate)` for so many seconds through something that loses; the estimate at the end.
  static func run(
    seconds: Int, start: Double, delayBased: Double, clear: Bool = true, trusts: Bool = true, seed: UInt64 = 1,
    loses: (Double, inout SeededRandom) -> Bool
  ) -> (estimate: Double, loss: Double) {
    var random = SeededRandom(seed: seed)
    var estimator = LossEstimator(trustsClearPath: trusts)
    var time = 0.0
    var number: Int64 = 0
    var rate = start
    while time < Double(seconds) {
      var received = 0
      let count = max(1, Int(rate * 0.05 / 9600))
      for index in 0..<count {
        let sent = Instant(nanoseconds: Int64((time + 0.05 * Double(index) / Double(count)) * 1e9))
        let isLost = loses(rate, &random)
        if !isLost { received += 1 }
        estimator.handle(
          PacketResult(number: number, sent: sent, arrivalNanoseconds: isLost ? PacketResult.lost : sent.nanoseconds, byteCount: 1200))
        number += 1
      }
      time += 0.05
      estimator.endReport(
        delayBased: delayBased, throughput: Double(received) * 9600 / 0.05, isPathClear: clear, maximum: 30e6,
        at: Instant(nanoseconds: Int64(time * 1e9)))
      rate = min(estimator.estimate ?? start, delayBased)
    }
    return (rate, estimator.averageLoss)
  }

  static func chance(_ random: inout SeededRandom) -> Double { Double(random.next() >> 11) * 0x1p-53 }

  @Test("Without loss the delays decide")
  func none() {
    let result = Self.run(seconds: 10, start: 1e6, delayBased: 2e6) { _, _ in false }
    #expect(result.estimate == 2e6 && result.loss == 0)
  }

  @Test("Random loss with an empty queue is the link's nature, up to a tenth and more", arguments: [0.02, 0.05, 0.1])
  func inherent(loss: Double) {
    let rates = (1...5).map { seed in
      Self.run(seconds: 30, start: 1e6, delayBased: 2.5e6, seed: seed) { Self.chance(&$1) < loss }.estimate
    }.sorted()
    #expect(rates[2] >= 2e6, "\(rates)")
  }

  @Test("A policer's loss grows with the rate, and is not taken for nature", arguments: [0.5e6, 1e6, 2e6])
  func policer(limit: Double) {
    let rates = (1...5).map { seed in
      Self.run(seconds: 30, start: limit * 0.8, delayBased: limit * 3, seed: seed) { rate, random in
        rate > limit && Self.chance(&random) < 1 - limit / rate
      }.estimate
    }.sorted()
    #expect(rates[2] >= 0.7 * limit && rates[2] <= 1.35 * limit, "\(rates)")
  }

  @Test("Thirty per cent of loss brings the rate down, but not to nothing")
  func heavy() {
    let result = Self.run(seconds: 30, start: 2e6, delayBased: 2e6) { Self.chance(&$1) < 0.3 }
    #expect(result.estimate < 1.8e6 && result.estimate > 100_000, "\(result.estimate)")
  }

  @Test("Ten per cent on two megabits, without any trust in an empty queue, leaves more than 100 kbit/s")
  func modest() {
    let result = Self.run(seconds: 120, start: 300_000, delayBased: 2e6, clear: false, trusts: false) { Self.chance(&$1) < 0.1 }
    #expect(result.estimate > 100_000 && result.estimate <= 2e6)
  }
}
