// The arithmetic of retransmission streams (RFC 4588 §4): the payload starts with the original sequence number, OSN.

package import EnfiladeWire

/// The OSN field of a retransmission packet.
package enum OriginalSequenceNumber {
  /// Bytes in front of the original payload.
  package static let byteCount = 2

  /// The OSN of a retransmission payload; `nil` when the payload is only padding, as probes are, or too short.
  package static func read(_ payload: RawSpan) -> SequenceNumber? {
    var reader = ByteReader(payload)
    return reader.readUInt16().map(SequenceNumber.init)
  }

  /// Which packet of the original stream `number` names: the nearest to the newest that came, and not so far back or ahead that it
  /// cannot be an answer to anything we asked.
  package static func widen(_ number: SequenceNumber, in original: SequenceUnwrapper) -> ExtendedSequenceNumber? {
    guard let newest = original.newest else { return nil }
    let wide = original.peek(number)
    return abs(wide - newest) <= Limits.sequenceJumpCount ? wide : nil
  }
}
