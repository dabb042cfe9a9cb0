// Session descriptions: our offer and the server's answer (WHIP, WHEP), or the server's offer and our answer (Janus).

import EnfiladeDTLS
import EnfiladeIO
import EnfiladeRTP
import EnfiladeSDP
import EnfiladeSTUN
import EnfiladeTransport
import EnfiladeWire

extension LoadClient {
  // MARK: We offer

  /// The text of our offer.
  package func makeOffer() throws(LoadError) -> String {
    let described = sections.map { section in
      let cname = "load-\(role.rawValue)-\(index)"
      return OfferBuilder.Section(
        mid: section.mid, kind: section.kind, direction: section.direction, codecs: LoadSection.codecs(section.kind),
        extensions: section.extensions(feedback: context.options.givesTransportFeedback),
        encodings: section.encodings.map { SDPAttribute.Simulcast.Alternative($0) },
        source: section.direction.sends
          ? LocalSource(
            ssrc: section.source, retransmission: section.kind == .video ? section.retransmissionSource : nil, cname: cname,
            streamID: cname, trackID: "\(cname)-\(section.mid)") : nil)
    }
    do {
      return try OfferBuilder(sessionID: context.random.next() >> 2, sessionVersion: 1, transport: localTransport, sections: described)
        .offer().text
    } catch {
      throw .description("\(error)")
    }
  }

  /// Takes the answer to ``makeOffer()`` and starts to connect.
  package func take(answer text: String) throws(LoadError) {
    let answer: Answer
    do {
      answer = try Answer(parsing: text, offerSectionCount: sections.count)
    } catch {
      throw .description("\(error)")
    }
    for section in sections {
      guard let answered = answer.section(mid: section.mid), !answered.isRejected else { continue }
      if section.direction.receives {
        // A sender uses the numbers that we gave (RFC 3264 §6.1).
        learnTypes(LoadSection.codecs(section.kind).map { ($0, $0.retransmission) })
        learnExtensions(ExtensionMap(answered.extensions))
      } else {
        addOutgoing(section, answered)
      }
    }
    guard role == .subscriber || !outgoing.isEmpty else { throw .description("nothing of what we offer to send was accepted") }
    try connect(to: answer, role: answer.weAreActive ? .active : .passive)
  }

  // MARK: The server offers

  /// Takes a server's offer to send us media, starts to connect and gives our answer. The server must be a lite agent: two full
  /// ones would have to agree on who controls, and our side always does (RFC 8445 §6.1.1).
  package func makeAnswer(to text: String) throws(LoadError) -> String {
    do {
      let offer = try Offer(parsing: text)
      guard offer.isICELite else { throw LoadError.description("the server offers, and is no ICE-lite agent") }
      let known = [ExtensionKind.mid.uri] + (context.options.givesTransportFeedback ? [ExtensionKind.transportSequenceNumber.uri] : [])
      let decisions = offer.sections.map { section -> AnswerBuilder.Decision in
        let codecs = LoadSection.preferences.accept(section)
        guard section.refusal == nil, !codecs.isEmpty else { return .rejected }
        let extensions = section.extensions(supporting: known)
        learnTypes(codecs.map { ($0, $0.retransmission) })
        learnExtensions(ExtensionMap(extensions))
        return .accepted(AcceptedSection(direction: .recvonly, codecs: codecs, extensions: extensions))
      }
      let answer = try AnswerBuilder(sessionID: context.random.next() >> 2, sessionVersion: 1, transport: localTransport)
        .answer(to: offer, decisions)
      try connect(to: offer, role: offer.answerSetup == .active ? .active : .passive)
      return answer.text
    } catch let error as LoadError {
      throw error
    } catch {
      throw .description("\(error)")
    }
  }

  // MARK: Parts

  private var localTransport: LocalTransport {
    let fingerprint = context.factory.localFingerprint
    return LocalTransport(
      credentials: EnfiladeSDP.ICECredentials(ufrag: credentials.ufragText, password: credentials.passwordText), isLite: false,
      fingerprint: SDPAttribute.Fingerprint(algorithm: fingerprint.algorithm, digest: fingerprint.digest),
      candidates: [SDPAttribute.Candidate(host: socket.localAddress, foundation: "1", priority: 2_130_706_431)])
  }

  private func connect(to remote: some RemoteDescribing, role: HandshakeRole) throws(LoadError) {
    guard let credentials = remote.transport.credentials else { throw .description("no ICE credentials") }
    try connect(
      ufrag: credentials.ufrag, password: credentials.password,
      addresses: remote.transport.candidates.filter { $0.isUDP && $0.component == 1 }.compactMap(\.socketAddress), role: role,
      fingerprints: remote.transport.fingerprints.map { CertificateFingerprint(algorithm: $0.algorithm, digest: $0.digest) })
  }

  private func learnTypes(_ codecs: [(codec: AcceptedCodec, retransmission: PayloadType?)]) {
    for (codec, retransmission) in codecs {
      payloadRoles[Int(codec.payloadType.rawValue)] = codec.name.kind == .audio ? .audio : .video
      if let retransmission { payloadRoles[Int(retransmission.rawValue)] = .retransmission }
    }
  }

  private func learnExtensions(_ map: ExtensionMap) {
    guard context.options.givesTransportFeedback else { return }
    if let identifier = map[.transportSequenceNumber] { transportNumberIdentifier = identifier }
  }

  private func addOutgoing(_ section: LoadSection, _ answered: MediaSection) {
    let map = ExtensionMap(answered.extensions)
    guard let codec = answered.codecs.first(where: { $0.name == (section.kind == .audio ? .opus : .vp8) }) else { return }
    let accepted = Set(answered.simulcast?.receive.compactMap { $0.first?.rid } ?? [])
    // The encodings the server takes; without any, one stream under the section's own source.
    let encodings = section.encodings.filter { accepted.contains($0) && map[.rid] != nil }
    let retransmission = encodings.isEmpty ? answered.retransmission(of: codec)?.payloadType : nil
    let streams: [(rid: String?, source: SSRC)] =
      encodings.isEmpty ? [(nil, section.source)] : encodings.map { ($0, context.makeSSRC()) }
    for (position, (rid, source)) in streams.enumerated() {
      outgoing.append(
        OutgoingStream(
          kind: section.kind, source: source, payloadType: codec.payloadType, retransmissionSource: section.retransmissionSource,
          retransmissionType: retransmission, extensions: map, mid: section.mid, rid: rid,
          traffic: traffic(for: section.kind, rid: rid, encoding: position, of: streams.count), random: &context.random))
    }
  }

  private func traffic(for kind: MediaKind, rid: String?, encoding: Int, of count: Int) -> Traffic {
    // Publishers begin at different times, as people's cameras do.
    let start = MonotonicClock.now + .microseconds(Int64(context.random.next() % 33_000))
    let seed = context.random.next()
    if kind == .audio { return .audio(AudioTraffic(seed: seed, startingAt: start)) }
    let recordings = context.options.recordings
    if !recordings.isEmpty {
      let first = index * count % recordings.count
      return .recorded(
        RecordedTraffic(
          recordings[(first + encoding) % recordings.count], payloadByteCount: OutgoingStream.recordedPayloadByteCount, startingAt: start))
    }
    if let dump = context.options.replay { return .replay(ReplayTraffic(dump, startingAt: start)) }
    var shape = context.options.video ?? VideoShape(bitrate: .kilobitsPerSecond(1700))
    // Captured of three encodings: 2,483, 500 and 155 kbit/s, so a fifth and a sixteenth of the largest.
    switch rid {
    case "h":
      shape.bitrate = .bitsPerSecond(shape.bitrate.bitsPerSecond / 5)
      (shape.width, shape.height) = (shape.width / 2, shape.height / 2)
    case "q":
      shape.bitrate = .bitsPerSecond(shape.bitrate.bitsPerSecond / 16)
      (shape.width, shape.height) = (shape.width / 4, shape.height / 4)
    default: break
    }
    return .video(VideoTraffic(shape, seed: seed, startingAt: start))
  }
}
