// Every input that the fuzz target keeps is replayed here, against the same invariant.

import EnfiladeSTUN
import EnfiladeWire
import Foundation
import Testing

/// Whether `bytes`, if they are a message, give the same message again when built from what was read. The attributes' bytes are taken over
/// as they stand; a second pass then must give the same bytes.
func rebuildIsStable(_ bytes: [UInt8]) -> Bool {
  guard let view = STUNMessageView.parse(bytes).message else { return true }
  guard let once = rebuild(bytes, view), let again = STUNMessageView.parse(once).message else { return false }
  // FINGERPRINT and padding are made anew; all that was read must still be there.
  guard again.messageClass == view.messageClass, again.method == view.method, again.transactionID == view.transactionID,
    again.username == view.username, again.priority == view.priority, again.role == view.role, again.useCandidate == view.useCandidate,
    again.errorCode == view.errorCode, again.xorMappedAddress == view.xorMappedAddress, again.mappedAddress == view.mappedAddress,
    again.unknownRequiredCount == view.unknownRequiredCount, again.hasMessageIntegrity == view.hasMessageIntegrity,
    again.fingerprintFits(once)
  else { return false }
  return rebuild(once, again) == once
}

/// Writes every attribute but FINGERPRINT with zero padding, and a fingerprint; `nil` if that does not fit in a datagram.
private func rebuild(_ bytes: [UInt8], _ view: STUNMessageView) -> [UInt8]? {
  [UInt8].writing(capacity: 2048) { writer in
    let message = STUNComposer(view.messageClass, view.method, transactionID: view.transactionID, into: &writer)
    var cursor = STUNAttributeCursor(bytes.rawBytes)
    while let attribute = cursor.next() {
      if attribute.type != .fingerprint { message.attribute(attribute.type, attribute.value.slice(of: bytes.rawBytes), into: &writer) }
    }
    message.finish(key: nil, into: &writer)
  }
}

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
    #expect(rebuildIsStable(bytes))
  }
}
