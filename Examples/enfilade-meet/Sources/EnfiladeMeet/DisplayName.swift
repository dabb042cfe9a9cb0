// The name that a person types when joining, as the others will read it.

/// A participant's name: 1 to 64 characters without line breaks and other controls, spaces trimmed.
package struct DisplayName: LosslessStringConvertible, Sendable {
  package static let maximumLength = 64

  package let description: String

  package init?(_ typed: String) {
    var name = Substring(typed)
    while let first = name.first, first.isWhitespace { name.removeFirst() }
    while let last = name.last, last.isWhitespace { name.removeLast() }
    guard (1...Self.maximumLength).contains(name.count), name.utf8.count <= 4 * Self.maximumLength else { return nil }
    let isReadable = name.unicodeScalars.allSatisfy { scalar in
      switch scalar.properties.generalCategory {
      case .control, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
      default: true
      }
    }
    guard isReadable else { return nil }
    description = String(name)
  }
}
