import EnfiladeSDP
import EnfiladeWire
import Foundation
import Testing

@Suite("Descriptions that were damaged or made to harm")
struct HostileInputTests {
  static func check(_ bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) {
    if let violation = violation(ofSDP: bytes) {
      Issue.record("\(violation)\n\(String(decoding: bytes, as: UTF8.self))", sourceLocation: sourceLocation)
    }
  }

  static let victims = ["handwritten-one-section-without-mid", "handwritten-every-attribute"].map { Fixture(folder: "Offers", name: $0) }

  @Test("Cut at every length", arguments: victims + [Fixture(folder: "Offers", name: "handwritten-obs-30-whip")])
  func truncated(fixture: Fixture) throws {
    let bytes = Array(try fixture.text.utf8)
    for length in 0..<bytes.count { Self.check(Array(bytes[..<length])) }
  }

  @Test("Flipped at every bit", arguments: victims)
  func flipped(fixture: Fixture) throws {
    var bytes = Array(try fixture.text.utf8)
    for index in bytes.indices {
      for bit in 0..<8 {
        bytes[index] ^= 1 << bit
        Self.check(bytes)
        bytes[index] ^= 1 << bit
      }
    }
  }

  @Test(
    "A fragment, cut at every length and flipped at every bit", arguments: [TrickleFragmentTests.candidates, TrickleFragmentTests.restart])
  func fragments(lines: [String]) {
    var bytes = Array(lines.map { $0 + "\r\n" }.joined().utf8)
    for length in 0..<bytes.count { Self.check(Array(bytes[..<length])) }
    for index in bytes.indices {
      for bit in 0..<8 {
        bytes[index] ^= 1 << bit
        Self.check(bytes)
        bytes[index] ^= 1 << bit
      }
    }
  }

  static let corpus: [URL] = {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fuzz/Corpus/sdp")
    let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    return files.sorted { $0.path < $1.path }
  }()

  @Test("Every input that the fuzzer kept", arguments: corpus)
  func replay(file: URL) throws { Self.check([UInt8](try Data(contentsOf: file))) }

  @Test("The corpus is there")
  func corpusExists() { #expect(!Self.corpus.isEmpty) }

  @Test("The largest texts that the bounds let through are read, and refused by what is wrong with them")
  func large() throws {
    // As many sections as may be, each with one source.
    var lines = MinimalOffer.session + ["a=group:BUNDLE " + (0..<256).map(String.init).joined(separator: " ")] + MinimalOffer.transport
    for index in 0..<256 {
      lines += ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:\(index)", "a=rtpmap:96 VP8/90000", "a=rtcp-mux", "a=ssrc:\(index) cname:x"]
    }
    let offer = try Offer(parsing: MinimalOffer.text(lines))
    #expect(offer.sections.count == 256)
    #expect(try AnswerPolicy.answer(offer).sections.count == 256)
    // As many attributes as may be in one section.
    let sources = (0..<1017).map { "a=ssrc:\($0) cname:x" }
    #expect(try Offer(parsing: MinimalOffer.text(MinimalOffer.lines + sources)).sections[1].sources.count == 1017)
    #expect(throws: OfferError.syntax(SDPError(line: 1039, reason: .tooManyAttributes))) {
      try Offer(parsing: MinimalOffer.text(MinimalOffer.lines + sources + sources))
    }
  }
}
