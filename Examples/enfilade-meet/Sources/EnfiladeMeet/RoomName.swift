// The name of a room as it stands in a link: short, and made only of characters that need no escaping in a URL (RFC 3986 §2.3).

/// A room's name: 1 to 64 letters, digits, hyphens or underscores.
package struct RoomName: LosslessStringConvertible, Hashable, Sendable {
  package static let maximumLength = 64

  package let description: String

  package init?(_ description: String) {
    guard (1...Self.maximumLength).contains(description.utf8.count) else { return nil }
    let isAllowed = description.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "-"), UInt8(ascii: "_"): true
      default: false
      }
    }
    guard isAllowed else { return nil }
    self.description = description
  }
}
