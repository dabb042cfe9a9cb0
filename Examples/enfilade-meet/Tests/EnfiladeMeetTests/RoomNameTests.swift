import Testing

@testable import EnfiladeMeet

@Test("A room's name is 1 to 64 characters that need no escaping in a URL", arguments: [
  ("standup", true), ("a", true), ("A-b_9", true), (String(repeating: "x", count: 64), true),
  ("", false), (String(repeating: "x", count: 65), false), ("a b", false), ("a/b", false), ("ä", false), ("a%20", false), ("..", false),
])
func roomName(text: String, isName: Bool) {
  #expect((RoomName(text) != nil) == isName)
}
