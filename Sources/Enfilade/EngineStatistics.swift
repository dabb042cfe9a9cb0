// What an operator watches: each shard's counters, as values with names.

import EnfiladeEngine
import EnfiladeIO
import EnfiladeRuntime
import EnfiladeTransport
import EnfiladeWire

/// Counters of one shard: a thread with its port. They begin with the engine and only grow, unless their description says "now".
public struct ShardStatistics: Sendable, Hashable {
  /// Which shard, counted from zero.
  public let shard: Int
  /// Participants whose media it carries, now.
  public let participants: Int
  /// Publications that its participants send or receive, now.
  public let publications: Int
  /// Places for packets that are taken, now.
  public let packetsHeld: Int
  /// RTP and RTCP packets that were opened.
  public let packetsReceived: UInt64
  /// RTP packets sent, retransmissions and padding included.
  public let packetsSent: UInt64
  /// Of these and of RTCP, in bytes of UDP payload.
  public let bytesSent: UInt64
  /// Packets sent again because a subscriber asked for them.
  public let retransmissionsSent: UInt64
  /// Key frames asked of publishers.
  public let keyframeRequestsSent: UInt64
  /// Pictures that began out of the history, without a request.
  public let replays: UInt64
  /// Processor time of the thread.
  public let processorTime: Duration
  /// TCP connections, now.
  public let tcpConnections: Int
  /// TCP connections that were accepted.
  public let tcpAccepted: UInt64
  /// TCP connections that were refused or have ended, by reason.
  public let tcpEnded: [String: UInt64]
  /// What was dropped, by reason; reasons that never occurred are left out.
  public let drops: [String: UInt64]

  init(_ snapshot: ShardSnapshot) {
    shard = snapshot.shard
    participants = snapshot.linkCount
    publications = snapshot.census.publications
    packetsHeld = snapshot.slabLeasedCount
    packetsReceived = snapshot.traffic.packetsIn
    packetsSent = snapshot.traffic.packetsOut
    bytesSent = snapshot.traffic.bytesOut
    retransmissionsSent = snapshot.traffic.retransmissionsOut
    keyframeRequestsSent = snapshot.traffic.keyframeRequestsOut
    replays = snapshot.traffic.replays
    processorTime = .nanoseconds(snapshot.processorTime.nanoseconds)
    tcpConnections = snapshot.streamCount
    tcpAccepted = snapshot.streams.accepted
    let streams = snapshot.streams
    tcpEnded = [
      "refusedFull": streams.refusedFull, "refusedPerAddress": streams.refusedPerAddress, "evicted": streams.evicted,
      "unproved": streams.unproved, "stalled": streams.stalled, "malformed": streams.malformed, "orphaned": streams.orphaned,
      "hungUp": streams.hungUp,
    ].filter { $0.value > 0 }
    var drops = Dictionary(uniqueKeysWithValues: snapshot.drops.nonZero.map { ("\($0.reason)", $0.count) })
    // What had no room on its way out, rather than in.
    drops["socketFullVideo"] = snapshot.egressDrops.video
    drops["socketFullUrgent"] = snapshot.egressDrops.urgent
    drops["streamFullVideo"] = streams.droppedVideo
    drops["streamFullUrgent"] = streams.droppedUrgent
    drops["streamGone"] = streams.undeliverable
    drops["sendRefused"] =
      snapshot.refusals.notPermitted &+ snapshot.refusals.unreachable &+ snapshot.refusals.tooLarge
      &+ snapshot.refusals.connectionRefused
    self.drops = drops.filter { $0.value > 0 }
  }
}

extension Engine {
  /// Each shard's counters, made between two of its packets; empty when the engine has stopped.
  public func statistics() async -> [ShardStatistics] { await snapshots().map(ShardStatistics.init) }
}
