// A whole description (RFC 8866): the session's lines, then the media sections. Nothing is lost between text and value.

/// A parsed or built description. ``text`` gives back the bytes that were parsed, if their lines ended with CR LF.
package struct SessionDescription: AttributeContainer, Hashable, Sendable {
  /// The session-level lines, `v=` first.
  package private(set) var lines: [SDPLine]
  package var sections: [MediaDescription]

  /// Lines whose order and grammar the caller has checked.
  init(checkedLines lines: [SDPLine], sections: [MediaDescription]) {
    self.lines = lines
    self.sections = sections
  }

  /// A description of our own: version, origin, an empty name and an unbounded time (RFC 9429 §5.2.1), then `attributes`.
  package init(origin: Origin, attributes: [SDPLine], sections: [MediaDescription]) {
    lines =
      [SDPLine(.version, "0"), SDPLine(.origin, origin.text), SDPLine(.sessionName, "-"), SDPLine(.timing, "0 0")]
      + attributes.filter { $0.type == .attribute }
    self.sections = sections
  }

  /// `o=` (RFC 8866 §5.2).
  package var origin: Origin? { lines.first { $0.type == .origin }.flatMap { Origin(parsing: $0.value) } }
  /// `s=` (RFC 8866 §5.3).
  package var name: Substring { lines.first { $0.type == .sessionName }?.value ?? "" }
  /// `c=` (RFC 8866 §5.7).
  package var connection: ConnectionData? { lines.first { $0.type == .connection }.flatMap { ConnectionData(parsing: $0.value) } }
  /// `b=` (RFC 8866 §5.8).
  package var bandwidths: [Bandwidth] { lines.filter { $0.type == .bandwidth }.compactMap { Bandwidth(parsing: $0.value) } }

  /// The number of the first line of section `index`, counted from one: its `m=` line.
  package func lineNumber(ofSection index: Int) -> Int {
    sections[..<index].reduce(lines.count + 1) { $0 + $1.lines.count + 1 }
  }

  /// The text, each line ended by CR LF.
  package var text: String {
    var text = ""
    for line in lines { text.append(line) }
    for section in sections {
      text.append(SDPLine(.media, section.mediaValue))
      for line in section.lines { text.append(line) }
    }
    return text
  }
}

extension String {
  fileprivate mutating func append(_ line: SDPLine) {
    unicodeScalars.append(Unicode.Scalar(line.type.rawValue))
    append("=")
    append(contentsOf: line.value)
    append("\r\n")
  }
}
