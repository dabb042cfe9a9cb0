// Packets are kept as long as they are of use, and shorter where memory is scarce: a history that lives on while the next packet finds no slot
// would be worth less than that packet.

import EnfiladeStreams
import EnfiladeWire

extension ShardEngine {
  /// How often a shard with little memory looks whether anything has grown too old.
  private static var reliefInterval: TimeDelta { .milliseconds(50) }

  /// Lets go what has grown too old in a history, and notes how old the rest is. For the next packet that comes after ``HistoryAge/nextMark``.
  mutating func ageHistory(of stream: Int, at now: Instant) {
    noteScarcity()
    trimHistory(of: stream, at: now)
    if let newest = inbound[stream].history.newest { inbound[stream].age.mark(newest, at: now) }
  }

  /// There is soon no slot for the next packet. Histories into which nothing comes any more would keep theirs.
  mutating func relieveHistories(at now: Instant) {
    guard now >= nextRelief else { return }
    nextRelief = now + Self.reliefInterval
    noteScarcity()
    for stream in 0..<inbound.bound where inbound.contains(stream) && inbound[stream].mirrored == nil { trimHistory(of: stream, at: now) }
  }

  /// The shard at the end of a lane has more or less memory than before.
  mutating func handleScarcity(_ scarcity: Scarcity, port: Int, at now: Instant) {
    let isWorse = scarcity > slab.ports[port].peerScarcity
    slab.ports[port].peerScarcity = scarcity
    guard isWorse else { return }
    for stream in 0..<inbound.bound where inbound.contains(stream) && inbound[stream].mirrored?.port == port {
      trimHistory(of: stream, at: now)
    }
  }

  /// For the memory of the shard that the packets live in.
  private mutating func trimHistory(of stream: Int, at now: Instant) {
    let scarcity = inbound[stream].mirrored.map { slab.ports[$0.port].peerScarcity } ?? scarcity
    guard let expired = inbound[stream].age.expired(keepingTime: scarcity.keepingTime, at: now) else { return }
    Self.trim(&inbound, stream, through: expired, &slab)
  }

  /// The other shards hold packets of this one in their mirrors' histories, so they hear of it.
  private mutating func noteScarcity() {
    let current = Scarcity(slab.own, before: scarcity)
    guard current != scarcity else { return }
    scarcity = current
    for port in 0..<slab.ports.count where !slab.ports[port].isWorker { slab.say(.scarce(current), to: port) }
  }

  /// Two tables at once.
  private static func trim(
    _ inbound: inout Pool<InboundStream>, _ stream: Int, through sequence: ExtendedSequenceNumber, _ slab: inout PacketStore
  ) {
    inbound[stream].history.trim(through: sequence) { slab.release($0) }
  }
}
