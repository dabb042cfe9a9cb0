// Does the application send less than it may? Then the estimate is not tested by traffic, and has to be tested by probes.

package import EnfiladeWire

/// A budget filled at 65 % of the target and emptied by what is sent: nearly full means application-limited.
package struct ApplicationLimitDetector: Sendable {
  package static let usage = 0.65
  package static let startLevel = 0.80
  package static let stopLevel = 0.50
  package static let window = TimeDelta.milliseconds(500)

  private var target: Double
  /// In bytes; between minus and plus one window's worth.
  private var budget = 0.0
  private var last: Instant?
  /// Since when the application sends too little; `nil` while it does not.
  package private(set) var since: Instant?
  /// When it last stopped sending too little.
  package private(set) var ended: Instant?

  package init(target: Double) { self.target = target * Self.usage }

  package mutating func setTarget(_ bitsPerSecond: Double) {
    let updated = bitsPerSecond * Self.usage
    // The level stays what it is: a share of the window.
    if target > 0 { budget *= updated / target }
    target = updated
  }

  private var capacity: Double { target * Self.window.seconds / 8 }

  package mutating func handleSent(byteCount: Int, at now: Instant) {
    let elapsed = (now - (last ?? now)).seconds
    last = now
    budget = max(-capacity, budget - Double(byteCount))
    budget = min(capacity, budget + target * elapsed / 8)
    let level = capacity > 0 ? budget / capacity : 0
    if since == nil, level > Self.startLevel {
      since = now
    } else if since != nil, level < Self.stopLevel {
      since = nil
      ended = now
    }
  }
}
