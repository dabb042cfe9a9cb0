// A joiner's first picture out of the history, when that is quicker than asking the publisher for a new one.

package import EnfiladeStreams
package import EnfiladeWire

/// The newest key picture of an encoding and what has followed it.
package struct KeyframeSpan: Hashable, Sendable {
  /// The key picture's first packet.
  package var start: ExtendedSequenceNumber
  package var startedAt: Instant
  /// The key picture's.
  package var timestamp: RTPTimestamp
  /// Payload bytes of the key picture, as far as it came.
  package var pictureByteCount: Int64 = 0
  /// Payload bytes from there to the newest packet.
  package var byteCount: Int64 = 0

  package init(start: ExtendedSequenceNumber, startedAt: Instant, timestamp: RTPTimestamp) {
    self.start = start
    self.startedAt = startedAt
    self.timestamp = timestamp
  }

  /// About when a packet of the encoding came, by its timestamp.
  package func arrival(of timestamp: RTPTimestamp, clockRate: Int, before now: Instant) -> Instant {
    let ticks = Int64(timestamp.distance(from: self.timestamp))
    let arrived = startedAt + TimeDelta(nanoseconds: ticks * 1_000_000_000 / Int64(max(1, clockRate)))
    // A clock that was set tells nothing; what is replayed is a few seconds old at most.
    return arrived <= now && now - arrived <= Limits.replayAge * 4 ? arrived : now
  }

  /// A packet of the encoding came: the span begins anew, reaches further back, or grows.
  mutating func handle(_ frame: FrameInfo, sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp, byteCount: Int, at now: Instant) {
    if frame.flags.contains(.startsKeyPicture) {
      // Parameter sets and the picture behind them may each look like the beginning: the first of them is.
      if timestamp == self.timestamp {
        start = min(start, sequence)
      } else if sequence > start {
        self = KeyframeSpan(start: sequence, startedAt: now, timestamp: timestamp)
      }
    }
    guard sequence >= start else { return }
    self.byteCount += Int64(byteCount)
    if timestamp == self.timestamp { pictureByteCount += Int64(byteCount) }
  }
}

/// Sends the packets since the last key picture, faster than they came and no faster than the path takes them, until the subscriber has
/// caught up. While it runs, packets that come in for this subscriber wait in the history like the others.
///
///     waiting ──a recent key picture──▶ replaying ──nothing newer in the history──▶ caught up
///                                           └──the source ended, or another one is sent──▶ given up
package struct KeyframeReplay: Hashable, Sendable {
  /// ``Encoding/serial`` of what is replayed.
  package let serial: UInt32
  /// The key picture's first packet.
  package let start: ExtendedSequenceNumber
  /// The last packet that was sent, or the one before the first.
  package private(set) var last: ExtendedSequenceNumber
  /// When the next packet is due.
  package private(set) var nextDeadline: Instant
  private let pace: Bitrate

  /// Whether a replay beats asking, and then the replay. The first picture always comes sooner: what a replay may lack is a key picture that
  /// is recent enough, and a path that lets the subscriber catch up.
  ///
  /// - Parameters:
  ///   - newest: the newest packet of the history.
  ///   - asking: how long a key picture takes that is asked for now, until its first packet is here.
  ///   - pace: what the subscriber's path takes; the stream itself must need less, or it is never caught up with.
  ///   - bitrate: of the encoding.
  package init?(
    _ span: KeyframeSpan, serial: UInt32, newest: ExtendedSequenceNumber, asking: TimeDelta, pace: Bitrate, bitrate: Bitrate,
    at now: Instant
  ) {
    guard newest >= span.start, newest - span.start < Limits.replayPacketCount, now - span.startedAt <= Limits.replayAge else { return nil }
    let gain = pace.bitsPerSecond - bitrate.bitsPerSecond
    guard gain > 0 else { return nil }
    // The key picture has to go out either way; catching up with what followed it is what a replay costs. While it does, the stream goes on.
    let catchUp = TimeDelta.seconds(Double((span.byteCount - span.pictureByteCount) * 8) / Double(gain))
    guard catchUp <= asking + Limits.replayCatchUp else { return nil }
    self.serial = serial
    start = span.start
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
    let from = max(nextDeadline, now - Limits.replayBurst)
    nextDeadline = from + .seconds(Double(bits) / Double(max(1, pace.bitsPerSecond)))
    return entry
  }

  /// Nothing can be sent now: tries again a little later.
  package mutating func postpone(until later: Instant) { nextDeadline = max(nextDeadline, later) }

  /// Whether nothing of it has gone out.
  package var isAtStart: Bool { last < start }

  /// Whether the subscriber has all that came, so that what comes next goes to him directly.
  package func isFinished(newest: ExtendedSequenceNumber) -> Bool { last >= newest }
}
