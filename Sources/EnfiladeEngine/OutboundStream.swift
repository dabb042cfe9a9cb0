// One continuous stream to one subscriber, whatever is behind it.

package import EnfiladeForwarding
package import EnfiladeRTP
package import EnfiladeStreams
package import EnfiladeWire

/// A sending media section inside its shard.
package struct OutboundStream: ~Copyable {
  // What every packet asks for stands together, in the order of its use: with hundreds of subscribers each line of it comes from far away.

  /// The serial number of the inbound stream its numbering follows now; zero when the next packet starts a new stretch.
  package var source: UInt32 = 0
  /// Counts the stretches: within one, numbers and timestamps are moved by the same amounts.
  package var stretch: UInt16 = 0
  /// Streams of one class are sent equal headers but for their numbers; zero has no class.
  package var planClass: UInt16 = 0
  package let ssrc: SSRC
  /// What is bound to it, or −1.
  package var publication: Int32 = -1
  package let link: Int
  package let kind: MediaKind
  /// The peer has reported on our SSRC, so it has learnt which section it belongs to (RFC 9143 §9.2).
  package var isKnownToPeer = false
  package var statistics = SenderStatistics()
  /// What each sent number was made from. Its generation is the low half of the source's serial number.
  package var map = SequenceMap<PacketSource>(placeholder: PacketSource(generation: 0, input: ExtendedSequenceNumber(0)))
  package var responder = RetransmissionResponder()
  package var payloadTypes: PayloadTypeTable
  package var rewriter: StreamRewriter

  package let key: SlotKey
  package let retransmissionSSRC: SSRC?
  package var plan: ExtensionPlan
  /// The last ``source`` that had a packet here.
  package var lastSource: UInt32 = 0
  /// The next sequence number of the retransmission stream (RFC 4588 §4).
  package var nextRetransmission: ExtendedSequenceNumber

  package init(
    section: SendSection, link: Int, firstSequence: UInt16, firstTimestamp: UInt32, firstRetransmission: UInt16
  ) {
    key = section.slot
    self.link = link
    kind = section.kind
    ssrc = section.source
    retransmissionSSRC = section.retransmissionSource
    payloadTypes = PayloadTypeTable(section.formats)
    plan = ExtensionPlan(map: section.extensions, allowsMixed: section.allowsMixedExtensions, mid: section.mid)
    rewriter = StreamRewriter(firstSequence: firstSequence, firstTimestamp: firstTimestamp)
    nextRetransmission = ExtendedSequenceNumber(Int64(firstRetransmission & 0x7FFF))
  }
}

extension OutboundStream {
  /// What ``place(_:timestamp:format:payloadByteCount:at:)`` decided.
  enum Verdict {
    case placed(StreamRewriter.Placement, PayloadType)
    case dropped(DropReason)
  }

  /// Numbers a packet of the source that is followed, and remembers it for repair.
  mutating func place(
    _ input: ExtendedSequenceNumber, timestamp: RTPTimestamp, format: MediaFormat, payloadByteCount: Int, at now: Instant
  ) -> Verdict {
    guard let payloadType = payloadTypes.payloadType(for: format) else {
      rewriter.leaveOut(input)
      return .dropped(.codecNotNegotiated)
    }
    guard payloadByteCount > 0 else {
      rewriter.leaveOut(input)
      return .dropped(.paddingOnly)
    }
    guard let placement = rewriter.place(input, timestamp: timestamp, now: now) else { return .dropped(.olderThanSwitch) }
    map.insert(placement.sequence, from: PacketSource(generation: UInt16(truncatingIfNeeded: source), note: stretch, input: input))
    responder.handleSent(placement.sequence, byteCount: payloadByteCount)
    return .placed(placement, payloadType)
  }
}
