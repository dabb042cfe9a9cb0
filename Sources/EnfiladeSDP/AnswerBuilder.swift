// Our answer (RFC 9429 §5.3): from the offer and one decision per section to text, the same text for the same inputs.

package import EnfiladeWire

/// What goes into every answer of one link.
package struct AnswerBuilder: Hashable, Sendable {
  package var origin: Origin
  package var transport: LocalTransport
  /// Whether header extensions of both forms may be mixed, where the offer allows it (RFC 8285 §6).
  package var allowsMixedExtensions = true

  /// `sessionVersion` must grow with every answer of one session (RFC 3264 §8).
  package init(sessionID: UInt64, sessionVersion: UInt64, transport: LocalTransport) {
    origin = Origin(sessionID: sessionID, sessionVersion: sessionVersion)
    self.transport = transport
  }

  /// What becomes of one section.
  package enum Decision: Hashable, Sendable {
    /// Port zero. The only decision for a section with a ``MediaSection/refusal``.
    case rejected
    case accepted(AcceptedSection)
  }

  /// Builds the answer; `decisions` has one entry per section of the offer, in its order.
  package func answer(to offer: Offer, _ decisions: [Decision]) throws(AnswerError) -> SessionDescription {
    guard decisions.count == offer.sections.count else { throw .decisionCount(decisions.count, sections: offer.sections.count) }
    var sections: [MediaDescription] = []
    var bundled: [String] = []
    var isTagged = true
    for (section, decision) in zip(offer.sections, decisions) {
      guard case .accepted(let accepted) = decision else {
        sections.append(Self.rejection(of: section))
        continue
      }
      try accepted.check(against: section)
      // Candidates stand in the tagged section only: the others share its transport (RFC 9143 §7.3.1).
      sections.append(answerSection(section, accepted, setup: offer.answerSetup, withCandidates: isTagged))
      isTagged = false
      if let mid = section.mid { bundled.append(mid) }
    }
    var attributes: [SDPLine] = []
    if offer.bundle != nil, !bundled.isEmpty { attributes.append(SDPAttribute.Group(semantics: "BUNDLE", mids: bundled).line) }
    if allowsMixedExtensions, offer.remote.allowsMixedExtensions { attributes.append(PropertyAttribute.extmapAllowMixed.line) }
    if transport.isLite { attributes.append(PropertyAttribute.iceLite.line) }
    if !transport.iceOptions.isEmpty { attributes.append(SDPAttribute.ICEOptions(transport.iceOptions).line) }
    let answer = SessionDescription(origin: origin, attributes: attributes, sections: sections)
    guard answer.isWritable else { throw .unwritableText }
    return answer
  }

  /// RFC 9429 §5.3.1: a rejected section keeps its place, kind, protocol and a format.
  private static func rejection(of section: MediaSection) -> MediaDescription {
    var lines = [SDPLine(.connection, ConnectionData.unspecified.text)]
    if let mid = section.mid { lines.append(SDPAttribute.MID(mid).line) }
    lines.append(MediaDirection.inactive.line)
    return MediaDescription(
      media: section.kind.media, port: 0, proto: section.proto, formats: [section.formats.first ?? "0"], lines: lines)
  }

  private func answerSection(
    _ section: MediaSection, _ accepted: AcceptedSection, setup: SDPAttribute.Setup, withCandidates: Bool
  ) -> MediaDescription {
    let destination = transport.defaultDestination
    var lines = [SDPLine(.connection, destination.connection.text)]
    if let mid = section.mid { lines.append(SDPAttribute.MID(mid).line) }
    // RFC 9143 §7.3.1 lets only the tagged section say this; clients in the field read it in each, as browsers write it.
    lines += transport.lines(setup: setup, withCandidates: withCandidates)
    lines.append(PropertyAttribute.rtcpMux.line)
    if section.hasReducedSizeRTCP { lines.append(PropertyAttribute.rtcpReducedSize.line) }
    lines.append(accepted.effectiveDirection(in: section).line)
    if allowsMixedExtensions, section.allowsMixedExtensions { lines.append(PropertyAttribute.extmapAllowMixed.line) }
    lines += accepted.extensions.map(\.line)
    lines += accepted.codecs.flatMap(\.lines)
    if accepted.effectiveDirection(in: section).receives, !accepted.encodings.isEmpty {
      lines += accepted.encodings.map { SDPAttribute.RID(id: $0.rid, direction: .recv).line }
      lines.append(SDPAttribute.Simulcast(receive: accepted.encodings.map { [$0] }).line)
    }
    if accepted.effectiveDirection(in: section).sends, let source = accepted.source { lines += source.lines }
    return MediaDescription(
      media: section.kind.media, port: destination.port, proto: section.proto, formats: accepted.codecs.formats, lines: lines)
  }
}

/// Our side of the one transport.
package struct LocalTransport: Hashable, Sendable {
  package var credentials: ICECredentials
  package var isLite: Bool
  /// Session-wide ICE options (RFC 9429 §5.2.1).
  package var iceOptions: [String]
  package var fingerprint: SDPAttribute.Fingerprint
  package var candidates: [SDPAttribute.Candidate]
  /// Whether the candidates are all there will be (RFC 8840 §8.2).
  package var hasAllCandidates: Bool

  package init(
    credentials: ICECredentials, isLite: Bool, iceOptions: [String] = ["ice2", "trickle"], fingerprint: SDPAttribute.Fingerprint,
    candidates: [SDPAttribute.Candidate] = [], hasAllCandidates: Bool = true
  ) {
    self.credentials = credentials
    self.isLite = isLite
    self.iceOptions = iceOptions
    self.fingerprint = fingerprint
    self.candidates = candidates
    self.hasAllCandidates = hasAllCandidates
  }

  /// Where one without ICE would send (RFC 8839 §4.2.1.2): the first candidate with an address, or the placeholder of RFC 9429 §5.2.1.
  var defaultDestination: (port: UInt16, connection: ConnectionData) {
    for candidate in candidates where candidate.isUDP && candidate.component == 1 && candidate.port != 0 {
      if let address = candidate.socketAddress { return (address.port, ConnectionData(address)) }
    }
    return (9, .unspecified)
  }

  func lines(setup: SDPAttribute.Setup, withCandidates: Bool) -> [SDPLine] {
    var lines = withCandidates ? candidates.map(\.line) : []
    if withCandidates, hasAllCandidates { lines.append(PropertyAttribute.endOfCandidates.line) }
    return lines + credentials.lines + [fingerprint.line, setup.line]
  }
}

/// A section that we accept: what we do in it.
package struct AcceptedSection: Hashable, Sendable {
  /// What we want, seen from us; the answer says no more than the offer allows (RFC 3264 §6.1).
  package var direction: MediaDirection
  /// The best liked first; at least one.
  package var codecs: [AcceptedCodec]
  /// A subset of what is offered: see ``MediaSection/extensions(supporting:)``.
  package var extensions: [SDPAttribute.ExtMap]
  /// The simulcast encodings that we receive: see ``MediaSection/sendEncodings``.
  package var encodings: [SDPAttribute.Simulcast.Alternative]
  /// What we send.
  package var source: LocalSource?

  package init(
    direction: MediaDirection, codecs: [AcceptedCodec], extensions: [SDPAttribute.ExtMap] = [],
    encodings: [SDPAttribute.Simulcast.Alternative] = [], source: LocalSource? = nil
  ) {
    self.direction = direction
    self.codecs = codecs
    self.extensions = extensions
    self.encodings = encodings
    self.source = source
  }

  /// What the answer says.
  package func effectiveDirection(in section: MediaSection) -> MediaDirection {
    direction.intersection(section.direction.reversed)
  }

  /// An answer takes from the offer and adds nothing.
  func check(against section: MediaSection) throws(AnswerError) {
    if let refusal = section.refusal { throw .refused(section: section.index, refusal) }
    guard !codecs.isEmpty else { throw .noCodec(section: section.index) }
    for codec in codecs {
      for payloadType in [codec.payloadType, codec.retransmission].compactMap({ $0 }) where section.codec(payloadType) == nil {
        throw .codecNotOffered(section: section.index, payloadType.rawValue)
      }
    }
    for answered in extensions where !section.extensions.contains(where: { $0.id == answered.id && $0.uri == answered.uri }) {
      throw .extensionNotOffered(section: section.index, answered.id)
    }
    for encoding in encodings where !section.sendEncodings.contains(where: { $0.rid == encoding.rid }) {
      throw .encodingNotOffered(section: section.index, encoding.rid)
    }
    if let source, !source.isWritable { throw .unwritableText }
  }
}

/// A stream that we send: its sources, and which stream and track they are.
package struct LocalSource: Hashable, Sendable {
  package var ssrc: SSRC
  package var retransmission: SSRC?
  package var cname: String
  /// `nil` for a track without a stream (RFC 8830 §2).
  package var streamID: String?
  package var trackID: String

  package init(ssrc: SSRC, retransmission: SSRC? = nil, cname: String, streamID: String?, trackID: String) {
    self.ssrc = ssrc
    self.retransmission = retransmission
    self.cname = cname
    self.streamID = streamID
    self.trackID = trackID
  }

  var isWritable: Bool {
    let msid = SDPAttribute.MSID(streamID: streamID, trackID: trackID)
    return cname.isByteString && SDPAttribute.MSID(parsing: msid.text[...]) == msid
  }

  var lines: [SDPLine] {
    var lines = [SDPAttribute.MSID(streamID: streamID, trackID: trackID).line]
    if let retransmission { lines.append(SDPAttribute.SourceGroup(semantics: "FID", ssrcs: [ssrc, retransmission]).line) }
    for ssrc in [ssrc, retransmission].compactMap({ $0 }) {
      lines.append(SDPAttribute.Source(ssrc: ssrc, attribute: "cname", value: cname).line)
    }
    return lines
  }
}

/// Why no answer was built: the decisions do not fit the offer.
package enum AnswerError: Error, Hashable, Sendable {
  case decisionCount(Int, sections: Int)
  case refused(section: Int, SectionRefusal)
  case noCodec(section: Int)
  case codecNotOffered(section: Int, UInt8)
  case extensionNotOffered(section: Int, UInt16)
  case encodingNotOffered(section: Int, String)
  /// A name of ours holds a character that would end its line or its attribute, or is empty.
  case unwritableText
}

extension SectionKind {
  /// As an `m=` line spells it.
  package var media: String {
    switch self {
    case .media(.audio): "audio"
    case .media(.video): "video"
    case .application: "application"
    case .other(let media): media
    }
  }
}

extension [AcceptedCodec] {
  /// The formats of an `m=` line: each codec and, behind it, its retransmission.
  var formats: [String] { flatMap { [$0.payloadType, $0.retransmission].compactMap { $0 } }.map { String($0.rawValue) } }
}

extension AcceptedCodec {
  /// What a section says about the codec and its retransmission.
  var lines: [SDPLine] {
    let map = SDPAttribute.RTPMap(
      payloadType: payloadType, encodingName: name.encodingName, clockRate: clockRate, channels: channels > 1 ? channels : nil)
    var lines = [map.line] + feedback.map { SDPAttribute.RTCPFeedback(payloadType: payloadType, message: $0).line }
    if !parameters.isEmpty { lines.append(SDPAttribute.FMTP(payloadType: payloadType, parameters: parameters).line) }
    if let retransmission {
      lines.append(SDPAttribute.RTPMap(payloadType: retransmission, encodingName: "rtx", clockRate: clockRate).line)
      let link = FormatParameters([.init("apt", String(payloadType.rawValue))])
      lines.append(SDPAttribute.FMTP(payloadType: retransmission, parameters: link).line)
    }
    return lines
  }
}

extension SessionDescription {
  /// Whether reading the text gives the same lines: always so for a parsed description, and for a built one when no name in it has ended
  /// its line.
  package var isWritable: Bool {
    guard let parsed = try? SessionDescription(parsing: text, limits: .unbounded) else { return false }
    return parsed == self
  }
}
