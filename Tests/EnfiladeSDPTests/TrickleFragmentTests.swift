import EnfiladeSDP
import EnfiladeWire
import Testing

@Suite("Trickle fragments (RFC 8840 §9)")
struct TrickleFragmentTests {
  /// After RFC 9725 §4.3.2: candidates of a client.
  static let candidates = [
    "a=group:BUNDLE 0 1", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=ice-ufrag:EsAw", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1",
    "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1",
    "a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0 ufrag EsAw network-id 2", "a=end-of-candidates",
  ]
  /// After RFC 9725 §4.3.3: a restart, answered by a lite server.
  static let restart = [
    "a=ice-ufrag:289b31b754eaa438", "a=ice-pwd:0b66f472495ef0ccac7bda653ab6be49ea13114472a5d10a", "a=ice-options:trickle ice2",
    "a=ice-lite",
    "a=group:BUNDLE 0 1", "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", "a=candidate:1 1 udp 2130706431 198.51.100.1 39132 typ host",
    "a=end-of-candidates",
  ]

  @Test("A fragment is read and written with the same bytes", arguments: [candidates, restart])
  func identity(lines: [String]) throws {
    let text = lines.map { $0 + "\r\n" }.joined()
    let fragment = try TrickleFragment(parsing: text)
    #expect(fragment.text == text)
    #expect(try TrickleFragment(parsing: Array(text.utf8)) == fragment)
    #expect(try TrickleFragment(parsing: lines.joined(separator: "\n")) == fragment)
    #expect(fragment.endsCandidates)
  }

  @Test("The generation is the session's, or the first section's")
  func generation() throws {
    let first = try TrickleFragment(parsing: Self.candidates.joined(separator: "\n"))
    #expect(first.credentials == nil)
    #expect(first.effectiveCredentials == ICECredentials(ufrag: "EsAw", password: "P2uYro0UCOQ4zxjKXaWCBui1"))
    #expect(first.candidates.map(\.port) == [61764, 61765])
    #expect(first.bundle == ["0", "1"])
    let second = try TrickleFragment(parsing: Self.restart.joined(separator: "\n"))
    #expect(second.effectiveCredentials?.ufrag == "289b31b754eaa438")
    #expect(second.isICELite)
    #expect(second.iceOptions == ["trickle", "ice2"])
  }

  @Test("Our answer to a restart is built from values")
  func built() throws {
    let fragment = TrickleFragment(
      credentials: ICECredentials(ufrag: "abcd", password: "0123456789abcdefghijkl"), iceOptions: ["ice2"], isICELite: true, bundle: ["0"],
      sections: [.init(mid: "0", candidates: AnswerPolicy.transport.candidates, hasAllCandidates: true)])
    #expect(try TrickleFragment(parsing: fragment.text) == fragment)
  }

  @Test("Lines that do not belong are skipped, and candidates that are not understood")
  func tolerance() throws {
    let fragment = try TrickleFragment(
      parsing: "a=x:y\r\nc=IN IP4 0.0.0.0\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:nonsense\r\na=rtcp-mux\r\n")
    #expect(fragment.sections.count == 1)
    #expect(fragment.candidates.isEmpty)
    #expect(!fragment.endsCandidates)
    #expect(fragment.effectiveCredentials == nil)
  }

  @Test(
    "What is wrong is named with its line",
    arguments: [
      ("", 0, .empty), ("x=1", 1, .unknownType), ("a=ice-ufrag:x", 1, .malformedAttribute("ice-ufrag")),
      ("a=ice-ufrag:abcd\r\nm=audio 9 RTP/AVP 0\r\na=mid:0", 1, .malformedAttribute("ice-pwd")),
      ("m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=ice-pwd:0123456789abcdefghijkl", 1, .malformedAttribute("ice-ufrag")),
      ("a=x\r\nm=audio 9 RTP/AVP 0\r\na=end-of-candidates", 2, .malformedAttribute("mid")), ("m=audio", 1, .malformedMedia),
    ] as [(String, Int, SDPError.Reason)])
  func errors(text: String, line: Int, reason: SDPError.Reason) {
    #expect(throws: SDPError(line: line, reason: reason)) { try TrickleFragment(parsing: text) }
  }

  @Test("A fragment is bounded")
  func bounds() {
    #expect(throws: SDPError(line: 0, reason: .tooManyBytes)) { try TrickleFragment(parsing: [UInt8](repeating: 10, count: 65_537)) }
    let sections = (0...256).map { "m=audio 9 RTP/AVP 0\na=mid:\($0)\n" }.joined()
    #expect(throws: SDPError(line: 513, reason: .tooManySections)) { try TrickleFragment(parsing: sections) }
  }
}
