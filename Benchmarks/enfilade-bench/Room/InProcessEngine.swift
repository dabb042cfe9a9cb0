// A shard's engine driven by hand: datagrams go in, datagrams come out, and nobody sends them.

import EnfiladeCongestion
import EnfiladeEngine
import EnfiladeForwarding
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
  /// Frames are so far apart in the engine's time; `nil` takes the clock's.
  private let frameInterval: TimeDelta?
  private var virtualTime = MonotonicClock.now
  /// What left since the subscribers last reported, where somebody keeps count of it.
  private(set) var sentMessages = UniqueArray<SentMessage>()
  private let countsMessages: Bool

  init(
    _ room: Room, protector: any PacketProtector, profile: SRTPProfile, levelsRuns: Bool, seed: UInt64, frameInterval: TimeDelta? = nil,
    congestion: CongestionProfile? = nil, countsMessages: Bool = false
  ) {
    self.room = room
    self.countsMessages = countsMessages
    self.frameInterval = frameInterval
    random = SeededRandom(seed: seed)
    let memberCount = room.publishers.count + room.subscribers.count
    var configuration = ShardConfiguration(shard: 0, seed: seed, wallClock: wallClock(), linkCapacity: max(64, memberCount))
    configuration.levelsRuns = levelsRuns
    configuration.congestion = congestion
    if countsMessages { sentMessages.reserveCapacity(room.subscribers.count * 256) }
    engine = ShardEngine(configuration, protector: protector, handshakes: ReadyHandshakeFactory(profile: profile))
  }

  /// The engine's time.
  var now: Instant { frameInterval == nil ? MonotonicClock.now : virtualTime }

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
    engine.finishBatch(at: now)
    drain(at: now)
  }

  /// Hands in what subscribers report, one datagram each.
  @inline(never)
  mutating func report(_ reports: ArrivalReports) {
    let now = now
    for position in 0..<reports.count {
      let report = reports[position]
      let datagram = ReceivedDatagram(base: report.base, byteCount: report.byteCount, address: room.subscribers[position].address)
      while !engine.handle(datagram, at: now) {
        engine.finishBatch(at: now)
        drain(at: now)
      }
    }
    engine.finishBatch(at: now)
    drain(at: now)
  }

  /// Renews consent when it is time; outside of what is measured.
  mutating func keepConsent() {
    guard now - checkedAt >= Self.checkInterval else { return }
    check(room.publishers)
    check(room.subscribers)
  }

  private mutating func check(_ members: [RoomMember]) {
    checkedAt = now
    for member in members { take(member.check(using: &random), from: member.address) }
    drain(at: now)
  }

  private mutating func perform(_ command: Command) {
    let now = now
    engine.perform(command, at: now)
    drain(at: now)
    while let event = engine.pollEvent() {
      if case .refused(let refusal) = event { preconditionFailure("the engine refused \(refusal)") }
    }
  }

  private mutating func take(_ bytes: [UInt8], from address: SocketAddress) {
    var bytes = bytes
    let now = now
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

  /// Gives a subscriber's picture another target, and sends what follows from that.
  mutating func setTarget(_ target: LayerTarget, of subscriber: Int) {
    let now = now
    engine.perform(.setTarget(room.subscribers[subscriber].slots[0], target), at: now)
    drain(at: now)
  }

  /// How often another layer was sent from some moment on, since this was asked last.
  mutating func takeSwitchCount() -> Int {
    var count = 0
    while let event = engine.pollEvent() {
      if case .layersDecided(_, let entries, let missed, _) = event { count += missed + entries.count { $0.kind == .switched } }
    }
    return count
  }

  // MARK: Measured

  /// Hands in everything that was sealed, a frame to a batch, and drains after each.
  @inline(never)
  mutating func forward(_ frames: SealedFrames) {
    let perBatch = frames.shape.packetsPerFrame
    var position = 0
    while position < frames.packets.count {
      if let frameInterval { virtualTime = virtualTime + frameInterval / Int64(room.shape.publishers * room.shape.encodings) }
      let now = now
      handleBatch(frames, from: position, count: perBatch, at: now)
      drain(at: now)
      position += perBatch
      if frameInterval != nil { finishTime() }
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
    let now = now
    guard engine.nextDeadline <= now else { return }
    engine.handleTimeout(at: now)
    drain(at: now)
  }

  private mutating func drain(at now: Instant) {
    while engine.pollTransmit(into: &outgoing, at: now) > 0 {
      if countsMessages { noteMessages(at: now) }
      let first = outgoing[0]
      if first.segmentByteCount != 0 || room.shape.packetsPerFrame == 1 {
        sealedByteCount = first.segmentByteCount == 0 ? Int(first.byteCount) : Int(first.segmentByteCount)
      }
    }
  }

  /// Notes each message for the reports to come: the same work whether its packets carry transport-wide numbers or not.
  private mutating func noteMessages(at now: Instant) {
    for position in outgoing.indices {
      let datagram = outgoing[position]
      let segment = datagram.segmentByteCount == 0 ? Int(datagram.byteCount) : Int(datagram.segmentByteCount)
      let count = (Int(datagram.byteCount) + segment - 1) / segment
      guard datagram.byteCount >= 24, sentMessages.count < sentMessages.capacity else { continue }
      let bytes = datagram.base + (count - 1) * segment
      // RTP, and no RTCP (RFC 5761 §4), with at most one element, which is the number (RFC 8285 §4.2).
      let first = bytes.load(as: UInt8.self)
      guard !(192...223).contains(bytes.load(fromByteOffset: 1, as: UInt8.self)) else { continue }
      let isNumbered =
        first & 0x10 != 0 && bytes.load(fromByteOffset: 16, as: UInt8.self) == RoomMember.transportNumberIdentifier << 4 | 1
      let number = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 17, as: UInt16.self))
      sentMessages.append(
        SentMessage(
          sent: now, address: datagram.address, packetCount: Int32(count), newest: isNumbered ? number : 0, isNumbered: isNumbered))
    }
  }

  /// The messages so far have been dealt with.
  mutating func forgetMessages() { sentMessages.removeAll(keepingCapacity: true) }
}

/// One message to a subscriber: so many packets at once.
struct SentMessage {
  var sent: Instant
  var address: SocketAddress
  var packetCount: Int32
  /// The transport-wide number of its last packet.
  var newest: UInt16
  var isNumbered: Bool
}
