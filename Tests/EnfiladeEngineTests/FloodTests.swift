// A flood of nonsense, from strangers and under the peers' own addresses: the engine stays as large as it was, and a call goes on.

import EnfiladeEngine
import EnfiladeTestSupport
import EnfiladeWire
import Testing

extension EngineWorld {
  /// Gives a peer one more slot, and tells the engine.
  func addedSlot(_ kind: MediaKind, to peer: ScriptedPeer) -> SlotKey {
    let slot = addSlot(kind, to: peer)
    perform(.configure(peer.link, peer.media))
    return slot.key
  }
}

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
      case .likeRTCP:
        return ([UInt8.random(in: 128...191, using: &random), UInt8.random(in: 192...223, using: &random)] + noise(0...300), 0)
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

  @Test("What a peer with keys says, however wrong, harms nobody else", arguments: 0..<8 as Range<UInt64>)
  func authenticatedNonsense(seed: UInt64) throws {
    let call = Call(seed: 130)
    let world = call.world
    let villain = world.addPeer("villain", publishes: [.audio, .video], receives: [.audio, .video])
    world.connect()
    for kind in MediaKind.allCases {
      world.subscribe(villain, to: call.publisher, kind)
      world.perform(.bind(world.addedSlot(kind, to: call.subscriber), villain.stream(kind).publication))
    }
    let session = try #require(villain.session)
    let before = MediaKind.allCases.map { call.subscriber.packets(on: call.subscriber.slot($0)).count }
    var random = SeededRandom(seed: seed)
    for number in 0..<5000 {
      var bytes = Self.likelyPacket(of: villain, using: &random)
      // Some bits of it are wrong.
      for _ in 0..<(random.next() % 6) {
        let bit = Int(random.next() % UInt64(min(bytes.count, 60) * 8))
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      }
      if random.next() % 8 == 0 { bytes = Array(bytes.prefix(max(12, Int(random.next() % UInt64(bytes.count))))) }
      while bytes.count < 12 { bytes.append(0) }
      let isRTCP = 192...223 ~= bytes[1]
      bytes[0] = bytes[0] & 0x3F | 0x80
      let index = ExtendedSequenceNumber(Int64(UInt16(bytes[2]) << 8 | UInt16(bytes[3])))
      let ssrc = SSRC(UInt32(truncatingIfNeeded: isRTCP ? 0 : EnfiladeTestSupport.number(bytes[8..<12])))
      let sealed = villain.protector.protect(
        bytes, headerByteCount: isRTCP ? 8 : 12, ssrc: ssrc, index: index, isRTCP: isRTCP, session: session)
      world.inject(try #require(sealed), from: villain.address)
      if number % 100 == 99 { world.run(for: .milliseconds(20)) }
    }
    #expect(world.violations.isEmpty)
    #expect(world.engine.census.inboundStreams <= 4)
    for (kind, count) in zip(MediaKind.allCases, before) {
      let packets = call.subscriber.packets(on: call.subscriber.slot(kind))
      #expect(packets.count >= count + 22 * (kind == .audio ? 2 : 6))
      for (one, next) in zip(packets, packets.dropFirst()) where next.index - one.index != 1 { Issue.record("a gap") }
    }
    for peer in world.peers { world.removeLink(of: peer) }
    #expect(world.engine.census == ShardEngine.Census())
  }

  /// A packet such as a peer sends: media, repair, reports, requests.
  private static func likelyPacket(of peer: ScriptedPeer, using random: inout SeededRandom) -> [UInt8] {
    let stream = peer.published[Int(random.next() % 2)]
    let slot = peer.slots[Int(random.next() % 2)]
    let (ours, theirs) = (big(UInt64(stream.ssrc.rawValue), 4), big(UInt64(slot.ssrc.rawValue), 4))
    func words(_ count: Int) -> [UInt8] { (0..<4 * count).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
    switch random.next() % 10 {
    case 0...3:
      var packet = RTPBytes(
        payloadType: stream.payloadType, sequence: UInt16(truncatingIfNeeded: random.next()),
        timestamp: UInt32(truncatingIfNeeded: random.next()),
        ssrc: stream.ssrc.rawValue, extensions: [.init(peer.numbers.mid, stream.mid), .init(3, words(1).suffix(2))],
        payload: words(Int(random.next() % 30)), paddingByteCount: random.next() % 4 == 0 ? 20 : 0)
      if random.next() % 3 == 0 { packet.ssrc = UInt32(truncatingIfNeeded: random.next()) }
      if random.next() % 3 == 0 { packet.payloadType = stream.retransmissionPayloadType ?? 97 }
      return packet.bytes
    case 4: return [0x81, 200, 0, 12] + ours + words(5) + theirs + words(5)
    case 5: return [0x82, 201, 0, 13] + ours + theirs + words(5) + theirs + words(5)
    case 6: return [0x81, 205, 0, 5] + ours + theirs + words(3)
    case 7: return [0x81, 206, 0, 2] + ours + theirs
    case 8: return [0x8F, 205, 0, 9] + ours + theirs + words(7)
    default: return random.next() % 20 == 0 ? [0x81, 203, 0, 1] + ours : [0x84, 206, 0, 4] + ours + words(1) + theirs + words(1)
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
    var after = world.engine.census
    // A history forgets four times in a second what has grown too old.
    #expect(abs(after.leasedSlots - before.leasedSlots) <= 64)
    after.leasedSlots = before.leasedSlots
    #expect(after == before)
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
