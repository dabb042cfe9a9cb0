// Redundant Opus (RFC 2198): passed on, taken off, and made for who loses packets.

import EnfiladeEngine
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Redundant audio")
struct RedundancyTests {
  private static func numbers(opus: UInt8 = 111, red: UInt8?) -> PeerNumbers {
    var numbers = PeerNumbers()
    numbers.opus = opus
    numbers.red = red
    return numbers
  }

  /// RFC 2198 §3: a redundant block of `earlier` that is 960 ticks old, and the primary block.
  private static func redundant(_ payloadType: UInt8, earlier: [UInt8], primary: [UInt8]) -> [UInt8] {
    // F = 1 and the type; 14 bits of offset, 10 of length; F = 0 and the type.
    let word = UInt32(960) << 10 | UInt32(earlier.count)
    return [0x80 | payloadType, UInt8(word >> 16 & 0xFF), UInt8(word >> 8 & 0xFF), UInt8(word & 0xFF), payloadType] + earlier + primary
  }

  @Test("A block header is written as RFC 2198 §3 draws it")
  func header() {
    // 1 0x6F, offset 960 in 14 bits (0b00001111000000), length 3 in 10 bits (0b0000000011), 0 0x6F.
    #expect(Self.redundant(111, earlier: [1, 2, 3], primary: [9]) == [0xEF, 0x0F, 0x00, 0x03, 0x6F, 1, 2, 3, 9])
  }

  @Test("RED goes as it came to who has it, under its own numbers to who has other ones, and as Opus to who has none", arguments: [1, 2])
  func forwarded(shards: Int) {
    let world = EngineWorld(seed: 600 + UInt64(shards), shards: shards)
    let publisher = world.addPeer("publisher", publishes: [.audio], numbers: Self.numbers(red: 63))
    let same = world.addPeer("same", receives: [.audio], numbers: Self.numbers(red: 63))
    let other = world.addPeer("other", receives: [.audio], numbers: Self.numbers(opus: 109, red: 115))
    let none = world.addPeer("none", receives: [.audio], numbers: Self.numbers(red: nil))
    world.connect()
    let stream = publisher.stream(.audio)
    stream.isPaused = true
    for subscriber in [same, other, none] { world.subscribe(subscriber, to: publisher, .audio) }
    var sent: [(primary: [UInt8], earlier: [UInt8], timestamp: UInt32)] = []
    for number in 0..<40 {
      let primary = [0x78, UInt8(number)] + [UInt8](repeating: UInt8(number), count: 20)
      let earlier = sent.last?.primary ?? [0x78, 0xFF]
      let timestamp = 1000 + UInt32(number) * 960
      // Chrome mixes both from packet to packet; the stream must not notice.
      if number % 5 == 4 {
        stream.payloadType = 111
        publisher.send(primary, of: stream, timestamp: timestamp, in: world)
      } else {
        stream.payloadType = 63
        publisher.send(Self.redundant(111, earlier: earlier, primary: primary), of: stream, timestamp: timestamp, in: world)
      }
      sent.append((primary, earlier, timestamp))
      world.run(for: .milliseconds(20))
    }
    world.run(for: .milliseconds(100))
    for (subscriber, opus, red) in [(same, 111, 63), (other, 109, 115), (none, 111, nil)] as [(ScriptedPeer, UInt8, UInt8?)] {
      let packets = subscriber.packets(on: subscriber.slot(.audio))
      #expect(packets.count == 40)
      for (index, packet) in packets.enumerated() where index < sent.count {
        let isRedundant = red != nil && index % 5 != 4
        #expect(packet.rtp.payloadType == (isRedundant ? red! : opus))
        let expected = isRedundant ? Self.redundant(opus, earlier: sent[index].earlier, primary: sent[index].primary) : sent[index].primary
        #expect(packet.rtp.payload == expected)
        #expect(packet.rtp.extensions.contains { $0.identifier == subscriber.numbers.audioLevel && $0.data == [0x23] })
        if index > 0 {
          #expect(packet.index - packets[index - 1].index == 1)
          #expect(packet.rtp.timestamp &- packets[index - 1].rtp.timestamp == 960)
        }
      }
    }
    #expect(world.violations.isEmpty)
  }

  @Test("Who reports loss is sent what came before with each packet, and plain Opus again when it is over", arguments: [1, 2])
  func made(shards: Int) throws {
    let world = EngineWorld(seed: 610 + UInt64(shards), shards: shards)
    let publisher = world.addPeer("publisher", publishes: [.audio], numbers: Self.numbers(red: 63))
    let lossy = world.addPeer("lossy", receives: [.audio], numbers: Self.numbers(opus: 109, red: 115))
    let clean = world.addPeer("clean", receives: [.audio], numbers: Self.numbers(red: 63))
    world.connect()
    for subscriber in [lossy, clean] { world.subscribe(subscriber, to: publisher, .audio) }
    world.run(for: .seconds(Int64(2)))
    #expect(lossy.packets(on: lossy.slot(.audio)).allSatisfy { $0.rtp.payloadType == 109 })
    lossy.reportedLoss = 13
    lossy.downlink = VirtualLink(lossPerMille: 50)
    world.run(for: .seconds(Int64(1)) + .milliseconds(200))
    let start = world.now
    world.run(for: .seconds(Int64(8)))
    let packets = lossy.packets(on: lossy.slot(.audio)).filter { $0.at >= start }
    #expect(packets.count > 300)
    var heard: Set<UInt32> = []
    for packet in packets {
      #expect(packet.rtp.payloadType == 115)
      var blocks: [RedundantBlock] = []
      if var payload = RedundantPayload(packet.rtp.payload.rawBytes) { while let block = payload.next() { blocks.append(block) } }
      #expect(blocks.count == 2 && blocks.allSatisfy { $0.payloadType == PayloadType(109) })
      for block in blocks {
        let timestamp = packet.rtp.timestamp &- UInt32(block.timestampOffset)
        heard.insert(timestamp)
        let data = Array(packet.rtp.payload[Int(block.offset)..<Int(block.offset) + Int(block.byteCount)])
        // The very bytes that the publisher sent at that time.
        let tag = TaggedPayload.tag(of: data)
        let origin = try #require(tag.flatMap { world.tags[$0] })
        #expect(data == publisher.stream(.audio).sent[origin.index.wire.rawValue]?.payload)
      }
    }
    // Of a hundred packets five are lost, and of those one in twenty with its successor.
    let first = packets.first!.rtp.timestamp
    let expected = Int((packets.last!.rtp.timestamp &- first) / 960) + 1
    #expect(packets.count < expected - 8)
    #expect(heard.count >= expected - 5)
    #expect(clean.packets(on: clean.slot(.audio)).allSatisfy { $0.rtp.payloadType == 111 })
    lossy.reportedLoss = 0
    lossy.downlink = VirtualLink()
    world.run(for: .seconds(Int64(22)))
    #expect(lossy.packets(on: lossy.slot(.audio)).last?.rtp.payloadType == 109)
    #expect(world.violations.isEmpty)
  }

  @Test("A payload that cannot be taken apart, as when it is encrypted end to end, is not sent to who has no RED")
  func encrypted() {
    let world = EngineWorld(seed: 620)
    let publisher = world.addPeer("publisher", publishes: [.audio], numbers: Self.numbers(red: 63))
    let none = world.addPeer("none", receives: [.audio], numbers: Self.numbers(red: nil))
    let same = world.addPeer("same", receives: [.audio], numbers: Self.numbers(red: 63))
    world.connect()
    let stream = publisher.stream(.audio)
    stream.isPaused = true
    stream.payloadType = 63
    for subscriber in [none, same] { world.subscribe(subscriber, to: publisher, .audio) }
    for number in 0..<10 {
      publisher.send([0xFF, 0xFF, 0xFF, UInt8(number)], of: stream, timestamp: UInt32(number) * 960, in: world)
      world.run(for: .milliseconds(20))
    }
    world.run(for: .milliseconds(100))
    #expect(none.packets(on: none.slot(.audio)).isEmpty)
    #expect(same.packets(on: same.slot(.audio)).map(\.rtp.payload) == (0..<10).map { [0xFF, 0xFF, 0xFF, UInt8($0)] })
    #expect(world.engine.drops[.codecNotNegotiated] == 10)
  }
}
