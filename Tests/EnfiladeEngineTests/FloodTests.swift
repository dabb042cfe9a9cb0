// A flood of nonsense, from strangers and under the peers' own addresses: the engine stays as large as it was, and a call goes on.

import EnfiladeEngine
import EnfiladeTestSupport
import EnfiladeWire
import Testing

/// What nonsense looks like.
enum Nonsense: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case likeSTUN
  case likeDTLS
  case likeRTP
  case likeRTCP
  case truncated
  case bitFlipped
  case unknownFirstByte
  case joined

  var testDescription: String { rawValue }
}

@Suite("Flood")
struct FloodTests {
  private static let count = 100_000

  /// A pair that has talked long enough for its histories to be full, and samples of every kind of datagram it sends.
  private struct Call {
    let world: EngineWorld
    let publisher: ScriptedPeer
    let subscriber: ScriptedPeer
    var samples: [[UInt8]] = []

    init(seed: UInt64) {
      world = EngineWorld(seed: seed)
      publisher = world.addPeer("publisher", publishes: [.audio, .video])
      subscriber = world.addPeer("subscriber", receives: [.audio, .video])
      world.connect()
      for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind) }
      publisher.stream(.video).packetsPerFrame = 6
      world.run(for: .seconds(Int64(5)))
      samples = [publisher.check(nominates: true), publisher.check(nominates: false)]
      samples.append([22, 0xFE, 0xFD, 1] + Array("NULL".utf8) + [UInt8](repeating: 5, count: 48))
      for stream in publisher.published {
        let packet = stream.sent[stream.next.wire.rawValue &- 1]!
        let index = stream.next + 10_000
        samples.append(
          publisher.protector.protect(
            packet.bytes, headerByteCount: packet.headerByteCount, ssrc: stream.ssrc, index: index, isRTCP: false,
            session: publisher.session!)!)
      }
      let report: [UInt8] = [0x80, 201, 0, 1, 0, 0, 0, 1]
      samples.append(publisher.protector.protect(report, headerByteCount: 8, isRTCP: true, session: publisher.session!)!)
    }

    func make(_ kind: Nonsense, using random: inout SeededRandom) -> (bytes: [UInt8], segment: Int) {
      func noise(_ range: ClosedRange<Int>) -> [UInt8] {
        let length = Int.random(in: range, using: &random)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length + 8)
        while bytes.count < length {
          var word = random.next()
          for _ in 0..<8 {
            bytes.append(UInt8(truncatingIfNeeded: word))
            word >>= 8
          }
        }
        return Array(bytes.prefix(length))
      }
      let sample = samples[Int(random.next() % UInt64(samples.count))]
      switch kind {
      case .likeSTUN:
        let body = noise(0...200)
        return ([0, 1] + big(UInt64(body.count & ~3), 2) + [0x21, 0x12, 0xA4, 0x42] + noise(12...12) + body, 0)
      case .likeDTLS: return ([UInt8.random(in: 20...63, using: &random)] + noise(0...300), 0)
      case .likeRTP: return ([UInt8.random(in: 128...191, using: &random), UInt8.random(in: 0...191, using: &random)] + noise(0...300), 0)
      case .likeRTCP: return ([UInt8.random(in: 128...191, using: &random), UInt8.random(in: 192...223, using: &random)] + noise(0...300), 0)
      case .truncated: return (Array(sample.prefix(Int(random.next() % UInt64(sample.count)))), 0)
      case .bitFlipped:
        var bytes = sample
        for _ in 0...Int(random.next() % 3) {
          let bit = Int(random.next() % UInt64(bytes.count * 8))
          bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        }
        // Two flips of one bit are none.
        if bytes == sample { bytes[0] ^= 0x80 }
        return (bytes, 0)
      case .unknownFirstByte:
        let first: [UInt8] = [4, 10, 15, 16, 19, 64, 79, 80, 127, 192, 255]
        return ([first[Int(random.next() % UInt64(first.count))]] + noise(0...100), 0)
      case .joined: return (noise(1...3000), Int(random.next() % 1600))
      }
    }
  }

  @Test("A hundred thousand of each kind change nothing", arguments: Nonsense.allCases, [true, false])
  func flood(kind: Nonsense, isFromStrangers: Bool) {
    let call = Call(seed: 120)
    let world = call.world
    var random = SeededRandom(seed: 121)
    // What was full is full: the census does not move by itself.
    let before = world.engine.census
    let fragments = world.engine.census.fragments
    let states = world.events.count
    let packetsBefore = MediaKind.allCases.map { call.subscriber.packets(on: call.subscriber.slot($0)).count }
    let started = world.now
    for number in 0..<Self.count {
      let address =
        isFromStrangers
        ? SocketAddress(ipv4: UInt32(truncatingIfNeeded: random.next()) | 0x8000_0000, port: UInt16(truncatingIfNeeded: random.next()))
        : (number % 2 == 0 ? call.publisher.address : call.subscriber.address)
      let (bytes, segment) = call.make(kind, using: &random)
      world.inject(bytes, from: address, segmentByteCount: segment)
      if number % 1000 == 999 { world.run(for: .milliseconds(20)) }
    }
    world.run(for: .milliseconds(100))
    let elapsed = world.now - started
    #expect(world.engine.census == before)
    #expect(world.engine.census.fragments == fragments)
    #expect(world.events.count == states)
    #expect(world.states(of: call.publisher) == [.connected])
    #expect(world.states(of: call.subscriber) == [.connected])
    for (media, count) in zip(MediaKind.allCases, packetsBefore) {
      let packets = call.subscriber.packets(on: call.subscriber.slot(media))
      let frames = Int(elapsed.milliseconds / (media == .audio ? 20 : 40))
      #expect(packets.count >= count + (frames - 3) * (media == .audio ? 1 : 6))
      for (one, next) in zip(packets, packets.dropFirst()) where next.index - one.index != 1 { Issue.record("a gap") }
    }
    #expect(world.violations.isEmpty)
    world.removeLink(of: call.publisher)
    world.removeLink(of: call.subscriber)
    #expect(world.engine.census == ShardEngine.Census())
  }
}
