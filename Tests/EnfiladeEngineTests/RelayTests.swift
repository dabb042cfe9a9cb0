// A room on several shards: the publisher's packets are opened once and lent, and every shard serves its own subscribers from what it was lent.

import EnfiladeEngine
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Rooms across shards")
struct RelayTests {
  /// A publisher on the first shard and a subscriber on each of three, the first included.
  private static func room(seed: UInt64, kinds: [MediaKind] = [.audio, .video], slotCount: Int = 4096) -> (
    world: EngineWorld, publisher: ScriptedPeer, subscribers: [ScriptedPeer]
  ) {
    let world = EngineWorld(seed: seed, shards: 3, slotCount: slotCount)
    let publisher = world.addPeer("publisher", publishes: kinds)
    let subscribers = [1, 2, 3].map { world.addPeer("subscriber \($0)", receives: kinds) }
    world.connect()
    for subscriber in subscribers { for kind in kinds { world.subscribe(subscriber, to: publisher, kind) } }
    #expect(world.shard(of: publisher) == 0)
    #expect(subscribers.map(world.shard) == [1, 2, 0])
    return (world, publisher, subscribers)
  }

  private static func expectAllHome(_ world: EngineWorld) {
    for peer in world.peers { world.removeLink(of: peer) }
    for shard in world.engines.indices {
      let census = world.engines[shard].census
      #expect(census == ShardEngine.Census(), "shard \(shard)")
    }
    #expect(world.violations.isEmpty)
  }

  @Test("Every subscriber gets the publisher's payload byte for byte, wherever it is; what is lent comes home")
  func payloads() throws {
    let (world, publisher, subscribers) = Self.room(seed: 100)
    world.run(for: .seconds(Int64(3)))
    for subscriber in subscribers {
      for kind in MediaKind.allCases {
        let packets = subscriber.packets(on: subscriber.slot(kind))
        #expect(packets.count > 140)
        for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
        for packet in packets {
          let origin = try #require(world.origin(of: packet))
          #expect(origin.publication == publisher.stream(kind).publication)
          #expect(packet.payload == publisher.stream(kind).sent[origin.index.wire.rawValue]?.payload)
        }
      }
    }
    let (home, first, second) = (world.engines[0].traffic, world.engines[1].traffic, world.engines[2].traffic)
    #expect(first.packetsIn == 0 && second.packetsIn == 0 && home.packetsRelayed == 0)
    #expect(first.packetsRelayed > 280 && first.packetsRelayed == second.packetsRelayed)
    Self.expectAllHome(world)
  }

  @Test("A NACK is answered on the subscriber's own shard, from slots that stay lent")
  func repair() {
    let (world, _, subscribers) = Self.room(seed: 101)
    world.run(for: .seconds(Int64(2)))
    for subscriber in subscribers {
      let slot = subscriber.slot(.video)
      let wanted = Array(subscriber.packets(on: slot).suffix(20).prefix(5))
      subscriber.sendNACK(wanted.map { $0.index.wire.rawValue }, of: slot, in: world)
      world.run(for: .milliseconds(40))
      #expect(subscriber.retransmissions(on: slot).map(\.payload) == wanted.map(\.payload))
    }
    for shard in world.engines.indices {
      let answered = world.engines[shard].traffic.retransmissionsOut
      #expect(answered == 5)
    }
    Self.expectAllHome(world)
  }

  @Test("Hundreds who ask for one lent packet at once are all answered")
  func manyAsk() {
    let world = EngineWorld(seed: 111, shards: 2, linkCapacity: 1024)
    let publisher = world.addPeer("publisher", publishes: [.video])
    let subscribers = (0..<600).map { world.addPeer("\($0)", receives: [.video]) }
    world.connect()
    for subscriber in subscribers { world.subscribe(subscriber, to: publisher, .video) }
    world.run(for: .milliseconds(700))
    let asking = subscribers.filter { world.shard(of: $0) == 1 }
    #expect(asking.count == 300)
    var wanted: [LinkID: [UInt8]] = [:]
    for peer in asking {
      let packet = peer.packets(on: peer.slot(.video)).last!
      wanted[peer.link] = packet.payload
      peer.sendNACK([packet.rtp.sequence], of: peer.slot(.video), in: world)
    }
    world.run(for: .milliseconds(60))
    #expect(asking.allSatisfy { $0.retransmissions(on: $0.slot(.video)).last?.payload == wanted[$0.link] })
    Self.expectAllHome(world)
  }

  @Test("Loss before the publisher's shard is repaired for all of them")
  func lossAtHome() {
    let (world, publisher, subscribers) = Self.room(seed: 102, kinds: [.video])
    publisher.uplink = VirtualLink(lossPerMille: 100)
    world.run(for: .seconds(Int64(3)))
    publisher.uplink = VirtualLink()
    world.run(for: .milliseconds(500))
    for subscriber in subscribers {
      let numbers = subscriber.packets(on: subscriber.slot(.video)).map(\.index).sorted()
      #expect(numbers.count > 150)
      for (one, next) in zip(numbers, numbers.dropFirst()) { #expect(next - one == 1) }
    }
    Self.expectAllHome(world)
  }

  @Test("A picture that a subscriber lost is asked of the publisher, however many shards ask at once")
  func keyframes() {
    let (world, publisher, subscribers) = Self.room(seed: 103, kinds: [.video])
    world.run(for: .seconds(Int64(2)))
    let before = publisher.stream(.video).keyframeCount
    publisher.feedback.removeAll()
    for subscriber in subscribers { subscriber.sendPictureLoss(subscriber.slot(.video), in: world) }
    world.run(for: .milliseconds(150))
    let requests = publisher.feedback.count { if case .pictureLoss = $0.packet { true } else { false } }
    #expect(requests == 1)
    #expect(publisher.stream(.video).keyframeCount == before + 1)
    Self.expectAllHome(world)
  }

  @Test("Sender reports of every shard tell the publisher's time")
  func senderReports() {
    let (world, publisher, subscribers) = Self.room(seed: 104)
    world.run(for: .seconds(Int64(10)))
    for subscriber in subscribers {
      for kind in MediaKind.allCases {
        let slot = subscriber.slot(kind)
        let infos = subscriber.feedback.compactMap { entry -> SenderInfo? in
          if case .senderReport(let info, _) = entry.packet, info.ssrc == slot.ssrc { info } else { nil }
        }
        #expect(infos.count > 3)
        guard let info = infos.last, let packet = subscriber.packets(on: slot).last, let origin = world.origin(of: packet) else { continue }
        // The report's line, followed to the packet's timestamp, leads to when the packet was captured.
        let ticks = Int64(Int32(bitPattern: packet.rtp.timestamp &- info.rtpTimestamp.rawValue))
        let at = info.ntp + TimeDelta(nanoseconds: ticks * 1_000_000_000 / publisher.stream(kind).clockRate)
        let error = at - world.wallClock.ntp(at: origin.captured)
        #expect(abs(error.nanoseconds) < 30_000_000)
      }
    }
    Self.expectAllHome(world)
  }

  @Test("When the last subscriber of a shard lets go, nothing is lent to it any more; when one comes back, it starts at a key frame")
  func comeAndGo() throws {
    let (world, publisher, subscribers) = Self.room(seed: 105, kinds: [.video])
    world.run(for: .seconds(Int64(1)))
    let subscriber = subscribers[0]
    let slot = subscriber.slot(.video)
    world.perform(.bind(slot.key, nil))
    let lent = world.engines[1].traffic.packetsRelayed
    let received = subscriber.packets(on: slot).count
    world.run(for: .seconds(Int64(1)))
    #expect(world.engines[1].traffic.packetsRelayed == lent)
    // What was on its way still came.
    #expect(subscriber.packets(on: slot).count - received < 10)
    let before = subscriber.packets(on: slot).count
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .milliseconds(500))
    let again = try #require(subscriber.packets(on: slot).dropFirst(before).first)
    #expect(world.origin(of: again)?.isKeyframeStart == true)
    #expect(again.index - subscriber.packets(on: slot)[before - 1].index == 1)
    Self.expectAllHome(world)
  }

  @Test("A muted publication stops everywhere, and goes on everywhere with a key frame")
  func mute() throws {
    let (world, publisher, subscribers) = Self.room(seed: 106, kinds: [.video])
    world.run(for: .seconds(Int64(1)))
    world.perform(.setMuted(publisher.stream(.video).publication, true))
    world.run(for: .milliseconds(50))
    let counts = subscribers.map { $0.packets(on: $0.slot(.video)).count }
    world.run(for: .seconds(Int64(1)))
    #expect(subscribers.map { $0.packets(on: $0.slot(.video)).count } == counts)
    world.perform(.setMuted(publisher.stream(.video).publication, false))
    world.run(for: .milliseconds(500))
    for (subscriber, count) in zip(subscribers, counts) {
      let first = try #require(subscriber.packets(on: subscriber.slot(.video)).dropFirst(count).first)
      #expect(world.origin(of: first)?.isKeyframeStart == true)
    }
    Self.expectAllHome(world)
  }

  @Test("A publisher that is removed is silent on every shard with the next packet")
  func removal() {
    let (world, publisher, subscribers) = Self.room(seed: 107)
    world.run(for: .seconds(Int64(1)))
    world.removeLink(of: publisher)
    let sent = world.sentCount
    world.run(for: .milliseconds(9))
    // The path takes ten milliseconds: whatever comes was on its way.
    let counts = subscribers.map { $0.packets(on: $0.slot(.video)).count }
    world.run(for: .milliseconds(2))
    let settled = subscribers.map { $0.packets(on: $0.slot(.video)).count }
    world.run(for: .seconds(Int64(1)))
    #expect(subscribers.map { $0.packets(on: $0.slot(.video)).count } == settled)
    #expect(zip(counts, settled).allSatisfy { $1 - $0 < 10 })
    #expect(world.sentCount - sent < 100)
    for shard in world.engines.indices {
      let leased = world.engines[shard].slabLeasedCount
      #expect(leased == 0)
    }
    Self.expectAllHome(world)
  }

  @Test("A publisher that restarts its source goes on everywhere")
  func restart() {
    let (world, publisher, subscribers) = Self.room(seed: 108, kinds: [.video])
    world.run(for: .seconds(Int64(1)))
    publisher.stream(.video).restart(using: &world.random)
    world.run(for: .seconds(Int64(1)))
    for subscriber in subscribers {
      let packets = subscriber.packets(on: subscriber.slot(.video))
      let sources = Set(packets.compactMap { world.origin(of: $0)?.ssrc })
      #expect(sources.count == 2)
      for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    }
    Self.expectAllHome(world)
  }

  @Test("A shard that is held up loses packets with a reason, hears every word later, and gives everything back")
  func fullLane() {
    let (world, publisher, subscribers) = Self.room(seed: 109, kinds: [.video], slotCount: 8192)
    publisher.stream(.video).packetsPerFrame = 40
    world.run(for: .seconds(Int64(1)))
    world.stalledShards = [1]
    world.run(for: .seconds(Int64(5)))
    #expect(world.engines[0].drops[.laneFull] > 0)
    let held = subscribers[0].packets(on: subscribers[0].slot(.video)).count
    // The others notice nothing.
    let other = subscribers[1].packets(on: subscribers[1].slot(.video))
    for (one, next) in zip(other, other.dropFirst()) { #expect(next.index - one.index == 1) }
    // New sources begin while the lane is full: the last of them must not be lost, and the others not be remembered.
    for _ in 0..<50 {
      publisher.stream(.video).restart(using: &world.random)
      world.run(for: .milliseconds(40))
    }
    let waiting = world.engines[0].laneBacklogCount
    // A word for each place where a stream stands or has stood, and a few about the publication.
    #expect(waiting > 0 && waiting <= Link.sourceCapacity + 4)
    world.stalledShards = []
    world.run(for: .seconds(Int64(2)))
    let packets = subscribers[0].packets(on: subscribers[0].slot(.video))
    #expect(packets.count > held + 40)
    #expect(packets.last.flatMap { world.origin(of: $0) }?.ssrc == publisher.stream(.video).ssrc)
    Self.expectAllHome(world)
  }

  @Test("A publication that is gone when a shard asks for it is gone there too")
  func staleSubscription() {
    let (world, publisher, subscribers) = Self.room(seed: 110, kinds: [.video])
    let key = publisher.stream(.video).publication
    world.removeLink(of: publisher)
    world.perform(.bind(subscribers[0].slot(.video).key, key))
    world.run(for: .milliseconds(100))
    let mirrors = world.engines[1].census.publications
    #expect(mirrors == 0)
    Self.expectAllHome(world)
  }

  @Test("A shard that lets go and comes back before home has heard either is lent everything once more, and gives all of it back")
  func comeAndGoUnheard() {
    let (world, publisher, subscribers) = Self.room(seed: 112, kinds: [.video])
    world.run(for: .seconds(Int64(1)))
    let slot = subscribers[0].slot(.video)
    world.perform(.bind(slot.key, nil))
    world.run(for: .milliseconds(100))
    world.stalledShards = [0]
    for _ in 0..<3 {
      world.subscribe(subscribers[0], to: publisher, .video)
      world.perform(.bind(slot.key, nil))
    }
    world.subscribe(subscribers[0], to: publisher, .video)
    world.stalledShards = []
    let before = subscribers[0].packets(on: slot).count
    world.run(for: .seconds(Int64(1)))
    let packets = subscribers[0].packets(on: slot).dropFirst(before)
    #expect(packets.count > 40)
    for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    Self.expectAllHome(world)
  }

  @Test(
    "A place that another publication's stream takes while the lane is stuck never serves the old one's subscribers",
    arguments: 113..<121 as Range<UInt64>)
  func placeTakenUnheard(seed: UInt64) {
    let world = EngineWorld(seed: seed, shards: 2, slotCount: 8192)
    let first = world.addPeer("first", publishes: [.video])
    let subscriber = world.addPeer("subscriber", receives: [.video, .video])
    let second = world.addPeer("second", publishes: [.video])
    world.connect()
    second.stream(.video).isPaused = true
    world.subscribe(subscriber, to: first, .video)
    world.perform(.bind(subscriber.slot(.video, 1).key, second.stream(.video).publication))
    world.run(for: .seconds(Int64(1)))
    #expect(subscriber.packets(on: subscriber.slot(.video)).count > 40)
    // Home fills the lane; then the first stream ends, and the second begins in its place.
    first.stream(.video).packetsPerFrame = 40
    world.stalledShards = [1]
    world.run(for: .seconds(Int64(5)))
    #expect(world.engines[0].drops[.laneFull] > 0)
    first.sendGoodbye([first.stream(.video).ssrc], in: world)
    first.stream(.video).isPaused = true
    world.run(for: .milliseconds(100))
    second.stream(.video).isPaused = false
    world.run(for: .milliseconds(200))
    // The lane gets room for the word of it and for packets behind it. The subscriber lets the second go before it hears of either.
    let isFull = world.engines[1].takeRelayed(at: world.now)
    #expect(isFull)
    world.run(for: .milliseconds(200))
    #expect(world.engines[0].laneBacklogCount == 0)
    world.stalledShards = []
    world.perform(.bind(subscriber.slot(.video, 1).key, nil))
    world.run(for: .seconds(Int64(1)))
    let foreign = subscriber.packets(on: subscriber.slot(.video)).filter {
      world.origin(of: $0)?.publication == second.stream(.video).publication
    }
    #expect(foreign.isEmpty)
    #expect(subscriber.packets(on: subscriber.slot(.video, 1)).isEmpty)
    Self.expectAllHome(world)
  }

  /// A key frame of L1T2 that brings its structure; see appendix A.8.3 of the AV1 RTP payload format. Its templates have the numbers 5 to 7.
  private static func structure(frame: UInt16) -> [UInt8] {
    [0xC5] + big(UInt64(frame), 2) + [0x80, 0xA1, 0x1E, 0xA8, 0x51, 0x41, 0x01, 0x0C, 0x09, 0xFC, 0x05, 0x9C]
  }

  @Test("Packets that cannot be read are lent once, whatever comes before and after them")
  func unreadable() throws {
    var numbers = PeerNumbers()
    numbers.av1 = 45
    numbers.dependencyDescriptor = 9
    let world = EngineWorld(seed: 121, shards: 2)
    let publisher = world.addPeer("publisher", publishes: [.video], numbers: numbers) { $0.published[0].isPaused = true }
    let away = world.addPeer("away", receives: [.video], numbers: numbers)
    let home = world.addPeer("home", receives: [.video], numbers: numbers)
    world.connect()
    for subscriber in [away, home] { world.subscribe(subscriber, to: publisher, .video) }
    world.run(for: .milliseconds(50))
    let stream = publisher.stream(.video)
    // A key frame; a descriptor that ends early; a frame of a structure that has not come; a key frame, and what follows it.
    for round in 0..<3 {
      let frame = UInt8(10 * round)
      let descriptors = [
        Self.structure(frame: UInt16(frame)), [0xC6, 0], [0xDE, 0, frame + 2], Self.structure(frame: UInt16(frame + 3)),
        [0xC7, 0, frame + 4],
      ]
      for (position, descriptor) in descriptors.enumerated() {
        let index = stream.next
        stream.next = index + 1
        let packet = RTPBytes(
          payloadType: 45, marker: true, sequence: index.wire.rawValue, timestamp: UInt32(3000 * (5 * round + position)),
          ssrc: stream.ssrc.rawValue, extensions: [.init(numbers.mid, stream.mid), .init(9, descriptor)],
          payload: [0x10] + [UInt8](repeating: UInt8(10 * round + position), count: 99))
        publisher.sendRTP(packet, index: index, in: world)
        world.run(for: .milliseconds(5))
      }
    }
    world.run(for: .milliseconds(100))
    for subscriber in [away, home] {
      let packets = subscriber.packets(on: subscriber.slot(.video))
      #expect(packets.map { $0.payload[1] } == [0, 3, 4, 10, 13, 14, 20, 23, 24])
      for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    }
    let (malformed, unknown) = (world.engine.drops[.frameUnreadable], world.engine.drops[.structureUnknown])
    #expect(malformed == 3)
    #expect(unknown == 3)
    Self.expectAllHome(world)
  }
}
