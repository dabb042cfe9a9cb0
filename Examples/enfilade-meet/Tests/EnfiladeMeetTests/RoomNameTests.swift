// The names that come from outside: of rooms, in links; of people, as they type them.

import EnfiladeMeet
import Testing

@Test(
  "A room's name is 1 to 64 characters that need no escaping in a URL",
  arguments: [
    ("standup", true), ("a", true), ("A-b_9", true), (String(repeating: "x", count: 64), true),
    ("", false), (String(repeating: "x", count: 65), false), ("a b", false), ("a/b", false), ("ä", false), ("a%20", false), ("..", false),
  ])
func roomName(text: String, isName: Bool) {
  #expect((RoomName(text) != nil) == isName)
}

@Test(
  "A person's name is 1 to 64 readable characters, spaces trimmed",
  arguments: [
    ("Ada", "Ada"), ("  Béla Bartók ", "Béla Bartók"), ("👩‍👩‍👧‍👦 family", "👩‍👩‍👧‍👦 family"), ("<b>&\"", "<b>&\""),
    ("", nil), ("   ", nil), ("a\nb", nil), ("a\u{0}b", nil), ("a\u{2028}b", nil), (String(repeating: "x", count: 65), nil),
  ] as [(String, String?)])
func displayName(typed: String, name: String?) {
  #expect(DisplayName(typed)?.description == name)
}

@Test("One visible character made of very many others is no name")
func stackedCharacter() {
  #expect(DisplayName("e" + String(repeating: "\u{301}", count: 1000)) == nil)
}

@Test("A token is 32 hexadecimal digits, never the same twice, and matches only itself")
func token() {
  let token = Token()
  let other = Token()
  #expect(token.description.count == 32)
  #expect(token.description.allSatisfy { $0.isHexDigit })
  #expect(token.description != other.description)
  #expect(token.matches(token.description))
  #expect(!token.matches(other.description))
  #expect(!token.matches(token.description.dropLast()))
  #expect(!token.matches(""))
}
