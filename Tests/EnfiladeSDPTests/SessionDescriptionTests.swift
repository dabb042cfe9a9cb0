import EnfiladeSDP
import EnfiladeWire
import Testing

@Suite("Session descriptions (RFC 8866)")
struct SessionDescriptionTests {
  @Test("Parsing and writing gives the same bytes", arguments: Fixture.offers + Fixture.answers)
  func identity(fixture: Fixture) throws {
    let text = try fixture.text
    #expect(try SessionDescription(parsing: text).text == text)
    #expect(try SessionDescription(parsing: Array(text.utf8)).text == text)
  }

  @Test("There are fixtures to look at")
  func fixturesExist() {
    #expect(Fixture.offers.count >= 26)
    #expect(Fixture.answers.count >= 3)
  }

  @Test("Every letter of RFC 8866 §5 goes through unchanged")
  func everyLetter() throws {
    let text =
      [
        "v=0", "o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1", "s=Call to John Smith", "i=SDP Offer #1",
        "u=http://www.jdoe.example.com/home.html", "e=Jane Doe <jane@jdoe.example.com>", "p=+1 617 555-6011", "c=IN IP4 198.51.100.1",
        "b=AS:512", "b=X-YZ:128", "t=0 0", "t=3034423619 3042462419", "r=604800 3600 0 90000", "z=2882844526 -1h 2898848070 0",
        "k=prompt", "a=recvonly", "m=audio 49170 RTP/AVP 0", "i=left", "c=IN IP6 2001:db8::1/3", "b=TIAS:64000", "k=clear:x",
        "a=ptime:20", "m=video 49180/2 RTP/AVP 99 100", "a=rtpmap:99 h263-1998/90000",
      ].map { $0 + "\r\n" }.joined()
    let description = try SessionDescription(parsing: text)
    #expect(description.text == text)
    #expect(description.origin?.username == "jdoe")
    #expect(description.name == "Call to John Smith")
    #expect(description.connection?.address == "198.51.100.1")
    #expect(description.bandwidths.map(\.bitrate) == [.kilobitsPerSecond(512), nil])
    #expect(description.sections[0].bandwidths.first?.bitrate == .kilobitsPerSecond(64))
    #expect(description.sections[0].connection?.addressType == "IP6")
    #expect(description.sections[1].portCount == 2)
    #expect(description.sections[1].formats == ["99", "100"])
    #expect(description.lineNumber(ofSection: 0) == 17)
    #expect(description.lineNumber(ofSection: 1) == 23)
  }

  @Test("Lines may end with LF alone, and the last line may have no end", arguments: ["\n", "\r\n"])
  func lineEnds(end: String) throws {
    let lines = MinimalOffer.lines
    let description = try SessionDescription(parsing: lines.joined(separator: end))
    #expect(description.text == MinimalOffer.text())
    #expect(try SessionDescription(parsing: lines.joined(separator: end) + end + end).text == MinimalOffer.text())
  }

  struct Wrong: CustomTestStringConvertible, Sendable {
    var text: String
    var line: Int
    var reason: SDPError.Reason
    var testDescription: String { "\(reason) in line \(line)" }

    init(_ lines: [String], _ line: Int, _ reason: SDPError.Reason) {
      text = lines.map { $0 + "\r\n" }.joined()
      self.line = line
      self.reason = reason
    }

    static let head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    static let all: [Wrong] = [
      Wrong([], 0, .empty),
      Wrong([""], 0, .empty),
      Wrong(["v=1"] + head.dropFirst(), 1, .unsupportedVersion),
      Wrong(["v=0", "o=- 1 1 IN IP4", "s=-", "t=0 0"], 2, .malformedOrigin),
      Wrong(["v=0", "o=- x 1 IN IP4 h", "s=-", "t=0 0"], 2, .malformedOrigin),
      Wrong(["v=0", "o=-  1 1 IN IP4 h", "s=-", "t=0 0"], 2, .malformedOrigin),
      Wrong(["v=0", "s=-", "o=- 1 1 IN IP4 h", "t=0 0"], 2, .outOfOrder),
      Wrong(["o=- 1 1 IN IP4 h", "s=-", "t=0 0"], 1, .outOfOrder),
      Wrong(["v=0", "o=- 1 1 IN IP4 h", "s=-"], 3, .incomplete),
      Wrong(["v=0"], 1, .incomplete),
      Wrong(["i=x", "t=0 0"], 2, .incomplete),
      Wrong(["v=0", "o=- 1 1 IN IP4 h", "s=-", "a=x", "t=0 0"], 4, .outOfOrder),
      Wrong(head + ["s=-"], 5, .outOfOrder),
      Wrong(head + ["c=IN IP4 h"], 5, .outOfOrder),
      Wrong(head + ["k=x", "k=x"], 6, .outOfOrder),
      Wrong(head + ["k=x", "t=0 0"], 6, .outOfOrder),
      Wrong(head + ["m=audio 9 RTP/AVP 0", "t=0 0"], 6, .outOfOrder),
      Wrong(head + ["x=1"], 5, .unknownType),
      Wrong(head + ["A=1"], 5, .unknownType),
      Wrong(head + ["a"], 5, .notALine),
      Wrong(head + ["aa=1"], 5, .notALine),
      Wrong(head + ["=1"], 5, .notALine),
      Wrong(head + ["é=1"], 5, .notALine),
      Wrong(head + ["", "a=x"], 5, .notALine),
      Wrong(head + ["a="], 5, .emptyValue),
      Wrong(head + ["a= x"], 5, .notALine),
      Wrong(head + ["a=x:"], 5, .malformedAttribute("x")),
      Wrong(head + ["a=\u{301}:x"], 5, .notALine),
      Wrong(head + ["a=x:\0"], 5, .controlCharacter),
      Wrong(head + ["a=x\r:y"], 5, .controlCharacter),
      Wrong(["v=0", "o=- 1 1 IN IP4 h", "s=-", "c=IN IP4", "t=0 0"], 4, .malformedConnection),
      Wrong(["v=0", "o=- 1 1 IN IP4 h", "s=-", "b=AS", "t=0 0"], 4, .malformedBandwidth),
      Wrong(["v=0", "o=- 1 1 IN IP4 h", "s=-", "b=AS:-1", "t=0 0"], 4, .malformedBandwidth),
      Wrong(["v=0", "o=- 1 1 IN IP4 h", "s=-", "t=0"], 4, .malformedTiming),
      Wrong(["v=0", "o=- 1 1 IN IP4 h", "s=-", "u=", "t=0 0"], 4, .emptyValue),
      Wrong(head + ["m=audio 9 RTP/AVP"], 5, .malformedMedia),
      Wrong(head + ["m=audio x RTP/AVP 0"], 5, .malformedMedia),
      Wrong(head + ["m=audio 65536 RTP/AVP 0"], 5, .malformedMedia),
      Wrong(head + ["m=audio +9 RTP/AVP 0"], 5, .malformedMedia),
      Wrong(head + ["m=audio 9/0 RTP/AVP 0"], 5, .malformedMedia),
      Wrong(head + ["m=audio 9 RTP//AVP 0"], 5, .malformedMedia),
      Wrong(head + ["m=audio 9 RTP/AVP 0 "], 5, .malformedMedia),
    ]
  }

  @Test("What is wrong is named with its line", arguments: Wrong.all)
  func wrong(_ wrong: Wrong) {
    #expect(throws: SDPError(line: wrong.line, reason: wrong.reason)) { try SessionDescription(parsing: wrong.text) }
  }

  @Test("Bytes that are not UTF-8 are refused with their line")
  func notUTF8() {
    let bytes = Array(MinimalOffer.text(MinimalOffer.session).utf8) + Array("a=x:".utf8) + [0xFF, 0x0D, 0x0A]
    #expect(throws: SDPError(line: 5, reason: .notUTF8)) { try SessionDescription(parsing: bytes) }
  }

  @Test("Every bound has its own error")
  func bounds() {
    let text = MinimalOffer.text()
    func reason(_ change: (inout SDPLimits) -> Void) -> SDPError.Reason? {
      var limits = SDPLimits()
      change(&limits)
      do throws(SDPError) {
        _ = try SessionDescription(parsing: text, limits: limits)
        return nil
      } catch {
        return error.reason
      }
    }
    #expect(reason { _ in } == nil)
    #expect(reason { $0.byteCount = text.utf8.count } == nil)
    #expect(reason { $0.byteCount = text.utf8.count - 1 } == .tooManyBytes)
    #expect(reason { $0.lineCount = MinimalOffer.lines.count } == nil)
    #expect(reason { $0.lineCount = MinimalOffer.lines.count - 1 } == .tooManyLines)
    #expect(reason { $0.lineByteCount = 40 } == .lineTooLong)
    #expect(reason { $0.sectionCount = 2 } == nil)
    #expect(reason { $0.sectionCount = 1 } == .tooManySections)
    #expect(reason { $0.attributeCount = 7 } == nil)
    #expect(reason { $0.attributeCount = 6 } == .tooManyAttributes)
    #expect(reason { $0.attributeCount = 0 } == .tooManyAttributes)
    #expect(throws: SDPError(line: 0, reason: .tooManyBytes)) {
      try SessionDescription(parsing: [UInt8](repeating: 0xFF, count: SDPLimits.standard.byteCount + 1))
    }
  }

  @Test("Attributes are found by name, and typed ones by type")
  func attributes() throws {
    let description = try SessionDescription(parsing: MinimalOffer.text())
    #expect(description.attribute(named: "group")?.value == "BUNDLE 0 1")
    #expect(description.attribute(named: "mid") == nil)
    #expect(description.first(SDPAttribute.Group.self) == SDPAttribute.Group(semantics: "BUNDLE", mids: ["0", "1"]))
    #expect(description.sections[1].first(SDPAttribute.MID.self)?.mid == "1")
    #expect(description.sections[0].has(.rtcpMux))
    #expect(!description.sections[0].has(.bundleOnly))
    #expect(description.sections[0].direction == nil)
    #expect(description.sections[0].all(SDPAttribute.RTPMap.self).map(\.encodingName) == ["opus"])
  }
}
