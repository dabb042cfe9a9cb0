// Taking text apart by bytes. Never by `Character`: CR LF is one of those, and a combining mark would swallow a separator.

extension Substring {
  /// The pieces between `separator`s, empty ones included.
  func pieces(at separator: UInt8) -> [Substring] {
    utf8.split(separator: separator, omittingEmptySubsequences: false).map { Substring($0) }
  }

  /// The non-empty pieces between spaces.
  var words: [Substring] { utf8.split(separator: UInt8(ascii: " ")).map { Substring($0) } }

  /// What stands before the first `separator`, and what after it; no second half when there is none.
  func cut(at separator: UInt8) -> (head: Substring, tail: Substring?) {
    guard let index = utf8.firstIndex(of: separator) else { return (self, nil) }
    return (self[startIndex..<index], self[utf8.index(after: index)...])
  }

  /// Without spaces at both ends.
  var trimmed: Substring {
    var view = utf8
    while view.first == UInt8(ascii: " ") { view.removeFirst() }
    while view.last == UInt8(ascii: " ") { view.removeLast() }
    return Substring(view)
  }

  /// `1*DIGIT` that fits the type; no sign, no space.
  func decimal<T: FixedWidthInteger>(_: T.Type) -> T? {
    guard isDecimal, utf8.count <= 20 else { return nil }
    return T(self)
  }

  /// `1*DIGIT`.
  var isDecimal: Bool { !isEmpty && utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") } }

  /// `token` (RFC 8866 §9).
  var isToken: Bool { !isEmpty && utf8.allSatisfy(\.isTokenCharacter) }

  /// `1*ice-char` (RFC 8839 §5.1).
  var isICEText: Bool { !isEmpty && utf8.allSatisfy { $0.isAlphanumeric || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "/") } }

  /// Visible ASCII without spaces: the widest form of a single word in an attribute.
  var isVisibleWord: Bool { !isEmpty && utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } }

  /// Equal when the case of ASCII letters does not count.
  func matches(_ other: some StringProtocol) -> Bool {
    utf8.elementsEqual(other.utf8) { $0.lowercasedASCII == $1.lowercasedASCII }
  }
}

extension String {
  /// Equal when the case of ASCII letters does not count.
  func matches(_ other: some StringProtocol) -> Bool { self[...].matches(other) }

  /// Whether the text can stand in a line: `byte-string` (RFC 8866 §9), and not empty.
  var isByteString: Bool { !isEmpty && utf8.allSatisfy { $0 != 0 && $0 != 0x0A && $0 != 0x0D } }

  /// With the letters A to Z made small.
  var lowercasedASCII: String { String(decoding: utf8.map(\.lowercasedASCII), as: UTF8.self) }
}

extension UInt8 {
  var isAlphanumeric: Bool {
    (self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9"))
      || (lowercasedASCII >= UInt8(ascii: "a") && lowercasedASCII <= UInt8(ascii: "z"))
  }

  /// `token-char` (RFC 8866 §9).
  var isTokenCharacter: Bool {
    switch self {
    case 0x21, 0x23...0x27, 0x2A...0x2B, 0x2D...0x2E, 0x30...0x39, 0x41...0x5A, 0x5E...0x7E: true
    default: false
    }
  }

  var lowercasedASCII: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }

  /// The value of a hexadecimal digit.
  var hexadecimalValue: UInt8? {
    switch lowercasedASCII {
    case let digit where digit >= 0x30 && digit <= 0x39: digit - 0x30
    case let letter where letter >= 0x61 && letter <= 0x66: letter - 0x61 + 10
    default: nil
    }
  }
}
