// One continuous stream to one subscriber, whatever is behind it.

package import EnfiladeForwarding
package import EnfiladeRTP
package import EnfiladeStreams
package import EnfiladeWire

/// A sending media section inside its shard.
package struct OutboundStream: ~Copyable {
  package let key: SlotKey
  package let link: Int
  package let kind: MediaKind
  package let ssrc: SSRC
  package let retransmissionSSRC: SSRC?
  package var payloadTypes: PayloadTypeTable
  package var plan: ExtensionPlan

  /// What is bound to it, or −1.
  package var publication: Int32 = -1
  /// The serial number of the inbound stream its numbering follows now; zero when the next packet starts a new stretch.
  package var source: UInt32 = 0
  /// Counts the stretches: within one, numbers and timestamps are moved by the same amounts.
  package var stretch: UInt16 = 0
  package var rewriter: StreamRewriter
  /// What each sent number was made from. Its generation is the low half of the source's serial number.
  package var map = SequenceMap<PacketSource>(placeholder: PacketSource(generation: 0, input: ExtendedSequenceNumber(0)))
  package var responder = RetransmissionResponder()
  package var statistics = SenderStatistics()
  /// The next sequence number of the retransmission stream (RFC 4588 §4).
  package var nextRetransmission: ExtendedSequenceNumber
  /// The peer has reported on our SSRC, so it has learnt which section it belongs to (RFC 9143 §9.2).
  package var isKnownToPeer = false

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
