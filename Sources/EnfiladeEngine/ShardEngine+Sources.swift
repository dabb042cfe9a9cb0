// Which media section an unknown source belongs to (RFC 9143 §9.2), and what it is there.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeTransport
import EnfiladeWire

extension ShardEngine {
  enum Association {
    case source(Link.Source)
    case drop(DropReason)
  }

  /// Finds the section of a source seen for the first time, and makes a stream for it.
  mutating func associate(_ view: RTPPacketView, in bytes: RawSpan, link: Int, at now: Instant) -> Association {
    guard links[link].sources.count < Link.sourceCapacity else { return .drop(.tooManySources) }
    guard let section = sectionIndex(of: view, in: bytes, link: link) else { return .drop(.unknownSource) }
    guard let publication = publicationIndices[links[link].receive[section].publication] else { return .drop(.unknownSource) }
    let isRetransmission = links[link].receive[section].formats.contains { $0.retransmissionPayloadType == view.payloadType }
    guard let encoding = encoding(of: view, in: bytes, section: links[link].receive[section], isRetransmission: isRetransmission) else {
      return .drop(.unknownEncoding)
    }
    let inboundIndex: Int32
    if isRetransmission {
      inboundIndex = publications[publication].encodings[encoding]
      // Repair of a stream that has not begun: there is nothing to repair, and nothing is remembered of it.
      guard inboundIndex >= 0 else { return .drop(.retransmissionUnwanted) }
    } else {
      guard let format = links[link].receive[section].format(of: view.payloadType) else { return .drop(.unknownPayloadType) }
      if publications[publication].hasJustEnded(view.ssrc, at: now) { return .drop(.endedSource) }
      guard let made = makeInbound(view.ssrc, format: format, publication: publication, encoding: encoding, section: section, at: now)
      else {
        return .drop(.tooManySources)
      }
      inboundIndex = Int32(made)
    }
    let source = Link.Source(ssrc: view.ssrc, inbound: inboundIndex, section: Int32(section), isRetransmission: isRetransmission)
    links[link].sources.append(source)
    return .source(source)
  }

  /// Which encoding of its section a new source is (RFC 8853 §5.3): by RID, or by its place among the announced SSRCs.
  private func encoding(of view: RTPPacketView, in bytes: RawSpan, section: ReceiveSection, isRetransmission: Bool) -> Int? {
    guard section.encodingCount > 1 else { return 0 }
    let kind = isRetransmission ? ExtensionKind.repairedRid : .rid
    if let identifier = section.extensions[kind], let element = view.extensionElement(identifier, in: bytes) {
      let name = element.data(in: bytes)
      return section.rids.firstIndex { name.hasSameBytes(as: $0.rawBytes) }
    }
    let announced = isRetransmission ? section.retransmissionSources : section.sources
    return announced.firstIndex(of: view.ssrc).flatMap { $0 < section.encodingCount ? $0 : nil }
  }

  /// A new stream of an encoding takes the place of the one before: a publisher that restarts brings a new SSRC.
  private mutating func makeInbound(
    _ ssrc: SSRC, format: NegotiatedFormat, publication: Int, encoding: Int, section: Int, at now: Instant
  ) -> Int? {
    let link = publications[publication].link
    let previous = publications[publication].encodings[encoding]
    if previous >= 0 {
      forwardPending(at: now)
      publications[publication].ended[encoding] = .init(ssrc: inbound[Int(previous)].ssrc, at: now)
      removeInbound(Int(previous))
    }
    let stream = inbound.insert(
      InboundStream(
        serial: takeSerial(), publication: publication, encoding: encoding, format: format.format, link: link, ssrc: ssrc,
        kind: publications[publication].kind, extensions: links[link].receive[section].extensions))
    guard let stream else { return nil }
    publications[publication].encodings[encoding] = Int32(stream)
    inbound[stream].feedback = format.feedback
    describe(stream)
    if publications[publication].timeline == nil {
      publications[publication].timeline = EncodingTimeline(clockRate: format.format.clockRate)
    }
    return stream
  }

  /// By MID, by an announced SSRC, or by a payload type that only one section has, in this order.
  private func sectionIndex(of view: RTPPacketView, in bytes: RawSpan, link: Int) -> Int? {
    for index in links[link].receive.indices {
      let section = links[link].receive[index]
      guard let identifier = section.extensions[.mid], let element = view.extensionElement(identifier, in: bytes) else { continue }
      if element.data(in: bytes).hasSameBytes(as: section.mid.rawBytes) { return index }
    }
    if let index = links[link].receive.firstIndex(where: {
      $0.sources.contains(view.ssrc) || $0.retransmissionSources.contains(view.ssrc)
    }) {
      return index
    }
    // A MID that names none of our sections says that the packet is for none of them.
    if links[link].receive.contains(where: { section in
      section.extensions[.mid].flatMap { view.extensionElement($0, in: bytes) } != nil
    }) {
      return nil
    }
    var found: Int?
    for index in links[link].receive.indices where links[link].receive[index].carries(view.payloadType) {
      if found != nil { return nil }
      found = index
    }
    return found
  }
}

extension ReceiveSection {
  func format(of payloadType: PayloadType) -> NegotiatedFormat? { formats.first { $0.payloadType == payloadType } }

  func carries(_ payloadType: PayloadType) -> Bool {
    formats.contains { $0.payloadType == payloadType || $0.retransmissionPayloadType == payloadType }
  }
}
