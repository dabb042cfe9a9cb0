// Widens the running numbers of pictures and frames, whatever their width on the wire, and survives a publisher that starts anew.

package import EnfiladeWire

/// One encoding's counter. A number that goes back, or far ahead, while sequence numbers go on, is that of a new run: it is counted on from
/// where the run before ended, so that nobody downstream sees a restart.
package struct FrameCounter: Sendable {
  /// Which run a number belongs to.
  package enum Place: Hashable, Sendable {
    case current
    /// The first number of a new run.
    case restarted
    /// Late, from the run before.
    case before
  }

  /// A number further ahead than this is a restart: a gap as long, of seconds, is no loss that anybody repairs.
  private static let jumpCount = 192

  private struct Run: Sendable {
    /// The first number that was seen of it.
    var first: Int64
    var newest: Int64
    var wire: UInt16

    func distance(_ number: UInt16, bitCount: Int) -> Int {
      let unused = Int16(16 - bitCount)
      return Int(Int16(bitPattern: (number &- wire) << UInt16(unused)) >> unused)
    }
  }

  /// How many numbers a restart leaves free: half for the end of the run before, half for the beginning of the new, both of which may be late.
  private let room: Int64
  private var run: Run?
  private var before: Run?
  /// Its late packets are told from those of the others, and have no place any more.
  private var longBefore: Run?
  private var newestSequence = ExtendedSequenceNumber(.min)
  /// What ``widen(_:bitCount:sequence:)`` found last.
  package private(set) var place = Place.current

  /// - Parameter room: numbers left free at a restart; few where a gap can be taken for loss.
  package init(room: Int64) { self.room = room }

  /// The wide number of `wire`, which has `bitCount` bits; `nil` for a late one that is further back than anybody remembers, or of a run that
  /// was over before anything of it came.
  package mutating func widen(_ wire: UInt16, bitCount: Int, sequence: ExtendedSequenceNumber) -> Int64? {
    let isInOrder = sequence > newestSequence
    if isInOrder { newestSequence = sequence }
    place = .current
    guard let run else {
      self.run = Run(first: Int64(wire), newest: Int64(wire), wire: wire)
      return Int64(wire)
    }
    let distance = run.distance(wire, bitCount: bitCount)
    guard isInOrder else { return widenLate(wire, bitCount: bitCount, in: run) }
    if distance < 0 || distance > Self.jumpCount {
      place = .restarted
      longBefore = before
      before = run
      let first = run.newest &+ 1 &+ room
      self.run = Run(first: first, newest: first, wire: wire)
      return first
    }
    self.run?.newest = run.newest &+ Int64(distance)
    self.run?.wire = wire
    return run.newest &+ Int64(distance)
  }

  /// A late packet is of the run it is nearest to, and moves nothing.
  private mutating func widenLate(_ wire: UInt16, bitCount: Int, in run: Run) -> Int64? {
    let distance = run.distance(wire, bitCount: bitCount)
    let other = before?.distance(wire, bitCount: bitCount) ?? .max
    let third = longBefore?.distance(wire, bitCount: bitCount) ?? .max
    if third.magnitude < min(distance.magnitude, other.magnitude) { return nil }
    if let before, other.magnitude < distance.magnitude {
      let number = before.newest &+ Int64(other)
      guard other > -Self.jumpCount, Int64(other) <= room / 2, longBefore == nil || number >= before.first &- room / 2 else { return nil }
      place = .before
      return number
    }
    let number = run.newest &+ Int64(min(0, distance))
    return distance > -Self.jumpCount && (before == nil || number >= run.first &- room / 2) ? number : nil
  }
}

/// A small counter beside the pictures, TL0PICIDX or KEYIDX, that goes on at a restart as they do. Eight bits; who has fewer cuts.
package struct CompanionCounter: Sendable {
  private var shift: UInt8 = 0
  private var shiftBefore: UInt8 = 0
  private var newest: UInt8 = 0
  private var hasNewest = false
  private let unused: UInt8

  /// - Parameter bitCount: its width on the wire, at most eight.
  package init(bitCount: Int) { unused = UInt8(8 - bitCount) }

  package mutating func follow(_ wire: UInt8, at place: FrameCounter.Place) -> UInt8 {
    switch place {
    case .before: return wire &+ shiftBefore
    case .restarted:
      shiftBefore = shift
      // A run begins with a key picture, which counts.
      shift = newest &+ 1 &- wire
      newest = wire &+ shift
    case .current:
      if Int8(bitPattern: (wire &+ shift &- newest) << unused) > 0 || !hasNewest { newest = wire &+ shift }
    }
    hasNewest = true
    return wire &+ shift
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
