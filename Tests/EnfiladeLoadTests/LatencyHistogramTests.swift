import EnfiladeWire
import Testing

@testable import EnfiladeLoad

@Suite("Latency histogram")
struct LatencyHistogramTests {
  @Test("A quantile is at most a thirty-second above the truth, and never below", arguments: [0.01, 0.5, 0.9, 0.99, 0.999, 1.0])
  func quantiles(part: Double) throws {
    var random = SeededRandom(seed: 11)
    var histogram = LatencyHistogram()
    var values: [Int64] = []
    for _ in 0..<20_000 {
      let value = Int64(random.next() % (1 << (5 + random.next() % 28)))
      values.append(value)
      histogram.record(.nanoseconds(value))
    }
    values.sort()
    let truth = values[max(0, Int((Double(values.count) * part).rounded(.up)) - 1)]
    let found = try #require(histogram.quantile(part)).nanoseconds
    #expect(found >= truth)
    #expect(Double(found) <= Double(truth) * (1 + 1 / 32.0) + 1)
  }

  @Test("The maximum is exact, and no quantile is above it")
  func maximum() {
    var histogram = LatencyHistogram()
    histogram.record(.microseconds(1))
    histogram.record(.nanoseconds(1_234_567))
    #expect(histogram.maximum == .nanoseconds(1_234_567))
    #expect(histogram.quantile(1) == .nanoseconds(1_234_567))
  }

  @Test("Nothing recorded has no quantile, and a clock that seems to go back counts as no time")
  func edges() {
    var histogram = LatencyHistogram()
    #expect(histogram.quantile(0.5) == nil)
    histogram.record(.nanoseconds(-5))
    #expect(histogram.count == UInt64(1))
    #expect(histogram.quantile(0.5) == .zero)
    histogram.record(.nanoseconds(.max))
    #expect(histogram.quantile(1) == .nanoseconds(.max))
  }

  @Test("Two histograms together are one of both")
  func merge() {
    var first = LatencyHistogram()
    var second = LatencyHistogram()
    for value in 1...100 { first.record(.microseconds(Int64(value))) }
    for value in 101...200 { second.record(.microseconds(Int64(value))) }
    first.merge(second)
    #expect(first.count == UInt64(200))
    let middle = first.quantile(0.5)?.nanoseconds ?? 0
    #expect(middle >= 100_000 && middle <= 104_000)
  }
}
