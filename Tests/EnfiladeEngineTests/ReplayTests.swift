// Joiners are served out of the history: fifty within a second ask the publisher as good as never, and see a picture at once.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Replay")
struct ReplayTests {
  /// A round trip of 50 ms, key frames of thirty packets of 1200 bytes a tenth of a second after they are asked for, and 1.2 Mbit/s between.
  private static func room(seed: UInt64, shards: Int, subscribers count: Int, encodings: Int = 1) -> (
    world: EngineWorld, publisher: ScriptedPeer, streams: [PublishedStream], subscribers: [ScriptedPeer]
  ) {
    let world = EngineWorld(seed: seed, shards: shards, linkCapacity: 128, slotCount: 16_384)
    var streams: [PublishedStream] = []
    let publisher = world.addPeer("publisher") {
      streams = encodings > 1 ? world.addSimulcast(["q", "h", "f"], to: $0) : [world.addPublication(.video, to: $0)]
      $0.uplink.delay = .milliseconds(25)
      $0.downlink.delay = .milliseconds(25)
      $0.keyframeDelay = .milliseconds(100)
    }
    for stream in streams {
      stream.interval = .milliseconds(33)
      stream.packetsPerFrame = 4
      stream.keyframePacketCount = 30
      stream.payloadByteCount = 1150
    }
    let peers = (0..<count).map { world.addPeer("\($0)", receives: [.video]) }
    for peer in peers { (peer.uplink.delay, peer.downlink.delay) = (.milliseconds(25), .milliseconds(25)) }
    world.connect()
    world.run(for: .seconds(Int64(4)))
    return (world, publisher, streams, peers)
  }

  private static func requestCount(_ publisher: ScriptedPeer, of stream: PublishedStream) -> Int {
    publisher.feedback.count { if case .pictureLoss(stream.ssrc) = $0.packet { true } else { false } }
  }

  /// When the subscriber has all of its first picture; `nil` before.
  private static func firstPicture(_ subscriber: ScriptedPeer, in world: EngineWorld) -> Instant? {
    let packets = subscriber.packets(on: subscriber.slot(.video)).sorted { $0.index < $1.index }
    guard let first = packets.first, world.origin(of: first)?.isKeyframeStart == true,
      let end = packets.firstIndex(where: { $0.rtp.marker })
    else { return nil }
    let picture = packets[...end]
    guard picture.allSatisfy({ $0.rtp.timestamp == first.rtp.timestamp }), picture.last!.index - first.index == picture.count - 1 else {
      return nil
    }
    return picture.map(\.at).max()
  }

  /// The publisher's number of what came last.
  private static func newest(_ subscriber: ScriptedPeer, in world: EngineWorld) -> ExtendedSequenceNumber? {
    subscriber.packets(on: subscriber.slot(.video)).last.flatMap { world.origin(of: $0)?.index }
  }

  private static func expectContinuous(_ subscriber: ScriptedPeer, in world: EngineWorld) {
    let packets = subscriber.packets(on: subscriber.slot(.video))
    for (one, next) in zip(packets, packets.dropFirst()) {
      #expect(next.index - one.index == 1)
      #expect(Int32(bitPattern: next.rtp.timestamp &- one.rtp.timestamp) >= 0)
      guard let from = world.origin(of: one), let to = world.origin(of: next) else { continue }
      if from.ssrc == to.ssrc { #expect(to.index - from.index == 1) } else { #expect(to.isKeyframeStart) }
    }
  }

  private static func expectAllHome(_ world: EngineWorld) {
    for peer in world.peers { world.removeLink(of: peer) }
    for shard in world.engines.indices {
      let census = world.engines[shard].census
      #expect(census == ShardEngine.Census(), "shard \(shard)")
    }
    #expect(world.violations.isEmpty)
  }

  @Test("Fifty who join within a second cost two requests at most, and each has a picture within half a second", arguments: [1, 2])
  func fiftyJoin(shards: Int) throws {
    let (world, publisher, streams, subscribers) = Self.room(seed: 500 + UInt64(shards), shards: shards, subscribers: 50)
    publisher.feedback.removeAll()
    var joinedAt: [Instant] = []
    for subscriber in subscribers {
      joinedAt.append(world.now)
      world.subscribe(subscriber, to: publisher, .video)
      world.run(for: .milliseconds(20))
    }
    world.run(for: .milliseconds(1500))
    #expect((1...2).contains(Self.requestCount(publisher, of: streams[0])))
    var slowest = TimeDelta.zero
    for (subscriber, joined) in zip(subscribers, joinedAt) {
      let seen = try #require(Self.firstPicture(subscriber, in: world))
      slowest = max(slowest, seen - joined)
      Self.expectContinuous(subscriber, in: world)
      // All have caught up: the newest packet is the same for everybody.
      #expect(Self.newest(subscriber, in: world) == Self.newest(subscribers[0], in: world))
    }
    #expect(slowest <= .milliseconds(500), "\(slowest.milliseconds) ms")
    var replays: UInt64 = 0
    for shard in world.engines.indices { replays += world.engines[shard].traffic.replays }
    #expect(replays >= 40)
    Self.expectAllHome(world)
  }

  @Test("The same with three encodings: two requests for each at most", arguments: [1, 2])
  func fiftyJoinSimulcast(shards: Int) throws {
    let (world, publisher, streams, subscribers) = Self.room(seed: 510 + UInt64(shards), shards: shards, subscribers: 50, encodings: 3)
    publisher.feedback.removeAll()
    var joinedAt: [Instant] = []
    for (index, subscriber) in subscribers.enumerated() {
      joinedAt.append(world.now)
      let (width, height) = [(320, 180), (640, 360), (1280, 720)][index % 3] as (UInt16, UInt16)
      world.perform(.setTarget(subscriber.slot(.video).key, .init(maximumWidth: width, maximumHeight: height)))
      world.subscribe(subscriber, to: publisher, .video)
      world.run(for: .milliseconds(20))
    }
    world.run(for: .milliseconds(1500))
    for stream in streams { #expect(Self.requestCount(publisher, of: stream) <= 2) }
    for (subscriber, joined) in zip(subscribers, joinedAt) {
      let seen = try #require(Self.firstPicture(subscriber, in: world))
      #expect(seen - joined <= .milliseconds(500), "\((seen - joined).milliseconds) ms")
      Self.expectContinuous(subscriber, in: world)
    }
    Self.expectAllHome(world)
  }

  @Test("A replay is paced: what it sends in five milliseconds is bounded, and none of it is sent twice")
  func paced() throws {
    let (world, publisher, _, subscribers) = Self.room(seed: 520, shards: 1, subscribers: 2)
    world.subscribe(subscribers[0], to: publisher, .video)
    world.run(for: .milliseconds(900))
    world.subscribe(subscribers[1], to: publisher, .video)
    world.run(for: .milliseconds(1000))
    let packets = subscribers[1].packets(on: subscribers[1].slot(.video))
    #expect(packets.count > 150)
    // 1.2 Mbit/s four times over are some four packets in five milliseconds; as many again may have waited.
    for start in packets.indices {
      let burst = packets[start...].prefix { $0.at - packets[start].at < .milliseconds(5) }
      #expect(burst.count <= 12)
    }
    #expect(world.engine.traffic.replays == 1)
    Self.expectAllHome(world)
  }

  @Test("Whoever leaves, pauses or is bound elsewhere in the midst of a replay leaves nothing behind")
  func interrupted() {
    let (world, publisher, _, subscribers) = Self.room(seed: 530, shards: 2, subscribers: 8)
    world.subscribe(subscribers[0], to: publisher, .video)
    world.subscribe(subscribers[1], to: publisher, .video)
    world.run(for: .milliseconds(900))
    for subscriber in subscribers.dropFirst(2) { world.subscribe(subscriber, to: publisher, .video) }
    world.run(for: .milliseconds(30))
    world.removeLink(of: subscribers[2])
    world.perform(.bind(subscribers[3].slot(.video).key, nil))
    var paused = LayerTarget()
    paused.isPaused = true
    world.perform(.setTarget(subscribers[4].slot(.video).key, paused))
    world.run(for: .milliseconds(100))
    world.perform(.setTarget(subscribers[4].slot(.video).key, LayerTarget()))
    world.subscribe(subscribers[3], to: publisher, .video)
    world.run(for: .milliseconds(1500))
    for index in [0, 1, 5, 6, 7] { Self.expectContinuous(subscribers[index], in: world) }
    #expect(world.now - subscribers[4].packets(on: subscribers[4].slot(.video)).last!.at < .milliseconds(100))
    Self.expectAllHome(world)
  }

  @Test("A key picture that is too old is not replayed: the publisher is asked")
  func tooOld() {
    let (world, publisher, streams, subscribers) = Self.room(seed: 540, shards: 1, subscribers: 2)
    world.subscribe(subscribers[0], to: publisher, .video)
    world.run(for: .seconds(Int64(4)))
    publisher.feedback.removeAll()
    world.subscribe(subscribers[1], to: publisher, .video)
    world.run(for: .milliseconds(400))
    #expect(Self.requestCount(publisher, of: streams[0]) == 1)
    #expect(world.engine.traffic.replays == 0)
    #expect(Self.firstPicture(subscribers[1], in: world) != nil)
    Self.expectAllHome(world)
  }
}
