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
  /// Whether ``replay`` runs; looked at for every run of packets.
  package private(set) var isReplaying = false
  /// How many earlier packets go in front of one, made here (RFC 2198); zero for video, and for those who do not want it.
  package var redundancyDistance: UInt8 = 0
  package var statistics = SenderStatistics()
  /// What is bound to it, or −1.
  package var publication: Int32 = -1
  /// The lane to the media worker that says what is bound to it, or −1.
  package var worker: Int32 = -1

  /// What it is given of its link's downlink.
  package var allocation = StreamAllocation()
  /// How many of the forwarder's decisions were told, and when the next may be.
  var toldDecisionCount: UInt64 = 0
  var nextDecisionsAt = Instant.zero

  package let key: SlotKey
  package let retransmissionSSRC: SSRC?
  package var plan: ExtensionPlan
  /// Until when loss that was reported makes for redundancy.
  package var redundantUntil = Instant.zero
  /// What it is sent out of the history before what comes in is for it.
  package var replay: KeyframeReplay? {
    didSet { isReplaying = replay != nil }
  }
  /// The next sequence number of the retransmission stream (RFC 4588 §4).
  package var nextRetransmission: ExtendedSequenceNumber
  /// Which source's pictures lost a packet that waited too long: what waits of them is not sent any more.
  var brokenGeneration: UInt16?

  /// Where what writing asks for begins: behind what deciding asks for.
  static let writtenOffset = MemoryLayout<PayloadTypeTable>.stride + MemoryLayout<Forwarder>.stride

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
  enum Decision {
    /// The record is filled in.
    case send
    /// The same, and what overtook the packet is to be offered again.
    case begin
    case drop(DropReason)
  }

  /// Decides about a packet of what is bound here. What goes out is to be remembered afterwards.
  @inline(__always)
  mutating func decide(
    _ packet: borrowing ForwardPacket, format: MediaFormat, payloadByteCount: Int, of encoding: borrowing Encoding, at now: Instant,
    into record: inout EgressRecord
  ) -> Decision {
    guard let payloadType = payloadTypes.payloadType(for: format) else {
      forwarder.leaveOut(packet, of: encoding)
      return .drop(.codecNotNegotiated)
    }
    // Nothing can be taken out of a redundant payload that is encrypted end to end.
    if payloadByteCount == 0, format == .red, !packet.isEmpty {
      forwarder.leaveOut(packet, of: encoding)
      return .drop(.codecNotNegotiated)
    }
    var decision = Decision.send
    record.payloadType = payloadType
    record.payloadByteCount = UInt16(payloadByteCount)
    switch forwarder.decide(packet, of: encoding, at: now, into: &record.sent) {
    case .forward(let sequence): record.sequence = sequence
    case .begin(let sequence):
      record.sequence = sequence
      decision = .begin
    case .fill(let sequence):
      record.sequence = sequence
      record.payloadByteCount = 0
    case .drop(let reason): return .drop(DropReason(reason))
    }
    return decision
  }

  /// Remembers for repair what goes out.
  @inline(__always)
  mutating func remember(_ record: borrowing EgressRecord) {
    map.insert(record.sequence, from: record.sent)
    responder.handleSent(record.sequence, byteCount: Int(record.payloadByteCount))
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
