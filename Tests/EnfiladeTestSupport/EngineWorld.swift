// The engines of one or more shards in virtual time, with their peers and the paths between. It holds the engine's driver to the rules: drain after every
// change, never let time go back. It holds the engine to some of its own: no deadline that is due stays due, no outgoing number is used twice.

package import EnfiladeCongestion
package import EnfiladeEngine
package import EnfiladeMixing
import EnfiladeRTP
import EnfiladeSRTP
import EnfiladeSTUN
package import EnfiladeTransport
package import EnfiladeWire

/// A world from a seed: run twice, it is the same twice.
package final class EngineWorld {
  package var engines = UniqueArray<ShardEngine>()
  package var workers = UniqueArray<MixWorker>()
  package private(set) var mixEvents: [MixEvent] = []
  package private(set) var now: Instant
  package let wallClock: WallClock
  package let protectors: [NullProtector]
  package let handshakes: NullHandshakeFactory
  package private(set) var peers: [ScriptedPeer] = []
  package private(set) var events: [(at: Instant, event: EngineEvent)] = []
  package var random: SeededRandom
  package var tags: [UInt64: TaggedPacket] = [:]
  /// Shards whose threads are held up: they take and send nothing until they are let go.
  package var stalledShards: Set<Int> = []
  /// What the engine did that it must never do.
  package private(set) var violations: [String] = []
  /// Datagrams to addresses where nobody is.
  package private(set) var strays: [(at: Instant, address: SocketAddress, bytes: [UInt8])] = []
  /// What the engine sent, in datagrams.
  package private(set) var sentCount = 0
  package private(set) var largestRun = 0

  /// TCP connections of peers of the first shard.
  package var streams = StreamTable()
  /// Connections whose peers read nothing for now.
  package var blockedStreams: Set<SocketAddress> = []
  /// What came to a peer over TCP and is no whole frame yet.
  var streamRests: [SocketAddress: [UInt8]] = [:]

  var flights = FlightQueue()
  private var shards: [LinkID: Int] = [:]
  private var slotShards: [SlotKey: Int] = [:]
  private var outgoing = UniqueArray<OutgoingDatagram>(minimumCapacity: 1024)
  private var ledgers: [SocketAddress: [UInt32: Ledger]] = [:]
  private var nextTag: UInt64 = 1
  private var nextIdentifier: UInt64 = 1
  private let arena: UnsafeMutableRawPointer
  private static let arenaByteCount = 1 << 20

  /// The outgoing numbers of one source.
  private struct Ledger {
    var unwrapper = SequenceUnwrapper()
    var used: Set<Int64> = []
  }

  package init(
    seed: UInt64, shards: Int = 1, linkCapacity: Int = 64, slotCount: Int = 4096, levelsRuns: Bool = true,
    congestion: CongestionProfile? = nil, inboundLimit: Bitrate = .zero, start: Instant = Instant(nanoseconds: 1_000_000_000)
  ) {
    random = SeededRandom(seed: seed)
    now = start
    wallClock = WallClock(instant: start, ntp: NTPTimestamp(rawValue: 0xE900_0000_8000_0000))
    handshakes = NullHandshakeFactory(seed: random.next())
    protectors = (0..<shards).map { _ in NullProtector() }
    for shard in 0..<shards {
      var configuration = ShardConfiguration(
        shard: UInt8(shard), seed: random.next(), wallClock: wallClock, linkCapacity: linkCapacity, slotCount: slotCount)
      configuration.levelsRuns = levelsRuns
      configuration.congestion = congestion
      configuration.inboundLimit = inboundLimit
      engines.append(ShardEngine(configuration, protector: ClearProtector(protectors[shard]), handshakes: handshakes))
    }
    arena = .allocate(byteCount: Self.arenaByteCount, alignment: 64)
    for first in 0..<shards { for second in first + 1..<max(first + 1, shards) { connect(first, second) } }
  }

  private func connect(_ first: Int, _ second: Int) {
    // Two elements of one array cannot be held at once: the second is out of it meanwhile.
    var other = engines.remove(at: second)
    ShardEngine.connect(&engines[first], &other)
    let behind = engines.count - second
    var rest = UniqueArray<ShardEngine>()
    for _ in 0..<behind { rest.append(engines.removeLast()) }
    engines.append(other)
    for _ in 0..<behind { engines.append(rest.removeLast()) }
  }

  /// Adds a media worker, before anything runs.
  package func addWorker(_ codecs: any AudioCodecFactory, slotCount: Int = 512) {
    workers.append(
      MixWorker(
        number: UInt8(engines.count + workers.count), slotCount: slotCount, codecs: codecs, wallClock: wallClock, seed: random.next()))
    for shard in 0..<engines.count { ShardEngine.connect(&engines[shard], &workers[workers.count - 1]) }
  }

  /// Has a command carried out by the first media worker.
  package func perform(_ command: MixCommand) {
    workers[0].perform(command, at: now)
    drain()
  }

  /// The only shard's engine, or the first one's.
  package var engine: ShardEngine {
    _read { yield engines[0] }
    _modify { yield &engines[0] }
  }

  /// The first shard's protector.
  package var protector: NullProtector { protectors[0] }
  /// Sessions that are open, on all shards.
  package var openSessionCount: Int { protectors.reduce(0) { $0 + $1.openCount } }

  /// When the first engine wants to be called.
  package var nextEngineDeadline: Instant {
    var next = Instant.distantFuture
    for shard in running { next = min(next, engines[shard].nextDeadline) }
    for worker in 0..<workers.count { next = min(next, workers[worker].nextDeadline) }
    return next
  }

  deinit { arena.deallocate() }

  func makeTag() -> UInt64 {
    nextTag += 1
    return nextTag
  }

  /// A number that nothing else of this world has.
  package func makeIdentifier() -> UInt64 {
    nextIdentifier += 1
    return nextIdentifier
  }

  // MARK: Verbs

  /// Has a command carried out by the shard it is for, or by all of them.
  package func perform(_ command: Command) {
    if case .setMuted = command {
      for shard in running { engines[shard].perform(command, at: now) }
    } else {
      engines[shard(of: command)].perform(command, at: now)
    }
    drain()
  }

  private func shard(of command: Command) -> Int {
    switch command {
    case .addPlainLink(let id, _): shards[id] ?? 0
    case .addLink(let id, _), .configure(let id, _), .restartICE(let id, _, _), .removeLink(let id), .setPolicy(let id, _):
      shards[id] ?? 0
    case .bind(let slot, _), .listen(let slot, _), .setTarget(let slot, _): slotShards[slot] ?? 0
    case .setMuted(let key, _): Int(key.shard)
    }
  }

  /// Adds a peer that publishes and receives these kinds, and tells the engine of it.
  @discardableResult
  package func addPeer(
    _ name: String, publishes: [MediaKind] = [], receives: [MediaKind] = [], numbers: PeerNumbers = PeerNumbers(),
    address: SocketAddress? = nil, _ prepare: (ScriptedPeer) -> Void = { _ in }
  ) -> ScriptedPeer {
    let number = makeIdentifier()
    let engineCredentials = ICECredentials.make(using: &random)
    let peer = ScriptedPeer(
      link: LinkID(number), name: name, address: address ?? SocketAddress(ipv4: 0x0A00_0000 + UInt32(number), port: 5000), numbers: numbers,
      credentials: ICECredentials.make(using: &random), engineCredentials: engineCredentials,
      engineFingerprint: handshakes.localFingerprint,
      profile: handshakes.profile, random: SeededRandom(seed: random.next()))
    peer.nextCheckAt = now
    shards[peer.link] = shards.count % engines.count
    for kind in publishes { addPublication(kind, to: peer) }
    for kind in receives { addSlot(kind, to: peer) }
    prepare(peer)
    peers.append(peer)
    perform(
      .addLink(
        peer.link,
        LinkConfiguration(
          localCredentials: engineCredentials, remoteCredentials: peer.credentials, role: .passive,
          fingerprints: [peer.certificate.localFingerprint])))
    perform(.configure(peer.link, peer.media))
    return peer
  }

  @discardableResult
  package func addPublication(_ kind: MediaKind, to peer: ScriptedPeer) -> PublishedStream {
    let stream = PublishedStream(
      kind: kind, publication: PublicationKey(number: makeIdentifier(), shard: UInt8(shard(of: peer))),
      mid: Array("p\(peer.published.count)".utf8),
      payloadType: kind == .audio ? peer.numbers.opus : peer.numbers.vp8,
      retransmissionPayloadType: kind == .audio ? peer.numbers.opusRetransmission : peer.numbers.vp8Retransmission, using: &random,
      epoch: now)
    stream.nextFrameAt = now + stream.interval
    peer.published.append(stream)
    return stream
  }

  /// Adds one video publication with an encoding for each RID, the smallest first.
  @discardableResult
  package func addSimulcast(_ rids: [String], to peer: ScriptedPeer) -> [PublishedStream] {
    let first = addPublication(.video, to: peer)
    first.rid = Array(rids[0].utf8)
    let others = rids.dropFirst().map { rid in
      let stream = PublishedStream(
        kind: .video, publication: first.publication, mid: first.mid, payloadType: first.payloadType,
        retransmissionPayloadType: first.retransmissionPayloadType, using: &random, epoch: now)
      stream.rid = Array(rid.utf8)
      stream.nextFrameAt = first.nextFrameAt
      peer.published.append(stream)
      return stream
    }
    return [first] + others
  }

  @discardableResult
  package func addSlot(_ kind: MediaKind, to peer: ScriptedPeer) -> PeerSlot {
    let slot = PeerSlot(
      key: SlotKey(makeIdentifier()), mid: Array("s\(peer.slots.count)".utf8), kind: kind,
      ssrc: SSRC(UInt32(truncatingIfNeeded: random.next() | 1)), retransmissionSSRC: SSRC(UInt32(truncatingIfNeeded: random.next() | 1)))
    peer.slots.append(slot)
    slotShards[slot.key] = shard(of: peer)
    return slot
  }

  /// Where a peer's link lives.
  package func shard(of peer: ScriptedPeer) -> Int { shards[peer.link] ?? 0 }

  /// Binds a slot of `subscriber` to the publication of that kind.
  package func subscribe(_ subscriber: ScriptedPeer, to publisher: ScriptedPeer, _ kind: MediaKind, slot number: Int = 0) {
    perform(.bind(subscriber.slot(kind, number).key, publisher.stream(kind).publication))
  }

  /// Takes a peer out of the engine; the peer itself knows nothing of it and goes on.
  package func removeLink(of peer: ScriptedPeer) { perform(.removeLink(peer.link)) }

  /// Lets the peer fall silent for good.
  package func silence(_ peer: ScriptedPeer) { peers.removeAll { $0 === peer } }

  // MARK: Time

  /// Runs until every peer has its keys, at most five seconds.
  package func connect() {
    let end = now + .seconds(Int64(5))
    while now < end, peers.contains(where: { !$0.isConnected }) { run(for: .milliseconds(10)) }
  }

  package func run(for span: TimeDelta) { run(until: now + span) }

  package func run(until end: Instant) {
    var rounds = 0
    while true {
      var next = min(flights.nextArrival, nextEngineDeadline)
      for peer in peers { next = min(next, peer.nextDeadline) }
      guard next <= end else { break }
      rounds = next <= now ? rounds + 1 : 0
      guard rounds < 1000 else {
        violations.append("something stays due for ever at \(now.nanoseconds)")
        break
      }
      now = max(now, next)
      step()
    }
    now = max(now, end)
  }

  private func step() {
    var batch: [Flight] = []
    while let flight = flights.popArrived(at: now) {
      if flight.isForEngine {
        batch.append(flight)
      } else if let peer = peers.first(where: { $0.address == flight.address }) {
        peer.handleDatagram(flight.bytes, at: now, in: self)
      } else {
        strays.append((now, flight.address, flight.bytes))
      }
    }
    if !batch.isEmpty { deliver(batch) }
    for peer in peers where peer.nextDeadline <= now { peer.handleTimeout(at: now, in: self) }
    for worker in 0..<workers.count where workers[worker].nextDeadline <= now {
      workers[worker].handleTimeout(at: now)
      drain()
      if workers[worker].nextDeadline <= now { violations.append("a tick stays due after it was made, at \(now.nanoseconds)") }
    }
    for shard in running where engines[shard].nextDeadline <= now {
      engines[shard].handleTimeout(at: now)
      drain()
      if engines[shard].nextDeadline <= now { violations.append("a deadline stays due after it was handled, at \(now.nanoseconds)") }
    }
  }

  // MARK: Datagrams

  /// Sends a peer's datagram on its way.
  package func transmit(_ bytes: [UInt8], from peer: ScriptedPeer, transportNumber: UInt16? = nil) {
    for arrival in peer.uplink.arrivals(of: bytes.count, at: now, using: &random) {
      flights.insert(bytes, arriving: arrival, address: peer.address, isForEngine: true, transportNumber: transportNumber)
    }
  }

  /// Hands the engine a datagram at once, from anywhere.
  package func inject(_ bytes: [UInt8], from address: SocketAddress, segmentByteCount: Int = 0, isTruncated: Bool = false) {
    let shard = self.shard(at: address)
    take(bytes, from: address, segmentByteCount: segmentByteCount, isTruncated: isTruncated, at: 0, shard: shard)
    engines[shard].finishBatch(at: now)
    drain()
  }

  /// Hands the engine several datagrams as one receive batch.
  package func injectBatch(_ datagrams: [(bytes: [UInt8], address: SocketAddress)]) {
    deliver(
      datagrams.map { Flight(arrival: now, serial: 0, bytes: $0.bytes, address: $0.address, isForEngine: true, transportNumber: nil) })
  }

  /// Lets what is under way arrive until `end`, and the engines take it, but has nothing sent yet: as a busy shard lets packets wait.
  package func takeWithoutDraining(until end: Instant) {
    now = max(now, end)
    var offset = 0
    while let flight = flights.popArrived(at: now) {
      if flight.isForEngine {
        take(flight.bytes, from: flight.address, segmentByteCount: 0, isTruncated: false, at: offset, shard: shard(at: flight.address))
        offset += flight.bytes.count
      } else {
        peers.first { $0.address == flight.address }?.handleDatagram(flight.bytes, at: now, in: self)
      }
    }
    for shard in running { engines[shard].finishBatch(at: now) }
  }

  /// The shard whose port a peer at this address was told.
  private func shard(at address: SocketAddress) -> Int { peers.first { $0.address == address }.map(shard) ?? 0 }

  private func finishBatches() {
    for shard in engines.indices { engines[shard].finishBatch(at: now) }
    drain()
  }

  private func deliver(_ batch: [Flight]) {
    var offset = 0
    for flight in batch {
      if offset + flight.bytes.count > Self.arenaByteCount {
        finishBatches()
        offset = 0
      }
      if let number = flight.transportNumber, let peer = peers.first(where: { $0.address == flight.address }) {
        peer.transportArrivals.append((number, now))
      }
      take(flight.bytes, from: flight.address, segmentByteCount: 0, isTruncated: false, at: offset, shard: shard(at: flight.address))
      offset += flight.bytes.count
    }
    finishBatches()
  }

  private func take(_ bytes: [UInt8], from address: SocketAddress, segmentByteCount: Int, isTruncated: Bool, at offset: Int, shard: Int) {
    if address.isTCP { return takeStream(bytes, from: address, shard: shard) }
    precondition(offset + bytes.count <= Self.arenaByteCount)
    let place = arena + offset
    bytes.withUnsafeBytes { if let base = $0.baseAddress { place.copyMemory(from: base, byteCount: $0.count) } }
    let datagram = ReceivedDatagram(
      base: place, byteCount: bytes.count, segmentByteCount: segmentByteCount, isTruncated: isTruncated, address: address)
    var attempts = 0
    while !engines[shard].handle(datagram, at: now) {
      attempts += 1
      precondition(attempts < 3, "the engine never has room")
      engines[shard].finishBatch(at: now)
      drain()
    }
  }

  /// Takes everything the engines have to send and say, also to one another.
  package func drain() {
    var isQuiet = false
    while !isQuiet {
      for shard in running { drain(shard) }
      isQuiet = true
      for worker in 0..<workers.count {
        while workers[worker].takeRelayed(at: now) {}
        while let event = workers[worker].pollEvent() { mixEvents.append(event) }
        while workers[worker].takeShardToWake() != nil { isQuiet = false }
        if workers[worker].laneWork == .toTake { isQuiet = false }
      }
      for shard in running where engines[shard].takeShardToWake() != nil || engines[shard].laneWork == .toTake { isQuiet = false }
    }
    // Slots that went home after their owner had looked.
    for shard in running where engines[shard].takeRelayed(at: now) { violations.append("a lane is full after the drain") }
  }

  private var running: [Int] { engines.indices.filter { !stalledShards.contains($0) } }

  private func drain(_ shard: Int) {
    var rounds = 0
    while true {
      let isFull = engines[shard].takeRelayed(at: now)
      while engines[shard].pollTransmit(into: &outgoing, at: now) > 0 {
        for position in 0..<outgoing.count {
          if outgoing[position].address.isTCP { streams.send(outgoing[position], at: now) } else { route(outgoing[position]) }
        }
        carryStreams()
        rounds += 1
        precondition(rounds < 100_000, "the engine never runs dry")
      }
      guard isFull else { break }
    }
    if engines[shard].hasPendingOutput { violations.append("output is pending after the drain") }
    while let event = engines[shard].pollEvent() { events.append((now, event)) }
  }

  private func route(_ datagram: OutgoingDatagram) {
    if !datagram.isWithinSegmentationLimits { violations.append("a run that no kernel takes") }
    let total = Int(datagram.byteCount)
    let segment = datagram.segmentByteCount == 0 ? total : Int(datagram.segmentByteCount)
    largestRun = max(largestRun, (total + segment - 1) / segment)
    let peer = peers.first { $0.address == datagram.address }
    var offset = 0
    while offset < total {
      let count = min(segment, total - offset)
      let bytes = Array(UnsafeRawBufferPointer(start: datagram.base + offset, count: count))
      offset += count
      sentCount += 1
      if count > Limits.datagramByteCount { violations.append("a datagram of \(count) bytes") }
      note(bytes, to: datagram.address)
      guard let peer else {
        strays.append((now, datagram.address, bytes))
        continue
      }
      for arrival in peer.downlink.arrivals(of: bytes.count, at: now, using: &random) {
        flights.insert(bytes, arriving: arrival, address: datagram.address, isForEngine: false)
      }
    }
  }

  /// No number of a source goes out twice (RFC 3711 §9.1: the same keystream must not be used twice).
  func note(_ bytes: [UInt8], to address: SocketAddress) {
    guard DatagramKind(bytes.rawBytes) == .rtp, let header = RTPFixedHeader.parse(bytes.rawBytes) else { return }
    let wide = ledgers[address, default: [:]][header.ssrc.rawValue, default: Ledger()].unwrapper.unwrap(header.sequenceNumber)
    if !ledgers[address]![header.ssrc.rawValue]!.used.insert(wide.rawValue).inserted {
      violations.append("number \(wide.rawValue) of \(header.ssrc.rawValue) went out twice")
    }
  }

  // MARK: Look

  /// The states a link went through.
  package func states(of peer: ScriptedPeer) -> [LinkState] {
    events.compactMap { if case .linkChanged(peer.link, let state) = $0.event { state } else { nil } }
  }

  package var refusals: [RefusedCommand] {
    events.compactMap { if case .refused(let refusal) = $0.event { refusal } else { nil } }
  }

  /// The packet that a payload was made for.
  package func origin(of packet: ReceivedPacket) -> TaggedPacket? { packet.tag.flatMap { tags[$0] } }
}
