// An ICE candidate as text carries it (RFC 8839 §5.1).

package import EnfiladeWire

extension SDPAttribute {
  /// `a=candidate`, and what stands behind `candidate:` in a trickled one.
  package struct Candidate: SDPAttributeValue {
    package static let name = "candidate"

    package var foundation: String
    package var component: UInt16
    /// `udp` or `tcp`, in the case it was written.
    package var transport: String
    package var priority: UInt32
    /// An address, or a name: browsers hide host addresses behind `.local` names.
    package var address: String
    package var port: UInt16
    /// `host`, `srflx`, `prflx`, `relay`.
    package var type: String
    package var relatedAddress: String?
    package var relatedPort: UInt16?
    /// Names and values in their order: `tcptype active`, `generation 0`, `ufrag …`.
    package var extensions: [Extension]

    package struct Extension: Hashable, Sendable {
      package var name: String
      package var value: String

      package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
      }
    }

    /// A host candidate over UDP for the one component that is left when RTCP is multiplexed.
    package init(host address: SocketAddress, foundation: String, priority: UInt32) {
      self.foundation = foundation
      component = 1
      transport = "udp"
      self.priority = priority
      self.address = address.withoutScope.host
      port = address.port
      type = "host"
      extensions = []
    }

    /// A passive host candidate over TCP (RFC 6544 §4.5): the peer opens the connection.
    package init(passiveTCPHost address: SocketAddress, foundation: String, priority: UInt32) {
      self.init(host: address, foundation: foundation, priority: priority)
      transport = "tcp"
      extensions = [Extension("tcptype", "passive")]
    }

    package init?(parsing value: Substring) {
      let words = value.words
      guard words.count >= 8, words.allSatisfy(\.isVisibleWord), words[6] == "typ" else { return nil }
      guard words[0].isICEText, words[0].utf8.count <= 32, let component = words[1].decimal(UInt16.self), (1...256).contains(component),
        words[2].isToken, let priority = words[3].decimal(UInt32.self), let port = words[5].decimal(UInt16.self), words[7].isToken
      else { return nil }
      foundation = String(words[0])
      self.component = component
      transport = String(words[2])
      self.priority = priority
      address = String(words[4])
      self.port = port
      type = String(words[7])
      extensions = []
      var rest = words.dropFirst(8)
      guard rest.count % 2 == 0 else { return nil }
      if rest.first == "raddr" {
        relatedAddress = String(rest[rest.startIndex + 1])
        rest.removeFirst(2)
      }
      if rest.first == "rport" {
        guard let port = rest[rest.startIndex + 1].decimal(UInt16.self) else { return nil }
        relatedPort = port
        rest.removeFirst(2)
      }
      while let name = rest.popFirst(), let value = rest.popFirst() { extensions.append(Extension(String(name), String(value))) }
    }

    package var text: String {
      var text = "\(foundation) \(component) \(transport) \(priority) \(address) \(port) typ \(type)"
      if let relatedAddress { text += " raddr \(relatedAddress)" }
      if let relatedPort { text += " rport \(relatedPort)" }
      for pair in extensions { text += " \(pair.name) \(pair.value)" }
      return text
    }

    package var isUDP: Bool { transport.matches("udp") }
    /// Whether it waits for connections (RFC 6544 §4.5).
    package var isPassiveTCP: Bool {
      transport.matches("tcp") && extensions.contains { $0.name == "tcptype" && $0.value == "passive" }
    }

    /// The address to send to; `nil` for a name, and for a scope, which means nothing outside its host.
    package var socketAddress: SocketAddress? { SocketAddress(host: address, port: port).flatMap { $0.scope == 0 ? $0 : nil } }

    /// The generation's user name fragment, when the candidate says it.
    package var ufrag: String? { extensions.first { $0.name == "ufrag" }?.value }
  }
}

extension SocketAddress {
  /// The address as others may know it: a scope is of this host alone (RFC 4007 §6).
  var withoutScope: SocketAddress {
    var address = self
    address.scope = 0
    return address
  }
}
