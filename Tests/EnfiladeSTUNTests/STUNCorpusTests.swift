// Every input that the fuzz target keeps is replayed here, against the same invariant.

import EnfiladeWire
import Foundation
import Testing

@Suite struct STUNCorpusTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fuzz/Corpus/stun").standardized

  private static let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?.sorted() ?? []

  @Test("The corpus is there")
  func corpus() {
    #expect(Self.files.count >= 10)
  }

  @Test("A kept fuzz input traps nowhere and survives being built again", arguments: files)
  func replay(name: String) throws {
    let bytes = [UInt8](try Data(contentsOf: Self.folder.appending(path: name)))
    let violation = violation(ofSTUN: bytes.rawBytes)
    #expect(violation == nil)
  }
}
