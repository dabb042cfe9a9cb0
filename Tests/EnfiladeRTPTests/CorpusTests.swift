// Every input that a fuzzer of this module has kept, replayed.

import EnfiladeWire
import Foundation
import Testing

@Suite("Fuzzing corpus")
struct CorpusTests {
  static func inputs(_ name: String) throws -> [(name: String, bytes: [UInt8])] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fuzz/Corpus/\(name)").standardized
    return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .sorted { $0.path < $1.path }
      .map { ($0.lastPathComponent, [UInt8](try Data(contentsOf: $0))) }
  }

  @Test("Every input kept by the RTP fuzzer holds what must hold, whole and truncated")
  func rtp() throws {
    let inputs = try Self.inputs("rtp")
    #expect(inputs.count >= 10)
    for (name, bytes) in inputs {
      #expect(violation(ofRTP: bytes.rawBytes) == nil, "\(name)")
      for short in truncations(bytes) { #expect(violation(ofRTP: short.rawBytes) == nil, "\(name)") }
    }
  }

  @Test("Every input kept by the RTCP fuzzer holds what must hold, whole and truncated")
  func rtcp() throws {
    let inputs = try Self.inputs("rtcp")
    #expect(inputs.count >= 10)
    for (name, bytes) in inputs {
      #expect(violation(ofRTCP: bytes.rawBytes) == nil, "\(name)")
      for short in truncations(bytes) { #expect(violation(ofRTCP: short.rawBytes) == nil, "\(name)") }
    }
  }
}
