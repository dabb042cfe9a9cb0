// When reports stay away while packets are sent, the path is not to be trusted with more.

package import EnfiladeWire

/// After three seconds without a report the rate falls by a fifth each second.
package struct RoundTripLimit: Sendable {
  package static let limit = TimeDelta.seconds(Int64(3))
  package static let interval = TimeDelta.seconds(Int64(1))
  package static let factor = 0.8

  private var lastFeedback: Instant?
  private var roundTrip = TimeDelta.zero
  private var lastReduction = Instant.zero

  package init() {}

  package mutating func handleFeedback(roundTrip: TimeDelta, at now: Instant) {
    lastFeedback = now
    self.roundTrip = roundTrip
  }

  /// - Returns: the reduced rate, or `nil` if there is nothing to reduce. Silence on our side is not the path's fault.
  package mutating func update(rate: Double, lastSent: Instant, minimum: Double, at now: Instant) -> Double? {
    guard let lastFeedback else { return nil }
    let silence = lastSent > lastFeedback ? lastSent - lastFeedback : .zero
    guard roundTrip + silence > Self.limit, now - lastReduction >= Self.interval, rate > minimum else { return nil }
    lastReduction = now
    return max(minimum, rate * Self.factor)
  }
}
