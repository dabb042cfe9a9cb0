// Packets that left together are one observation: how much later did the group arrive than the group before it.

package import EnfiladeWire

/// Joins packets into groups and gives the differences between neighbours, in send and in arrival time
/// (draft-ietf-rmcat-gcc-02 §5.2, with the burst rule that senders in use add: packets that a radio held back and released together are
/// one group whatever their send times).
package struct InterArrival: Sendable {
  package static let groupLength = TimeDelta.milliseconds(5)
  package static let burstDelta = TimeDelta.milliseconds(5)
  package static let burstLength = TimeDelta.milliseconds(100)
  /// Arrival running ahead of our clock by this much between two groups: the receiver's clock jumped.
  package static let clockJump = TimeDelta.seconds(Int64(3))
  /// So many groups in a row that arrived before their elders are a new clock, not reordering.
  package static let reorderedGroupCount = 3

  /// The difference between two neighbouring groups.
  package struct Delta: Hashable, Sendable {
    package var send: TimeDelta
    package var arrival: TimeDelta

    package init(send: TimeDelta, arrival: TimeDelta) {
      self.send = send
      self.arrival = arrival
    }
  }

  private struct Group: Sendable {
    var firstSend: Instant
    var lastSend: Instant
    var firstArrival: Int64
    var lastArrival: Int64
    /// When our clock read the last report of it.
    var reported: Instant
  }

  private var current: Group?
  private var previous: Group?
  private var reorderedCount = 0

  package init() {}

  /// Takes packets in order of arrival.
  /// - Returns: the difference between the two groups before the one that these packets begin, if they begin one.
  package mutating func handleArrival(_ run: ArrivalRun, reportedAt now: Instant) -> Delta? {
    let sent = run.sent
    guard let group = current else {
      begin(run, now)
      return nil
    }
    // Sent before the group began: reordered on the way, and of no use here.
    if sent < group.firstSend { return nil }
    var delta: Delta?
    if !isInBurst(group, sent, run.firstArrival), sent - group.firstSend > Self.groupLength {
      if let previous {
        let arrival = group.lastArrival - previous.lastArrival
        let elapsed = (group.reported - previous.reported).nanoseconds
        if arrival - elapsed >= Self.clockJump.nanoseconds {
          self = InterArrival()
          begin(run, now)
          return nil
        }
        if arrival < 0 {
          reorderedCount += 1
          if reorderedCount >= Self.reorderedGroupCount {
            self = InterArrival()
            begin(run, now)
          }
          return nil
        }
        reorderedCount = 0
        delta = Delta(send: group.lastSend - previous.lastSend, arrival: TimeDelta(nanoseconds: arrival))
      }
      previous = group
      begin(run, now)
    } else {
      current!.lastSend = max(group.lastSend, sent)
      current!.lastArrival = run.lastArrival
      current!.reported = now
    }
    return delta
  }

  private mutating func begin(_ run: ArrivalRun, _ now: Instant) {
    current = Group(
      firstSend: run.sent, lastSend: run.sent, firstArrival: run.firstArrival, lastArrival: run.lastArrival, reported: now)
  }

  private func isInBurst(_ group: Group, _ sent: Instant, _ arrival: Int64) -> Bool {
    let sendDelta = (sent - group.lastSend).nanoseconds
    if sendDelta == 0 { return true }
    let arrivalDelta = arrival - group.lastArrival
    return arrivalDelta - sendDelta < 0 && arrivalDelta <= Self.burstDelta.nanoseconds
      && arrival - group.firstArrival < Self.burstLength.nanoseconds
  }
}
