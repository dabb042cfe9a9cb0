// Addresses as text: strict dotted IPv4, IPv6 in every form of RFC 4291 §2.2, written the one way of RFC 5952.

extension SocketAddress: LosslessStringConvertible {
  /// Reads `192.0.2.1:5000` or `[2001:db8::1]:5000`, the forms of ``description``.
  @usableFromInline package init?(_ text: String) {
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
    guard let port = Self.decimal(text[text.index(after: colon)...].utf8, max: 65_535) else { return nil }
    var host = text[..<colon]
    let isBracketed = host.first == "["
    if isBracketed {
      guard host.count > 2, host.last == "]" else { return nil }
      host = host.dropFirst().dropLast()
    }
    self.init(host: host, port: UInt16(port))
    // The brackets are what tells the address's colons from the port's.
    guard isIPv6 == isBracketed else { return nil }
  }

  /// Reads an address literal without brackets; `nil` for names, for IPv4 with leading zeros, and for zones that are not numbers.
  @usableFromInline package init?(host: some StringProtocol, port: UInt16) {
    // The longest literal is a mapped IPv4 address in full with a zone: 45 + 1 + 10.
    guard host.utf8.count <= 56 else { return nil }
    let bytes = Array(host.utf8)
    if let address = Self.parseIPv4(bytes[...]) {
      self.init(ipv4: address, port: port)
      return
    }
    var scope: UInt32 = 0
    var literal = bytes[...]
    if let percent = literal.firstIndex(of: UInt8(ascii: "%")) {
      // RFC 4007 §11: the zone, which we take as an interface index only.
      guard let zone = Self.decimal(literal[(percent + 1)...], max: .max) else { return nil }
      scope = zone
      literal = literal[..<percent]
    }
    guard let (high, low) = Self.parseIPv6(literal) else { return nil }
    self.init(ipv6High: high, low: low, port: port, scope: scope)
  }

  /// The address and its port; IPv6 in brackets (RFC 5952 §6).
  @usableFromInline package var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// The address alone, as RFC 5952 writes it.
  @usableFromInline package var host: String {
    guard isIPv6 else { return Self.dotted(UInt32(truncatingIfNeeded: low)) }
    let zone = scope == 0 ? "" : "%\(scope)"
    // RFC 5952 §5: a known prefix of an embedded IPv4 address; here the mapped one.
    if high == 0, low >> 32 == 0xFFFF { return "::ffff:" + Self.dotted(UInt32(truncatingIfNeeded: low)) + zone }
    let groups = (0..<8).map { index in
      UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index & 3)))
    }
    guard let zeros = Self.longestZeroRun(groups) else { return Self.joined(groups[...]) + zone }
    return Self.joined(groups[..<zeros.lowerBound]) + "::" + Self.joined(groups[zeros.upperBound...]) + zone
  }

  // MARK: Writing

  private static func dotted(_ address: UInt32) -> String {
    "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
  }

  private static func joined(_ groups: ArraySlice<UInt16>) -> String {
    // RFC 5952 §4.1, §4.3: no leading zeros, lower case.
    groups.map { String($0, radix: 16) }.joined(separator: ":")
  }

  /// The longest run of at least two zero groups, the first of equals (RFC 5952 §4.2).
  private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
    var best: Range<Int>?
    var start = 0
    while start < groups.count {
      var end = start
      while end < groups.count, groups[end] == 0 { end += 1 }
      if end - start >= 2, end - start > best?.count ?? 0 { best = start..<end }
      start = end + 1
    }
    return best
  }

  // MARK: Reading

  /// A decimal number of at most ten digits, without sign or leading zeros.
  private static func decimal(_ digits: some Collection<UInt8>, max limit: UInt32) -> UInt32? {
    guard 1...10 ~= digits.count, digits.first != UInt8(ascii: "0") || digits.count == 1 else { return nil }
    var value: UInt64 = 0
    for byte in digits {
      guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte else { return nil }
      value = value * 10 + UInt64(byte - UInt8(ascii: "0"))
    }
    return value <= UInt64(limit) ? UInt32(value) : nil
  }

  /// Four decimal numbers (RFC 3986 §3.2.2): leading zeros are refused, because some read them as octal.
  private static func parseIPv4(_ text: ArraySlice<UInt8>) -> UInt32? {
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var address: UInt32 = 0
    for part in parts {
      guard let octet = decimal(part, max: 255) else { return nil }
      address = address << 8 | octet
    }
    return address
  }

  /// Eight groups, with at most one `::`, the last two perhaps as IPv4 (RFC 4291 §2.2).
  private static func parseIPv6(_ text: ArraySlice<UInt8>) -> (high: UInt64, low: UInt64)? {
    let colon = UInt8(ascii: ":")
    var front: [UInt16] = []
    var back: [UInt16]?
    var rest = text
    if rest.starts(with: [colon, colon]) {
      back = []
      rest = rest.dropFirst(2)
    }
    while !rest.isEmpty {
      let end = rest.firstIndex(of: colon) ?? rest.endIndex
      let piece = rest[rest.startIndex..<end]
      var groups: [UInt16] = []
      if end == rest.endIndex, let address = parseIPv4(piece) {
        groups = [UInt16(address >> 16), UInt16(truncatingIfNeeded: address)]
      } else if let group = hexadecimal(piece) {
        groups = [group]
      } else {
        return nil
      }
      if back == nil { front += groups } else { back? += groups }
      guard front.count + (back?.count ?? 0) <= 8 else { return nil }
      rest = rest[end...].dropFirst()
      if end < text.endIndex, rest.isEmpty { return nil }
      if rest.first == colon {
        guard back == nil else { return nil }
        back = []
        rest = rest.dropFirst()
      }
    }
    let missing = 8 - front.count - (back?.count ?? 0)
    // RFC 4291 §2.2: `::` stands for one group or more.
    guard back == nil ? missing == 0 : missing >= 1 else { return nil }
    let groups = front + [UInt16](repeating: 0, count: missing) + (back ?? [])
    let words = groups.map(UInt64.init)
    return (words[0] << 48 | words[1] << 32 | words[2] << 16 | words[3], words[4] << 48 | words[5] << 32 | words[6] << 16 | words[7])
  }

  private static func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt16? {
    guard 1...4 ~= digits.count else { return nil }
    var value: UInt16 = 0
    for byte in digits {
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: return nil
      }
      value = value << 4 | UInt16(digit)
    }
    return value
  }
}
