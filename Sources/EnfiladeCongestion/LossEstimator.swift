// Is loss of the link's nature, or of our making? The likelier explanation decides.

package import EnfiladeWire

/// A rate from loss alone, in bits per second. Each candidate rate is judged by how likely it makes the losses that were seen, given the
/// best inherent loss for it: the model behind the loss-based estimation of senders in use.
package struct LossEstimator: Sendable {
  package static let requiredObservationCount = 3
  package static let instantLossOffset = 0.05
  package static let instantBalance = 100_000.0
  package static let initialHold = TimeDelta.milliseconds(300)
  package static let longestHold = TimeDelta.seconds(Int64(60))
  package static let increaseWindow = TimeDelta.milliseconds(300)
  package static let increaseFactor = 1.3

  package enum State: Sendable {
    /// The delays allow less than the losses do: they decide.
    case delayBased
    case increasing
    case decreasing
  }

  /// A departure: up to this much loss is believed to be of the link's nature while the queue is empty. Congestion of a link with any
  /// queue at all fills it first; only a policer does not, and a policer's loss grows with the rate, which the likelihood sees.
  package static let clearPathInherentLoss = 0.18

  package let trustsClearPath: Bool
  package private(set) var state = State.delayBased
  package private(set) var window = LossWindow()
  private var partial = LossObservation()
  private var lastEnd: Instant?
  private var partialEnd = Instant.zero
  private var rate: Double?
  private var inherentLoss = 0.01
  private var limit = Double.infinity
  private var limitSince = Instant.zero
  private var hold = Self.initialHold
  private var holdUntil = Instant.zero
  private var holdRate = Double.infinity
  private var isPathClear = false
  private var result: Double?

  package init(trustsClearPath: Bool = true) { self.trustsClearPath = trustsClearPath }

  /// Bits per second; `nil` before three observations.
  package var estimate: Double? { result }
  /// The share of bytes lost lately.
  package var averageLoss: Double { window.averageLoss }

  /// Takes packets that arrived and were never called lost.
  package mutating func handle(_ run: ArrivalRun) {
    partial.byteCount += Int64(run.byteCount)
    if lastEnd == nil { lastEnd = run.sent }
    partialEnd = max(partialEnd, run.sent)
  }

  /// Takes one packet, arrived or lost.
  package mutating func handle(_ packet: PacketResult) {
    if packet.isReceived, packet.wasLost {
      partial.lostByteCount = max(0, partial.lostByteCount - Int64(packet.byteCount))
      return
    }
    partial.byteCount += Int64(packet.byteCount)
    if !packet.isReceived { partial.lostByteCount += Int64(packet.byteCount) }
    if lastEnd == nil { lastEnd = packet.sent }
    partialEnd = max(partialEnd, packet.sent)
  }

  /// Ends one report.
  ///
  /// - Parameters:
  ///   - delayBased: what the delays allow.
  ///   - throughput: what arrives; `nil` when unknown or not a measure because the application sends too little.
  ///   - isPathClear: the queue is empty.
  package mutating func endReport(
    delayBased: Double, throughput: Double?, isPathClear: Bool, maximum: Double, at now: Instant
  ) {
    self.isPathClear = isPathClear && trustsClearPath
    guard let lastEnd, partialEnd - lastEnd >= LossObservation.length else {
      if let previous = result, state == .delayBased || previous > delayBased {
        result = state == .delayBased ? delayBased : min(previous, delayBased)
      }
      return
    }
    partial.sendRate = Double(partial.byteCount) * 8 / (partialEnd - lastEnd).seconds
    window.append(partial)
    partial = LossObservation()
    self.lastEnd = partialEnd
    guard window.count >= Self.requiredObservationCount else { return }
    update(delayBased: delayBased, throughput: throughput, maximum: maximum, at: now)
  }

  /// A rate was found by other means: what was lost before it says nothing of it.
  package mutating func set(_ newRate: Double) {
    rate = newRate
    if result != nil { result = newRate }
    limit = .infinity
  }

  private mutating func update(delayBased: Double, throughput: Double?, maximum: Double, at now: Instant) {
    if state == .delayBased, !window.hasLoss {
      // The usual case, and the answer is known: without loss every candidate is likelier the higher it is.
      rate = delayBased
      inherentLoss = 0.001
      result = delayBased
      return
    }
    let current = rate ?? delayBased
    let averageLoss = window.averageLoss
    let isLimited = state != .delayBased
    let ceiling = max(current, isLimited ? min(limit, maximum) : maximum)

    var bestRate = current
    var bestInherent = inherentLoss
    var bestScore = -Double.infinity
    var candidates: InlineArray<5, Double> = [current * 1.02, current, current * 0.95, -1, -1]
    if let throughput { candidates[3] = throughput }
    if delayBased > current { candidates[4] = delayBased }
    for index in 0..<5 where candidates[index] > 0 {
      let candidate = min(candidates[index], ceiling)
      let inherent = improved(inherentLoss, for: candidate)
      let score = objective(candidate, inherent, averageLoss)
      if score > bestScore { (bestScore, bestRate, bestInherent) = (score, candidate, inherent) }
    }
    if averageLoss > bestInherent, bestRate > current { bestRate = current }
    if isLimited {
      if now < holdUntil { bestRate = min(bestRate, holdRate) }
      if let throughput, bestRate > current { bestRate = max(current, min(bestRate, 1.5 * throughput)) }
    }

    // At the balance all loss is within what the model calls natural: below it there is nothing to be won by yielding.
    let balance = Self.instantBalance / max(averageLoss, Self.instantLossOffset)
    let lower = min(max(throughput ?? 0, balance), current)
    let upper = instantUpperBound(averageLoss, maximum)
    let bounded = max(lower * (averageLoss > Self.instantLossOffset && !self.isPathClear ? 0.9 : 1), min(bestRate, upper))
    rate = min(bounded, maximum)
    inherentLoss = bounded < bestRate ? 0.001 : bestInherent
    settle(bounded, current, delayBased, averageLoss, now)
  }

  private mutating func settle(_ bounded: Double, _ current: Double, _ delayBased: Double, _ loss: Double, _ now: Instant) {
    if bounded >= delayBased || loss == 0 && bounded >= current {
      if bounded >= delayBased {
        state = .delayBased
        hold = Self.initialHold
        holdUntil = .zero
        limit = .infinity
        // The delays' rate is followed, so that when losses come, they are judged against what is really sent.
        rate = max(min(bounded, delayBased * 1.02), delayBased)
      } else {
        state = .increasing
      }
    } else if bounded < current {
      if state != .decreasing {
        holdRate = bounded
        holdUntil = now + hold
        hold = min(hold * 2, Self.longestHold)
      }
      state = .decreasing
    } else if bounded > current {
      state = .increasing
    }
    if state != .delayBased, now - limitSince >= Self.increaseWindow || limit.isInfinite {
      limitSince = now
      limit = bounded * Self.increaseFactor
    }
    result = min(bounded, delayBased)
  }

  private func instantUpperBound(_ loss: Double, _ maximum: Double) -> Double {
    let tolerated = isPathClear ? Self.clearPathInherentLoss : Self.instantLossOffset
    return loss > tolerated ? Self.instantBalance / (loss - tolerated) : maximum
  }

  private func largestInherentLoss(_ rate: Double) -> Double {
    let usual = 0.05 + 100_000 / max(rate, 1)
    return min(isPathClear ? max(usual, Self.clearPathInherentLoss) : usual, 0.999)
  }

  private static func lossProbability(_ inherent: Double, _ rate: Double, _ sendRate: Double) -> Double {
    var probability = inherent
    if sendRate > rate, sendRate > 0 { probability += (1 - inherent) * (sendRate - rate) / sendRate }
    return min(max(probability, 1e-6), 1 - 1e-6)
  }

  /// One step of Newton's method on the inherent loss.
  private func improved(_ inherent: Double, for rate: Double) -> Double {
    var first = 0.0
    var second = 0.0
    for age in 0..<window.count {
      let (observation, weight) = window.observation(age: age)
      let probability = Self.lossProbability(inherent, rate, observation.sendRate)
      let lost = Double(observation.lostByteCount) / 1000
      let received = Double(observation.byteCount - observation.lostByteCount) / 1000
      first += weight * (lost / probability - received / (1 - probability))
      second -= weight * (lost / (probability * probability) + received / ((1 - probability) * (1 - probability)))
    }
    let stepped = second == 0 ? inherent : inherent - 0.75 * first / second
    return min(max(stepped, 1e-3), largestInherentLoss(rate))
  }

  /// The weighted log-likelihood, with a bias towards higher rates that fades as loss nears a fifth.
  private func objective(_ rate: Double, _ inherent: Double, _ averageLoss: Double) -> Double {
    let distance = 0.2 - averageLoss
    let scale = distance / (0.002 + abs(distance))
    let kilobits = rate / 1000
    let bias = 0.0002 * scale * kilobits + 0.02 * scale * Numerics.logarithm(1 + kilobits)
    var sum = 0.0
    for age in 0..<window.count {
      let (observation, weight) = window.observation(age: age)
      let probability = Self.lossProbability(inherent, rate, observation.sendRate)
      let lost = Double(observation.lostByteCount) / 1000
      let received = Double(observation.byteCount - observation.lostByteCount) / 1000
      sum += weight * (lost * Numerics.logarithm(probability) + received * Numerics.logarithm(1 - probability))
      sum += weight * bias * (lost + received)
    }
    return sum
  }
}
