import EnfiladeSDP
import EnfiladeWire
import Foundation
import Testing

@Suite("Answers (RFC 9429 §5.3)")
struct AnswerBuilderTests {
  @Test("Every recorded offer has the answer that is written down", arguments: Fixture.offers)
  func snapshot(fixture: Fixture) throws {
    let answer = try AnswerPolicy.answer(try Offer(parsing: try fixture.text)).text
    let expected = Fixture(folder: "Expected", name: fixture.name)
    if ProcessInfo.processInfo.environment["ENFILADE_RECORD"] != nil {
      try Data(answer.utf8).write(to: expected.url)
      Issue.record("recorded \(expected.name)")
    }
    #expect(try expected.text == answer)
  }

  @Test("An answer fits its offer in every section", arguments: Fixture.offers)
  func fits(fixture: Fixture) throws {
    let offer = try Offer(parsing: try fixture.text)
    let decisions = AnswerPolicy.decisions(for: offer)
    let description = try AnswerPolicy.builder.answer(to: offer, decisions)
    let answer = try Answer(description, offerSectionCount: offer.sections.count)
    #expect(try AnswerPolicy.builder.answer(to: offer, decisions).text == description.text)
    var accepted: [String] = []
    for (asked, (given, decision)) in zip(offer.sections, zip(answer.sections, decisions)) {
      #expect(given.kind == asked.kind)
      #expect(given.mid == asked.mid)
      #expect(given.proto == asked.proto)
      if case .rejected = decision {
        #expect(given.isRejected)
        #expect(given.direction == .inactive)
        continue
      }
      accepted += given.mid.map { [$0] } ?? []
      #expect(given.direction == asked.direction.reversed)
      #expect(
        given.codecs.allSatisfy { codec in asked.codec(codec.payloadType)?.encodingName.lowercased() == codec.encodingName.lowercased() })
      #expect(given.extensions.allSatisfy { map in asked.extensions.contains { $0.id == map.id && $0.uri == map.uri } })
      #expect(given.simulcast?.receive.map { $0[0] } ?? [] == asked.sendEncodings)
      #expect(given.sources.isEmpty == !asked.direction.receives)
      #expect(given.transport.credentials == AnswerPolicy.transport.credentials)
      #expect(given.transport.setup == offer.answerSetup)
    }
    // Rejected sections leave the group (RFC 9143 §7.3.3).
    #expect(answer.bundle ?? [] == (offer.bundle == nil ? [] : accepted))
    #expect(answer.isICELite)
    #expect(answer.transport.candidates == AnswerPolicy.transport.candidates)
    #expect(answer.transport.hasAllCandidates)
    #expect(answer.weAreActive == (offer.answerSetup == .passive))
  }

  @Test("Candidates stand in the first accepted section only (RFC 9143 §7.3.1)")
  func candidatesOnce() throws {
    let offer = try Fixture.offer("chromium-156-twelve-sections")
    var decisions = AnswerPolicy.decisions(for: offer)
    decisions[0] = .rejected
    let answer = try AnswerPolicy.builder.answer(to: offer, decisions)
    #expect(answer.sections.map { $0.attributes(named: "candidate").count } == [0, 2] + [Int](repeating: 0, count: 10))
    #expect(answer.sections.map { $0.has(.endOfCandidates) } == [false, true] + [Bool](repeating: false, count: 10))
    #expect(answer.first(SDPAttribute.Group.self)?.mids == (1..<12).map(String.init))
    #expect(try Answer(answer).taggedSection == 1)
  }

  @Test("The answer says no more than offer and decision both allow (RFC 3264 §6.1)")
  func directions() throws {
    for offered in MediaDirection.allCases {
      let offer = try Offer(parsing: MinimalOffer.text(MinimalOffer.lines + ["a=\(offered.rawValue)"]))
      for wanted in MediaDirection.allCases {
        var section = AcceptedSection(direction: wanted, codecs: CodecPreferences.forwarding.accept(offer.sections[1]))
        section.source = LocalSource(ssrc: SSRC(7), cname: "c", streamID: nil, trackID: "t")
        let answer = try AnswerPolicy.builder.answer(to: offer, [.rejected, .accepted(section)])
        let expected = MediaDirection(sends: wanted.sends && offered.receives, receives: wanted.receives && offered.sends)
        #expect(answer.sections[1].direction == expected)
        #expect(answer.sections[1].hasAttribute("ssrc") == expected.sends)
        #expect(answer.sections[1].hasAttribute("msid") == expected.sends)
      }
    }
  }

  @Test("Header extensions are answered under the offer's number with the direction turned round (RFC 8285 §6)")
  func extensions() throws {
    let video = try Fixture.offer("firefox-esr-153-simulcast").sections[1]
    #expect(
      video.extensions(supporting: [HeaderExtensionURI.rid, HeaderExtensionURI.mid, "urn:nothing"]).map(\.text)
        == ["3 urn:ietf:params:rtp-hdrext:sdes:mid", "9/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"])
  }

  @Test("Without an address among the candidates the placeholder is written (RFC 9429 §5.2.1)")
  func placeholder() throws {
    var builder = AnswerPolicy.builder
    builder.transport.candidates = []
    builder.transport.hasAllCandidates = false
    let offer = try Fixture.offer("chromium-156-sendrecv")
    let answer = try builder.answer(to: offer, AnswerPolicy.decisions(for: offer))
    #expect(answer.sections[0].port == 9)
    #expect(answer.sections[0].connection == .unspecified)
    #expect(!answer.sections[0].has(.endOfCandidates))
  }

  @Test("Decisions that do not fit the offer are refused")
  func errors() throws {
    let offer = try Fixture.offer("chromium-156-data-channel")
    let good = AnswerPolicy.decisions(for: offer)
    guard case .accepted(let video) = good[1] else { return #expect(Bool(false)) }
    func expect(_ error: AnswerError, sourceLocation: SourceLocation = #_sourceLocation, _ change: (inout AcceptedSection) -> Void) {
      var section = video
      change(&section)
      #expect(throws: error, sourceLocation: sourceLocation) {
        try AnswerPolicy.builder.answer(to: offer, [good[0], .accepted(section), good[2]])
      }
    }
    #expect(throws: AnswerError.decisionCount(1, sections: 3)) { try AnswerPolicy.builder.answer(to: offer, [good[0]]) }
    #expect(throws: AnswerError.refused(section: 2, .unsupportedKind)) {
      try AnswerPolicy.builder.answer(to: offer, [good[0], good[1], good[1]])
    }
    expect(.noCodec(section: 1)) { $0.codecs = [] }
    expect(.codecNotOffered(section: 1, 1)) { $0.codecs[0].payloadType = PayloadType(1) }
    expect(.codecNotOffered(section: 1, 2)) { $0.codecs[0].retransmission = PayloadType(2) }
    expect(.extensionNotOffered(section: 1, 4)) { $0.extensions = [SDPAttribute.ExtMap(id: 4, uri: "urn:x")] }
    expect(.encodingNotOffered(section: 1, "x")) { $0.encodings = [.init("x")] }
    expect(.unwritableText) { $0.source?.cname = "a\r\na=setup:active" }
    expect(.unwritableText) { $0.source?.cname = "" }
    expect(.unwritableText) { $0.source?.trackID = "a b" }
    expect(.unwritableText) { $0.source?.streamID = "a\nb" }
    var builder = AnswerPolicy.builder
    builder.transport.credentials.ufrag = "a\r\na=b"
    #expect(throws: AnswerError.unwritableText) { try builder.answer(to: offer, good) }
  }

  @Test("A section that is not understood is rejected with its own words (RFC 9429 §5.3.1)")
  func rejection() throws {
    let offer = try Fixture.offer("chromium-156-data-channel")
    let answer = try AnswerPolicy.answer(offer)
    #expect(answer.sections[2].mediaValue == "application 0 UDP/DTLS/SCTP webrtc-datachannel")
    #expect(answer.sections[2].lines.map(\.value) == ["IN IP4 0.0.0.0", "mid:2", "inactive"])
  }
}

@Suite("Answers of others (RFC 9429 §5.10)")
struct AnswerTests {
  @Test("Every recorded answer can be read", arguments: Fixture.answers)
  func readable(fixture: Fixture) throws {
    let answer = try Answer(parsing: try fixture.text, offerSectionCount: 2)
    #expect(!answer.weAreActive)
    #expect(answer.sections.allSatisfy { $0.refusal == nil })
    #expect(answer.transport.credentials != nil)
    #expect(!answer.transport.candidates.isEmpty)
  }

  @Test("An answer gives sources, stream and track of what we shall receive")
  func sources() throws {
    let video = try Fixture.answer("chromium-156-sendrecv").sections[1]
    #expect(video.direction == .sendrecv)
    #expect(video.primarySources.count == 1)
    #expect(video.msid?.trackID != nil)
    #expect(video.retransmission(of: video.primarySources[0].ssrc) != nil)
  }

  @Test("An answer that chooses no role, or has another number of sections, is refused")
  func errors() throws {
    #expect(throws: OfferError.unusableSetup(section: 0)) { try Answer(parsing: MinimalOffer.text()) }
    let text = MinimalOffer.replacing("a=setup:actpass", with: "a=setup:passive")
    #expect(try Answer(parsing: text).weAreActive)
    #expect(throws: OfferError.sectionCountMismatch) { try Answer(parsing: text, offerSectionCount: 3) }
  }
}
