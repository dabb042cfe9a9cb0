// One continuous stream to one subscriber, whatever is behind it.

package import EnfiladeForwarding
package import EnfiladeRTP
package import EnfiladeStreams
package import EnfiladeWire

/// A sending media section inside its shard.
package struct OutboundStream: ~Copyable {
  // What every packet asks for stands together, in the order of its use: with hundreds of subscribers each line of it comes from far away.

  package var payloadTypes: PayloadTypeTable
  /// Chooses layers, and numbers what goes out.
  package var forwarder: Forwarder
  /// What each sent number was made from.
  package var map: SequenceMap<SentPacket>
  package var responder = RetransmissionResponder()
  /// Streams of one class are sent equal headers but for their numbers; zero has no class.
  package var planClass: UInt16 = 0
  package let ssrc: SSRC
  package let link: Int
  package let kind: MediaKind
  /// The peer has reported on our SSRC, so it has learnt which section it belongs to (RFC 9143 §9.2).
  package var isKnownToPeer = false
  package var statistics = SenderStatistics()
  /// What is bound to it, or −1.
  package var publication: Int32 = -1

  package let key: SlotKey
  package let retransmissionSSRC: SSRC?
  package var plan: ExtensionPlan
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
    forwarder = Forwarder(firstSequence: firstSequence, firstTimestamp: firstTimestamp)
    map = SequenceMap(
      capacity: section.kind == .audio ? Limits.audioHistoryPacketCount : Limits.sentPacketCount, placeholder: .placeholder)
    nextRetransmission = ExtendedSequenceNumber(Int64(firstRetransmission & 0x7FFF))
  }
}

extension OutboundStream {
  /// What ``decide(_:of:at:)`` decided.
  enum Verdict {
    case send(ExtendedSequenceNumber, SentPacket, PayloadType)
    case drop(DropReason)
  }

  /// Decides about a packet of what is bound here, and remembers for repair what goes out.
  mutating func decide(_ packet: borrowing Packet, of encoding: borrowing Encoding, at now: Instant) -> Verdict {
    guard let payloadType = payloadTypes.payloadType(for: packet.format) else {
      forwarder.leaveOut(packet.forward, of: encoding)
      return .drop(.codecNotNegotiated)
    }
    switch forwarder.decide(packet.forward, of: encoding, at: now) {
    case .forward(let sequence, let sent), .fill(let sequence, let sent):
      map.insert(sequence, from: sent)
      responder.handleSent(sequence, byteCount: packet.view.payloadByteCount)
      return .send(sequence, sent, payloadType)
    case .drop(let reason): return .drop(DropReason(reason))
    }
  }
}

extension DropReason {
  fileprivate init(_ reason: ForwardDrop) {
    switch reason {
    case .padding: self = .paddingOnly
    case .layer: self = .layerNotSent
    case .undecodable: self = .undecodable
    case .otherEncoding: self = .otherEncoding
    case .waitingForKeyframe, .timestampBehind: self = .waitingForKeyframe
    case .otherStructure: self = .otherStructure
    case .tooOld: self = .olderThanSwitch
    case .duplicate: self = .alreadySent
    case .notWanted: self = .notWanted
    }
  }
}
