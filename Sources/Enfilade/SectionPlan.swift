// What becomes of each media section of an offer: refused, taken in, sent through, or both.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeTransport
import EnfiladeWire

/// The sections of one negotiation. What a mid was before, it stays: a source keeps its key, a slot its SSRCs.
struct SectionPlan {
  private struct Section {
    var mid: String
    var codecs: [AcceptedCodec]
    var extensions: [SDPAttribute.ExtMap]
    /// What the client may send at the same time, in its order; empty when it is one encoding.
    var encodings: [SDPAttribute.Simulcast.Alternative] = []
    var source: Int?
    var slot: Int?
  }

  /// One for each section of the offer; `nil` for those that are refused.
  private var sections: [Section?] = []
  private(set) var sources: [Member.Source] = []
  var slots: [Member.Slot] = []
  private(set) var media = MediaConfiguration()

  init(_ offer: Offer, member: Member, core: EngineCore) {
    for section in offer.sections {
      guard section.refusal == nil, let wireKind = section.mediaKind else {
        sections.append(nil)
        continue
      }
      let codecs = core.preferences.accept(section)
      guard !codecs.isEmpty else {
        sections.append(nil)
        continue
      }
      let kind = MediaKind(wireKind)
      // A description of a single section may do without a mid (RFC 9429 §5.8.1).
      let mid = section.mid ?? ""
      var planned = Section(mid: mid, codecs: codecs, extensions: [], source: nil, slot: nil)
      planned.extensions = MediaNegotiation.extensions(section, receives: section.direction.sends, sends: section.direction.receives)
      if section.direction.sends {
        if kind == .video { planned.encodings = Array(section.sendEncodings.prefix(Limits.encodingCount)) }
        planned.source = sources.count
        var source =
          member.sources.first { $0.mid == mid && $0.kind == kind }
          ?? Member.Source(
            key: PublicationKey(number: core.runtime.makeIdentifier(), shard: UInt8(member.shard.index)), mid: mid, kind: kind)
        source.rids = planned.encodings.map(\.rid)
        sources.append(source)
        media.receive.append(receiveSection(section, planned, key: sources[sources.count - 1].key, kind: wireKind))
      }
      if section.direction.receives, member.policy != .nobody {
        planned.slot = slots.count
        slots.append(member.slots.first { $0.mid == mid && $0.kind == kind } ?? core.makeSlot(mid: mid, kind: kind))
        media.send.append(sendSection(section, planned, slot: slots[slots.count - 1], kind: wireKind, offer: offer))
      }
      media.reducedSizeRTCP = media.reducedSizeRTCP || section.hasReducedSizeRTCP
      sections.append(planned)
    }
  }

  /// Takes what the application says of the sections that bring something in, and what their participant may publish.
  mutating func describe(_ descriptions: [String: PublicationDescription], permissions: Permissions) {
    for index in sources.indices {
      if let description = descriptions[sources[index].mid] { sources[index].description = description }
      sources[index].isPermitted = sources[index].isPermitted(by: permissions)
    }
  }

  private func receiveSection(
    _ section: MediaSection, _ planned: Section, key: PublicationKey, kind: EnfiladeWire.MediaKind
  ) -> ReceiveSection {
    // Older clients tell encodings by a group of sources (RFC 5576 §4.2, semantics SIM).
    let group = kind == .video ? section.sourceGroups.first { $0.semantics == "SIM" }?.ssrcs ?? [] : []
    let primary = group + section.primarySources.map(\.ssrc).filter { !group.contains($0) }
    return ReceiveSection(
      publication: key, mid: Array(planned.mid.utf8), kind: kind, formats: MediaNegotiation.formats(planned.codecs),
      extensions: MediaNegotiation.map(planned.extensions), encodingCount: max(1, planned.encodings.count, group.count),
      rids: planned.encodings.map { Array($0.rid.utf8) }, sources: primary,
      retransmissionSources: primary.compactMap { section.retransmission(of: $0) })
  }

  private func sendSection(
    _ section: MediaSection, _ planned: Section, slot: Member.Slot, kind: EnfiladeWire.MediaKind, offer: Offer
  ) -> SendSection {
    let formats = MediaNegotiation.formats(planned.codecs)
    let hasRetransmission = formats.contains { $0.retransmissionPayloadType != nil }
    return SendSection(
      slot: slot.key, mid: Array(planned.mid.utf8), kind: kind, formats: formats, extensions: MediaNegotiation.map(planned.extensions),
      allowsMixedExtensions: section.allowsMixedExtensions || offer.remote.allowsMixedExtensions, source: slot.source,
      retransmissionSource: hasRetransmission ? slot.retransmissionSource : nil)
  }

  /// What the answer says of each section.
  ///
  /// - Parameter publisher: the identifier of whoever offers a publication. It names the stream, so that a client keeps the picture and the sound
  ///   of one person together (RFC 8830 §2).
  func decisions(publisher: (PublicationKey) -> String?) -> [AnswerBuilder.Decision] {
    sections.map { section in
      guard let section else { return .rejected }
      var source: LocalSource?
      if let slot = section.slot.map({ slots[$0] }) {
        let hasRetransmission = section.codecs.contains { $0.retransmission != nil }
        source = LocalSource(
          ssrc: slot.source, retransmission: hasRetransmission ? slot.retransmissionSource : nil, cname: "enfilade",
          streamID: slot.publication.flatMap(publisher) ?? "slot-\(slot.key.rawValue)", trackID: "track-\(slot.key.rawValue)")
      }
      return .accepted(
        AcceptedSection(
          direction: MediaDirection(sends: section.slot != nil, receives: section.source != nil), codecs: section.codecs,
          extensions: section.extensions,
          encodings: section.encodings, source: source))
    }
  }
}
