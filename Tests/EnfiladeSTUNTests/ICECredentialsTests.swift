// What may be a username fragment and a password.

import EnfiladeSTUN
import EnfiladeWire
import Testing

@Suite struct ICECredentialsTests {
  @Test("Our own credentials have eight and twenty-four ice-chars, differ each time, and are what RFC 8839 §5.4 allows")
  func made() throws {
    var random = SeededRandom(seed: 7)
    var seen: Set<[UInt8]> = []
    for _ in 0..<1_000 {
      let credentials = ICECredentials.make(using: &random)
      #expect(credentials.ufrag.count == 8 && credentials.password.count == 24)
      #expect(ICECredentials(ufrag: credentials.ufragText, password: credentials.passwordText) == credentials)
      #expect(credentials.ufragKey != nil)
      seen.insert(credentials.ufrag)
    }
    #expect(seen.count == 1_000)
  }

  @Test(
    "Lengths and characters outside RFC 8839 §5.4 are refused",
    arguments: [
      ("abc", String(repeating: "p", count: 22), false),
      ("abcd", String(repeating: "p", count: 22), true),
      (String(repeating: "u", count: 256), String(repeating: "p", count: 256), true),
      (String(repeating: "u", count: 257), String(repeating: "p", count: 22), false),
      ("abcd", String(repeating: "p", count: 21), false),
      ("abcd", String(repeating: "p", count: 257), false),
      ("ab:d", String(repeating: "p", count: 22), false),
      ("ab+/", String(repeating: "p", count: 22), true),
      ("äöüß", String(repeating: "p", count: 22), false),
      ("abcd", String(repeating: " ", count: 22), false),
    ])
  func limits(ufrag: String, password: String, isAllowed: Bool) {
    #expect((ICECredentials(ufrag: ufrag, password: password) != nil) == isAllowed)
  }

  @Test("Only a ufrag of eight bytes has a key")
  func ufragKey() throws {
    #expect(UfragKey([UInt8](repeating: 65, count: 7).rawBytes) == nil)
    #expect(UfragKey([UInt8](repeating: 65, count: 9).rawBytes) == nil)
    #expect(UfragKey([UInt8](repeating: 65, count: 8).rawBytes)?.rawValue == 0x4141_4141_4141_4141)
  }
}
