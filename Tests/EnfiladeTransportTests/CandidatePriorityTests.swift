// RFC 8445 §5.1.2.

import EnfiladeTransport
import Testing

@Suite("Candidate priorities")
struct CandidatePriorityTests {
  @Test(
    "The priority is the type preference, the local preference and the component, in this order",
    arguments: [
      (CandidateKind.host, UInt16(65_535), UInt16(1), UInt32(2_130_706_431)),
      (.serverReflexive, 65_535, 1, 1_694_498_815),
      (.peerReflexive, 65_535, 2, 1_862_270_974),
      (.relay, 0, 256, 0),
    ])
  func formula(kind: CandidateKind, localPreference: UInt16, component: UInt16, expected: UInt32) {
    #expect(kind.priority(localPreference: localPreference, component: component) == expected)
  }

  @Test("A passive TCP candidate has direction preference 4, and stands below UDP and above relays (RFC 6544 §4.2)")
  func passiveTCP() {
    #expect(CandidateKind.passiveTCPPriority(otherPreference: 8191) == UInt32(90) << 24 | UInt32(4 << 13 | 8191) << 8 | UInt32(255))
    #expect(CandidateKind.passiveTCPPriority(otherPreference: 65_535) == CandidateKind.passiveTCPPriority(otherPreference: 8191))
    #expect(CandidateKind.passiveTCPPriority(otherPreference: 8191) < CandidateKind.serverReflexive.priority(localPreference: 0))
    #expect(CandidateKind.passiveTCPPriority(otherPreference: 0) > CandidateKind.relay.priority(localPreference: 65_535))
  }
}
