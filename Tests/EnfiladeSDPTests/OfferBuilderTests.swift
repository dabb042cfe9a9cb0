import EnfiladeSDP
import EnfiladeWire
import Testing

@Suite("Offers of our own (RFC 9429 §5.2)")
struct OfferBuilderTests {
  private static let extensions = [
    SDPAttribute.ExtMap(id: 1, uri: HeaderExtensionURI.mid), SDPAttribute.ExtMap(id: 2, uri: HeaderExtensionURI.rid),
    SDPAttribute.ExtMap(id: 3, uri: HeaderExtensionURI.transportWideSequenceNumber),
  ]

  private func builder(_ sections: [OfferBuilder.Section]) -> OfferBuilder {
    var transport = AnswerPolicy.transport
    transport.isLite = false
    return OfferBuilder(sessionID: 7, sessionVersion: 2, transport: transport, sections: sections)
  }

  private let audio = OfferBuilder.Section(
    mid: "0", kind: .audio, direction: .sendonly, codecs: [.opus(payloadType: 111)], extensions: Array(extensions.prefix(1)),
    source: LocalSource(ssrc: SSRC(1), cname: "me", streamID: "s", trackID: "a"))
  private let video = OfferBuilder.Section(
    mid: "1", kind: .video, direction: .sendonly, codecs: [.video(.vp8, payloadType: 96, retransmission: 97)], extensions: extensions,
    source: LocalSource(ssrc: SSRC(2), retransmission: SSRC(3), cname: "me", streamID: "s", trackID: "v"))

  @Test("An offer of ours is one that we would answer")
  func answered() throws {
    let description = try builder([audio, video]).offer()
    let offer = try Offer(parsing: description.text)
    #expect(offer.bundle == ["0", "1"])
    #expect(offer.answerSetup == .passive)
    #expect(offer.sections.map(\.direction) == [.sendonly, .sendonly])
    #expect(offer.sections[1].retransmission(of: SSRC(2)) == SSRC(3))
    #expect(offer.sections[1].msid == SDPAttribute.MSID(streamID: "s", trackID: "v"))
    #expect(offer.transport.candidates == AnswerPolicy.transport.candidates)
    let answer = try Answer(try AnswerPolicy.answer(offer), offerSectionCount: 2)
    #expect(answer.weAreActive)
    #expect(answer.isICELite)
    #expect(answer.sections.map(\.direction) == [.recvonly, .recvonly])
    #expect(answer.sections[1].codecs.map(\.payloadType.rawValue) == [96, 97])
  }

  @Test("Simulcast is offered by RID, and its sources are not written (RFC 8853 §5.3)")
  func simulcast() throws {
    var section = video
    section.encodings = [.init("q"), .init("h"), .init("f", isPaused: true)]
    let offer = try Offer(parsing: try builder([audio, section]).offer().text)
    #expect(offer.sections[1].sendEncodings == section.encodings)
    #expect(offer.sections[1].sources.isEmpty)
    #expect(offer.sections[1].msid?.trackID == "v")
    let answer = try Answer(try AnswerPolicy.answer(offer))
    #expect(answer.sections[1].simulcast?.receive == [[.init("q")], [.init("h")], [.init("f", isPaused: true)]])
    #expect(answer.sections[1].rids.map(\.direction) == [.recv, .recv, .recv])
  }

  @Test("A watcher offers to receive, and learns the sources from the answer")
  func watcher() throws {
    var section = video
    section.direction = .recvonly
    let offer = try Offer(parsing: try builder([section]).offer().text)
    #expect(offer.sections[0].sources.isEmpty)
    let answer = try Answer(try AnswerPolicy.answer(offer))
    #expect(answer.sections[0].direction == .sendonly)
    #expect(answer.sections[0].primarySources.map(\.ssrc) == [SSRC(1000)])
    #expect(answer.sections[0].retransmission(of: SSRC(1000)) == SSRC(1001))
    #expect(answer.sections[0].msid == SDPAttribute.MSID(streamID: "stream0", trackID: "track0"))
  }

  @Test("An offer that could not be read is not built")
  func errors() {
    func expect(_ error: OfferBuildError, sourceLocation: SourceLocation = #_sourceLocation, _ change: (inout OfferBuilder.Section) -> Void)
    {
      var section = video
      change(&section)
      #expect(throws: error, sourceLocation: sourceLocation) { try builder([audio, section]).offer() }
    }
    expect(.badMID("0")) { $0.mid = "0" }
    expect(.badMID("a b")) { $0.mid = "a b" }
    expect(.noCodec(mid: "1")) { $0.codecs = [] }
    expect(.badRID("~")) { $0.encodings = [.init("~")] }
    expect(.unwritableText) { $0.source?.cname = "\n" }
    expect(.unwritableText) { $0.extensions = [SDPAttribute.ExtMap(id: 1, uri: "a\r\nb")] }
  }
}
