// Redundant Opus: taken off for those who cannot read it, put on for those who can (RFC 2198 §3).

package import EnfiladeWire

extension RedundantPayload {
  /// The primary block of a redundant payload: what somebody without RED is sent. `nil` when its primary block is empty, and for what is no
  /// redundant payload, or one that is encrypted end to end.
  package static func primary(of payload: RawSpan) -> RedundantBlock? {
    guard var blocks = RedundantPayload(payload) else { return nil }
    while let block = blocks.next() {
      if block.isPrimary, block.byteCount > 0 { return block }
    }
    return nil
  }
}

/// A packet of the plain format, as far as making redundancy goes.
package struct RedundancySource: Hashable, Sendable, BitwiseCopyable {
  package var sequence: ExtendedSequenceNumber
  package var timestamp: RTPTimestamp
  package var byteCount: UInt16

  package init(sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp, byteCount: Int) {
    self.sequence = sequence
    self.timestamp = timestamp
    self.byteCount = UInt16(truncatingIfNeeded: max(0, min(0xFFFF, byteCount)))
  }
}

/// How a redundant packet is put together: which earlier packets go in front of the primary one, oldest first.
package struct RedundancyPlan: Hashable, Sendable {
  /// The most earlier packets in one: two bridge any loss of two in a row, and cost what they carry.
  package static let maximumDistance = 2
  /// The most bytes added in front, so that the packet stays within one datagram: two Opus frames of the largest size that browsers send.
  package static let maximumByteCount = 600

  package private(set) var blocks: InlineArray<2, RedundancySource>
  package private(set) var blockCount = 0
  /// Headers and redundant blocks together.
  package private(set) var byteCount = 1

  /// - Parameters:
  ///   - primary: the packet of now.
  ///   - earlier: finds the packet before, one or two back; `nil` where it is not at hand.
  ///   - distance: how many to carry, 0…2.
  ///
  /// Only packets that follow one another are carried: a receiver counts sequence numbers backwards by the blocks.
  package init(primary: RedundancySource, distance: Int, earlier: (ExtendedSequenceNumber) -> RedundancySource?) {
    blocks = InlineArray(repeating: primary)
    var found = InlineArray<2, RedundancySource>(repeating: primary)
    var count = 0
    var added = 0
    for back in 1...Self.maximumDistance where back <= distance && count == back - 1 {
      guard let source = earlier(primary.sequence - back), source.byteCount > 0, source.byteCount < 1 << 10 else { break }
      let age = primary.timestamp.distance(from: source.timestamp)
      guard age > 0, age < 1 << 14, added + Int(source.byteCount) + 4 <= Self.maximumByteCount else { break }
      found[count] = source
      count += 1
      added += Int(source.byteCount) + 4
    }
    for index in 0..<count { blocks[index] = found[count - 1 - index] }
    blockCount = count
    byteCount = added + 1
  }

  /// Writes the headers of all blocks. The data of ``blocks`` follows, oldest first, and then the primary payload.
  ///
  /// - Returns: `false` when there is no room.
  @_lifetime(writer: copy writer)
  package func writeHeaders(payloadType: PayloadType, timestamp: RTPTimestamp, into writer: inout ByteWriter) -> Bool {
    for index in 0..<blockCount {
      let offset = UInt32(truncatingIfNeeded: timestamp.distance(from: blocks[index].timestamp))
      guard
        RedundantPayload.writeHeader(
          payloadType: payloadType, timestampOffset: offset, byteCount: Int(blocks[index].byteCount), into: &writer)
      else { return false }
    }
    RedundantPayload.writePrimaryHeader(payloadType: payloadType, into: &writer)
    return !writer.overflowed
  }

  package static func == (a: Self, b: Self) -> Bool {
    guard a.blockCount == b.blockCount, a.byteCount == b.byteCount else { return false }
    for index in 0..<a.blockCount where a.blocks[index] != b.blocks[index] { return false }
    return true
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(blockCount)
    for index in 0..<blockCount { hasher.combine(blocks[index]) }
  }
}
