// The policy by which the tests and the fuzz target answer an offer.

import EnfiladeSDP
import EnfiladeWire

/// Answers everything that can be answered: receives what is offered, sends one source wherever the client listens.
struct AnswerPolicy {
  static let transport = LocalTransport(
    credentials: ICECredentials(ufrag: "srvr", password: "0123456789abcdefghijkl"), isLite: true,
    fingerprint: SDPAttribute.Fingerprint(algorithm: "sha-256", digest: Array(0..<32)),
    candidates: [
      SDPAttribute.Candidate(host: SocketAddress(ipv4: 0xCB00_7107, port: 5000), foundation: "1", priority: 2_130_706_431),
      SDPAttribute.Candidate(
        host: SocketAddress(ipv6High: 0x2001_0DB8_0000_0000, low: 7, port: 5000), foundation: "2", priority: 2_130_706_175),
    ])

  static let builder = AnswerBuilder(sessionID: 42, sessionVersion: 1, transport: transport)

  static let extensions = [
    HeaderExtensionURI.mid, HeaderExtensionURI.rid, HeaderExtensionURI.repairedRID, HeaderExtensionURI.audioLevel,
    HeaderExtensionURI.transportWideSequenceNumber, HeaderExtensionURI.absoluteSendTime, HeaderExtensionURI.dependencyDescriptor,
  ]

  static func decisions(for offer: Offer) -> [AnswerBuilder.Decision] {
    offer.sections.map { section in
      let codecs = CodecPreferences.forwarding.accept(section)
      guard section.refusal == nil, !codecs.isEmpty else { return .rejected }
      let number = UInt32(section.index) * 10
      return .accepted(
        AcceptedSection(
          direction: .sendrecv, codecs: codecs, extensions: section.extensions(supporting: extensions), encodings: section.sendEncodings,
          source: LocalSource(
            ssrc: SSRC(1000 + number), retransmission: codecs.contains { $0.retransmission != nil } ? SSRC(1001 + number) : nil,
            cname: "enfilade", streamID: "stream\(number)", trackID: "track\(number)")))
    }
  }

  static func answer(_ offer: Offer) throws(AnswerError) -> SessionDescription {
    try builder.answer(to: offer, decisions(for: offer))
  }
}
