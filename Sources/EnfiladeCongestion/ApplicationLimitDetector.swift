// Does the application send less than it may? Then the estimate is not tested by traffic, and has to be tested by probes.

package import EnfiladeWire

/// A budget filled at 65 % of the target and emptied by what is sent: nearly full means application-limited.
package struct ApplicationLimitDetector: Sendable {
  package static let usage = 0.65
  package static let startLevel = 0.80
  package static let stopLevel = 0.50
  package static let window = TimeDelta.milliseconds(500)

  /// In bytes; between minus and plus one window's worth.
  private var budget = 0.0
  private var last: Instant?
  /// Since when the application sends too little; `nil` while it does not.
  package private(set) var since: Instant?
  /// Of the budget, in bytes; what fills it, in bytes per nanosecond.
  private var capacity = 0.0
  private var inflow = 0.0
  private var target: Double
  /// When it last stopped sending too little.
  package private(set) var ended: Instant?

  package init(target: Double) {
    self.target = target * Self.usage
    setFlow()
  }

  package mutating func setTarget(_ bitsPerSecond: Double) {
    let updated = bitsPerSecond * Self.usage
    // The level stays what it is: a share of the window.
    if target > 0 { budget *= updated / target }
    target = updated
    setFlow()
  }

  private mutating func setFlow() {
    capacity = target * Self.window.seconds / 8
    inflow = target / 8e9
  }

  package mutating func handleSent(byteCount: Int, at now: Instant) {
    let elapsed = (now - (last ?? now)).nanoseconds
    last = now
    budget = max(-capacity, budget - Double(byteCount))
    budget = min(capacity, budget + inflow * Double(elapsed))
    if since == nil {
      if budget > Self.startLevel * capacity { since = now }
    } else if budget < Self.stopLevel * capacity {
      since = nil
      ended = now
    }
  }
}
