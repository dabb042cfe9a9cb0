// A joiner's first picture out of the history, when that is quicker than asking the publisher for a new one.

package import EnfiladeStreams
package import EnfiladeWire

/// The newest key picture of an encoding and what has followed it.
package struct KeyframeSpan: Hashable, Sendable {
  /// The key picture's first packet.
  package var start: ExtendedSequenceNumber
  package var startedAt: Instant
  /// Payload bytes from there to the newest packet.
  package var byteCount: Int64

  package init(start: ExtendedSequenceNumber, startedAt: Instant, byteCount: Int64) {
    self.start = start
    self.startedAt = startedAt
    self.byteCount = byteCount
  }
}

/// Sends the packets since the last key picture, faster than they came and no faster than the path takes them, until the subscriber has
/// caught up. While it runs, packets that come in for this subscriber wait in the history like the others.
package struct KeyframeReplay: Hashable, Sendable {
  /// The last packet that was sent, or the one before the first.
  package private(set) var last: ExtendedSequenceNumber
  /// When the next packet is due.
  package private(set) var nextDeadline: Instant
  private let pace: Bitrate

  /// Whether a replay beats asking, and then the replay.
  ///
  /// - Parameters:
  ///   - newest: the newest packet of the history.
  ///   - roundTripTime: to the publisher.
  ///   - pace: what the subscriber's path takes; the stream itself must need less, or it is never caught up with.
  ///   - bitrate: of the encoding.
  package init?(
    _ span: KeyframeSpan, newest: ExtendedSequenceNumber, roundTripTime: TimeDelta, pace: Bitrate, bitrate: Bitrate, at now: Instant
  ) {
    guard newest >= span.start, newest - span.start < Limits.replayPacketCount, now - span.startedAt <= Limits.replayAge else { return nil }
    let gain = pace.bitsPerSecond - bitrate.bitsPerSecond
    guard gain > 0 else { return nil }
    // While it catches up, the stream goes on; the time is that of all bytes at the difference of the rates.
    let catchUp = TimeDelta.seconds(Double(span.byteCount * 8) / Double(gain))
    guard catchUp <= roundTripTime + Limits.keyframeEncodingTime else { return nil }
    last = span.start - 1
    nextDeadline = now
    self.pace = pace
  }

  /// The next packet of the history that is due, or `nil` for nothing yet. ``isFinished(newest:)`` tells the end.
  package mutating func poll<Note>(_ history: borrowing PacketHistory<Note>, byteCount: (Note) -> Int, at now: Instant)
    -> PacketHistory<Note>.Entry?
  {
    guard now >= nextDeadline, let entry = history.next(after: last) else { return nil }
    last = entry.sequence
    let bits = Int64(byteCount(entry.metadata)) * 8
    // Late by a little, it makes up for it; late by much, it does not burst.
    let from = max(nextDeadline, now - .milliseconds(5))
    nextDeadline = from + .seconds(Double(bits) / Double(max(1, pace.bitsPerSecond)))
    return entry
  }

  /// Whether the subscriber has all that came, so that what comes next goes to him directly.
  package func isFinished(newest: ExtendedSequenceNumber) -> Bool { last >= newest }
}
