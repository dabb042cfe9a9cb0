// Where the path was last found full, and how sure that is.

/// A moving average of throughput at overuse, with the spread around it.
package struct LinkCapacityEstimator: Sendable {
  private var estimateKilobits: Double?
  private var deviation = 0.4

  package init() {}

  package var estimate: Double? { estimateKilobits.map { $0 * 1000 } }
  /// In bits per second; infinite while nothing is known.
  package var upperBound: Double { estimateKilobits.map { ($0 + 3 * spread($0)) * 1000 } ?? .infinity }
  package var lowerBound: Double { estimateKilobits.map { max(0, $0 - 3 * spread($0)) * 1000 } ?? 0 }

  package mutating func reset() { estimateKilobits = nil }
  /// The path was full at `throughput` bits per second.
  package mutating func handleOveruse(_ throughput: Double) { update(throughput, weight: 0.05) }
  /// A probe found `rate` bits per second.
  package mutating func handleProbe(_ rate: Double) { update(rate, weight: 0.5) }

  private func spread(_ kilobits: Double) -> Double { (deviation * kilobits).squareRoot() }

  private mutating func update(_ rate: Double, weight: Double) {
    let sample = rate / 1000
    let estimate = estimateKilobits.map { (1 - weight) * $0 + weight * sample } ?? sample
    estimateKilobits = estimate
    let error = estimate - sample
    deviation = min(max((1 - weight) * deviation + weight * error * error / max(estimate, 1), 0.4), 2.5)
  }
}
