// H.264 with frame marking: temporal layers are left out by what the header extension says, and not at all where it says nothing (RFC 9626 §3).

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("H.264 by frame marking")
struct FrameMarkingTests {
  enum Marking: CaseIterable, Sendable {
    /// The extension was not negotiated.
    case none
    /// Its form of one byte, which has no layers (RFC 9626 §3.2).
    case short
    /// Its form of three bytes; the payload is H.264.
    case long
    /// The same, and nothing of the payload can be read.
    case longEncrypted

    var hasLayers: Bool { self == .long || self == .longEncrypted }
  }

  private struct SentFrame {
    var temporalID: Int
    var timestamp: UInt32
    var isKey: Bool
    /// Frames that its decoder must have, by their place.
    var references: [Int]
    var payloads: [[UInt8]]
  }

  /// One publisher with three temporal layers, 25 frames a second, and subscribers that want all of them, half of them, and a quarter.
  private final class Room {
    let world: EngineWorld
    let publisher: ScriptedPeer
    let stream: PublishedStream
    let subscribers: [ScriptedPeer]
    let marking: Marking
    private(set) var frames: [SentFrame] = []
    private var positions = 0
    private var tl0: UInt8 = 250

    init(seed: UInt64, marking: Marking, shards: Int, subscribers count: Int) {
      world = EngineWorld(seed: seed, shards: shards)
      self.marking = marking
      var numbers = PeerNumbers()
      (numbers.h264, numbers.h264Retransmission) = (102, 103)
      if marking != .none { numbers.others[.frameMarking] = 8 }
      publisher = world.addPeer("publisher", publishes: [.video], numbers: numbers) { peer in
        peer.published[0].isPaused = true
        peer.published[0].payloadType = 102
        peer.published[0].retransmissionPayloadType = 103
      }
      stream = publisher.stream(.video)
      let world = world
      subscribers = (0..<count).map { world.addPeer("\($0)", receives: [.video], numbers: numbers) }
      world.connect()
      for subscriber in subscribers { world.subscribe(subscriber, to: publisher, .video) }
    }

    /// One frame of the pattern 0 2 1 2, in three packets; a key frame where one was asked for.
    private func sendFrame() {
      let isKey = stream.wantsKeyframe
      stream.wantsKeyframe = false
      if isKey { positions = 0 }
      let place = positions % 4
      let distances = isKey ? [] : [[4], [1], [2], [1, 3]][place].filter { $0 <= positions }
      positions += 1
      var frame = SentFrame(
        temporalID: [0, 2, 1, 2][place], timestamp: stream.timestamp(at: world.now), isKey: isKey,
        references: distances.map { frames.count - $0 }, payloads: [])
      if frame.temporalID == 0 { tl0 &+= 1 }
      for position in 0..<3 {
        // A parameter set begins a key frame; what follows is a slice (RFC 6184 §5.2).
        var payload: [UInt8] = isKey ? (position == 0 ? [0x67, 0x42, 0xC0, 0x1F] : [0x65, 0x88]) : [0x41, 0x9A]
        payload += big(UInt64(frames.count), 4) + [UInt8(position)] + [UInt8](repeating: UInt8(truncatingIfNeeded: frames.count), count: 90)
        if marking == .longEncrypted { payload = payload.map { $0 ^ 0xB6 } }
        let flags: UInt8 = (position == 0 ? 0x80 : 0) | (position == 2 ? 0x40 : 0) | (isKey ? 0x20 : 0) | (frame.temporalID == 2 ? 0x10 : 0)
        let element: [UInt8]? =
          switch marking {
          case .none: nil
          case .short: [flags]
          case .long, .longEncrypted: [flags | UInt8(frame.temporalID), 0, tl0]
          }
        stream.moreExtensions = element.map { data in { _ in [.init(8, data)] } }
        publisher.send(payload, of: stream, marker: position == 2, timestamp: frame.timestamp, in: world)
        frame.payloads.append(payload)
      }
      frames.append(frame)
    }

    func run(frames count: Int) {
      for _ in 0..<count {
        sendFrame()
        world.run(for: .milliseconds(40))
      }
    }

    func setFrameRate(_ rate: Float, of subscriber: ScriptedPeer) {
      world.perform(.setTarget(subscriber.slot(.video).key, LayerTarget(maximumFrameRate: rate, minimumFrameRate: 5)))
    }

    /// The frame and the packet in it that a payload was made for.
    func origin(of payload: [UInt8]) -> (frame: Int, position: Int)? {
      frames.indices.reversed().lazy.compactMap { frame in
        self.frames[frame].payloads.firstIndex(of: payload).map { (frame, $0) }
      }.first
    }

    /// Everything that a subscriber has, repaired or not, in the order of its numbers: one continuous stream that a decoder can decode.
    func expectOneStream(_ subscriber: ScriptedPeer, since first: Int = 0) throws -> [Int] {
      let slot = subscriber.slot(.video)
      var packets: [Int64: ReceivedPacket] = [:]
      for packet in subscriber.packets(on: slot) { packets[packet.index.rawValue] = packet }
      let newest = try #require(packets.keys.max())
      for packet in subscriber.retransmissions(on: slot) where !packet.payload.isEmpty {
        let number = try #require(packet.originalSequence)
        packets[newest + Int64(Int16(bitPattern: number &- UInt16(truncatingIfNeeded: newest)))] = packet
      }
      let sorted = packets.sorted { $0.key < $1.key }
      for (one, next) in zip(sorted, sorted.dropFirst()) { #expect(next.key == one.key + 1) }
      var counts: [Int: Int] = [:]
      var offsets: Set<UInt32> = []
      // A number that was left open for what turned out to be of another layer is filled with nothing.
      for (_, packet) in sorted where !packet.payload.isEmpty {
        let (frame, position) = try #require(origin(of: packet.payload), "a payload that nobody sent")
        #expect(counts[frame, default: 0] == position, "frame \(frame) is not whole, or not in order")
        counts[frame, default: 0] += 1
        offsets.insert(packet.rtp.timestamp &- frames[frame].timestamp)
        // The subscriber is told nothing of layers.
        #expect(packet.rtp[8] == nil)
        if packet.originalSequence == nil { #expect(packet.rtp.marker == (position == 2) && packet.rtp.payloadType == 102) }
      }
      #expect(offsets.count == 1, "time moved by itself")
      for (frame, count) in counts {
        #expect(count == 3, "frame \(frame) has \(count) packets")
        for reference in frames[frame].references { #expect(counts[reference] != nil, "frame \(frame) refers to \(reference)") }
      }
      return counts.keys.filter { $0 >= first }.sorted()
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

  @Test(
    "Temporal layers are left out for who wants fewer frames, and come back without a key frame; repair finds what was sent",
    arguments: [Marking.long, .longEncrypted], [1, 2])
  func layers(marking: Marking, shards: Int) throws {
    let room = Room(seed: 960 + UInt64(shards), marking: marking, shards: shards, subscribers: 3)
    room.run(frames: 60)
    let keyCount = room.frames.count(where: \.isKey)
    // All, 12.5 and 6.25 frames a second.
    for (subscriber, rate) in zip(room.subscribers, [.infinity, 13, 7] as [Float]) { room.setFrameRate(rate, of: subscriber) }
    room.run(frames: 25)
    let first = room.frames.count
    room.run(frames: 100)
    for (subscriber, top) in zip(room.subscribers, [2, 1, 0]) {
      let wanted = (first..<first + 100).filter { room.frames[$0].temporalID <= top }
      // The last of them are still under way.
      #expect(try room.expectOneStream(subscriber, since: first) == wanted)
      let slot = subscriber.slot(.video)
      let asked = subscriber.packets(on: slot).suffix(30)
      subscriber.sendNACK(asked.map(\.rtp.sequence), of: slot, in: room.world)
      room.world.run(for: .milliseconds(60))
      let answers = subscriber.retransmissions(on: slot).filter { !$0.payload.isEmpty }
      #expect(answers.map(\.payload) == asked.map(\.payload))
      #expect(answers.map(\.originalSequence) == asked.map(\.rtp.sequence))
    }
    for subscriber in room.subscribers { room.setFrameRate(.infinity, of: subscriber) }
    room.run(frames: 25)
    let last = room.frames.count
    room.run(frames: 50)
    for subscriber in room.subscribers { #expect(try room.expectOneStream(subscriber, since: last) == Array(last..<last + 50)) }
    #expect(room.frames.count(where: \.isKey) == keyCount, "fewer frames, or more, took a key frame")
    room.expectAllHome()
  }

  @Test("Loss on the way in is repaired for whoever is sent the layer, and leaves no gap for others", arguments: [1, 2])
  func loss(shards: Int) throws {
    let room = Room(seed: 965 + UInt64(shards), marking: .long, shards: shards, subscribers: 3)
    room.run(frames: 60)
    for (subscriber, rate) in zip(room.subscribers, [.infinity, 13, 7] as [Float]) { room.setFrameRate(rate, of: subscriber) }
    room.run(frames: 25)
    let first = room.frames.count
    room.publisher.uplink.lossPerMille = 80
    room.run(frames: 150)
    room.publisher.uplink.lossPerMille = 0
    room.run(frames: 10)
    for (subscriber, top) in zip(room.subscribers, [2, 1, 0]) {
      let whole = try room.expectOneStream(subscriber, since: first)
      #expect(Set(whole).isSuperset(of: (first..<first + 150).filter { room.frames[$0].temporalID <= top }))
    }
    room.expectAllHome()
  }

  @Test(
    "Where nothing is said of layers every frame is sent, however few are wanted", arguments: [Marking.none, .short], [1, 2])
  func withoutLayers(marking: Marking, shards: Int) throws {
    let room = Room(seed: 970 + UInt64(shards), marking: marking, shards: shards, subscribers: 2)
    room.run(frames: 60)
    room.setFrameRate(7, of: room.subscribers[1])
    room.run(frames: 25)
    let first = room.frames.count
    room.run(frames: 100)
    for subscriber in room.subscribers { #expect(try room.expectOneStream(subscriber, since: first) == Array(first..<first + 100)) }
    #expect(!marking.hasLayers)
    room.expectAllHome()
  }
}
