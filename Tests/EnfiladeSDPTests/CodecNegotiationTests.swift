import EnfiladeSDP
import EnfiladeWire
import Testing

@Suite("Codec negotiation")
struct CodecNegotiationTests {
  /// A section with these lines beside its transport.
  private func section(_ kind: String, _ formats: String, _ lines: [String]) throws -> MediaSection {
    let text = MinimalOffer.text(
      MinimalOffer.session + ["m=\(kind) 9 UDP/TLS/RTP/SAVPF \(formats)", "a=mid:0", "a=rtcp-mux"] + MinimalOffer.transport + lines)
    return try Offer(parsing: text).sections[0]
  }

  private func names(_ codecs: [AcceptedCodec]) -> [String] { codecs.map { "\($0.payloadType.rawValue) \($0.name)" } }

  @Test("Our order counts, and the offer's numbers (RFC 3264 §6.1)")
  func chromiumVideo() throws {
    let accepted = CodecPreferences.forwarding.accept(try Fixture.offer("chromium-156-sendrecv").sections[1])
    #expect(names(accepted) == ["96 vp8", "98 vp9", "108 h264", "102 h264", "116 h264", "114 h264", "45 av1", "100 vp9"])
    #expect(accepted.map(\.retransmission?.rawValue) == [97, 99, 109, 103, 117, 115, 46, 101])
    #expect(accepted[0].parameters.isEmpty)
    #expect(accepted[2].parameters.text == "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
    #expect(accepted[1].parameters.text == "profile-id=0")
    #expect(accepted[6].parameters.text == "level-idx=5;profile=0;tier=0")
    #expect(accepted.allSatisfy { $0.feedback.map(\.text) == ["transport-cc", "ccm fir", "nack", "nack pli"] })
  }

  @Test("Audio: Opus first, RED with what it carries, events on each clock")
  func chromiumAudio() throws {
    let accepted = CodecPreferences.forwarding.accept(try Fixture.offer("chromium-156-sendrecv").sections[0])
    #expect(names(accepted) == ["111 opus", "63 red", "0 pcmu", "8 pcma", "110 telephoneEvent", "126 telephoneEvent"])
    #expect(accepted[0].parameters.text == "minptime=10;useinbandfec=1")
    #expect(accepted[1].parameters.text == "111/111")
    #expect(accepted[4].clockRate == 48_000)
    #expect(accepted[0].feedback == [.transportWide])
  }

  @Test("RED falls with the format that it carries (RFC 2198 §5)")
  func redAlone() throws {
    let preferences = CodecPreferences(capabilities: [CodecCapability(.red), CodecCapability(.pcmu)])
    #expect(names(preferences.accept(try Fixture.offer("chromium-156-sendrecv").sections[0])) == ["0 pcmu"])
  }

  @Test("A codec that is not in the table is not taken")
  func pruned() throws {
    let preferences = CodecPreferences(capabilities: [CodecCapability(.vp8, takesRetransmission: false)], feedback: [.pictureLoss])
    let accepted = preferences.accept(try Fixture.offer("chromium-156-sendrecv").sections[1])
    #expect(names(accepted) == ["96 vp8"])
    #expect(accepted[0].retransmission == nil)
    #expect(accepted[0].feedback == [.pictureLoss])
    #expect(preferences.accept(try Fixture.offer("chromium-156-sendrecv").sections[0]).isEmpty)
  }

  @Test("goog-remb is taken only when asked for")
  func receiverEstimate() throws {
    var preferences = CodecPreferences.forwarding
    let video = try Fixture.offer("aiortc-1.16-sendrecv").sections[1]
    #expect(preferences.accept(video)[0].feedback == [.nack, .pictureLoss])
    preferences.takesReceiverEstimate = true
    #expect(preferences.accept(video)[0].feedback == [.nack, .pictureLoss, .receiverEstimate])
  }

  @Test(
    "profile-level-id names a profile by its constraint bits (RFC 6184 §8.1, table 5)",
    arguments: [
      ("42e01f", H264Profile.constrainedBaseline, 31), ("42c01f", .constrainedBaseline, 31), ("42401f", .constrainedBaseline, 31),
      ("4d801f", .constrainedBaseline, 31), ("58c01f", .constrainedBaseline, 31), ("42001f", .baseline, 31), ("42801e", .baseline, 30),
      ("588014", .baseline, 20), ("4d001f", .main, 31), ("4D4028", .main, 40), ("58001f", .extended, 31), ("640c1f", .constrainedHigh, 31),
      ("64001f", .high, 31), ("640034", .high, 52), ("f4001f", .predictiveHigh444, 31), (nil, .baseline, 10),
    ] as [(String?, H264Profile, UInt8)])
  func profiles(text: String?, profile: H264Profile, level: UInt8) {
    #expect(H264ProfileLevel(text)?.profile == profile)
    #expect(H264ProfileLevel(text)?.level == level)
  }

  @Test("What is no profile is refused", arguments: ["", "42e0", "42e01f0", "42e01g", "42e11f", "640f1f", "00001f", "4é01f"])
  func notProfiles(text: String) { #expect(H264ProfileLevel(text) == nil) }

  @Test("H.264 matches by profile and packetization-mode, and the level is the offer's (RFC 6184 §8.2.2)")
  func h264() throws {
    let section = try section(
      "video", "96 97 98 99 100",
      [
        "a=rtpmap:96 H264/90000",  // no parameters: Baseline 1, mode 0
        "a=rtpmap:97 H264/90000", "a=fmtp:97 packetization-mode=2;profile-level-id=42e01f",
        "a=rtpmap:98 h264/90000", "a=fmtp:98 profile-level-id=42c028; packetization-mode=1; sprop-parameter-sets=Z0,aM",
        "a=rtpmap:99 H264/90000", "a=fmtp:99 packetization-mode=0;profile-level-id=42e01f;level-asymmetry-allowed=1",
        "a=rtpmap:100 H264/90000", "a=fmtp:100 packetization-mode=1;profile-level-id=zzzzzz",
      ])
    let accepted = CodecPreferences.forwarding.accept(section)
    #expect(names(accepted) == ["98 h264", "99 h264"])
    #expect(accepted[0].parameters.text == "packetization-mode=1;profile-level-id=42c028")
    #expect(accepted[1].parameters.text == "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f")
    #expect(accepted[1].profile == .h264(.constrainedBaseline, packetizationMode: 0))
  }

  @Test("Without a parameter VP9 and AV1 are of profile 0; another profile needs its line in the table")
  func videoProfiles() throws {
    let section = try section(
      "video", "96 97 98 99",
      [
        "a=rtpmap:96 VP9/90000", "a=rtpmap:97 VP9/90000", "a=fmtp:97 profile-id=1", "a=rtpmap:98 AV1/90000", "a=rtpmap:99 AV1/90000",
        "a=fmtp:99 profile=1",
      ])
    #expect(names(CodecPreferences.forwarding.accept(section)) == ["96 vp9", "98 av1"])
  }

  @Test(
    "Opus answers stereo with stereo, and says what we like to receive (RFC 7587 §6.1)",
    arguments: [
      ("minptime=10;useinbandfec=1", "minptime=10;useinbandfec=1"), ("stereo=1", "useinbandfec=1;stereo=1"),
      ("sprop-stereo=1;maxaveragebitrate=1", "useinbandfec=1;stereo=1"), ("stereo=0", "useinbandfec=1"),
    ])
  func opus(offered: String, answered: String) throws {
    let section = try section("audio", "111", ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 \(offered)"])
    #expect(CodecPreferences.forwarding.accept(section)[0].parameters.text == answered)
    var quiet = CodecPreferences.forwarding
    quiet.opus.usesInBandFEC = false
    quiet.opus.usesDTX = true
    quiet.opus.echoesStereo = false
    #expect(quiet.accept(section)[0].parameters.parameters.last == .init("usedtx", "1"))
  }

  @Test("Opus is two channels at 48 kHz and nothing else (RFC 7587 §7)", arguments: ["opus/48000", "opus/16000/2", "opus/48000/1"])
  func notOpus(map: String) throws {
    #expect(CodecPreferences.forwarding.accept(try section("audio", "111", ["a=rtpmap:111 \(map)"])).isEmpty)
  }

  @Test("Retransmission needs its apt and its codec's clock (RFC 4588 §8.6)")
  func retransmission() throws {
    let section = try section(
      "video", "96 97 98 99",
      [
        "a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/48000", "a=fmtp:97 apt=96", "a=rtpmap:98 rtx/90000", "a=rtpmap:99 RTX/90000",
        "a=fmtp:99 rtx-time=200;apt=96",
      ])
    #expect(CodecPreferences.forwarding.accept(section).map(\.retransmission) == [PayloadType(99)])
  }

  @Test("Feedback for every payload type counts for each (RFC 4585 §4.2)")
  func wildcardFeedback() throws {
    let section = try section(
      "video", "96",
      ["a=rtpmap:96 VP8/90000", "a=rtcp-fb:* nack", "a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 nack", "a=rtcp-fb:* transport-cc"])
    #expect(CodecPreferences.forwarding.accept(section)[0].feedback.map(\.text) == ["nack pli", "nack", "transport-cc"])
  }
}
