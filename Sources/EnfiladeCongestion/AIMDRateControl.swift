// Additive increase, multiplicative decrease, steered by what the delays say (draft-ietf-rmcat-gcc-02 §5.5).

package import EnfiladeWire

/// The delay-based rate in bits per second.
///
/// The numbers are those of senders in use; what a caller that knows more may replace (the backoff factor, the least additive
/// increase) is passed in, so that both ways are one piece of code.
package struct AIMDRateControl: Sendable {
  package static let backoff = 0.85
  package static let assumedRoundTrip = TimeDelta.milliseconds(200)
  package static let initializationTime = TimeDelta.seconds(Int64(5))
  package static let minimum = 5000.0
  package static let growthLimit = 1.5

  package enum State: Sendable {
    case hold
    case increase
    case decrease
  }

  package private(set) var rate: Double
  package private(set) var capacity = LinkCapacityEstimator()
  package private(set) var state = State.hold
  package var roundTrip = Self.assumedRoundTrip
  package var maximum: Double
  private var isInitialized: Bool
  private var firstThroughput: Instant?
  private var lastChange: Instant?
  package private(set) var lastDecrease: Instant?
  /// How much the last decrease took, in bits per second.
  package private(set) var lastDecreaseAmount = 0.0

  /// - Parameter start: `nil` to begin with the first throughput that was seen for five seconds.
  package init(start: Double?, maximum: Double = 30e6) {
    rate = start ?? 300_000
    isInitialized = start != nil
    self.maximum = maximum
  }

  /// How fast the rate grows near the known capacity, in bits per second each second: half a packet for each response time.
  package var nearMaximumIncrease: Double {
    let frame = rate / 30
    let packetCount = (frame / 9600).rounded(.up)
    let packet = frame / max(packetCount, 1)
    return max(4000, packet / (2 * (roundTrip.seconds + 0.1)))
  }

  /// How long it takes to win back what the last decrease took.
  package var expectedPeriod: TimeDelta {
    guard lastDecrease != nil else { return .seconds(Int64(3)) }
    return .seconds(min(max(lastDecreaseAmount / nearMaximumIncrease, 2), 50))
  }

  /// Whether another decrease may follow the last one.
  package func canReduceFurther(_ throughput: Double?, at now: Instant) -> Bool {
    guard let lastChange else { return true }
    if now - lastChange >= min(max(roundTrip, .milliseconds(10)), .milliseconds(200)) { return true }
    return throughput.map { $0 < 0.5 * rate } ?? false
  }

  /// Sets the rate outright, as after a probe.
  package mutating func set(_ newRate: Double, at now: Instant) {
    isInitialized = true
    let clamped = clamp(newRate)
    if clamped < rate {
      lastDecrease = now
      lastDecreaseAmount = rate - clamped
    }
    rate = clamped
    lastChange = now
  }

  /// A probe found this much.
  package mutating func handleProbe(_ found: Double, at now: Instant) {
    capacity.handleProbe(found)
    set(found, at: now)
  }

  /// - Parameters:
  ///   - backoff: what is left of the throughput after a decrease.
  ///   - leastIncrease: the additive increase is at least this, in bits per second each second.
  ///   - growthLimit: the rate grows up to so many times the throughput.
  package mutating func handle(
    _ usage: BandwidthUsage, throughput: Double?, backoff: Double = Self.backoff, leastIncrease: Double = 0,
    growthLimit: Double = Self.growthLimit, at now: Instant
  ) {
    if !isInitialized, let throughput {
      if let firstThroughput {
        if now - firstThroughput > Self.initializationTime {
          rate = clamp(throughput)
          isInitialized = true
        }
      } else {
        firstThroughput = now
      }
    }
    // Overuse is believed before initialization as well.
    guard isInitialized || usage == .overusing else { return }
    switch usage {
    case .normal:
      if state == .hold {
        lastChange = now
        state = .increase
      }
    case .overusing: state = .decrease
    case .underusing: state = .hold
    }
    switch state {
    case .hold: break
    case .increase: increase(throughput, leastIncrease, growthLimit, now)
    case .decrease: decrease(throughput, backoff, now)
    }
  }

  private mutating func increase(_ throughput: Double?, _ leastIncrease: Double, _ growthLimit: Double, _ now: Instant) {
    if let throughput, throughput > capacity.upperBound { capacity.reset() }
    let limit = throughput.map { growthLimit * $0 + 10_000 } ?? .infinity
    if rate < limit {
      let elapsed = (now - (lastChange ?? now)).seconds
      let growth: Double
      if capacity.estimate != nil {
        growth = max(nearMaximumIncrease, leastIncrease) * elapsed
      } else {
        let factor = Self.power(1.08, min(elapsed, 1))
        growth = max(rate * (factor - 1), 1000)
      }
      rate = clamp(min(rate + growth, limit))
    }
    lastChange = now
  }

  private mutating func decrease(_ throughput: Double?, _ backoff: Double, _ now: Instant) {
    let before = rate
    if let throughput {
      var reduced = backoff * throughput
      if reduced > 5000 { reduced -= 5000 }
      if reduced > rate, let known = capacity.estimate { reduced = backoff * known }
      if reduced < rate { rate = clamp(reduced) }
      if throughput < capacity.lowerBound { capacity.reset() }
      capacity.handleOveruse(throughput)
    } else {
      rate = clamp(rate / 2)
    }
    isInitialized = true
    lastDecreaseAmount = max(0, before - rate)
    lastDecrease = now
    lastChange = now
    state = .hold
  }

  private func clamp(_ value: Double) -> Double { min(max(value, Self.minimum), maximum) }

  /// `base^exponent` for exponents in 0...1, by the series of e^x: below the double line there is no libm.
  static func power(_ base: Double, _ exponent: Double) -> Double {
    // ln 1.08; the only base in use, and the next terms are below 1e-9.
    let x = (base == 1.08 ? 0.076_961_041_136_128_4 : Numerics.logarithm(base)) * exponent
    return Numerics.exponential(x)
  }
}
