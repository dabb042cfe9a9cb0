// How much a candidate is liked (RFC 8445 §5.1.2).

/// What a candidate is, as far as its priority goes; the values are the recommended type preferences (RFC 8445 §5.1.2.2).
package enum CandidateKind: UInt32, Hashable, Sendable, CaseIterable {
  case host = 126
  case peerReflexive = 110
  case serverReflexive = 100
  case relay = 0

  /// The priority of a candidate of this kind (RFC 8445 §5.1.2.1).
  ///
  /// - Parameters:
  ///   - localPreference: falls with the order of an agent's own addresses.
  ///   - component: 1 is RTP, and with rtcp-mux everything.
  package func priority(localPreference: UInt16, component: UInt16 = 1) -> UInt32 {
    rawValue << 24 | UInt32(localPreference) << 8 | UInt32(256 - min(256, component))
  }

  /// The priority of a passive TCP candidate of an agent's own address (RFC 6544 §4.2): below every UDP candidate that is no relay's, because
  /// what TCP repeats comes too late.
  ///
  /// - Parameter otherPreference: falls with the order of the addresses; up to 8191.
  package static func passiveTCPPriority(otherPreference: UInt16, component: UInt16 = 1) -> UInt32 {
    let directionPreference: UInt32 = 4
    let localPreference = directionPreference << 13 | UInt32(min(8191, otherPreference))
    return tcpHostPreference << 24 | localPreference << 8 | UInt32(256 - min(256, component))
  }

  /// Between server-reflexive and relayed candidates over UDP.
  private static let tcpHostPreference: UInt32 = 90
}
