// One line of a description: a letter and a value (RFC 8866 §5).

/// The letters that RFC 8866 §5 knows.
package enum SDPLineType: UInt8, Hashable, Sendable, CaseIterable {
  case version = 0x76  // v
  case origin = 0x6F  // o
  case sessionName = 0x73  // s
  case information = 0x69  // i
  case uri = 0x75  // u
  case emailAddress = 0x65  // e
  case phoneNumber = 0x70  // p
  case connection = 0x63  // c
  case bandwidth = 0x62  // b
  case timing = 0x74  // t
  case repeatTimes = 0x72  // r
  case timeZone = 0x7A  // z
  case key = 0x6B  // k
  case attribute = 0x61  // a
  case media = 0x6D  // m
}

/// A line without its end, kept as it was written. Equal when the bytes are.
package struct SDPLine: Sendable {
  package let type: SDPLineType
  package let value: Substring

  package init(_ type: SDPLineType, _ value: Substring) {
    self.type = type
    self.value = value
  }

  package init(_ type: SDPLineType, _ value: String) { self.init(type, value[...]) }

  /// An attribute (RFC 8866 §5.13): a property when there is no value.
  package init(attribute name: String, _ value: String? = nil) {
    self.init(.attribute, value.map { "\(name):\($0)" } ?? name)
  }

  /// The attribute's name and value; `nil` for every other line.
  package var attribute: RawAttribute? {
    guard type == .attribute else { return nil }
    let (name, value) = value.cut(at: UInt8(ascii: ":"))
    return RawAttribute(name: name, value: value)
  }
}

extension SDPLine: Hashable {
  package static func == (a: SDPLine, b: SDPLine) -> Bool {
    a.type == b.type && a.value.utf8.elementsEqual(b.value.utf8)
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(type)
    for byte in value.utf8 { hasher.combine(byte) }
  }
}

/// An attribute as written: what a typed attribute is parsed from.
package struct RawAttribute: Sendable {
  package var name: Substring
  /// `nil` for a property attribute.
  package var value: Substring?
}

/// What has attributes: the session, and each media section.
package protocol AttributeContainer {
  /// The lines in their order.
  var lines: [SDPLine] { get }
}

extension AttributeContainer {
  /// Every attribute, in order.
  package var attributes: some Sequence<RawAttribute> { lines.lazy.compactMap(\.attribute) }

  /// The first attribute of that name. Linear in the number of lines.
  package func attribute(named name: String) -> RawAttribute? { attributes.first { $0.name == name } }

  package func attributes(named name: String) -> [RawAttribute] { attributes.filter { $0.name == name } }

  /// Whether there is an attribute of that name, with or without value.
  package func hasAttribute(_ name: String) -> Bool { attribute(named: name) != nil }

  /// The first attribute of that type that is well-formed.
  package func first<Value: SDPAttributeValue>(_: Value.Type) -> Value? {
    for attribute in attributes where attribute.name == Value.name {
      if let value = Value(parsing: attribute.value ?? "") { return value }
    }
    return nil
  }

  /// The attributes of that type that are well-formed, in order.
  package func all<Value: SDPAttributeValue>(_: Value.Type) -> [Value] {
    attributes.filter { $0.name == Value.name }.compactMap { Value(parsing: $0.value ?? "") }
  }
}
