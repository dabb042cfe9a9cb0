// Links over TCP (RFC 6544, RFC 4571), in virtual time: the engine knows nothing of connections, and treats their addresses like any other.

import EnfiladeEngine
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Links over TCP")
struct StreamTests {
  private static let source = SocketAddress(ipv6High: 0x2001_0DB8_0000_0000, low: 7, port: 40_000)

  /// A publisher over UDP, and two subscribers: one over UDP, one over TCP.
  private struct Call {
    let world: EngineWorld
    let publisher: ScriptedPeer
    let near: ScriptedPeer
    let far: ScriptedPeer

    init(seed: UInt64) throws {
      world = EngineWorld(seed: seed)
      publisher = world.addPeer("publisher", publishes: [.audio, .video])
      near = world.addPeer("udp", receives: [.audio, .video])
      let address = try #require(world.openStream(from: StreamTests.source))
      far = world.addPeer("tcp", publishes: [.audio], receives: [.audio, .video], address: address)
      far.sendsNACK = true
      world.connect()
      for kind in MediaKind.allCases {
        world.subscribe(near, to: publisher, kind)
        world.subscribe(far, to: publisher, kind)
      }
      world.perform(.bind(world.addedSlot(.audio, to: near), far.stream(.audio).publication))
    }
  }

  @Test("A call over TCP is a call: connected, whole, without a gap, in both directions", arguments: 0..<10 as Range<UInt64>)
  func call(seed: UInt64) throws {
    let call = try Call(seed: seed)
    let world = call.world
    #expect(call.far.isConnected && world.states(of: call.far).last == .connected)
    world.run(for: .seconds(Int64(5)))
    for kind in MediaKind.allCases {
      let (there, here) = (call.far.packets(on: call.far.slot(kind)), call.near.packets(on: call.near.slot(kind)))
      #expect(there.count > 100 && abs(there.count - here.count) <= 60, "\(there.count), \(here.count)")
      let numbers = there.map(\.index.rawValue)
      #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $1 - $0 == 1 })
    }
    #expect(call.near.packets(on: call.near.slots.last!).count > 100)
    let counters = world.streams.counters
    #expect(counters.droppedVideo == 0 && counters.droppedUrgent == 0 && counters.undeliverable == 0)
    #expect(counters.datagramsIn > 100 && counters.datagramsOut > 500)
    #expect(world.violations.isEmpty, "\(world.violations)")
    // Nobody needs to end anything.
    #expect(world.sweepStreams() == 0 && world.streams.count == 1 && world.streams.unprovedCount == 0)
  }

  @Test("A peer that stops reading loses video, then sound; the others lose nothing; it is repaired when it reads on")
  func slowReader() throws {
    let call = try Call(seed: 11)
    let world = call.world
    world.run(for: .seconds(Int64(2)))
    let before = call.near.packets(on: call.near.slot(.video)).count
    world.blockedStreams = [call.far.address]
    world.run(for: .seconds(Int64(2)))
    let during = world.streams.counters
    #expect(during.droppedVideo > 50 && during.droppedUrgent == 0, "\(during)")
    #expect(call.near.packets(on: call.near.slot(.video)).count > before + 100)
    world.blockedStreams = []
    world.run(for: .seconds(Int64(4)))
    #expect(world.streams.counters.droppedVideo - during.droppedVideo < 10)
    let last = try #require(call.far.packets(on: call.far.slot(.video)).last)
    #expect(world.now - last.at < .milliseconds(200))
    #expect(world.violations.isEmpty, "\(world.violations)")
  }

  @Test("A connection that is removed with its link carries nothing more, and is ended at the next look")
  func removal() throws {
    let call = try Call(seed: 12)
    let world = call.world
    world.run(for: .seconds(Int64(1)))
    world.removeLink(of: call.far)
    #expect(world.engine.isKnown(call.far.address) == false)
    let before = (world.streams.counters.datagramsOut, call.near.packets(on: call.near.slots.last!).count)
    world.run(for: .seconds(Int64(1)))
    #expect(world.streams.counters.datagramsOut == before.0)
    #expect(call.near.packets(on: call.near.slots.last!).count == before.1)
    #expect(world.engine.drops[.mediaFromUnknownAddress] > 20)
    #expect(world.sweepStreams() == 1 && world.streams.counters.orphaned == 1)
  }

  @Test("Nothing changes before a check proves its password: 100,000 frames of nonsense over connections that come and go")
  func hostile() throws {
    let call = try Call(seed: 13)
    let world = call.world
    world.run(for: .seconds(Int64(1)))
    let census = world.engine.census
    let packets = call.far.packets(on: call.far.slot(.video)).count
    var random = SeededRandom(seed: 14)
    var address: SocketAddress?
    for number in 0..<100_000 {
      if number % 50 == 0 {
        if let address { world.streams.end(Int(address.scope & 0xFFFF), .hungUp) }
        address = world.openStream(from: SocketAddress(ipv4: 0xC633_6400 | UInt32(random.next() & 255), port: UInt16(1024 + number % 1000)))
      }
      let count = Int(random.next() % 60)
      var datagram = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      // What begins like STUN, DTLS, RTP or RTCP as often as not.
      if count > 8, random.next() % 2 == 0 {
        let heads: [[UInt8]] = [[0, 1, 0, UInt8(count & 0xFC), 0x21, 0x12, 0xA4, 0x42], [22, 254, 253], [0x80, 96], [0x80, 200]]
        let head = heads[Int(random.next() % 4)]
        datagram.replaceSubrange(0..<head.count, with: head)
      }
      let length = random.next() % 64 == 0 ? Int(random.next() & 0xFFFF) : count
      if let address { world.injectStream([UInt8(length >> 8), UInt8(length & 255)] + datagram, from: address) }
      if number % 1000 == 0 { world.run(for: .milliseconds(20)) }
    }
    var after = world.engine.census
    after.leasedSlots = census.leasedSlots
    #expect(after == census)
    #expect(world.streams.unprovedCount <= 1)
    #expect(call.far.packets(on: call.far.slot(.video)).count > packets + 50)
    print("hostile: \(world.streams.counters)")
    print("hostile: \(world.engine.drops.nonZero.map { "\($0.reason) \($0.count)" })")
    #expect(world.violations.isEmpty, "\(world.violations)")
  }
}
