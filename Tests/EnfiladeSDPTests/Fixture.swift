// The recorded descriptions, and a small offer to bend.

import EnfiladeSDP
import Foundation
import Testing

/// One file of `Fixtures`.
struct Fixture: CustomTestStringConvertible, Sendable {
  var folder: String
  var name: String

  var testDescription: String { "\(folder)/\(name)" }
  var url: URL { Self.root.appending(path: "\(folder)/\(name).sdp") }
  var text: String { get throws { String(decoding: try Data(contentsOf: url), as: UTF8.self) } }

  static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

  static func all(_ folder: String) -> [Fixture] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: root.appending(path: folder).path)) ?? []
    return files.filter { $0.hasSuffix(".sdp") }.sorted().map { Fixture(folder: folder, name: String($0.dropLast(4))) }
  }

  static let offers = all("Offers")
  static let answers = all("Answers")

  static func offer(_ name: String) throws -> Offer { try Offer(parsing: try Fixture(folder: "Offers", name: name).text) }
  static func answer(_ name: String) throws -> Answer { try Answer(parsing: try Fixture(folder: "Answers", name: name).text) }
}

/// A small offer to bend: one audio and one video section, every line on its own.
enum MinimalOffer {
  static let session = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
  static let transport = [
    "a=ice-ufrag:abcd", "a=ice-pwd:0123456789abcdefghijkl",
    "a=fingerprint:sha-256 " + (0..<32).map { _ in "AB" }.joined(separator: ":"), "a=setup:actpass",
  ]
  static let audio = ["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=rtpmap:111 opus/48000/2", "a=rtcp-mux"] + transport
  static let video = ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=rtpmap:96 VP8/90000", "a=rtcp-mux"] + transport
  static let lines = session + ["a=group:BUNDLE 0 1"] + audio + video

  static func text(_ lines: [String] = lines) -> String { lines.map { $0 + "\r\n" }.joined() }

  /// The offer with every line that is `old` replaced, or left out.
  static func replacing(_ old: String, with new: String?) -> String { text(lines.flatMap { $0 == old ? [new].compactMap { $0 } : [$0] }) }
}
