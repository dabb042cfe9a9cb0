// Addresses as text: dotted IPv4, and IPv6 as RFC 4291 §2.2 reads it and RFC 5952 writes it.

package import EnfiladeWire

extension SocketAddress {
  /// Reads an address literal; `nil` for a host name, an mDNS name included. A scope after `%` is not taken.
  package init?(address text: some StringProtocol, port: UInt16) {
    let text = Substring(text)
    if let value = Self.ipv4(text) {
      self.init(ipv4: value, port: port)
    } else if let groups = Self.ipv6Groups(text) {
      func half(_ groups: ArraySlice<UInt16>) -> UInt64 { groups.reduce(0) { $0 << 16 | UInt64($1) } }
      self.init(ipv6High: half(groups[..<4]), low: half(groups[4...]), port: port)
    } else {
      return nil
    }
  }

  private static func ipv4(_ text: Substring) -> UInt32? {
    let parts = text.pieces(at: UInt8(ascii: "."))
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      // A leading zero would be octal to some readers.
      guard let byte = part.decimal(UInt8.self), part.utf8.count == 1 || part.utf8.first != UInt8(ascii: "0") else { return nil }
      value = value << 8 | UInt32(byte)
    }
    return value
  }

  /// The eight groups of an IPv6 literal.
  private static func ipv6Groups(_ text: Substring) -> [UInt16]? {
    guard text.utf8.count <= 45, text.utf8.contains(UInt8(ascii: ":")) else { return nil }
    var pieces = text.pieces(at: UInt8(ascii: ":"))
    // "::" at an end leaves two empty pieces there; keep one as the mark.
    if pieces.count >= 3, pieces[0].isEmpty, pieces[1].isEmpty { pieces.removeFirst() }
    if pieces.count >= 2, pieces[pieces.count - 1].isEmpty, pieces[pieces.count - 2].isEmpty { pieces.removeLast() }
    if pieces == [""] { return [UInt16](repeating: 0, count: 8) }
    var before: [UInt16] = []
    var after: [UInt16]?
    func append(_ group: UInt16) { if after == nil { before.append(group) } else { after?.append(group) } }
    for (index, piece) in pieces.enumerated() {
      if piece.isEmpty {
        guard after == nil else { return nil }
        after = []
      } else if index == pieces.count - 1, let tail = ipv4(piece) {
        append(UInt16(truncatingIfNeeded: tail >> 16))
        append(UInt16(truncatingIfNeeded: tail))
      } else {
        guard piece.utf8.count <= 4, piece.utf8.allSatisfy({ $0.hexadecimalValue != nil }), let group = UInt16(piece, radix: 16) else {
          return nil
        }
        append(group)
      }
    }
    guard let after else { return before.count == 8 ? before : nil }
    guard before.count + after.count < 8 else { return nil }
    return before + [UInt16](repeating: 0, count: 8 - before.count - after.count) + after
  }

  /// The address without the port: `192.0.2.1`, `2001:db8::1`.
  package var addressText: String {
    guard isIPv6 else { return (0..<4).map { String(UInt8(truncatingIfNeeded: low >> (24 - 8 * $0))) }.joined(separator: ".") }
    let groups = (0..<4).map { UInt16(truncatingIfNeeded: high >> (48 - 16 * $0)) } + (0..<4).map { UInt16(truncatingIfNeeded: low >> (48 - 16 * $0)) }
    // RFC 5952 §4.2.3: the longest run of at least two zero groups is shortened, the first of equals.
    var longest = 0..<0
    var index = 0
    while index < 8 {
      var end = index
      while end < 8, groups[end] == 0 { end += 1 }
      if end - index > max(1, longest.count) { longest = index..<end }
      index = max(end, index + 1)
    }
    func text(_ groups: ArraySlice<UInt16>) -> String { groups.map { String($0, radix: 16) }.joined(separator: ":") }
    if longest.isEmpty { return text(groups[...]) }
    return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
  }
}
