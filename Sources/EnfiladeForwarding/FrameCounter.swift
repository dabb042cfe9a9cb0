// Widens the running numbers of pictures and frames, whatever their width on the wire, and survives a publisher that starts anew.

package import EnfiladeWire

/// One encoding's counter. A number that goes back, or far ahead, while sequence numbers go on, is that of a new run: what follows is counted
/// far enough ahead that nothing before is mistaken for a neighbour.
package struct FrameCounter: Sendable {
  /// Numbers between a restart and what came before it.
  private static let restartDistance: Int64 = 4096
  /// A number further ahead than this is a restart: a gap as long is no loss that anybody repairs.
  private static let jumpCount = 1024

  private struct Run: Sendable {
    var newest: Int64
    var wire: UInt16

    func distance(_ number: UInt16, bitCount: Int) -> Int {
      let unused = Int16(16 - bitCount)
      return Int(Int16(bitPattern: (number &- wire) << UInt16(unused)) >> unused)
    }
  }

  private var run: Run?
  /// The run before: packets of it may still come late.
  private var before: Run?
  private var newestSequence = ExtendedSequenceNumber(.min)

  package init() {}

  /// The wide number of `wire`, which has `bitCount` bits.
  package mutating func widen(_ wire: UInt16, bitCount: Int, sequence: ExtendedSequenceNumber) -> Int64 {
    let isInOrder = sequence > newestSequence
    if isInOrder { newestSequence = sequence }
    guard let run else {
      self.run = Run(newest: Int64(wire), wire: wire)
      return Int64(wire)
    }
    let distance = run.distance(wire, bitCount: bitCount)
    guard isInOrder else {
      // A late packet is of the run it is nearer to, and moves nothing.
      if let before {
        let other = before.distance(wire, bitCount: bitCount)
        if abs(other) < abs(distance) { return before.newest &+ Int64(other) }
      }
      return run.newest &+ Int64(min(0, distance))
    }
    if distance < 0 || distance > Self.jumpCount {
      before = run
      self.run = Run(newest: run.newest &+ Self.restartDistance, wire: wire)
      return run.newest &+ Self.restartDistance
    }
    self.run = Run(newest: run.newest &+ Int64(distance), wire: wire)
    return run.newest &+ Int64(distance)
  }
}

/// Counts the frames of a stream that numbers none: those with one timestamp are one frame.
package struct TimestampCounter: Sendable {
  private var timestamps = InlineArray<8, RTPTimestamp>(repeating: RTPTimestamp(0))
  private var count: Int64 = 0

  package init() {}

  /// The number of the frame with this timestamp; `nil` when it is older than the last eight.
  package mutating func number(_ timestamp: RTPTimestamp) -> Int64? {
    if count == 0 || timestamp.distance(from: timestamps[Int((count - 1) & 7)]) > 0 {
      timestamps[Int(count & 7)] = timestamp
      count += 1
      return count - 1
    }
    var back = count - 1
    while back >= max(0, count - 8) {
      if timestamps[Int(back & 7)] == timestamp { return back }
      back -= 1
    }
    return nil
  }
}
