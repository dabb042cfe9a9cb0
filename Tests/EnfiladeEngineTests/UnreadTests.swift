// What cannot be read yet, and what changes its codec: a dependency descriptor in front of its structure, and the bound on changes.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Unread packets and changed codecs")
struct UnreadTests {
  /// A key frame of L1T2 that brings its structure; see appendix A.8.3 of the AV1 RTP payload format. Its templates have the numbers 5 to 7.
  private static func structure(frame: UInt16) -> [UInt8] {
    [0xC5] + big(UInt64(frame), 2) + [0x80, 0xA1, 0x1E, 0xA8, 0x51, 0x41, 0x01, 0x0C, 0x09, 0xFC, 0x05, 0x9C]
  }

  private struct Room {
    let world: EngineWorld
    let publisher: ScriptedPeer
    let stream: PublishedStream
    let subscribers: [ScriptedPeer]

    init(seed: UInt64, shards: Int) {
      world = EngineWorld(seed: seed, shards: shards)
      var numbers = PeerNumbers()
      numbers.av1 = 45
      numbers.dependencyDescriptor = 9
      publisher = world.addPeer("publisher", publishes: [.video], numbers: numbers) { $0.published[0].isPaused = true }
      stream = publisher.stream(.video)
      let world = world
      subscribers = (0..<2).map { world.addPeer("\($0)", receives: [.video], numbers: numbers) }
      world.connect()
      for subscriber in subscribers { world.subscribe(subscriber, to: publisher, .video) }
      world.run(for: .milliseconds(50))
    }

    /// Sends the frame at `place` of a stream, whose payload says its place.
    func send(_ place: Int, payloadType: UInt8 = 45, descriptor: [UInt8]?, payload head: [UInt8] = [0x10]) {
      let index = stream.next + place
      var packet = RTPBytes(
        payloadType: payloadType, marker: true, sequence: index.wire.rawValue, timestamp: UInt32(3000 * place), ssrc: stream.ssrc.rawValue,
        extensions: [.init(publisher.numbers.mid, stream.mid)],
        payload: head + [UInt8](repeating: UInt8(truncatingIfNeeded: place), count: 90))
      if let descriptor { packet.extensions.append(.init(9, descriptor)) }
      publisher.sendRTP(packet, index: index, in: world)
      world.run(for: .milliseconds(4))
    }

    func places(_ subscriber: ScriptedPeer) -> [UInt8] {
      subscriber.packets(on: subscriber.slot(.video)).sorted { $0.index < $1.index }.compactMap(\.payload.last)
    }

    func expectAllHome() {
      for peer in world.peers { world.removeLink(of: peer) }
      for shard in world.engines.indices {
        let census = world.engines[shard].census
        #expect(census == ShardEngine.Census(), "shard \(shard)")
      }
      #expect(world.violations.isEmpty)
    }
  }

  @Test("What overtakes its structure waits, and goes out behind it, to everybody, without a gap", arguments: [1, 2, 3])
  func overtaken(shards: Int) {
    let room = Room(seed: 940 + UInt64(shards), shards: shards)
    // The key frame is overtaken by all three that follow it.
    for place in [1, 3, 2] { room.send(place, descriptor: [place == 2 ? 0xC6 : 0xC7, 0, UInt8(100 + place)]) }
    room.world.run(for: .milliseconds(50))
    for subscriber in room.subscribers { #expect(room.places(subscriber).isEmpty) }
    let waiting = room.world.engine.drops[.structureUnknown]
    #expect(waiting == 3)
    room.send(0, descriptor: Self.structure(frame: 100))
    room.send(4, descriptor: [0xC6, 0, 104])
    room.world.run(for: .milliseconds(100))
    for subscriber in room.subscribers {
      #expect(room.places(subscriber) == [0, 1, 2, 3, 4])
      let packets = subscriber.packets(on: subscriber.slot(.video)).sorted { $0.index < $1.index }
      for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
      let frames = packets.compactMap { $0.rtp[9] }.map { Int($0[1]) << 8 | Int($0[2]) }
      #expect(frames == (0..<5).map { frames[0] + $0 })
    }
    room.expectAllHome()
  }

  @Test("What waits for a structure that does not come asks for a key frame", arguments: [1, 2])
  func missing(shards: Int) {
    let room = Room(seed: 945 + UInt64(shards), shards: shards)
    room.publisher.feedback.removeAll()
    room.send(0, descriptor: [0xC7, 0, 100])
    room.world.run(for: .milliseconds(300))
    let ssrc = room.stream.ssrc
    #expect(room.publisher.feedback.contains { if case .pictureLoss(ssrc) = $0.packet { true } else { false } })
    room.send(1, descriptor: Self.structure(frame: 200))
    room.world.run(for: .milliseconds(50))
    for subscriber in room.subscribers { #expect(room.places(subscriber) == [1]) }
    room.expectAllHome()
  }

  @Test(
    "A source may change its codec, five times a second and not oftener; its subscribers have one continuous stream", arguments: [1, 2])
  func codecChanges(shards: Int) {
    let room = Room(seed: 950 + UInt64(shards), shards: shards)
    // VP8 key frames and AV1 key frames by turns, every four milliseconds.
    let vp8: [UInt8] = [0x10, 0x00]
    for place in 0..<250 {
      if place % 2 == 0 {
        room.send(place, payloadType: room.publisher.numbers.vp8, descriptor: nil, payload: vp8)
      } else {
        room.send(place, descriptor: Self.structure(frame: UInt16(place)))
      }
    }
    let refused = room.world.engine.drops[.codecChangedTooSoon]
    let changes = room.world.events.compactMap { if case .mediaStarted(_, let format) = $0.event { format } else { nil } }
    print("codec changes in a second: \(changes.count), packets left out: \(refused)")
    #expect((4...6).contains(changes.count) && refused > 100)
    // Then it stays with one.
    for place in 250..<320 { room.send(place, descriptor: place == 250 ? Self.structure(frame: 300) : [0xC6, 1, UInt8(place - 250 + 44)]) }
    room.world.run(for: .milliseconds(100))
    for subscriber in room.subscribers {
      let packets = subscriber.packets(on: subscriber.slot(.video))
      for (one, next) in zip(packets, packets.dropFirst()) {
        #expect(next.index - one.index == 1)
        #expect(Int32(bitPattern: next.rtp.timestamp &- one.rtp.timestamp) >= 0)
      }
      #expect(packets.last?.rtp.payloadType == 45 && room.places(subscriber).last == UInt8(truncatingIfNeeded: 319))
    }
    room.expectAllHome()
  }
}
