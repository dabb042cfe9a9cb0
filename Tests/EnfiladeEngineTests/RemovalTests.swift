// What goes is gone at once, and nothing of it stays behind.

import EnfiladeEngine
import EnfiladeSTUN
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Removal")
struct RemovalTests {
  private static func room(seed: UInt64, count: Int = 3) -> (world: EngineWorld, peers: [ScriptedPeer]) {
    let world = EngineWorld(seed: seed)
    let peers = (0..<count).map { number in
      world.addPeer(
        "\(number)", publishes: [.audio, .video], receives: Array(repeating: [.audio, .video], count: count - 1).flatMap { $0 })
    }
    world.connect()
    for (number, subscriber) in peers.enumerated() {
      for (position, publisher) in peers.enumerated().filter({ $0.offset != number }).map(\.element).enumerated() {
        for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind, slot: position) }
      }
    }
    world.run(for: .seconds(Int64(2)))
    return (world, peers)
  }

  @Test("From the very next packet on nothing of a removed link passes, in either direction")
  func nextPacket() {
    let (world, peers) = Self.room(seed: 90)
    let gone = peers[0]
    // Some of its packets and some for it are under way.
    world.removeLink(of: gone)
    let ssrcs = Set(gone.published.map(\.ssrc))
    let counts = peers.map { $0.received.values.reduce(0) { $0 + $1.count } }
    let datagrams = gone.datagramCount
    let removedAt = world.now
    world.run(for: .milliseconds(11))
    // What was on the way to it when it was removed has arrived; beside that, one goodbye.
    #expect(gone.datagramCount - datagrams <= 12)
    let settled = gone.datagramCount
    world.run(for: .seconds(Int64(2)))
    #expect(gone.datagramCount == settled)
    for peer in peers.dropFirst() {
      for packets in peer.received.values {
        for packet in packets where packet.at > removedAt + .milliseconds(10) {
          #expect(!ssrcs.contains(world.origin(of: packet)!.ssrc))
        }
      }
    }
    #expect(world.engine.drops[.mediaFromUnknownAddress] > 150)
    #expect(gone.handshake.state == .closed)
    // The others go on.
    for (peer, count) in zip(peers, counts).dropFirst() {
      #expect(peer.received.values.reduce(0) { $0 + $1.count } > count + 200)
    }
    #expect(world.violations.isEmpty)
  }

  @Test("When all links are gone, the tables are empty, the slab balances, and every key is forgotten")
  func everythingGoes() {
    let (world, peers) = Self.room(seed: 91, count: 5)
    #expect(world.engine.census.leasedSlots > 500)
    #expect(world.engine.census.outboundStreams == 5 * 8)
    for peer in peers {
      world.removeLink(of: peer)
      world.run(for: .milliseconds(50))
    }
    #expect(world.engine.census == ShardEngine.Census())
    #expect(world.protector.openCount == 0)
    #expect(world.engine.nextDeadline == .distantFuture)
    #expect(world.refusals.isEmpty)
    // And it can begin again.
    let (a, b) = (world.addPeer("a", publishes: [.video]), world.addPeer("b", receives: [.video]))
    world.connect()
    world.subscribe(b, to: a, .video)
    world.run(for: .seconds(Int64(1)))
    #expect(b.packets(on: b.slot(.video)).count > 60)
    #expect(world.violations.isEmpty)
  }

  @Test("A negotiation that leaves sections out takes away what was theirs, and keeps the rest as it was")
  func sectionsGo() {
    let (world, peers) = Self.room(seed: 92)
    let peer = peers[0]
    let video = peer.published.remove(at: 1)
    peer.slots.removeAll { $0.kind == .video }
    world.perform(.configure(peer.link, peer.media))
    #expect(world.engine.census.publications == 5)
    #expect(world.engine.census.outboundStreams == 10)
    let before = peer.packets(on: peer.slot(.audio))
    world.run(for: .seconds(Int64(1)))
    let packets = peer.packets(on: peer.slot(.audio))
    #expect(packets.count >= before.count + 48)
    for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    let last = peers[1].received.values.joined().filter { world.origin(of: $0)?.ssrc == video.ssrc }.map(\.at).max()
    #expect(last! <= world.now - .milliseconds(980))
    // Sections that move in the list stay what they are.
    peer.published.insert(video, at: 0)
    world.perform(.configure(peer.link, peer.media))
    world.run(for: .seconds(Int64(1)))
    let audio = peers[1].received.values.joined().filter { world.origin(of: $0)?.ssrc == peer.stream(.audio).ssrc }
    #expect(audio.map(\.at).max()! > world.now - .milliseconds(50))
    #expect(world.violations.isEmpty)
  }
}

@Suite("Bounds")
struct BoundsTests {
  @Test("Commands that name what is not there are refused by name")
  func unknownNames() {
    let world = EngineWorld(seed: 100)
    let peer = world.addPeer("a", receives: [.audio])
    let (link, slot, publication) = (LinkID(900), SlotKey(901), PublicationKey(902))
    let credentials = ICECredentials.make(using: &world.random)
    world.perform(.configure(link, MediaConfiguration()))
    world.perform(.restartICE(link, local: credentials, remote: credentials))
    world.perform(.removeLink(link))
    world.perform(.bind(slot, nil))
    world.perform(.bind(peer.slot(.audio).key, publication))
    world.perform(.setMuted(publication, true))
    let fingerprints = [peer.certificate.localFingerprint]
    world.perform(
      .addLink(
        peer.link,
        LinkConfiguration(localCredentials: credentials, remoteCredentials: credentials, role: .passive, fingerprints: fingerprints)))
    #expect(
      world.refusals == [
        .unknownLink(link), .unknownLink(link), .unknownLink(link), .unknownSlot(slot), .unknownPublication(publication),
        .unknownPublication(publication), .duplicateLink(peer.link),
      ])
    #expect(world.engine.census.fragments == 1)
  }

  @Test("A shard that is full refuses the next link, and takes one again when one has gone")
  func linkCapacity() {
    let world = EngineWorld(seed: 101, linkCapacity: 64)
    let peers = (0..<64).map { world.addPeer("\($0)") }
    #expect(world.refusals.isEmpty)
    let late = world.addPeer("late")
    #expect(world.refusals.first == .linkCapacityReached(late.link))
    #expect(world.engine.census.fragments == 64)
    world.removeLink(of: peers[0])
    let next = world.addPeer("next")
    world.run(for: .seconds(Int64(1)))
    #expect(next.isConnected)
  }

  @Test("A shard without free slots drops packets and counts them, and recovers")
  func slabExhausted() {
    let world = EngineWorld(seed: 102, slotCount: 48)
    let publisher = world.addPeer("a", publishes: [.audio, .video])
    let subscriber = world.addPeer("b", receives: [.audio, .video])
    world.connect()
    for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind) }
    world.run(for: .seconds(Int64(2)))
    #expect(world.engine.drops[.slabExhausted] > 100)
    #expect(world.engine.census.leasedSlots <= 48)
    // What is a quarter of a second old makes room for what comes.
    let late = subscriber.packets(on: subscriber.slot(.video)).count
    world.run(for: .seconds(Int64(2)))
    #expect(subscriber.packets(on: subscriber.slot(.video)).count > late + 20)
    world.removeLink(of: publisher)
    #expect(world.engine.census.leasedSlots == 0)
    let other = world.addPeer("c", publishes: [.audio])
    world.connect()
    world.subscribe(subscriber, to: other, .audio)
    let before = subscriber.packets(on: subscriber.slot(.audio)).count
    world.run(for: .milliseconds(500))
    #expect(subscriber.packets(on: subscriber.slot(.audio)).count > before + 10)
    #expect(world.violations.isEmpty)
  }

  @Test("More checks in one batch than can be answered are dropped and counted")
  func controlQueueFull() {
    let world = EngineWorld(seed: 103)
    let peer = world.addPeer("a") { $0.isChecking = false }
    world.injectBatch((0..<ControlQueue.capacity + 100).map { _ in (peer.check(nominates: true), peer.address) })
    #expect(world.engine.drops[.controlQueueFull] >= 100)
    world.run(for: .milliseconds(100))
    #expect(peer.answeredCheckCount > 400)
  }

  @Test("A peer that shows more sources than it may is refused the others, and keeps what it has")
  func sourceCapacity() {
    let world = EngineWorld(seed: 104)
    let publisher = world.addPeer("a", publishes: [.video])
    let subscriber = world.addPeer("b", receives: [.video])
    world.connect()
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(1)))
    for number in 0..<100 {
      let packet = RTPBytes(
        payloadType: publisher.numbers.vp8Retransmission!, sequence: 1, timestamp: 0, ssrc: 70_000 + UInt32(number),
        extensions: [.init(publisher.numbers.mid, publisher.stream(.video).mid)], payload: [0, 1, 2, 3])
      publisher.sendRTP(packet, index: ExtendedSequenceNumber(1), in: world)
    }
    world.run(for: .milliseconds(100))
    #expect(world.engine.drops[.tooManySources] > 30)
    let before = subscriber.packets(on: subscriber.slot(.video)).count
    world.run(for: .seconds(Int64(1)))
    #expect(subscriber.packets(on: subscriber.slot(.video)).count > before + 60)
    world.removeLink(of: publisher)
    #expect(world.engine.census.inboundStreams == 0 && world.engine.census.leasedSlots == 0)
  }

  @Test("A peer that begins anew very often never runs out of sources")
  func manyRestarts() {
    let world = EngineWorld(seed: 105)
    let publisher = world.addPeer("a", publishes: [.audio, .video])
    let subscriber = world.addPeer("b", receives: [.audio, .video])
    world.connect()
    for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind) }
    for _ in 0..<200 {
      world.run(for: .milliseconds(100))
      for stream in publisher.published { stream.restart(using: &world.random) }
    }
    let before = MediaKind.allCases.map { subscriber.packets(on: subscriber.slot($0)).count }
    world.run(for: .seconds(Int64(1)))
    for (kind, count) in zip(MediaKind.allCases, before) { #expect(subscriber.packets(on: subscriber.slot(kind)).count > count + 45) }
    #expect(world.engine.census.inboundStreams == 2)
    #expect(world.engine.drops[.tooManySources] == 0)
    #expect(world.violations.isEmpty)
  }

  @Test("One peer holds at most eight addresses, and a full address table drops and counts")
  func addresses() {
    let world = EngineWorld(seed: 106, linkCapacity: 64)
    let peers = (0..<64).map { number in world.addPeer("\(number)") { $0.isChecking = false } }
    for (number, peer) in peers.enumerated() {
      for port in 0..<20 {
        world.inject(peer.check(nominates: port == 0), from: SocketAddress(ipv4: 0x0E00_0000 + UInt32(number), port: UInt16(1000 + port)))
      }
    }
    #expect(world.engine.census.addresses == 4 * 64)
    #expect(world.engine.drops[.addressTableFull] > 0)
    for peer in peers { world.removeLink(of: peer) }
    #expect(world.engine.census == ShardEngine.Census())
  }

  @Test("Events that nobody fetches are bounded, and the loss is told")
  func eventsOverflow() {
    let world = EngineWorld(seed: 107)
    for _ in 0..<EventQueue.capacity + 10 { world.engine.perform(.removeLink(LinkID(1)), at: world.now) }
    world.drain()
    #expect(world.refusals.count == EventQueue.capacity)
    #expect(world.events.contains { if case .dropped(10) = $0.event { true } else { false } })
  }

  @Test("A receive batch far larger than a turn is taken in several turns, and nothing is lost")
  func largeBatch() {
    let world = EngineWorld(seed: 108)
    let publisher = world.addPeer("a", publishes: [.audio])
    let subscribers = (0..<40).map { world.addPeer("\($0)", receives: [.audio]) }
    world.connect()
    for subscriber in subscribers { world.subscribe(subscriber, to: publisher, .audio) }
    publisher.stream(.audio).isPaused = true
    world.run(for: .milliseconds(100))
    let before = subscribers.map { $0.packets(on: $0.slot(.audio)).count }
    for _ in 0..<1500 { publisher.sendFrame(of: publisher.stream(.audio), at: world.now, in: world) }
    world.run(for: .milliseconds(100))
    for (subscriber, count) in zip(subscribers, before) {
      let packets = subscriber.packets(on: subscriber.slot(.audio))
      #expect(packets.count == count + 1500)
      for (one, next) in zip(packets, packets.dropFirst()) where next.index - one.index != 1 { Issue.record("a gap") }
    }
    #expect(world.violations.isEmpty)
  }

  @Test("What the protector does not protect is not sent, and is counted")
  func protectFails() {
    let world = EngineWorld(seed: 109)
    let publisher = world.addPeer("a", publishes: [.audio])
    let subscriber = world.addPeer("b", receives: [.audio])
    world.connect()
    world.subscribe(subscriber, to: publisher, .audio)
    world.run(for: .milliseconds(200))
    world.protector.refusesToProtect = true
    world.run(for: .milliseconds(200))
    world.protector.refusesToProtect = false
    #expect(world.engine.drops[.protectFailed] >= 9)
    let count = subscriber.packets(on: subscriber.slot(.audio)).count
    world.run(for: .milliseconds(200))
    #expect(subscriber.packets(on: subscriber.slot(.audio)).count >= count + 9)
    #expect(world.violations.isEmpty)
  }

  @Test("Empty, truncated and oversized messages are dropped and counted, alone and joined by the kernel")
  func badMessages() {
    let world = EngineWorld(seed: 110)
    let address = SocketAddress(ipv4: 1, port: 1)
    world.inject([], from: address)
    world.inject([0x80, 1, 2], from: address, isTruncated: true)
    world.inject([UInt8](repeating: 0x80, count: Limits.datagramByteCount + 1), from: address)
    #expect(world.engine.drops[.emptyDatagram] == 1)
    #expect(world.engine.drops[.oversizedDatagram] == 2)
    for segment in [1, 2, 3, 7, 1499, 1500, 1501, 60_000, 65_535] {
      world.inject([UInt8](repeating: 0x80, count: 65_535), from: address, segmentByteCount: segment)
    }
    // One byte each would be more datagrams than a turn takes.
    #expect(world.engine.drops[.oversizedDatagram] > 2)
    #expect(world.engine.census == ShardEngine.Census())
  }
}
