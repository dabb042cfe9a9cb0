// One subscriber's view of a stream: our SSRC, our sequence numbers, our timestamps, across every change of what is behind it
// (RFC 7667 §3.7; RFC 3550 §5.1).

public import EnfiladeWire

/// Numbers one outgoing stream. Wide inside; the header writer narrows.
@usableFromInline package struct StreamRewriter: Sendable {
  /// Where a packet goes in the outgoing stream.
  @usableFromInline package struct Placement: Sendable {
    @usableFromInline package var sequence: ExtendedSequenceNumber
    @usableFromInline package var timestamp: RTPTimestamp

    @inlinable package init(sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp) {
      self.sequence = sequence
      self.timestamp = timestamp
    }
  }

  /// Output minus input timestamp, modulo 2³².
  @usableFromInline package private(set) var timestampOffset: UInt32 = 0
  @usableFromInline package var newestInput = ExtendedSequenceNumber(.min)
  @usableFromInline package var newestOutput: ExtendedSequenceNumber
  @usableFromInline package var newestTimestamp: RTPTimestamp
  @usableFromInline package var newestAt = Instant.zero
  @usableFromInline package var hasOutput = false
  /// Last, because most of it is not needed for most packets.
  @usableFromInline package var offsets = SequenceOffsetMap()

  /// - Parameters:
  ///   - firstSequence: the number of the first packet, random by RFC 3550 §5.1; below 2¹⁵ so that a receiver's rollover counter starts with ours.
  ///   - firstTimestamp: the timestamp of the first packet.
  @usableFromInline package init(firstSequence: UInt16, firstTimestamp: UInt32) {
    newestOutput = ExtendedSequenceNumber(Int64(firstSequence & 0x7FFF)) - 1
    newestTimestamp = RTPTimestamp(firstTimestamp)
  }

  /// From `input` on, packets come from another source (or from the same one after a pause): numbers go on without a gap, and time goes on as
  /// much as it went on outside.
  ///
  /// - Parameter clockRate: ticks per second of the new source's clock.
  @usableFromInline package mutating func switchSource(
    at input: ExtendedSequenceNumber, timestamp: RTPTimestamp, clockRate: Int, now: Instant
  ) {
    offsets.restart(input: input, output: newestOutput + 1)
    newestInput = input - 1
    if hasOutput {
      let elapsed = max(1, (now - newestAt).microseconds &* Int64(clockRate) / 1_000_000)
      timestampOffset = newestTimestamp.rawValue &+ UInt32(truncatingIfNeeded: elapsed) &- timestamp.rawValue
    } else {
      timestampOffset = newestTimestamp.rawValue &- timestamp.rawValue
    }
  }

  /// Where an input packet goes, or `nil` if it is older than the switch to this source, or was left out before.
  @inlinable package mutating func place(_ input: ExtendedSequenceNumber, timestamp: RTPTimestamp, now: Instant) -> Placement? {
    guard let output = offsets.output(for: input) else { return nil }
    let placed = RTPTimestamp(timestamp.rawValue &+ timestampOffset)
    // A late packet may still have the highest number, when what came after it was left out.
    if output > newestOutput { newestOutput = output }
    if input > newestInput {
      newestInput = input
      newestTimestamp = placed
      newestAt = now
      hasOutput = true
    }
    return Placement(sequence: output, timestamp: placed)
  }

  /// Leaves an input packet out of the stream. A packet that comes late keeps its hole: its successors have already been numbered.
  @usableFromInline package mutating func leaveOut(_ input: ExtendedSequenceNumber) {
    guard input > newestInput else { return }
    // Anything lost between keeps its number, so that the subscriber asks for it.
    offsets.drop(input)
    newestInput = input
  }

  /// The outgoing timestamp of a source timestamp, for sender reports.
  @inlinable package func outgoingTimestamp(of source: RTPTimestamp) -> RTPTimestamp {
    RTPTimestamp(source.rawValue &+ timestampOffset)
  }
}
