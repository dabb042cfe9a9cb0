// Text to description (RFC 8866 §5 and §9): bounds, lines, order; typed attributes are looked at only when asked for.

extension SessionDescription {
  /// Parses text in UTF-8.
  package init(parsing bytes: [UInt8], limits: SDPLimits = .standard) throws(SDPError) {
    guard bytes.count <= limits.byteCount else { throw SDPError(line: 0, reason: .tooManyBytes) }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
      let index = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0
      throw SDPError(line: index + 1, reason: .notUTF8)
    }
    try self.init(parsing: text, limits: limits)
  }

  /// Parses text whose lines end with CR LF, or with LF alone.
  package init(parsing text: String, limits: SDPLimits = .standard) throws(SDPError) {
    let lines = try SDPLine.lines(of: text, limits: limits)
    try self.init(lines: lines, limits: limits)
  }

  private init(lines: [SDPLine], limits: SDPLimits) throws(SDPError) {
    let firstMedia = lines.firstIndex { $0.type == .media } ?? lines.count
    try Self.checkSession(lines[..<firstMedia], limits: limits)
    var sections: [MediaDescription] = []
    var index = firstMedia
    while index < lines.count {
      guard sections.count < limits.sectionCount else { throw SDPError(line: index + 1, reason: .tooManySections) }
      guard var section = MediaDescription(parsingMediaValue: lines[index].value) else {
        throw SDPError(line: index + 1, reason: .malformedMedia)
      }
      let start = index + 1
      let end = lines[start...].firstIndex { $0.type == .media } ?? lines.count
      try Self.checkSection(lines[start..<end], limits: limits)
      section.lines = Array(lines[start..<end])
      sections.append(section)
      index = end
    }
    self.init(checkedLines: Array(lines[..<firstMedia]), sections: sections)
  }

  /// RFC 8866 §5: the session's lines stand in one order. `lines` begins at the text's first line.
  private static func checkSession(_ lines: ArraySlice<SDPLine>, limits: SDPLimits) throws(SDPError) {
    var rank = 0
    var attributeCount = 0
    var seen: Set<SDPLineType> = []
    for (index, line) in lines.enumerated() {
      let place = sessionPlace(of: line.type)
      // A time's repetitions may be followed by another time, and zones may close each.
      let goesBack = line.type == .timing && seen.contains(.timing) && rank <= sessionPlace(of: .timeZone).rank
      guard place.rank >= rank || goesBack, place.mayRepeat || !seen.contains(line.type) else {
        throw SDPError(line: index + 1, reason: .outOfOrder)
      }
      // Each of the first three must stand in its place, and a repetition needs its time.
      guard place.rank > 3 || place.rank == index + 1, place.rank <= sessionPlace(of: .timing).rank || seen.contains(.timing) else {
        throw SDPError(line: index + 1, reason: .outOfOrder)
      }
      rank = place.rank
      seen.insert(line.type)
      try check(line, number: index + 1)
      if line.type == .attribute { attributeCount += 1 }
      guard attributeCount <= limits.attributeCount else { throw SDPError(line: index + 1, reason: .tooManyAttributes) }
    }
    guard seen.contains(.timing), seen.contains(.sessionName) else { throw SDPError(line: lines.count, reason: .incomplete) }
  }

  private static func sessionPlace(of type: SDPLineType) -> (rank: Int, mayRepeat: Bool) {
    switch type {
    case .version: (1, false)
    case .origin: (2, false)
    case .sessionName: (3, false)
    case .information: (4, false)
    case .uri: (5, false)
    case .emailAddress: (6, true)
    case .phoneNumber: (7, true)
    case .connection: (8, false)
    case .bandwidth: (9, true)
    case .timing: (10, true)
    case .repeatTimes: (11, true)
    case .timeZone: (12, true)
    case .key: (13, false)
    case .attribute: (14, true)
    case .media: (15, true)
    }
  }

  /// A media section's lines. RFC 8866 §5 wants them in the order i, c, b, k, a; pages that edit descriptions insert `b=` anywhere, and
  /// every browser takes that, so the order is free here. Only the kinds of line are held to.
  private static func checkSection(_ lines: ArraySlice<SDPLine>, limits: SDPLimits) throws(SDPError) {
    var attributeCount = 0
    for (index, line) in zip(lines.indices, lines) {
      switch line.type {
      case .information, .connection, .bandwidth, .key: break
      case .attribute: attributeCount += 1
      default: throw SDPError(line: index + 1, reason: .outOfOrder)
      }
      guard attributeCount <= limits.attributeCount else { throw SDPError(line: index + 1, reason: .tooManyAttributes) }
      try check(line, number: index + 1)
    }
  }

  private static func check(_ line: SDPLine, number: Int) throws(SDPError) {
    let value = line.value
    switch line.type {
    case .version: if value != "0" { throw SDPError(line: number, reason: .unsupportedVersion) }
    case .origin: if Origin(parsing: value) == nil { throw SDPError(line: number, reason: .malformedOrigin) }
    case .connection: if ConnectionData(parsing: value) == nil { throw SDPError(line: number, reason: .malformedConnection) }
    case .bandwidth: if Bandwidth(parsing: value) == nil { throw SDPError(line: number, reason: .malformedBandwidth) }
    case .timing:
      let fields = value.pieces(at: UInt8(ascii: " "))
      if fields.count != 2 || !fields.allSatisfy(\.isDecimal) { throw SDPError(line: number, reason: .malformedTiming) }
    // Some write an empty session name, which RFC 8866 §5.3 forbids and nobody minds.
    case .sessionName: break
    case .attribute:
      let (name, attributeValue) = value.cut(at: UInt8(ascii: ":"))
      guard name.isToken else { throw SDPError(line: number, reason: value.isEmpty ? .emptyValue : .notALine) }
      if attributeValue?.isEmpty == true { throw SDPError(line: number, reason: .malformedAttribute(String(name))) }
    case .information, .uri, .emailAddress, .phoneNumber, .repeatTimes, .timeZone, .key, .media:
      if value.isEmpty { throw SDPError(line: number, reason: .emptyValue) }
    }
  }
}

extension SDPLine {
  /// Cuts text into lines. Empty lines are taken at the end only, where some clients leave one.
  static func lines(of text: String, limits: SDPLimits) throws(SDPError) -> [SDPLine] {
    let bytes = text.utf8
    guard !bytes.isEmpty else { throw SDPError(line: 0, reason: .empty) }
    guard bytes.count <= limits.byteCount else { throw SDPError(line: 0, reason: .tooManyBytes) }
    var lines: [SDPLine] = []
    var rest = text[...]
    var hasEnded = false
    while !rest.isEmpty {
      let number = lines.count + 1
      let (head, tail) = rest.cut(at: 0x0A)
      rest = tail ?? ""
      let content = tail != nil && head.utf8.last == 0x0D ? Substring(head.utf8.dropLast()) : head
      if content.isEmpty {
        hasEnded = true
        continue
      }
      guard !hasEnded else { throw SDPError(line: number, reason: .notALine) }
      guard lines.count < limits.lineCount else { throw SDPError(line: number, reason: .tooManyLines) }
      guard content.utf8.count <= limits.lineByteCount else { throw SDPError(line: number, reason: .lineTooLong) }
      guard content.utf8.allSatisfy({ $0 != 0 && $0 != 0x0D }) else { throw SDPError(line: number, reason: .controlCharacter) }
      lines.append(try SDPLine(parsing: content, number: number))
    }
    guard !lines.isEmpty else { throw SDPError(line: 0, reason: .empty) }
    return lines
  }

  private init(parsing content: Substring, number: Int) throws(SDPError) {
    let (letter, value) = content.cut(at: UInt8(ascii: "="))
    guard let value, letter.utf8.count == 1, let byte = letter.utf8.first else { throw SDPError(line: number, reason: .notALine) }
    guard let type = SDPLineType(rawValue: byte) else { throw SDPError(line: number, reason: .unknownType) }
    self.init(type, value)
  }
}
