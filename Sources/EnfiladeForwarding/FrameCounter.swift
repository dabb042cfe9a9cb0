// Widens the running numbers of pictures and frames, whatever their width on the wire, and survives a publisher that starts anew.

package import EnfiladeWire

/// One encoding's counter. A key picture that goes back, or far ahead, while sequence numbers go on, is a restart: what follows is counted
/// far enough ahead that nothing before is mistaken for a neighbour.
package struct FrameCounter: Sendable {
  /// Frames between a restart and what came before it.
  private static let restartDistance: Int64 = 4096
  /// A key picture further ahead than this is a restart.
  private static let jumpCount = 1024

  private var newest: Int64?
  private var newestWire: UInt16 = 0
  private var newestSequence = ExtendedSequenceNumber(.min)

  package init() {}

  /// The wide number of `wire`, which has `bitCount` bits.
  package mutating func widen(_ wire: UInt16, bitCount: Int, sequence: ExtendedSequenceNumber, startsKeyPicture: Bool) -> Int64 {
    let isInOrder = sequence > newestSequence
    if isInOrder { newestSequence = sequence }
    guard let newest else {
      self.newest = Int64(wire)
      newestWire = wire
      return Int64(wire)
    }
    let unused = Int16(16 - bitCount)
    let distance = Int(Int16(bitPattern: (wire &- newestWire) << UInt16(unused)) >> unused)
    if startsKeyPicture, isInOrder, distance <= 0 || distance > Self.jumpCount {
      let restarted = newest &+ Self.restartDistance
      self.newest = restarted
      newestWire = wire
      return restarted
    }
    if distance > 0 {
      self.newest = newest &+ Int64(distance)
      newestWire = wire
    }
    return newest &+ Int64(distance)
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
