// Which departures from the usual sender-side estimation are on. The reference has none: the laboratory runs both.

package import EnfiladeWire

/// How a link's controller behaves.
package struct CongestionProfile: Hashable, Sendable {
  /// The length of the queue counts, and not only its growth: overuse is seen when the queue stands, capacity is measured while it
  /// stands, and after each overuse the rate stays below capacity until it has drained.
  package var usesQueue = true
  /// Frames that leave in one burst measure the link: they start probes when there is room, and tell a link of our own from a shared one.
  package var usesBursts = true
  /// When the queue does not drain although we yield, and the link is shared, somebody fills it: then loss decides, not delay.
  package var competes = true
  /// Loss while the queue is empty is the link's nature up to a higher share.
  package var trustsClearPath = true

  package var start = Bitrate.kilobitsPerSecond(300)
  package var minimum = Bitrate.kilobitsPerSecond(30)
  package var maximum = Bitrate.megabitsPerSecond(30)
  /// What is sent may exceed the target by this factor while it is let go; see ``Pacer``.
  package var pacingFactor = 2.5

  package init() {}

  /// What senders in use do, without any departure: to measure against.
  package static var reference: CongestionProfile {
    var profile = CongestionProfile()
    profile.usesQueue = false
    profile.usesBursts = false
    profile.competes = false
    profile.trustsClearPath = false
    return profile
  }
}
