// How long packets may wait for company before they leave: not at all while there is time, up to a millisecond when time is what is short.

package import EnfiladeWire

/// The egress window of one shard, from how busy its thread is.
///
/// A shard that wakes for every packet sends each by itself, which costs the kernel three times what a run of eight costs. A shard with
/// little to do can afford that, and its packets leave at once. The busier it gets, the longer it lets the packets of one frame gather.
package struct FlushWindow: Sendable {
  /// Below this share of busy time nothing waits.
  package static let idleLoad = 0.25
  /// From this share on packets wait the longest.
  package static let busyLoad = 0.75
  /// How fast the measured load follows the real one: some ten frames of video.
  package static let timeConstant = TimeDelta.milliseconds(200)

  /// The longest wait; zero switches the window off.
  package let maximum: TimeDelta
  /// The share of time the thread is busy, 0…1.
  package private(set) var load = 0.0

  package init(maximum: TimeDelta) { self.maximum = maximum }

  /// The thread slept for `idle`, and then worked for `busy`.
  package mutating func handleTurn(idle: TimeDelta, busy: TimeDelta) {
    let span = Double(max(1, idle.nanoseconds + busy.nanoseconds))
    let weight = min(1, span / Double(Self.timeConstant.nanoseconds))
    load += (Double(max(0, busy.nanoseconds)) / span - load) * weight
  }

  /// How long a packet that arrives now may wait.
  package var current: TimeDelta {
    guard load > Self.idleLoad else { return .zero }
    let share = min(1, (load - Self.idleLoad) / (Self.busyLoad - Self.idleLoad))
    return TimeDelta(nanoseconds: Int64(Double(maximum.nanoseconds) * share))
  }
}
