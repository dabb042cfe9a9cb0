// Every datagram or packet that goes no further has a reason, and every reason has a counter.

/// Why something was dropped.
package enum DropReason: UInt8, CaseIterable, Sendable {
  // Before anything is known about the sender.
  case emptyDatagram
  case oversizedDatagram
  case unknownDatagramKind
  case stunMalformed
  case stunUnknownCredentials
  case stunUnauthenticated
  case stunUnexpected
  case addressInUse
  case addressTableFull
  case dtlsFromUnknownAddress
  case mediaFromUnknownAddress
  case mediaBeforeHandshake
  /// From an address that the plain link's peer has not been learned to have, and that it may not be learned to have.
  case sourceNotLatched
  // At the protector.
  case authenticationFailed
  case replayed
  case tooOldForReplayWindow
  case malformedProtection
  case noKey
  /// The link brings in more than it may.
  case bitrateLimitExceeded
  // RTP.
  case rtpMalformed
  case unknownSource
  /// A source of a section with several encodings that does not say which it is.
  case unknownEncoding
  /// A packet of a source that has ended, or that another one has just replaced in its section.
  case endedSource
  case tooManySources
  case unknownPayloadType
  /// The payload or dependency descriptor is malformed or absent. The packet is left out of every stream.
  case frameUnreadable
  /// The dependency descriptor refers to a structure that has not come. The packet is kept, and goes out when the structure comes late.
  case structureUnknown
  /// A source changes its codec more often than ``Limits/codecChangeInterval`` allows.
  case codecChangedTooSoon
  case duplicate
  case retransmissionMalformed
  case retransmissionUnwanted
  case paddingOnly
  /// A tone's payload is too short (RFC 4733 §2.3).
  case telephoneEventMalformed
  // RTCP.
  case rtcpMalformed
  case rtcpUnknownTarget
  /// Reports of packets faster than any receiver needs.
  case feedbackTooOften
  // Forwarding.
  case waitingForKeyframe
  /// The subscriber is sent another encoding of the same picture.
  case otherEncoding
  /// Of a layer that the subscriber is not sent.
  case layerNotSent
  /// Refers to a frame that the subscriber was not sent.
  case undecodable
  /// Of layers that are numbered by another structure than those the subscriber is sent.
  case otherStructure
  /// From before the stretch that the subscriber is sent, or older than what is remembered.
  case olderThanSwitch
  case alreadySent
  /// The subscription is paused, or there is nothing to choose from yet.
  case notWanted
  case codecNotNegotiated
  case publicationMuted
  // Repair.
  case retransmissionNotInHistory
  case retransmissionTooOften
  // Our own bounds.
  case slabExhausted
  /// The lane to another shard had no room.
  case laneFull
  case egressFull
  /// More waited for one downlink than there is room for.
  case pacerFull
  /// Waited so long for a downlink that it is of no use any more.
  case pacerExpired
  case controlQueueFull
  case protectFailed
  case noPath

  package static let count = allCases.count
}

/// One counter per reason. Written by one shard, copied out by value for whoever watches.
package struct DropCounters: Sendable {
  private var counts: [UInt64]

  package init() { counts = [UInt64](repeating: 0, count: DropReason.count) }

  package mutating func count(_ reason: DropReason, by amount: UInt64 = 1) { counts[Int(reason.rawValue)] &+= amount }
  package subscript(reason: DropReason) -> UInt64 { counts[Int(reason.rawValue)] }

  /// The reasons that happened, in the order of their declaration.
  package var nonZero: [(reason: DropReason, count: UInt64)] {
    DropReason.allCases.compactMap { self[$0] == 0 ? nil : ($0, self[$0]) }
  }
}
