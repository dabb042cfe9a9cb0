// An offer of our own (RFC 9429 §5.2), for clients that publish and watch: WHIP, WHEP, load.

package import EnfiladeWire

/// What goes into an offer.
package struct OfferBuilder: Hashable, Sendable {
  package var origin: Origin
  package var transport: LocalTransport
  package var setup: SDPAttribute.Setup
  package var allowsMixedExtensions = true
  package var sections: [Section]

  /// One section of the offer; all of them are bundled, and the first describes the transport.
  package struct Section: Hashable, Sendable {
    package var mid: String
    package var kind: MediaKind
    package var direction: MediaDirection
    package var codecs: [AcceptedCodec]
    package var extensions: [SDPAttribute.ExtMap]
    /// The simulcast encodings that we send, the smallest first; none for a single one.
    package var encodings: [SDPAttribute.Simulcast.Alternative]
    /// What we send. With simulcast the sources are found by their RID, and only stream and track are written.
    package var source: LocalSource?

    package init(
      mid: String, kind: MediaKind, direction: MediaDirection, codecs: [AcceptedCodec], extensions: [SDPAttribute.ExtMap] = [],
      encodings: [SDPAttribute.Simulcast.Alternative] = [], source: LocalSource? = nil
    ) {
      self.mid = mid
      self.kind = kind
      self.direction = direction
      self.codecs = codecs
      self.extensions = extensions
      self.encodings = encodings
      self.source = source
    }
  }

  package init(
    sessionID: UInt64, sessionVersion: UInt64, transport: LocalTransport, setup: SDPAttribute.Setup = .actpass, sections: [Section]
  ) {
    origin = Origin(sessionID: sessionID, sessionVersion: sessionVersion)
    self.transport = transport
    self.setup = setup
    self.sections = sections
  }

  /// Builds the offer; the same inputs give the same text.
  package func offer() throws(OfferBuildError) -> SessionDescription {
    var seen: Set<String> = []
    for section in sections {
      guard SDPAttribute.MID(parsing: section.mid[...]) != nil, seen.insert(section.mid).inserted else { throw .badMID(section.mid) }
      guard !section.codecs.isEmpty else { throw .noCodec(mid: section.mid) }
      for encoding in section.encodings where !encoding.rid[...].isRIDIdentifier { throw .badRID(encoding.rid) }
      if let source = section.source, !source.isWritable { throw .unwritableText }
    }
    var attributes = [SDPAttribute.Group(semantics: "BUNDLE", mids: sections.map(\.mid)).line]
    if allowsMixedExtensions { attributes.append(PropertyAttribute.extmapAllowMixed.line) }
    if transport.isLite { attributes.append(PropertyAttribute.iceLite.line) }
    if !transport.iceOptions.isEmpty { attributes.append(SDPAttribute.ICEOptions(transport.iceOptions).line) }
    let descriptions = sections.enumerated().map { describe($0.element, isTagged: $0.offset == 0) }
    let offer = SessionDescription(origin: origin, attributes: attributes, sections: descriptions)
    guard offer.isWritable else { throw .unwritableText }
    return offer
  }

  private func describe(_ section: Section, isTagged: Bool) -> MediaDescription {
    let destination = transport.defaultDestination
    var lines = [SDPLine(.connection, destination.connection.text), SDPAttribute.MID(section.mid).line]
    lines += transport.lines(setup: setup, withCandidates: isTagged)
    lines += [PropertyAttribute.rtcpMux.line, PropertyAttribute.rtcpReducedSize.line, section.direction.line]
    lines += section.extensions.map(\.line)
    lines += section.codecs.flatMap(\.lines)
    if section.direction.sends {
      if section.encodings.isEmpty {
        lines += section.source?.lines ?? []
      } else {
        if let source = section.source { lines.append(SDPAttribute.MSID(streamID: source.streamID, trackID: source.trackID).line) }
        lines += section.encodings.map { SDPAttribute.RID(id: $0.rid, direction: .send).line }
        lines.append(SDPAttribute.Simulcast(send: section.encodings.map { [$0] }).line)
      }
    }
    return MediaDescription(
      media: SectionKind.media(section.kind).media, port: destination.port, proto: "UDP/TLS/RTP/SAVPF", formats: section.codecs.formats,
      lines: lines)
  }
}

/// Why no offer was built.
package enum OfferBuildError: Error, Hashable, Sendable {
  /// No token, or used twice.
  case badMID(String)
  case noCodec(mid: String)
  case badRID(String)
  /// A name holds a character that would end its line or its attribute, or is empty.
  case unwritableText
}

extension AcceptedCodec {
  /// Opus as browsers offer it (RFC 7587 §7).
  package static func opus(payloadType: UInt8) -> AcceptedCodec {
    AcceptedCodec(
      name: .opus, payloadType: PayloadType(payloadType),
      parameters: FormatParameters([.init("minptime", "10"), .init("useinbandfec", "1")]), feedback: [.transportWide])
  }

  /// A video codec with the feedback that browsers offer and, when `retransmission` has a number, RTX.
  package static func video(
    _ name: CodecName, payloadType: UInt8, retransmission: UInt8? = nil, parameters: FormatParameters = .init()
  ) -> AcceptedCodec {
    AcceptedCodec(
      name: name, profile: CodecProfile(name, parameters), payloadType: PayloadType(payloadType),
      retransmission: retransmission.map { PayloadType($0) }, parameters: parameters,
      feedback: [.transportWide, .fullIntraRequest, .nack, .pictureLoss])
  }
}
