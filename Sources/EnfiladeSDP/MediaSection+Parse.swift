// A section's lines to its typed form: one pass, so the work grows with the number of lines and not with its square.

import EnfiladeWire

extension MediaSection {
  /// Reads a section. What the session says for all sections is in `session`. An attribute that we rely on must be well-formed; one that
  /// we can do without is skipped when it is not.
  init(
    _ description: MediaDescription, index: Int, session: SessionDefaults, firstLine: Int
  ) throws(OfferError) {
    self.init(
      index: index, kind: SectionKind(description.media), port: description.port, proto: description.proto,
      formats: description.formats, direction: session.direction)
    bandwidths = description.bandwidths
    var reader = SectionReader()
    for (offset, line) in description.lines.enumerated() {
      guard let attribute = line.attribute else { continue }
      do throws(MalformedAttribute) {
        try read(attribute, &reader)
      } catch {
        throw .syntax(SDPError(line: firstLine + 1 + offset, reason: .malformedAttribute(String(attribute.name))))
      }
    }
    sources = reader.sources
    if let ufrag = reader.ufrag, let password = reader.password {
      transport.credentials = ICECredentials(ufrag: ufrag, password: password)
    } else {
      transport.credentials = session.transport.credentials
    }
    if transport.iceOptions.isEmpty { transport.iceOptions = session.transport.iceOptions }
    if transport.fingerprints.isEmpty { transport.fingerprints = session.transport.fingerprints }
    if transport.setup == nil { transport.setup = session.transport.setup }
    transport.hasAllCandidates = transport.hasAllCandidates || session.transport.hasAllCandidates
    if mediaKind != nil, isSecureRTP { try readFormats(reader) }
  }

  private mutating func read(_ attribute: RawAttribute, _ reader: inout SectionReader) throws(MalformedAttribute) {
    switch attribute.name {
    case "rtpmap": reader.maps.append(try attribute.parse())
    case "fmtp": reader.parameters.append(try attribute.parse())
    case "rtcp-fb": if let feedback = try? attribute.parse(SDPAttribute.RTCPFeedback.self) { reader.feedback.append(feedback) }
    case "extmap": extensions.append(try attribute.parse())
    case "ssrc": if let source = try? attribute.parse(SDPAttribute.Source.self) { reader.add(source) }
    case "ssrc-group": if let group = try? attribute.parse(SDPAttribute.SourceGroup.self) { sourceGroups.append(group) }
    case "candidate":
      // A candidate that is not understood is ignored (RFC 8839 §5.1).
      if let candidate = try? attribute.parse(SDPAttribute.Candidate.self) { transport.candidates.append(candidate) }
    case "mid": mid = try attribute.parse(SDPAttribute.MID.self).mid
    case "msid": if let msid = try? attribute.parse(SDPAttribute.MSID.self) { msids.append(msid) }
    case "rid":
      // A line that does not parse, or repeats an identifier, is discarded (RFC 8851 §6.3).
      if let rid = try? attribute.parse(SDPAttribute.RID.self), !rids.contains(where: { $0.id == rid.id }) { rids.append(rid) }
    case "simulcast": simulcast = try? attribute.parse(SDPAttribute.Simulcast.self)
    case "ice-ufrag": reader.ufrag = try attribute.parse(SDPAttribute.ICEUfrag.self).ufrag
    case "ice-pwd": reader.password = try attribute.parse(SDPAttribute.ICEPassword.self).password
    case "ice-options": transport.iceOptions = (try? attribute.parse(SDPAttribute.ICEOptions.self))?.options ?? []
    case "fingerprint": transport.fingerprints.append(try attribute.parse())
    case "setup": transport.setup = try attribute.parse()
    case "ptime": packetTimeMilliseconds = (try? attribute.parse(SDPAttribute.PacketTime.self))?.milliseconds
    case "maxptime": maxPacketTimeMilliseconds = (try? attribute.parse(SDPAttribute.MaxPacketTime.self))?.milliseconds
    case "sctp-port": sctpPort = (try? attribute.parse(SDPAttribute.SCTPPort.self))?.port
    case "max-message-size": maxMessageByteCount = (try? attribute.parse(SDPAttribute.MaxMessageSize.self))?.byteCount
    default: if attribute.value == nil { readProperty(String(attribute.name)) }
    }
  }

  private mutating func readProperty(_ name: String) {
    if let direction = MediaDirection(rawValue: name) {
      self.direction = direction
      return
    }
    switch PropertyAttribute(rawValue: name) {
    case .rtcpMux, .rtcpMuxOnly: hasRTCPMux = true
    case .rtcpReducedSize: hasReducedSizeRTCP = true
    case .endOfCandidates: transport.hasAllCandidates = true
    case .bundleOnly: isBundleOnly = true
    case .extmapAllowMixed: allowsMixedExtensions = true
    case .iceLite, nil: break
    }
  }

  /// Puts together what the lines say about each format of the `m=` line, in its order.
  private mutating func readFormats(_ reader: SectionReader) throws(OfferError) {
    var maps: [PayloadType: SDPAttribute.RTPMap] = [:]
    for map in reader.maps where maps[map.payloadType] == nil { maps[map.payloadType] = map }
    var parameters: [PayloadType: FormatParameters] = [:]
    for line in reader.parameters { parameters[line.payloadType, default: .init()].parameters += line.parameters.parameters }
    var feedback: [PayloadType?: [FeedbackMessage]] = [:]
    for line in reader.feedback { feedback[line.payloadType, default: []].append(line.message) }
    var seen: Set<PayloadType> = []
    for format in formats {
      guard let payloadType = PayloadType(format: format[...]) else { throw .malformedFormat(section: index, format) }
      guard seen.insert(payloadType).inserted, payloadType.isUnambiguousWithRTCP else { continue }
      var codec: OfferedCodec
      if let map = maps[payloadType] {
        codec = OfferedCodec(
          payloadType: payloadType, encodingName: map.encodingName, clockRate: map.clockRate, channels: map.channels ?? 1)
      } else if let wellKnown = OfferedCodec.wellKnown(payloadType) {
        codec = wellKnown
      } else {
        continue
      }
      codec.parameters = parameters[payloadType] ?? .init()
      for message in (feedback[payloadType] ?? []) + (feedback[nil] ?? []) where !codec.feedback.contains(message) {
        codec.feedback.append(message)
      }
      codecs.append(codec)
    }
  }
}

/// What the session level says for every section that does not say otherwise.
struct SessionDefaults {
  var transport = TransportParameters()
  var direction: MediaDirection

  init(_ description: SessionDescription) throws(OfferError) {
    direction = description.direction ?? .sendrecv
    transport.hasAllCandidates = description.has(.endOfCandidates)
    var ufrag: String?
    var password: String?
    for (offset, line) in description.lines.enumerated() {
      guard let attribute = line.attribute else { continue }
      do throws(MalformedAttribute) {
        switch attribute.name {
        case "ice-ufrag": ufrag = try attribute.parse(SDPAttribute.ICEUfrag.self).ufrag
        case "ice-pwd": password = try attribute.parse(SDPAttribute.ICEPassword.self).password
        case "ice-options": transport.iceOptions = (try? attribute.parse(SDPAttribute.ICEOptions.self))?.options ?? []
        case "fingerprint": transport.fingerprints.append(try attribute.parse())
        case "setup": transport.setup = try attribute.parse()
        default: break
        }
      } catch {
        throw .syntax(SDPError(line: offset + 1, reason: .malformedAttribute(String(attribute.name))))
      }
    }
    if let ufrag, let password { transport.credentials = ICECredentials(ufrag: ufrag, password: password) }
  }
}

/// An attribute's value did not fit its grammar; the caller knows the line.
struct MalformedAttribute: Error {}

extension RawAttribute {
  func parse<Value: SDPAttributeValue>(_: Value.Type = Value.self) throws(MalformedAttribute) -> Value {
    guard let value = Value(parsing: value ?? "") else { throw MalformedAttribute() }
    return value
  }
}

/// What is gathered while a section's lines are read.
private struct SectionReader {
  var maps: [SDPAttribute.RTPMap] = []
  var parameters: [SDPAttribute.FMTP] = []
  var feedback: [SDPAttribute.RTCPFeedback] = []
  var ufrag: String?
  var password: String?
  var sources: [SourceDescription] = []
  private var sourceIndex: [SSRC: Int] = [:]

  mutating func add(_ line: SDPAttribute.Source) {
    let index = sourceIndex[line.ssrc] ?? sources.count
    if index == sources.count {
      sources.append(SourceDescription(ssrc: line.ssrc))
      sourceIndex[line.ssrc] = index
    }
    switch line.attribute {
    case "cname": sources[index].cname = line.value
    case "msid": sources[index].msid = line.value.flatMap { SDPAttribute.MSID(parsing: $0[...]) }
    default: break
    }
  }
}
