// Why a text is not a session description (RFC 8866).

/// The line that is wrong, counted from one, and what is wrong with it.
package struct SDPError: Error, Hashable, Sendable {
  /// Counted from one; zero when the text as a whole is meant.
  package var line: Int
  package var reason: Reason

  package init(line: Int, reason: Reason) {
    self.line = line
    self.reason = reason
  }

  package enum Reason: Hashable, Sendable {
    case empty
    // Bounds.
    case tooManyBytes
    case tooManyLines
    case lineTooLong
    case tooManySections
    case tooManyAttributes
    // Lines.
    case notUTF8
    /// NUL, or a carriage return that ends no line (RFC 8866 §9, `byte-string`).
    case controlCharacter
    /// Not a letter, an equals sign and a value.
    case notALine
    /// A letter that RFC 8866 §5 does not know; such a description must be refused as a whole.
    case unknownType
    case emptyValue
    /// A line stands where RFC 8866 §5 does not allow it, or twice.
    case outOfOrder
    /// The text ends before the first `t=` line, or lacks one of `v=`, `o=`, `s=`.
    case incomplete
    // Values.
    case unsupportedVersion
    case malformedOrigin
    case malformedConnection
    case malformedBandwidth
    case malformedTiming
    case malformedMedia
    /// The attribute of that name has a value its grammar does not allow.
    case malformedAttribute(String)
  }
}

extension SDPError: CustomStringConvertible {
  package var description: String { line == 0 ? "SDP: \(reason)" : "SDP line \(line): \(reason)" }
}
