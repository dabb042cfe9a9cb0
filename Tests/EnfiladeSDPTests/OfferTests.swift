import EnfiladeSDP
import EnfiladeWire
import Testing

@Suite("Offers (RFC 9429 §5.8)")
struct OfferTests {
  @Test("Every recorded offer can be read", arguments: Fixture.offers)
  func readable(fixture: Fixture) throws {
    let offer = try Offer(parsing: try fixture.text)
    let tagged = try #require(offer.taggedSection)
    #expect(offer.sections[tagged].isBundled)
    #expect(offer.transport.credentials != nil)
    #expect(offer.transport.fingerprints.contains { $0.isTrustworthy })
    for section in offer.sections where section.refusal == nil {
      #expect(section.hasRTCPMux)
      #expect(!section.codecs.isEmpty)
    }
  }

  @Test("Chromium: a camera and a microphone")
  func chromium() throws {
    let offer = try Fixture.offer("chromium-156-sendrecv")
    #expect(offer.bundle == ["0", "1"])
    #expect(offer.answerSetup == .passive)
    #expect(offer.remote.allowsMixedExtensions)
    #expect(!offer.isICELite)
    #expect(offer.transport.iceOptions == ["trickle"])
    let (audio, video) = (offer.sections[0], offer.sections[1])
    #expect(audio.kind == .media(.audio))
    #expect(video.kind == .media(.video))
    #expect(audio.mid == "0")
    #expect(video.direction == .sendrecv)
    #expect(audio.codecs.map(\.payloadType.rawValue) == [111, 63, 9, 0, 8, 13, 110, 126])
    #expect(audio.codecs[0].channels == 2)
    #expect(audio.codecs[0].parameters["minptime"] == "10")
    let vp8 = try #require(video.codec(PayloadType(96)))
    #expect(vp8.name == .vp8)
    #expect(vp8.feedback.map(\.text) == ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"])
    #expect(video.retransmission(of: vp8)?.payloadType == PayloadType(97))
    #expect(video.hasReducedSizeRTCP)
    // One source and the one that repairs it.
    #expect(video.sources.count == 2)
    #expect(video.primarySources.count == 1)
    #expect(video.retransmission(of: video.primarySources[0].ssrc) == video.sources[1].ssrc)
    #expect(video.primarySources[0].cname == audio.primarySources[0].cname)
    #expect(video.msid?.streamID == audio.msid?.streamID)
    #expect(video.msid?.trackID != audio.msid?.trackID)
    #expect(video.extensions.first { $0.uri == HeaderExtensionURI.rid }?.id == 10)
    #expect(video.transport.candidates.count == 8)
    #expect(video.transport.candidates[0].socketAddress?.host == "127.0.0.1")
    #expect(!video.transport.hasAllCandidates)
  }

  @Test("Firefox: attributes of the session hold for the sections, and every encoding has its sources")
  func firefox() throws {
    let offer = try Fixture.offer("firefox-esr-153-simulcast")
    let video = offer.sections[1]
    #expect(video.transport.fingerprints.count == 1)
    #expect(video.transport.hasAllCandidates)
    #expect(video.direction == .sendonly)
    #expect(video.allowsMixedExtensions)
    #expect(!offer.remote.allowsMixedExtensions)
    #expect(video.sendEncodings == [.init("q"), .init("h"), .init("f")])
    #expect(video.primarySources.map(\.ssrc.rawValue) == [3_643_091_224, 3_534_301_176, 1_610_341_205])
    #expect(video.extensions.first { $0.uri == HeaderExtensionURI.rid }?.direction == .sendonly)
    #expect(video.transport.candidates.allSatisfy { $0.socketAddress == nil })
    #expect(offer.sections[0].codecs[1].encodingName == "G722")
  }

  @Test("Simulcast encodings that are not sent for now are marked (RFC 8853 §5.1)")
  func pausedEncodings() throws {
    let video = try Fixture.offer("chromium-156-simulcast-paused").sections[0]
    #expect(video.sendEncodings == [.init("q"), .init("h", isPaused: true), .init("f", isPaused: true)])
    #expect(video.sources.isEmpty)
  }

  @Test("An encoding without its rid line is void, and of alternatives the first counts (RFC 8853 §5.2)")
  func alternatives() throws {
    let lines =
      MinimalOffer.lines + [
        "a=rid:a send", "a=rid:b send", "a=rid:b send pt=96", "a=rid:c recv", "a=rid:! send", "a=simulcast:send x,b;b,a;a;c;y",
      ]
    #expect(try Offer(parsing: MinimalOffer.text(lines)).sections[1].sendEncodings == [.init("b"), .init("a")])
  }

  @Test("A section stopped by the client, a data channel, and bundled-only sections are told apart")
  func refusals() throws {
    #expect(try Fixture.offer("chromium-156-stopped-section").sections.map(\.refusal) == [nil, .offeredRejected, nil])
    #expect(try Fixture.offer("firefox-esr-153-stopped-section").sections.map(\.refusal) == [nil, .offeredRejected, nil])
    #expect(try Fixture.offer("chromium-156-data-channel").sections.map(\.refusal) == [nil, nil, .unsupportedKind])
    let bundledOnly = try Fixture.offer("firefox-esr-153-max-bundle")
    #expect(bundledOnly.sections.map(\.port) == [9, 0, 0])
    #expect(bundledOnly.sections.map(\.refusal) == [nil, nil, .unsupportedKind])
    #expect(bundledOnly.sections[2].sctpPort == 5000)
    #expect(try Fixture.offer("chromium-156-twelve-sections").sections.count == 12)
    #expect(try Fixture.offer("firefox-esr-153-twelve-sections").sections.allSatisfy { $0.refusal == nil })
  }

  @Test("A restart of ICE shows in both credentials (RFC 8839 §4.4.1.1.1)")
  func restart() throws {
    let before = try Fixture.offer("chromium-156-sendrecv").transport.credentials
    let after = try Fixture.offer("chromium-156-ice-restart").transport.credentials
    #expect(before?.ufrag != after?.ufrag)
    #expect(before?.password != after?.password)
  }

  @Test("aiortc: three fingerprints, every candidate, and only goog-remb for a receiver's word")
  func aiortc() throws {
    let offer = try Fixture.offer("aiortc-1.16-sendrecv")
    #expect(offer.transport.fingerprints.map(\.algorithm) == ["sha-256", "sha-384", "sha-512"])
    #expect(offer.transport.hasAllCandidates)
    #expect(offer.sections[1].codecs[0].feedback.map(\.text) == ["nack", "nack pli", "goog-remb"])
    #expect(!offer.sections[1].hasReducedSizeRTCP)
  }

  @Test("GStreamer: the stream and the track stand in the sources alone")
  func gstreamer() throws {
    let offer = try Fixture.offer("handwritten-gstreamer-1.22-webrtcbin-max-bundle")
    #expect(offer.bundle == ["video0", "audio1"])
    #expect(offer.sections[1].isBundleOnly)
    // "user…@host-…" is no token, so there is no stream; the section stands all the same.
    #expect(offer.sections[0].msid == nil)
    #expect(offer.sections[0].sources.count == 2)
    #expect(offer.sections[1].codecs[0].name == .opus)
  }

  @Test("A single section needs neither mid nor group, and a passive client makes us active (RFC 8842 §5.3)")
  func singleSection() throws {
    let offer = try Fixture.offer("handwritten-one-section-without-mid")
    #expect(offer.bundle == nil)
    #expect(offer.sections[0].mid == nil)
    #expect(offer.sections[0].refusal == nil)
    #expect(offer.answerSetup == .active)
    // Payload type 0 needs no rtpmap (RFC 3551 §6).
    #expect(offer.sections[0].codecs.map(\.name) == [.pcmu, .opus])
  }

  @Test(
    "We are passive unless the client insists (RFC 8842 §5.3, RFC 4145 §4)",
    arguments: [("actpass", SDPAttribute.Setup.passive), ("active", .passive), ("passive", .active), (nil, .passive)]
      as [(String?, SDPAttribute.Setup)])
  func setup(offered: String?, answered: SDPAttribute.Setup) throws {
    let text = MinimalOffer.replacing("a=setup:actpass", with: offered.map { "a=setup:\($0)" })
    #expect(try Offer(parsing: text).answerSetup == answered)
  }

  @Test("What cannot be answered is named")
  func errors() {
    func expect(_ text: String, _ error: OfferError, sourceLocation: SourceLocation = #_sourceLocation) {
      #expect(throws: error, sourceLocation: sourceLocation) { try Offer(parsing: text) }
    }
    let lines = MinimalOffer.lines
    func without(_ line: String) -> String { MinimalOffer.replacing(line, with: nil) }
    expect("", .syntax(SDPError(line: 0, reason: .empty)))
    expect(MinimalOffer.text(MinimalOffer.session), .noMediaSection)
    expect(without("a=group:BUNDLE 0 1"), .noBundle)
    expect(MinimalOffer.replacing("a=mid:1", with: "a=mid:0"), .duplicateMID("0"))
    expect(without("a=mid:1"), .unknownMIDInBundle("1"))
    expect(
      MinimalOffer.replacing("a=group:BUNDLE 0 1", with: "a=group:BUNDLE 0").replacingFirst("a=mid:1\r\n", with: ""),
      .missingMID(section: 1))
    expect(without("a=rtcp-mux"), .noRTCPMux(section: 0))
    expect(without("a=ice-pwd:0123456789abcdefghijkl"), .missingICECredentials(section: 0))
    expect(without("a=ice-ufrag:abcd"), .missingICECredentials(section: 0))
    expect(without(MinimalOffer.transport[2]), .missingFingerprint(section: 0))
    let sha1 = "a=fingerprint:sha-1 " + (0..<20).map { _ in "00" }.joined(separator: ":")
    expect(MinimalOffer.replacing(MinimalOffer.transport[2], with: sha1), .weakFingerprint(section: 0))
    expect(MinimalOffer.replacing("a=setup:actpass", with: "a=setup:holdconn"), .unusableSetup(section: 0))
    expect(
      MinimalOffer.replacing("a=setup:actpass", with: "a=setup:other"), .syntax(SDPError(line: 13, reason: .malformedAttribute("setup"))))
    expect(
      MinimalOffer.text(MinimalOffer.session + ["a=ice-ufrag:x", "a=group:BUNDLE 0 1"] + MinimalOffer.audio),
      .syntax(SDPError(line: 5, reason: .malformedAttribute("ice-ufrag"))))
    expect(
      MinimalOffer.replacing("m=audio 9 UDP/TLS/RTP/SAVPF 111", with: "m=audio 9 UDP/TLS/RTP/SAVPF opus"),
      .malformedFormat(section: 0, "opus"))
    expect(
      MinimalOffer.replacing("m=audio 9 UDP/TLS/RTP/SAVPF 111", with: "m=audio 9 UDP/TLS/RTP/SAVPF 128"),
      .malformedFormat(section: 0, "128"))
    let collision = ["m=video 9 UDP/TLS/RTP/SAVPF 111", "a=mid:1", "a=rtpmap:111 VP8/90000", "a=rtcp-mux"]
    expect(MinimalOffer.text(Array(lines.dropLast(MinimalOffer.video.count)) + collision), .payloadTypeCollision(111))
    expect(MinimalOffer.text(lines + ["a=extmap:1 urn:a", "a=extmap:1 urn:b"]), .extensionCollision(1))
    #expect(throws: Never.self) {
      try Offer(parsing: MinimalOffer.text(lines + ["a=extmap:1 urn:a", "a=extmap:4096 urn:b", "a=extmap:4096 urn:c"]))
    }
  }

  @Test("Sections may share a payload type for one codec, though its hints differ (RFC 9143 §9.1)")
  func sharedPayloadType() throws {
    let second = { (fmtp: String) in
      MinimalOffer.text(
        MinimalOffer.lines.map { $0 == "a=group:BUNDLE 0 1" ? "a=group:BUNDLE 0 1 2" : $0 } + ["a=fmtp:96 max-fs=1"]
          + ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:2", "a=rtpmap:96 vp8/90000", fmtp, "a=rtcp-mux"])
    }
    #expect(try Offer(parsing: second("a=fmtp:96 max-fs=2")).sections.count == 3)
    let profiles = second("a=fmtp:96 profile-id=2").replacingFirst("VP8", with: "VP9").replacingFirst("vp8", with: "VP9")
    #expect(throws: OfferError.payloadTypeCollision(96)) { try Offer(parsing: profiles) }
  }

  @Test("A live section outside the group is refused, not the whole offer")
  func unbundled() throws {
    let text = MinimalOffer.replacing("a=group:BUNDLE 0 1", with: "a=group:BUNDLE 0")
    #expect(try Offer(parsing: text).sections.map(\.refusal) == [nil, .notBundled])
  }

  @Test("When the first section of the group is stopped, the next describes the transport (RFC 9143 §7.2.1)")
  func taggedSection() throws {
    let text = MinimalOffer.replacing("m=audio 9 UDP/TLS/RTP/SAVPF 111", with: "m=audio 0 UDP/TLS/RTP/SAVPF 111")
    #expect(try Offer(parsing: text).taggedSection == 1)
  }

  @Test("An offer in which everything is stopped can be read")
  func allStopped() throws {
    let text = MinimalOffer.text(MinimalOffer.lines.map { $0.hasPrefix("m=") ? $0.replacingFirst(" 9 ", with: " 0 ") : $0 })
    let offer = try Offer(parsing: text)
    #expect(offer.taggedSection == nil)
    #expect(offer.sections.allSatisfy { $0.refusal == .offeredRejected })
  }

  @Test("Payload types that RTCP would be mistaken for are not taken (RFC 5761 §4)")
  func ambiguousPayloadTypes() throws {
    let lines = MinimalOffer.lines.map { $0.hasPrefix("m=video") ? "m=video 9 UDP/TLS/RTP/SAVPF 64 96 95 96" : $0 }
    let text = MinimalOffer.text(lines + ["a=rtpmap:64 VP8/90000", "a=rtpmap:95 VP8/90000"])
    #expect(try Offer(parsing: text).sections[1].codecs.map(\.payloadType.rawValue) == [96])
  }

  @Test("A candidate that is not understood is skipped (RFC 8839 §5.1)")
  func strangeCandidate() throws {
    let offer = try Offer(
      parsing: MinimalOffer.text(MinimalOffer.lines + ["a=candidate:nonsense", "a=candidate:1 1 udp 1 192.0.2.1 9 typ host"]))
    #expect(offer.sections[1].transport.candidates.count == 1)
  }
}

extension String {
  /// With the first `old` replaced by `new`.
  func replacingFirst(_ old: String, with new: String) -> String {
    guard let range = firstRange(of: old) else { return self }
    return self[..<range.lowerBound] + new + self[range.upperBound...]
  }
}
