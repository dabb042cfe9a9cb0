// Candidates as SDP carries them (RFC 8839 §5.1): `candidate:` and what follows it.

import EnfiladeSTUN
import EnfiladeWire

extension Candidate: LosslessStringConvertible {
  /// No candidate line of an honest peer is longer: every field at its largest, with a name for an address and a dozen extensions.
  private static let byteCountLimit = 1024

  /// Reads a candidate attribute's text, with or without the leading `candidate:`; `nil` for what RFC 8839 §5.1 does not allow, and for
  /// transports that we do not know.
  package init?(_ text: String) {
    guard text.utf8.count <= Self.byteCountLimit else { return nil }
    var words = text.split(separator: " ", omittingEmptySubsequences: false)[...]
    guard words.count >= 8, words.allSatisfy({ !$0.isEmpty }) else { return nil }
    let prefix = "candidate:"
    let foundation = words[0].hasPrefix(prefix) ? words[0].dropFirst(prefix.count) : words[0]
    guard 1...32 ~= foundation.utf8.count, foundation.utf8.allSatisfy(ICECredentials.isICEChar) else { return nil }
    guard let component = Self.number(words[1], digits: 3), 1...256 ~= component else { return nil }
    guard let transport = Transport(rawValue: words[2].lowercased()) else { return nil }
    guard let priority = Self.number(words[3], digits: 10), priority <= UInt64(UInt32.max) else { return nil }
    guard let host = Self.host(words[4], port: words[5]), words[6] == "typ", let kind = Kind(rawValue: String(words[7])) else { return nil }
    self.init(
      foundation: String(foundation), component: UInt16(component), transport: transport, priority: UInt32(priority), host: host, kind: kind
    )

    words = words.dropFirst(8)
    if words.first == "raddr" {
      guard words.count >= 4, words[words.startIndex + 2] == "rport",
        let related = Self.host(words[words.startIndex + 1], port: words[words.startIndex + 3])
      else { return nil }
      self.related = related
      words = words.dropFirst(4)
    }
    while let name = words.popFirst() {
      guard let value = words.popFirst() else { return nil }
      if name == "tcptype", tcpType == nil, transport == .tcp {
        guard let type = TCPType(rawValue: String(value)) else { return nil }
        tcpType = type
      } else {
        extensions.append(Extension(name: String(name), value: String(value)))
      }
    }
  }

  /// `candidate:` and the candidate, as ``init(_:)`` reads it.
  package var description: String {
    var text =
      "candidate:\(foundation) \(component) \(transport.rawValue) \(priority) \(Self.text(host, between: " ")) typ \(kind.rawValue)"
    if let related { text += " raddr " + Self.text(related, between: " rport ") }
    if let tcpType { text += " tcptype " + tcpType.rawValue }
    for item in extensions { text += " \(item.name) \(item.value)" }
    return text
  }

  private static func text(_ host: Host, between: String) -> String {
    switch host {
    case .address(let address): "\(address.host)\(between)\(address.port)"
    case .name(let name, let port): "\(name)\(between)\(port)"
    }
  }

  private static func host(_ text: Substring, port: Substring) -> Host? {
    guard let port = number(port, digits: 5), let port = UInt16(exactly: port) else { return nil }
    if let address = SocketAddress(host: text, port: port) { return .address(address) }
    // A name (RFC 8839 §5.1: FQDN), or mDNS: letters, digits, hyphens and dots, at most what DNS carries (RFC 1035 §2.3.4). Names whose
    // last label is a number are misspelt addresses.
    guard 1...253 ~= text.utf8.count, text.utf8.allSatisfy(isNameCharacter), let last = text.split(separator: ".").last else { return nil }
    guard !last.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return nil }
    return .name(String(text), port: port)
  }

  private static func isNameCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "."):
      true
    default:
      false
    }
  }

  private static func number(_ text: Substring, digits: Int) -> UInt64? {
    guard 1...digits ~= text.utf8.count, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return nil }
    return UInt64(text)
  }
}
