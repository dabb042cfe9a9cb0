// The bounds of what comes and goes over TCP, and the counters of what they cost.

package import EnfiladeWire

/// What one shard's TCP connections may take.
package struct StreamLimits: Sendable {
  /// Connections of one shard. TCP is the way out for the few whom UDP does not reach.
  package var connectionCount = 1024
  /// Connections that have not proved yet that they know a password (RFC 8445 §7.3); one more ends the oldest of them.
  package var unprovedCount = 128
  /// The same, from one address: a crowd behind one NAT that opens its meeting at the same moment.
  package var unprovedCountPerAddress = 32
  /// How long a connection has to prove itself: a peer sends its first check when the connection stands, and has six more to lose
  /// (RFC 8489 §6.2.1).
  package var proofTimeout = TimeDelta.seconds(Int64(10))
  /// A connection that takes nothing for so long while something waits is given up: it has lost its consent at the same time or will soon.
  package var stallTimeout = TimeDelta.seconds(Int64(10))
  /// Bytes that may wait in all; beyond them sound and the protocols' words are dropped, too.
  package var outputByteCount = 256 << 10
  /// Bytes beyond which video is dropped: a quarter of the room is for what is urgent.
  package var videoByteCount = 192 << 10
  /// Video is dropped, too, while something has waited this long: more is more than a playout buffer can smooth.
  package var videoDelay = TimeDelta.milliseconds(250)
  /// Bytes that may wait for a connection that has not proved itself: a few answers to checks.
  package var unprovedByteCount = 2048
  /// Bytes taken from a connection at a time.
  package var receiveByteCount = 64 << 10
  /// How often timeouts are looked at.
  package var sweepInterval = TimeDelta.milliseconds(500)

  package init() {}
}

/// What became of TCP connections and of what went over them.
package struct StreamCounters: Hashable, Sendable {
  package var accepted: UInt64 = 0
  /// Refused because there were as many as may be.
  package var refusedFull: UInt64 = 0
  /// Refused because too many from one address had not proved themselves.
  package var refusedPerAddress: UInt64 = 0
  /// Ended before they proved themselves, because others came.
  package var evicted: UInt64 = 0
  /// Ended because they did not prove themselves in time.
  package var unproved: UInt64 = 0
  /// Ended because they took nothing for too long.
  package var stalled: UInt64 = 0
  /// Ended because what came was not frames.
  package var malformed: UInt64 = 0
  /// Ended because their link is gone, or knows them no longer.
  package var orphaned: UInt64 = 0
  /// Ended by the peer, or by the network.
  package var hungUp: UInt64 = 0
  package var datagramsIn: UInt64 = 0
  package var datagramsOut: UInt64 = 0
  /// Dropped because the peer takes too little: video, which goes first.
  package var droppedVideo: UInt64 = 0
  /// The same: sound, and the words of the protocols.
  package var droppedUrgent: UInt64 = 0
  /// For connections that are gone.
  package var undeliverable: UInt64 = 0

  package init() {}

  package static func += (sum: inout StreamCounters, part: StreamCounters) {
    sum.accepted &+= part.accepted
    sum.refusedFull &+= part.refusedFull
    sum.refusedPerAddress &+= part.refusedPerAddress
    sum.evicted &+= part.evicted
    sum.unproved &+= part.unproved
    sum.stalled &+= part.stalled
    sum.malformed &+= part.malformed
    sum.orphaned &+= part.orphaned
    sum.hungUp &+= part.hungUp
    sum.datagramsIn &+= part.datagramsIn
    sum.datagramsOut &+= part.datagramsOut
    sum.droppedVideo &+= part.droppedVideo
    sum.droppedUrgent &+= part.droppedUrgent
    sum.undeliverable &+= part.undeliverable
  }
}
