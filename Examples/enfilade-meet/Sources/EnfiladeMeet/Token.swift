// A secret that stands for the right to act as one participant.

/// 128 random bits in hexadecimal.
///
/// Whoever holds it is the participant.
package struct Token: Sendable, CustomStringConvertible {
  package let description: String

  /// Draws a fresh token from the system's random source.
  package init() {
    var generator = SystemRandomNumberGenerator()
    description = (0..<2).map { _ in
      let digits = String(generator.next() as UInt64, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// Whether `text` is this token.
  ///
  /// Takes the same time wherever the first difference stands.
  package func matches(_ text: some StringProtocol) -> Bool { Self.isSame(description, text) }

  /// Whether two secrets are the same; takes the same time wherever the first difference stands.
  package static func isSame(_ secret: String, _ text: some StringProtocol) -> Bool {
    let mine = Array(secret.utf8)
    let theirs = Array(text.utf8)
    guard mine.count == theirs.count else { return false }
    return zip(mine, theirs).reduce(into: UInt8(0)) { difference, pair in difference |= pair.0 ^ pair.1 } == 0
  }
}
