// An ICE candidate and its priority (RFC 8445 §5.1, RFC 6544 §4.5).

package import EnfiladeWire

/// A transport address that a peer may be reached at.
package struct Candidate: Hashable, Sendable {
  /// How the address was found (RFC 8839 §5.1).
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    case host
    case serverReflexive = "srflx"
    case peerReflexive = "prflx"
    case relay

    /// RFC 8445 §5.1.2.2, the recommended values.
    package var typePreference: UInt32 {
      switch self {
      case .host: 126
      case .peerReflexive: 110
      case .serverReflexive: 100
      case .relay: 0
      }
    }
  }

  package enum Transport: String, Hashable, Sendable, CaseIterable {
    case udp
    case tcp
  }

  /// Who opens a TCP connection (RFC 6544 §4.5).
  package enum TCPType: String, Hashable, Sendable, CaseIterable {
    case active
    case passive
    case simultaneousOpen = "so"
  }

  /// Where a candidate is: an address, or a name that somebody else may resolve. Browsers hide theirs behind `….local` names.
  package enum Host: Hashable, Sendable {
    /// The port inside is the candidate's.
    case address(SocketAddress)
    case name(String, port: UInt16)
  }

  /// An attribute of an extension, kept as it came (RFC 8839 §5.1: cand-extension).
  package struct Extension: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  /// 1 to 32 ice-chars.
  package var foundation: String
  /// 1 to 256; 1 is RTP, and with rtcp-mux everything.
  package var component: UInt16
  package var transport: Transport
  package var priority: UInt32
  package var host: Host
  package var kind: Kind
  /// raddr and rport.
  package var related: Host?
  package var tcpType: TCPType?
  package var extensions: [Extension]

  package init(
    foundation: String, component: UInt16 = 1, transport: Transport = .udp, priority: UInt32, host: Host, kind: Kind, related: Host? = nil,
    tcpType: TCPType? = nil, extensions: [Extension] = []
  ) {
    self.foundation = foundation
    self.component = component
    self.transport = transport
    self.priority = priority
    self.host = host
    self.kind = kind
    self.related = related
    self.tcpType = tcpType
    self.extensions = extensions
  }

  /// A host candidate over UDP, as a server has them. Of several, the earlier should have the higher preference.
  package init(hostAddress address: SocketAddress, foundation: String, localPreference: UInt16 = 65_535) {
    self.init(
      foundation: foundation, priority: Self.priority(kind: .host, localPreference: localPreference, component: 1), host: .address(address),
      kind: .host)
  }

  /// The address, unless the candidate hides behind a name.
  package var address: SocketAddress? {
    if case .address(let address) = host { address } else { nil }
  }

  package var port: UInt16 {
    switch host {
    case .address(let address): address.port
    case .name(_, let port): port
    }
  }

  /// RFC 8445 §5.1.2.1.
  package static func priority(kind: Kind, localPreference: UInt16, component: UInt16) -> UInt32 {
    kind.typePreference << 24 | UInt32(localPreference) << 8 | (256 &- UInt32(min(max(component, 1), 256))) & 0xFF
  }
}
