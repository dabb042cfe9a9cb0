// A shard's engine driven by hand: datagrams go in, datagrams come out, and nobody sends them.

import EnfiladeEngine
import EnfiladeIO
import EnfiladeLoad
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire

/// One engine with a room in it.
struct InProcessEngine: ~Copyable {
  var engine: ShardEngine
  private let room: Room
  private var random: SeededRandom
  private var outgoing = UniqueArray<OutgoingDatagram>(minimumCapacity: EgressStage.jobCapacity)
  private var checkedAt = Instant.zero
  /// The size of the last packet that left first in a message, as sent.
  private(set) var sealedByteCount = 0
  /// A whole number of turns of checks and reports, so that consent (RFC 7675 §5.1) lasts while a run does.
  private static let checkInterval = TimeDelta.seconds(Int64(5))

  init(_ room: Room, protector: any PacketProtector, profile: SRTPProfile, levelsRuns: Bool, seed: UInt64) {
    self.room = room
    random = SeededRandom(seed: seed)
    let memberCount = room.publishers.count + room.subscribers.count
    var configuration = ShardConfiguration(shard: 0, seed: seed, wallClock: wallClock(), linkCapacity: max(64, memberCount))
    configuration.levelsRuns = levelsRuns
    engine = ShardEngine(configuration, protector: protector, handshakes: ReadyHandshakeFactory(profile: profile))
  }

  // MARK: Setting up

  /// Brings publishers in.
  mutating func addPublishers() {
    for publisher in room.publishers { for command in publisher.joining { perform(command) } }
    check(room.publishers)
  }

  /// Brings subscribers in, bound to every publisher.
  mutating func addSubscribers() {
    for subscriber in room.subscribers {
      for command in subscriber.joining { perform(command) }
      for command in subscriber.subscribing(to: room.publishers) { perform(command) }
    }
    check(room.subscribers)
  }

  /// Sends the first frame, which is a key frame, and has every subscriber report on it.
  mutating func start(_ frames: SealedFrames, reports: SubscriberReports) {
    frames.fill(frameCount: 1, startsKeyframe: true)
    forward(frames)
    for position in room.subscribers.indices { take(reports.report(of: position), from: room.subscribers[position].address) }
    engine.finishBatch(at: MonotonicClock.now)
    drain(at: MonotonicClock.now)
  }

  /// Renews consent when it is time; outside of what is measured.
  mutating func keepConsent() {
    guard MonotonicClock.now - checkedAt >= Self.checkInterval else { return }
    check(room.publishers)
    check(room.subscribers)
  }

  private mutating func check(_ members: [RoomMember]) {
    checkedAt = MonotonicClock.now
    for member in members { take(member.check(using: &random), from: member.address) }
    drain(at: MonotonicClock.now)
  }

  private mutating func perform(_ command: Command) {
    let now = MonotonicClock.now
    engine.perform(command, at: now)
    drain(at: now)
    while let event = engine.pollEvent() {
      if case .refused(let refusal) = event { preconditionFailure("the engine refused \(refusal)") }
    }
  }

  private mutating func take(_ bytes: [UInt8], from address: SocketAddress) {
    var bytes = bytes
    let now = MonotonicClock.now
    bytes.withUnsafeMutableBytes { buffer in
      let datagram = ReceivedDatagram(base: buffer.baseAddress!, byteCount: buffer.count, address: address)
      while !engine.handle(datagram, at: now) {
        engine.finishBatch(at: now)
        drain(at: now)
      }
      // The bytes are gone after this.
      engine.finishBatch(at: now)
    }
    drain(at: now)
  }

  // MARK: Measured

  /// Hands in everything that was sealed, a frame to a batch, and drains after each.
  @inline(never)
  mutating func forward(_ frames: SealedFrames) {
    let perBatch = frames.shape.packetsPerFrame
    var position = 0
    while position < frames.packets.count {
      let now = MonotonicClock.now
      handleBatch(frames, from: position, count: perBatch, at: now)
      drain(at: now)
      position += perBatch
    }
    finishTime()
  }

  /// The same, and how long after its arrival each packet was ready to be sent.
  mutating func forward(_ frames: SealedFrames, recording latencies: inout LatencyHistogram) {
    let perBatch = frames.shape.packetsPerFrame
    var position = 0
    while position < frames.packets.count {
      let now = MonotonicClock.now
      handleBatch(frames, from: position, count: perBatch, at: now)
      while true {
        let before = engine.traffic.packetsOut
        guard engine.pollTransmit(into: &outgoing, at: now) > 0 else { break }
        latencies.record(MonotonicClock.now - now, times: Int(engine.traffic.packetsOut - before))
      }
      position += perBatch
    }
    finishTime()
  }

  private mutating func handleBatch(_ frames: SealedFrames, from start: Int, count: Int, at now: Instant) {
    for position in start..<start + count {
      let packet = frames.packets[position]
      let datagram = ReceivedDatagram(
        base: packet.base, byteCount: packet.byteCount, address: room.publishers[packet.publisher].address)
      while !engine.handle(datagram, at: now) {
        engine.finishBatch(at: now)
        drain(at: now)
      }
    }
    engine.finishBatch(at: now)
  }

  private mutating func finishTime() {
    let now = MonotonicClock.now
    guard engine.nextDeadline <= now else { return }
    engine.handleTimeout(at: now)
    drain(at: now)
  }

  private mutating func drain(at now: Instant) {
    while engine.pollTransmit(into: &outgoing, at: now) > 0 {
      let first = outgoing[0]
      if first.segmentByteCount != 0 || room.shape.packetsPerFrame == 1 {
        sealedByteCount = first.segmentByteCount == 0 ? Int(first.byteCount) : Int(first.segmentByteCount)
      }
    }
  }
}
