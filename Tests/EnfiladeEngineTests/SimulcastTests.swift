// Several encodings of one picture: told apart, chosen for each subscriber, switched at key frames, and paused when nobody looks (RFC 8853).

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Simulcast")
struct SimulcastTests {
  private struct Room {
    var world: EngineWorld
    var publisher: ScriptedPeer
    var encodings: [PublishedStream]
    var subscribers: [ScriptedPeer]

    /// Which encoding a subscriber was sent last.
    func current(_ subscriber: ScriptedPeer) -> Int? {
      guard let packet = subscriber.packets(on: subscriber.slot(.video)).last, let origin = world.origin(of: packet) else { return nil }
      return encodings.firstIndex { $0.ssrc == origin.ssrc }
    }

    func setSize(_ width: UInt16, _ height: UInt16, of subscriber: ScriptedPeer) {
      world.perform(.setTarget(subscriber.slot(.video).key, LayerTarget(maximumWidth: width, maximumHeight: height)))
    }

    func expectContinuous(_ subscriber: ScriptedPeer) {
      let packets = subscriber.packets(on: subscriber.slot(.video))
      var previous: ReceivedPacket?
      for packet in packets {
        defer { previous = packet }
        guard let previous else { continue }
        #expect(packet.index - previous.index == 1)
        #expect(Int32(bitPattern: packet.rtp.timestamp &- previous.rtp.timestamp) >= 0)
        let (one, next) = (world.origin(of: previous), world.origin(of: packet))
        if one?.ssrc != next?.ssrc { #expect(next?.isKeyframeStart == true) }
      }
    }
  }

  private static func room(seed: UInt64, shards: Int, subscribers: Int = 2, groupsEncodingsBySource: Bool = false) -> Room {
    let world = EngineWorld(seed: seed, shards: shards)
    var encodings: [PublishedStream] = []
    var numbers = PeerNumbers()
    numbers.groupsEncodingsBySource = groupsEncodingsBySource
    let publisher = world.addPeer("publisher", numbers: numbers) { encodings = world.addSimulcast(["q", "h", "f"], to: $0) }
    let peers = (0..<subscribers).map { world.addPeer("subscriber \($0)", receives: [.video]) }
    world.connect()
    for peer in peers { world.subscribe(peer, to: publisher, .video) }
    return Room(world: world, publisher: publisher, encodings: encodings, subscribers: peers)
  }

  private static func expectAllHome(_ world: EngineWorld) {
    for peer in world.peers { world.removeLink(of: peer) }
    for shard in world.engines.indices {
      let census = world.engines[shard].census
      #expect(census == ShardEngine.Census(), "shard \(shard)")
    }
    #expect(world.violations.isEmpty)
  }

  @Test("Without a wish everybody is sent the largest, as one stream", arguments: [1, 3])
  func largest(shards: Int) {
    let room = Self.room(seed: 200, shards: shards)
    room.world.run(for: .seconds(Int64(3)))
    for subscriber in room.subscribers {
      #expect(room.current(subscriber) == 2)
      #expect(subscriber.packets(on: subscriber.slot(.video)).count > 100)
      room.expectContinuous(subscriber)
    }
    Self.expectAllHome(room.world)
  }

  @Test("Each subscriber is sent what it asks for, within a second, and its numbers and its time go on", arguments: [1, 3])
  func wishes(shards: Int) {
    let room = Self.room(seed: 201, shards: shards)
    room.world.run(for: .seconds(Int64(2)))
    for (width, height, expected) in [(320, 180, 0), (640, 360, 1), (1280, 720, 2), (640, 360, 1), (320, 180, 0)] as [(UInt16, UInt16, Int)]
    {
      room.setSize(width, height, of: room.subscribers[0])
      room.world.run(for: .seconds(Int64(1)))
      #expect(room.current(room.subscribers[0]) == expected)
      #expect(room.current(room.subscribers[1]) == 2)
    }
    for subscriber in room.subscribers { room.expectContinuous(subscriber) }
    Self.expectAllHome(room.world)
  }

  @Test("Encodings that a group of sources tells apart are chosen like those that have names, and repaired", arguments: [1, 3])
  func sourceGroup(shards: Int) {
    let room = Self.room(seed: 220, shards: shards, groupsEncodingsBySource: true)
    room.world.run(for: .seconds(Int64(2)))
    room.publisher.uplink = VirtualLink(lossPerMille: 50)
    for (width, height, expected) in [(320, 180, 0), (640, 360, 1), (1280, 720, 2), (320, 180, 0)] as [(UInt16, UInt16, Int)] {
      room.setSize(width, height, of: room.subscribers[0])
      room.world.run(for: .seconds(Int64(2)))
      #expect(room.current(room.subscribers[0]) == expected)
      #expect(room.current(room.subscribers[1]) == 2)
    }
    room.publisher.uplink = VirtualLink()
    room.world.run(for: .seconds(Int64(1)))
    for subscriber in room.subscribers {
      let packets = subscriber.packets(on: subscriber.slot(.video)).sorted { $0.index < $1.index }
      #expect(packets.count > 300)
      for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    }
    Self.expectAllHome(room.world)
  }

  @Test("An upward switch asks for one key frame, of the encoding that is wanted")
  func oneKeyframe() {
    let room = Self.room(seed: 202, shards: 1, subscribers: 1)
    room.setSize(320, 180, of: room.subscribers[0])
    room.world.run(for: .seconds(Int64(2)))
    let before = room.encodings.map(\.keyframeCount)
    room.setSize(1280, 720, of: room.subscribers[0])
    room.world.run(for: .seconds(Int64(2)))
    #expect(room.current(room.subscribers[0]) == 2)
    #expect(room.encodings.map(\.keyframeCount) == [before[0], before[1], before[2] + 1])
    Self.expectAllHome(room.world)
  }

  @Test("When the encoding that is sent stops, a smaller one takes its place, and it comes back", arguments: [1, 3])
  func encodingStops(shards: Int) {
    let room = Self.room(seed: 203, shards: shards)
    room.world.run(for: .seconds(Int64(2)))
    room.encodings[2].isPaused = true
    room.world.run(for: .seconds(Int64(3)))
    for subscriber in room.subscribers { #expect(room.current(subscriber) == 1) }
    room.encodings[2].isPaused = false
    room.world.run(for: .seconds(Int64(3)))
    for subscriber in room.subscribers {
      #expect(room.current(subscriber) == 2)
      room.expectContinuous(subscriber)
    }
    Self.expectAllHome(room.world)
  }

  @Test("Loss of each encoding is repaired in its own place", arguments: [1, 3])
  func repair(shards: Int) {
    let room = Self.room(seed: 204, shards: shards)
    room.setSize(640, 360, of: room.subscribers[1])
    room.publisher.uplink = VirtualLink(lossPerMille: 100)
    room.world.run(for: .seconds(Int64(3)))
    room.publisher.uplink = VirtualLink()
    room.world.run(for: .seconds(Int64(1)))
    for subscriber in room.subscribers {
      let numbers = subscriber.packets(on: subscriber.slot(.video)).map(\.index).sorted()
      #expect(numbers.count > 150)
      for (one, next) in zip(numbers, numbers.dropFirst()) { #expect(next - one == 1) }
    }
    Self.expectAllHome(room.world)
  }

  @Test("A NACK for what was sent before a switch is answered from the encoding it came from")
  func repairAcrossSwitch() {
    let room = Self.room(seed: 205, shards: 1, subscribers: 1)
    let subscriber = room.subscribers[0]
    room.world.run(for: .seconds(Int64(2)))
    let old = Array(subscriber.packets(on: subscriber.slot(.video)).suffix(6))
    room.setSize(320, 180, of: subscriber)
    room.world.run(for: .milliseconds(400))
    #expect(room.current(subscriber) == 0)
    subscriber.sendNACK(old.map { $0.index.wire.rawValue }, of: subscriber.slot(.video), in: room.world)
    room.world.run(for: .milliseconds(40))
    #expect(subscriber.retransmissions(on: subscriber.slot(.video)).map(\.payload) == old.map(\.payload))
    Self.expectAllHome(room.world)
  }

  @Test("The application hears which encodings anybody watches, on whatever shard", arguments: [1, 3])
  func demand(shards: Int) {
    let room = Self.room(seed: 206, shards: shards)
    func wanted() -> UInt8? {
      room.world.events.compactMap { if case .encodingsWanted(_, let mask) = $0.event { mask } else { nil } }.last
    }
    for subscriber in room.subscribers { room.setSize(320, 180, of: subscriber) }
    room.world.run(for: .seconds(Int64(8)))
    #expect(wanted() == 0b001)
    room.setSize(640, 360, of: room.subscribers[1])
    room.world.run(for: .milliseconds(400))
    #expect(wanted() == 0b011)
    Self.expectAllHome(room.world)
  }

  /// Pauses and resumes encodings as the last event says, with a goodbye, as browsers do.
  private static func obey(_ room: Room) -> UInt8? {
    let wanted = room.world.events.compactMap { if case .encodingsWanted(_, let mask) = $0.event { mask } else { nil } }.last
    guard let wanted else { return nil }
    for (index, encoding) in room.encodings.enumerated() {
      let isPaused = wanted >> UInt8(index) & 1 == 0
      if isPaused, !encoding.isPaused { room.publisher.sendGoodbye([encoding.ssrc], in: room.world) }
      // It is not named again: whoever named it once was heard.
      if !isPaused, encoding.isPaused { encoding.rid = [] }
      encoding.isPaused = isPaused
    }
    return wanted
  }

  private static func run(_ room: Room, for milliseconds: Int) {
    for _ in 0..<(milliseconds / 50) {
      room.world.run(for: .milliseconds(50))
      _ = obey(room)
    }
  }

  @Test("An encoding that was paused because nobody watched is back within a second of being wanted", arguments: [1, 3])
  func pausedAndWanted(shards: Int) {
    let room = Self.room(seed: 208, shards: shards)
    for subscriber in room.subscribers { room.setSize(320, 180, of: subscriber) }
    Self.run(room, for: 8000)
    #expect(room.encodings.map(\.isPaused) == [false, true, true])
    room.setSize(1280, 720, of: room.subscribers[0])
    room.world.run(for: .milliseconds(100))
    // What lies between is wanted too, until the largest comes: a publisher's estimate grows from one to the next.
    #expect(Self.obey(room) == 0b111)
    Self.run(room, for: 900)
    #expect(room.current(room.subscribers[0]) == 2)
    #expect(room.current(room.subscribers[1]) == 0)
    Self.run(room, for: 6000)
    #expect(room.encodings.map(\.isPaused) == [false, true, false])
    Self.expectAllHome(room.world)
  }

  @Test("A publication whose encodings are all paused is not over, and comes back for whoever looks", arguments: [1, 3])
  func allPaused(shards: Int) {
    let room = Self.room(seed: 209, shards: shards)
    Self.run(room, for: 2000)
    for subscriber in room.subscribers {
      room.world.perform(.setTarget(subscriber.slot(.video).key, LayerTarget(isPaused: true)))
    }
    Self.run(room, for: 8000)
    #expect(room.encodings.map(\.isPaused) == [true, true, true])
    #expect(!room.world.events.contains { if case .mediaEnded = $0.event { true } else { false } })
    room.setSize(640, 360, of: room.subscribers[1])
    Self.run(room, for: 1000)
    #expect(room.encodings.map(\.isPaused) == [false, false, true])
    #expect(room.current(room.subscribers[1]) == 1)
    Self.expectAllHome(room.world)
  }

  @Test("A source that does not say which encoding it is, is dropped with a reason")
  func nameless() {
    let room = Self.room(seed: 207, shards: 1, subscribers: 1)
    room.world.run(for: .seconds(Int64(1)))
    room.encodings[1].rid = Array("x".utf8)
    room.encodings[1].restart(using: &room.world.random)
    room.world.run(for: .seconds(Int64(1)))
    #expect(room.world.engine.drops[.unknownEncoding] > 20)
    Self.expectAllHome(room.world)
  }
}
