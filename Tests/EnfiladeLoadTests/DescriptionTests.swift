import EnfiladeRTP
import EnfiladeSDP
import EnfiladeTransport
import EnfiladeWire
import Testing

@testable import EnfiladeLoad

@Suite("Descriptions of the load client")
struct DescriptionTests {
  private static func context(simulcast: Bool, publisherCount: Int = 1) throws -> LoadContext {
    var options = LoadOptions()
    options.video = VideoShape(bitrate: .kilobitsPerSecond(2500))
    options.offersSimulcast = simulcast
    options.publisherCount = publisherCount
    return try LoadContext(options)
  }

  private static let transport = LocalTransport(
    credentials: ICECredentials(ufrag: "abcd", password: "abcdefghijklmnopqrstuv"), isLite: true,
    fingerprint: SDPAttribute.Fingerprint(algorithm: "sha-256", digest: [UInt8](repeating: 7, count: 32)),
    candidates: [SDPAttribute.Candidate(host: SocketAddress(ipv4: 0x7F00_0001, port: 4999), foundation: "1", priority: 1)])

  /// What a server answers that takes all, or all but the encodings.
  private static func answer(to text: String, takingEncodings: Bool) throws -> String {
    let offer = try Offer(parsing: text)
    let decisions = offer.sections.map { section in
      AnswerBuilder.Decision.accepted(
        AcceptedSection(
          direction: section.direction.sends ? .recvonly : .sendonly, codecs: CodecPreferences.forwarding.accept(section),
          extensions: section.extensions, encodings: takingEncodings ? section.sendEncodings : []))
    }
    return try AnswerBuilder(sessionID: 1, sessionVersion: 1, transport: transport).answer(to: offer, decisions).text
  }

  @Test("Three encodings that are taken are three streams, each with a source of its own")
  func simulcast() throws {
    let client = try LoadClient(.publisher, index: 0, context: Self.context(simulcast: true))
    try client.take(answer: Self.answer(to: client.makeOffer(), takingEncodings: true))
    let video = client.outgoing.filter { $0.kind == .video }
    #expect(video.count == 3)
    #expect(Set(video.map(\.source)).count == 3)
    // The name of the encoding stands in a header extension that is copied into the first packets.
    #expect(video.allSatisfy { ($0.named?.bytes.count ?? 0) > 16 && $0.named?.extensions.present.contains(.rid) == true })
    #expect(client.outgoing.filter { $0.kind == .audio }.count == 1)
  }

  @Test("Encodings that are not taken leave one stream, with retransmission")
  func fallback() throws {
    let client = try LoadClient(.publisher, index: 0, context: Self.context(simulcast: true))
    try client.take(answer: Self.answer(to: client.makeOffer(), takingEncodings: false))
    let video = client.outgoing.filter { $0.kind == .video }
    #expect(video.count == 1)
    #expect(video[0].named == nil)
    #expect(video[0].retransmissionType == PayloadType(LoadSection.retransmissionType))
  }

  @Test("A subscriber offers room for every publisher, and knows what the payload types mean")
  func subscriber() throws {
    let client = try LoadClient(.subscriber, index: 0, context: Self.context(simulcast: false, publisherCount: 3))
    let text = try client.makeOffer()
    #expect(try Offer(parsing: text).sections.map(\.mediaKind) == [.audio, .video, .audio, .video, .audio, .video])
    try client.take(answer: Self.answer(to: text, takingEncodings: false))
    #expect(client.payloadRoles[Int(LoadSection.opusType)] == .audio)
    #expect(client.payloadRoles[Int(LoadSection.videoType)] == .video)
    #expect(client.payloadRoles[Int(LoadSection.retransmissionType)] == .retransmission)
    #expect(client.outgoing.isEmpty)
  }

  @Test("A server's own offer is answered, if it is a lite agent", arguments: [true, false])
  func answering(isLite: Bool) throws {
    let client = try LoadClient(.subscriber, index: 0, context: Self.context(simulcast: false))
    var server = Self.transport
    server.isLite = isLite
    let offer = try OfferBuilder(
      sessionID: 1, sessionVersion: 1, transport: server,
      sections: [.init(mid: "v", kind: .video, direction: .sendonly, codecs: [.video(.vp8, payloadType: 100, retransmission: 101)])]
    ).offer().text
    guard isLite else {
      #expect(throws: LoadError.self) { try client.makeAnswer(to: offer) }
      return
    }
    let answer = try Answer(parsing: client.makeAnswer(to: offer), offerSectionCount: 1)
    #expect(answer.sections[0].direction == .recvonly)
    #expect(client.payloadRoles[100] == .video && client.payloadRoles[101] == .retransmission)
  }

  @Test("A server whose candidates are all elsewhere is refused: load stays on this machine")
  func loopbackOnly() throws {
    let client = try LoadClient(.publisher, index: 0, context: Self.context(simulcast: false))
    let answer = try Self.answer(to: client.makeOffer(), takingEncodings: false)
    let elsewhere = answer.replacing("127.0.0.1", with: "192.0.2.1")
    #expect(throws: LoadError.self) { try client.take(answer: elsewhere) }
  }
}
