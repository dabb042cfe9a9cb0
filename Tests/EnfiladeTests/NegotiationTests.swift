// Offers and answers through the public face: every recorded client, and one client again and again.

import Enfilade
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Negotiation")
struct NegotiationTests {
  @Test("Every recorded offer is answered section by section", arguments: Recorded.names)
  func recorded(name: String) async throws {
    let offer = try Recorded.offer(name)
    let engine = try await loopbackEngine()
    let guest = try await engine.room("a").join(name: "guest")
    let text = try await guest.answer(offer: offer)
    let parsed = try Offer(parsing: offer)
    let answer = try Answer(parsing: text, offerSectionCount: parsed.sections.count)
    #expect(answer.isICELite)
    #expect(answer.transport.candidates.count == 1)
    #expect(answer.transport.hasAllCandidates)
    for (offered, answered) in zip(parsed.sections, answer.sections) {
      if !answered.isRejected { #expect(offered.mid == answered.mid) }
      // A sending section has an SSRC of ours, and the answer never sends what was not asked for.
      #expect(!answered.direction.sends || offered.direction.receives)
      #expect(!answered.direction.receives || offered.direction.sends)
      if answered.direction.sends, !answered.isRejected { #expect(answered.primarySources.count == 1) }
      for codec in answered.codecs { #expect(offered.codecs.contains { $0.payloadType == codec.payloadType }) }
    }
    await engine.shutdown()
  }

  /// A client with an answered offer of these sections.
  private static func guest(
    _ sections: [(EnfiladeWire.MediaKind, MediaDirection)]
  ) async throws -> (engine: Engine, guest: Participant, client: TestClient) {
    let engine = try await loopbackEngine()
    let guest = try await engine.room("a").join(name: "guest")
    let client = try TestClient(name: "guest")
    for (kind, direction) in sections { client.addSection(kind, direction) }
    return (engine, guest, client)
  }

  @Test("The same offer again gets the same credentials and sources, in a newer version")
  func again() async throws {
    let (engine, guest, client) = try await Self.guest([(.audio, .sendrecv), (.video, .sendrecv)])
    let first = try await guest.answer(offer: try client.offer())
    let second = try await guest.answer(offer: try client.offer())
    for line in ["a=ice-ufrag:", "a=ice-pwd:", "a=ssrc:", "a=msid:", "a=mid:", "a=fingerprint:", "a=candidate:"] {
      #expect(first.values(line) == second.values(line), "\(line)")
    }
    let (one, two) = (try Answer(parsing: first), try Answer(parsing: second))
    #expect(one.origin.sessionID == two.origin.sessionID)
    let (older, newer) = (try #require(UInt64(one.origin.sessionVersion)), try #require(UInt64(two.origin.sessionVersion)))
    #expect(older + 1 == newer)
    await engine.shutdown()
  }

  @Test("More sections keep what the earlier ones were")
  func moreSections() async throws {
    let (engine, guest, client) = try await Self.guest([(.audio, .sendrecv)])
    let first = try Answer(parsing: try await guest.answer(offer: try client.offer()))
    client.addSection(.video, .recvonly)
    client.addSection(.video, .recvonly)
    client.addSection(.audio, .sendonly)
    let second = try Answer(parsing: try await guest.answer(offer: try client.offer()), offerSectionCount: 4)
    #expect(second.sections[0].primarySources == first.sections[0].primarySources)
    #expect(second.sections.map(\.direction) == [.sendrecv, .sendonly, .sendonly, .recvonly])
    let sources = second.sections.flatMap { $0.primarySources.map(\.ssrc) }
    #expect(Set(sources).count == 3)
    // Repair for pictures, none for sound.
    #expect(second.sections[1].retransmission(of: sources[1]) != nil)
    #expect(second.sections[0].retransmission(of: sources[0]) == nil)
    await engine.shutdown()
  }

  @Test("A section follows its direction, and has its source again when it comes back", arguments: MediaDirection.allCases)
  func directions(direction: MediaDirection) async throws {
    let (engine, guest, client) = try await Self.guest([(.audio, .sendrecv), (.video, .sendrecv)])
    _ = try await guest.answer(offer: try client.offer())
    client.setDirection(direction, of: "1")
    let changed = try Answer(parsing: try await guest.answer(offer: try client.offer()))
    #expect(changed.sections[1].direction == direction.reversed)
    #expect(changed.sections[0].direction == .sendrecv)
    client.setDirection(.sendrecv, of: "1")
    let back = try Answer(parsing: try await guest.answer(offer: try client.offer()))
    #expect(back.sections[1].direction == .sendrecv)
    #expect(back.sections[1].primarySources.count == 1)
    await engine.shutdown()
  }

  @Test("New credentials in an offer restart ICE; the same ones do not")
  func restartByOffer() async throws {
    let (engine, guest, client) = try await Self.guest([(.audio, .sendrecv)])
    let first = try Answer(parsing: try await guest.answer(offer: try client.offer()))
    client.restartICE()
    let second = try Answer(parsing: try await guest.answer(offer: try client.offer()))
    #expect(first.transport.credentials != second.transport.credentials)
    #expect(first.sections[0].primarySources == second.sections[0].primarySources)
    let third = try Answer(parsing: try await guest.answer(offer: try client.offer()))
    #expect(second.transport.credentials == third.transport.credentials)
    await engine.shutdown()
  }

  @Test("New credentials in a fragment restart ICE, and the next offer with them does not restart it again")
  func restartByFragment() async throws {
    let (engine, guest, client) = try await Self.guest([(.audio, .sendrecv)])
    let first = try Answer(parsing: try await guest.answer(offer: try client.offer()))
    client.restartICE()
    let text = try await guest.restartICE(
      fragment: "a=ice-ufrag:\(client.ufrag)\r\na=ice-pwd:\(client.password)\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n")
    let fragment = try TrickleFragment(parsing: text)
    #expect(fragment.effectiveCredentials != nil)
    #expect(fragment.effectiveCredentials != first.transport.credentials)
    let second = try Answer(parsing: try await guest.answer(offer: try client.offer()))
    #expect(second.transport.credentials == fragment.effectiveCredentials)
    await engine.shutdown()
  }

  @Test("Who subscribes to nobody is sent nothing, whatever it offers")
  func publisherOnly() async throws {
    let engine = try await loopbackEngine()
    let guest = try await engine.room("a").join(name: "guest", subscribing: .nobody)
    let client = try TestClient(name: "guest")
    client.addSection(.audio, .sendrecv)
    client.addSection(.video, .recvonly)
    let answer = try Answer(parsing: try await guest.answer(offer: try client.offer()))
    #expect(answer.sections.map(\.direction) == [.recvonly, .inactive])
    await engine.shutdown()
  }

  /// The extensions that are agreed on with whom sends, and with whom receives.
  private static let extensions: (received: [String], sent: [String]) = {
    let hops = [
      "urn:ietf:params:rtp-hdrext:sdes:mid", "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
      "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time", "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
      "urn:3gpp:video-orientation", "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
      "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    ]
    let upstream = [
      "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
      "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
      "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00", "urn:ietf:params:rtp-hdrext:framemarking",
    ]
    return (hops + upstream, hops)
  }()

  @Test(
    "Every header extension that we know is agreed on, under the client's numbers, small or large",
    arguments: [MediaDirection.sendrecv, .sendonly, .recvonly], [1, 33] as [UInt16])
  func headerExtensions(direction: MediaDirection, first: UInt16) async throws {
    let (engine, guest, client) = try await Self.guest([(.video, direction)])
    let all = Self.extensions.received + ["urn:example:something-else"]
    var lines = try client.offer().split(separator: "\r\n", omittingEmptySubsequences: true).map(String.init)
    lines.removeAll { $0.hasPrefix("a=extmap:") }
    lines += all.enumerated().map { "a=extmap:\(first + UInt16($0)) \($1)" }
    let text = try await guest.answer(offer: lines.joined(separator: "\r\n") + "\r\n")
    let answer = try Answer(parsing: text, offerSectionCount: 1)
    let agreed = Dictionary(uniqueKeysWithValues: answer.sections[0].extensions.map { ($0.uri, $0.id) })
    for (place, uri) in all.enumerated() {
      let isAgreed =
        (direction.sends && Self.extensions.received.contains(uri)) || (direction.receives && Self.extensions.sent.contains(uri))
      // Transport-wide numbers are agreed on with receivers where their downlink is controlled.
      if uri.contains("transport-wide"), !direction.sends { continue }
      #expect(agreed[uri] == (isAgreed ? first + UInt16(place) : nil), "\(uri)")
    }
    await engine.shutdown()
  }
}
