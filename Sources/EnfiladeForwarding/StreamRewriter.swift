// One subscriber's view of a stream: our sequence numbers, our timestamps, our picture ids, across every change of what is behind it
// (RFC 7667 §3.7; RFC 3550 §5.1).

package import EnfiladeWire

/// Numbers one outgoing stream. Wide inside; the header writer narrows. A *stretch* is what comes from one source: within it every counter is
/// moved by an amount of its own, and the next stretch goes on where it ended.
package struct StreamRewriter: Sendable {
  /// Where a packet goes in the outgoing stream.
  package struct Placement: Sendable {
    package var sequence: ExtendedSequenceNumber
    package var timestamp: RTPTimestamp

    package init(sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp) {
      self.sequence = sequence
      self.timestamp = timestamp
    }
  }

  /// The numbering of one source.
  package struct Stretch: Sendable {
    package var sequences = SequenceOffsetMap()
    /// Output minus input timestamp, modulo 2³²; the skew is in it.
    package var timestampOffset: UInt32 = 0
    /// How far timestamps were moved ahead so that time does not go back, in ticks.
    package var skew: UInt32 = 0
    /// Output minus input, behind the newest frame.
    package var pictureOffset: Int64 = 0
    package var frameOffset: Int64 = 0
    /// Modulo 256 and 32, as the counters themselves.
    package var tl0Offset: UInt8 = 0
    package var keyIndexOffset: UInt8 = 0
    package var newestInput = ExtendedSequenceNumber(.min)
    /// The last number that is this stretch's, once the next has begun.
    package var lastOutput = ExtendedSequenceNumber(.max)

    package init() {}
  }

  package internal(set) var current = Stretch()
  /// The one before: its last packets may still be on their way.
  package internal(set) var previous = Stretch()
  package internal(set) var newestOutput: ExtendedSequenceNumber
  package internal(set) var newestTimestamp: RTPTimestamp
  package internal(set) var newestAt = Instant.zero
  package internal(set) var hasOutput = false
  var newestPicture: Int64
  var newestFrame: Int64
  var newestTL0: UInt8
  var newestKeyIndex: UInt8

  /// - Parameters:
  ///   - firstSequence: the number of the first packet, random by RFC 3550 §5.1; below 2¹⁵ so that a receiver's rollover counter starts with ours.
  ///   - firstTimestamp: the timestamp of the first packet.
  package init(firstSequence: UInt16, firstTimestamp: UInt32) {
    newestOutput = ExtendedSequenceNumber(Int64(firstSequence & 0x7FFF)) - 1
    newestTimestamp = RTPTimestamp(firstTimestamp)
    newestPicture = 0
    newestFrame = 0
    newestTL0 = 0
    newestKeyIndex = 0
  }

  /// The newest input of the current stretch.
  package var newestInput: ExtendedSequenceNumber { current.newestInput }

  // MARK: Beginning a stretch

  /// The timestamp offset that makes time go on as much as it went on here between the newest packet and now.
  package func arrivalOffset(of timestamp: RTPTimestamp, clockRate: Int, now: Instant) -> UInt32 {
    guard hasOutput else { return newestTimestamp.rawValue &- timestamp.rawValue }
    let elapsed = max(1, (now - newestAt).microseconds &* Int64(clockRate) / 1_000_000)
    return newestTimestamp.rawValue &+ UInt32(truncatingIfNeeded: elapsed) &- timestamp.rawValue
  }

  /// From `input` on, packets come from another source, moved in time by this much.
  package mutating func beginStretch(at input: ExtendedSequenceNumber, timestampOffset: UInt32, skew: UInt32) {
    previous = current
    previous.lastOutput = newestOutput
    current = Stretch()
    current.sequences.restart(input: input, output: newestOutput + 1)
    current.newestInput = input - 1
    current.timestampOffset = timestampOffset
    current.skew = skew
  }

  /// As ``beginStretch(at:timestampOffset:skew:)``, where the current stretch has had no packet and is no more than a mark of the end.
  mutating func restartStretch(at input: ExtendedSequenceNumber, timestampOffset: UInt32, skew: UInt32) {
    let before = previous
    beginStretch(at: input, timestampOffset: timestampOffset, skew: skew)
    previous = before
  }

  // MARK: Numbering

  /// Where an input packet goes, or `nil` if it is older than the switch to this source, was left out before, or was placed before.
  package mutating func place(_ input: ExtendedSequenceNumber, timestamp: RTPTimestamp, now: Instant) -> Placement? {
    guard let output = current.sequences.place(input) else { return nil }
    let placed = RTPTimestamp(timestamp.rawValue &+ current.timestampOffset)
    // A late packet may still have the highest number, when what came after it was left out.
    if output > newestOutput { newestOutput = output }
    if input > current.newestInput {
      current.newestInput = input
      // Encoders that reorder frames give a later packet an earlier time.
      if !hasOutput || placed.distance(from: newestTimestamp) > 0 { newestTimestamp = placed }
      newestAt = now
      hasOutput = true
    }
    return Placement(sequence: output, timestamp: placed)
  }

  /// Where a late packet of the stretch before goes. Nothing new begins there.
  mutating func placeInPrevious(_ input: ExtendedSequenceNumber, timestamp: RTPTimestamp) -> Placement? {
    guard belongsToPrevious(input), let output = previous.sequences.place(input) else { return nil }
    return Placement(sequence: output, timestamp: RTPTimestamp(timestamp.rawValue &+ previous.timestampOffset))
  }

  /// Leaves an input packet out of the stream. A packet that comes late keeps its hole: its successors have already been numbered.
  @discardableResult
  package mutating func leaveOut(_ input: ExtendedSequenceNumber) -> SequenceOffsetMap.Omission {
    // Anything lost between keeps its number, so that the subscriber asks for it.
    let omission = current.sequences.drop(input)
    if omission == .closed { current.newestInput = input }
    return omission
  }

  mutating func leaveOutOfPrevious(_ input: ExtendedSequenceNumber) -> SequenceOffsetMap.Omission {
    belongsToPrevious(input) ? previous.sequences.drop(input) : .settled
  }

  /// Numbers behind the last that went out were kept for packets that might come; the next stretch has them now.
  private func belongsToPrevious(_ input: ExtendedSequenceNumber) -> Bool {
    guard input <= previous.newestInput, let output = previous.sequences.output(for: input) else { return false }
    return output <= previous.lastOutput
  }

  /// The outgoing timestamp of a source timestamp, for sender reports.
  package func outgoingTimestamp(of source: RTPTimestamp) -> RTPTimestamp {
    RTPTimestamp(source.rawValue &+ current.timestampOffset)
  }

  // MARK: Pictures

  /// Counters inside the payload go on from here, whatever they are at the source. The first source's stay as they are: they begin at
  /// random already, and payloads that need no change need no copy.
  mutating func alignPictures(with frame: FrameInfo) {
    if !hasOutput {
      newestPicture = frame.picture &- 1
      newestFrame = frame.number &- 1
      newestTL0 = frame.tl0PictureIndex &- 1
      newestKeyIndex = (frame.keyIndex &- 1) & 0x1F
    }
    current.pictureOffset = newestPicture &+ 1 &- frame.picture
    current.frameOffset = newestFrame &+ 1 &- frame.number
    current.tl0Offset = newestTL0 &+ 1 &- frame.tl0PictureIndex
    current.keyIndexOffset = (newestKeyIndex &+ 1 &- frame.keyIndex) & 0x1F
  }

  /// A frame of the stretch goes out: the next stretch goes on behind the newest. A late one can be that, when what overtook it was left out.
  ///
  /// - Parameter closedCount: how many pictures behind it were left out and closed up.
  mutating func noteForwarded(_ frame: FrameInfo, closedCount: Int64) {
    newestFrame = max(newestFrame, frame.number &+ current.frameOffset)
    let picture = frame.picture &+ current.pictureOffset &+ closedCount
    guard picture > newestPicture else { return }
    newestPicture = picture
    newestTL0 = frame.tl0PictureIndex &+ current.tl0Offset
    newestKeyIndex = (frame.keyIndex &+ current.keyIndexOffset) & 0x1F
  }
}
