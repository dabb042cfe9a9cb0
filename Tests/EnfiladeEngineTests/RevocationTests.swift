// What may not be received any more is not: judged packet by packet, on one shard and across several, whatever was under way.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Revocation")
struct RevocationTests {
  private struct Room {
    let world: EngineWorld
    let publisher: ScriptedPeer
    let subscribers: [ScriptedPeer]

    /// One who publishes and four who receive; on several shards, they are spread over all of them.
    init(seed: UInt64, shards: Int) {
      let world = EngineWorld(seed: seed, shards: shards)
      self.world = world
      publisher = world.addPeer("publisher", publishes: [.audio, .video], receives: [.audio])
      subscribers = (0..<4).map { world.addPeer("\($0)", publishes: [.audio], receives: [.audio, .video]) }
      world.connect()
      for subscriber in subscribers {
        for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind) }
      }
      world.subscribe(publisher, to: subscribers[0], .audio)
      world.run(for: .seconds(Int64(1)))
    }

    /// How many packets of a publication, first sendings and repairs, have left for anybody.
    func count(of publication: PublicationKey) -> Int {
      subscribers.reduce(0) { sum, peer in
        sum + peer.received.values.joined().count { world.origin(of: $0)?.publication == publication }
      }
    }

    /// Waits for what was on the wire.
    func settle() { world.run(for: .milliseconds(60)) }
  }

  @Test("After a publication is muted, no packet of it goes to anybody, on any shard", arguments: [1, 2, 3])
  func muted(shards: Int) {
    let room = Room(seed: 700, shards: shards)
    for kind in MediaKind.allCases {
      let key = room.publisher.stream(kind).publication
      #expect(room.count(of: key) > 90)
      room.world.perform(.setMuted(key, true))
    }
    room.settle()
    let counts = MediaKind.allCases.map { room.count(of: room.publisher.stream($0).publication) }
    room.world.run(for: .seconds(Int64(1)))
    #expect(MediaKind.allCases.map { room.count(of: room.publisher.stream($0).publication) } == counts)
    // What the others publish goes on.
    #expect(room.publisher.packets(on: room.publisher.slot(.audio)).last!.at > room.world.now - .milliseconds(60))
    #expect(room.world.violations.isEmpty)
  }

  @Test("A muted publication is not repaired either, on any shard", arguments: [1, 2, 3])
  func notRepaired(shards: Int) {
    let room = Room(seed: 701, shards: shards)
    let key = room.publisher.stream(.video).publication
    room.world.perform(.setMuted(key, true))
    room.settle()
    for subscriber in room.subscribers {
      let slot = subscriber.slot(.video)
      let before = subscriber.retransmissions(on: slot).count
      let lost = subscriber.packets(on: slot).suffix(8).map(\.rtp.sequence)
      subscriber.sendNACK(lost, of: slot, in: room.world)
      room.settle()
      #expect(subscriber.retransmissions(on: slot).count == before)
    }
    #expect(room.world.violations.isEmpty)
  }

  @Test("What comes while a publication is muted is never sent, not even later", arguments: [1, 2, 3])
  func nothingLater(shards: Int) {
    let room = Room(seed: 702, shards: shards)
    let keys = MediaKind.allCases.map { room.publisher.stream($0).publication }
    room.settle()
    for key in keys { room.world.perform(.setMuted(key, true)) }
    let mutedAt = room.world.now
    room.world.run(for: .seconds(Int64(1)))
    let openedAt = room.world.now
    for key in keys { room.world.perform(.setMuted(key, false)) }
    room.world.run(for: .seconds(Int64(1)))
    for subscriber in room.subscribers {
      for kind in MediaKind.allCases {
        let packets = subscriber.packets(on: subscriber.slot(kind))
        #expect(packets.last!.at > room.world.now - .milliseconds(80))
        for packet in packets {
          guard let origin = room.world.origin(of: packet) else { continue }
          // Captured in the muted second, and not in its last moments, which arrive after the opening.
          #expect(!(origin.captured > mutedAt && origin.captured < openedAt - .milliseconds(60)), "\(kind) of \(origin.captured)")
        }
      }
    }
    #expect(room.world.violations.isEmpty)
  }

  @Test("Muting and opening in the middle of a burst that no shard has drained withdraws the burst")
  func burst() {
    let room = Room(seed: 703, shards: 1)
    let key = room.publisher.stream(.audio).publication
    let stream = room.publisher.stream(.audio)
    stream.isPaused = true
    room.settle()
    let before = room.count(of: key)
    for _ in 0..<50 { room.publisher.sendFrame(of: stream, at: room.world.now, in: room.world) }
    room.world.takeWithoutDraining(until: room.world.now + .milliseconds(50))
    #expect(room.world.engine.hasPendingOutput == true)
    room.world.engine.perform(.setMuted(key, true), at: room.world.now)
    room.world.engine.perform(.setMuted(key, false), at: room.world.now)
    room.world.drain()
    room.settle()
    #expect(room.count(of: key) == before)
    #expect(room.world.engine.drops[.publicationMuted] >= 50)
  }

  @Test("A slot that is emptied gets no packet more, not even a repair", arguments: [1, 2])
  func emptied(shards: Int) {
    let room = Room(seed: 704, shards: shards)
    let subscriber = room.subscribers[1]
    for kind in MediaKind.allCases { room.world.perform(.bind(subscriber.slot(kind).key, nil)) }
    room.settle()
    let counts = MediaKind.allCases.map { subscriber.packets(on: subscriber.slot($0)).count }
    let lost = subscriber.packets(on: subscriber.slot(.video)).suffix(5).map(\.rtp.sequence)
    subscriber.sendNACK(lost, of: subscriber.slot(.video), in: room.world)
    room.world.run(for: .seconds(Int64(1)))
    #expect(MediaKind.allCases.map { subscriber.packets(on: subscriber.slot($0)).count } == counts)
    #expect(subscriber.retransmissions(on: subscriber.slot(.video)).isEmpty)
    #expect(room.world.violations.isEmpty)
  }

  @Test("A removed link's packets go to nobody on any shard, and its address is nobody's", arguments: [2, 3])
  func removed(shards: Int) {
    let room = Room(seed: 705, shards: shards)
    room.world.removeLink(of: room.publisher)
    room.settle()
    let counts = room.publisher.published.map { room.count(of: $0.publication) }
    let datagrams = room.publisher.datagramCount
    for subscriber in room.subscribers {
      let slot = subscriber.slot(.video)
      subscriber.sendNACK(subscriber.packets(on: slot).suffix(8).map(\.rtp.sequence), of: slot, in: room.world)
    }
    room.world.run(for: .seconds(Int64(2)))
    #expect(room.publisher.published.map { room.count(of: $0.publication) } == counts)
    #expect(room.publisher.datagramCount == datagrams)
    #expect(room.world.violations.isEmpty)
  }
}
