// A quarter of a second of sending, and what became of it.

package import EnfiladeWire

/// Loss by bytes over at least ``length`` of send time.
package struct LossObservation: Sendable, BitwiseCopyable {
  package static let length = TimeDelta.milliseconds(250)

  package var byteCount: Int64 = 0
  package var lostByteCount: Int64 = 0
  /// In bits per second.
  package var sendRate = 0.0

  package init() {}

  package init(byteCount: Int64, lostByteCount: Int64, sendRate: Double) {
    self.byteCount = byteCount
    self.lostByteCount = lostByteCount
    self.sendRate = sendRate
  }

  package var loss: Double { byteCount > 0 ? Double(lostByteCount) / Double(byteCount) : 0 }
}

/// The last fifteen observations, older ones counting less.
package struct LossWindow: Sendable {
  package static let capacity = 15
  /// Weight of an observation by its age: 0.9^age.
  private static let weights: InlineArray<15, Double> = {
    var weights: InlineArray<15, Double> = InlineArray(repeating: 1)
    for age in 1..<15 { weights[age] = weights[age - 1] * 0.9 }
    return weights
  }()

  private var observations: InlineArray<15, LossObservation> = InlineArray(repeating: LossObservation())
  private var next = 0
  package private(set) var count = 0

  package init() {}

  package mutating func append(_ observation: LossObservation) {
    if count == Self.capacity, observations.span[next].lostByteCount > 0 { lossyCount -= 1 }
    if observation.lostByteCount > 0 { lossyCount += 1 }
    observations[next] = observation
    next = next + 1 == Self.capacity ? 0 : next + 1
    count = min(count + 1, Self.capacity)
  }

  /// Whether any observation has a loss.
  package var hasLoss: Bool { lossyCount > 0 }
  private var lossyCount = 0

  /// The observation made `age` observations ago, and its weight.
  package func observation(age: Int) -> (observation: LossObservation, weight: Double) {
    let index = next - 1 - age
    // A span, because indexing an inline array that is a part of `self` copies all of it each time.
    return (observations.span[index < 0 ? index + Self.capacity : index], Self.weights.span[age])
  }

  /// The weighted share of bytes lost. With more than three observations the best and the worst are left out, unless the worst was a
  /// burst of at least twice the usual rate: then it is our own doing, and counts.
  package var averageLoss: Double {
    var worst = -1
    var best = -1
    if count > 3 {
      for age in 0..<count {
        let loss = observation(age: age).observation.loss
        if worst < 0 || loss > observation(age: worst).observation.loss { worst = age }
        if best < 0 || loss < observation(age: best).observation.loss { best = age }
      }
      if observation(age: worst).observation.sendRate >= 2 * medianSendRate {
        worst = -1
        best = -1
      }
    }
    var lost = 0.0
    var total = 0.0
    for age in 0..<count where age != worst && age != best {
      let (observation, weight) = observation(age: age)
      lost += weight * Double(observation.lostByteCount)
      total += weight * Double(observation.byteCount)
    }
    return total > 0 ? lost / total : 0
  }

  private var medianSendRate: Double {
    // Selection by counting: at most fifteen elements.
    for age in 0..<count {
      let rate = observation(age: age).observation.sendRate
      var below = 0
      var equal = 0
      for other in 0..<count {
        let otherRate = observation(age: other).observation.sendRate
        if otherRate < rate { below += 1 }
        if otherRate == rate { equal += 1 }
      }
      if below <= count / 2, below + equal > count / 2 { return rate }
    }
    return 0
  }
}
