// A shard with more publishers than its memory has room for: histories get shorter, and nobody's next packet is dropped.

import EnfiladeTestSupport
import EnfiladeWire
import Testing

@testable import EnfiladeEngine

@Suite("Packet memory that is scarce")
struct ScarcityTests {
  @Test(
    "Many encodings in little memory: everybody is seen, nothing finds no slot, and what was lost just now is repaired", arguments: [1, 2])
  func manyEncodings(shards: Int) {
    let slots = 2048
    let world = EngineWorld(seed: 301, shards: shards, slotCount: slots)
    let publishers = (0..<8).map { number in
      world.addPeer("publisher \(number)") { _ = world.addSimulcast(["q", "h", "f"], to: $0) }
    }
    let subscriber = world.addPeer("subscriber", receives: Array(repeating: .video, count: publishers.count))
    world.connect()
    for (number, publisher) in publishers.enumerated() { world.subscribe(subscriber, to: publisher, .video, slot: number) }
    world.run(for: .seconds(Int64(6)))
    let before = subscriber.slots.map { subscriber.packets(on: $0).count }
    world.run(for: .seconds(Int64(6)))
    let arrived = world.engines.indices.reduce(0) { $0 + Int(world.engines[$1].traffic.packetsIn) }
    print("scarcity: \(arrived) packets through \(slots) slots for each of \(shards) shards")
    #expect(arrived > 2 * slots * shards)
    for shard in world.engines.indices {
      #expect(world.engines[shard].drops[.slabExhausted] == 0)
      #expect(world.engines[shard].census.leasedSlots < slots)
    }
    for (slot, count) in zip(subscriber.slots, before) {
      let packets = subscriber.packets(on: slot)
      #expect(packets.count > count + 100)
      for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    }
    for peer in world.peers { world.removeLink(of: peer) }
    for shard in world.engines.indices { #expect(world.engines[shard].census == ShardEngine.Census()) }
    #expect(world.violations.isEmpty)
  }

  @Test("Marks tell what is older than a time, as far back as they reach")
  func marks() {
    var age = HistoryAge()
    func expired(_ milliseconds: Int64, at now: Int64) -> Int64? {
      age.expired(keepingTime: .milliseconds(milliseconds), at: .zero + .milliseconds(now))?.rawValue
    }
    #expect(expired(0, at: 0) == nil)
    for step in 0..<20 { age.mark(ExtendedSequenceNumber(Int64(step * 10)), at: .zero + .milliseconds(Int64(step * 250))) }
    #expect(age.nextMark == .zero + .milliseconds(5000))
    #expect(expired(0, at: 4750) == 190)
    #expect(expired(250, at: 4750) == 180)
    #expect(expired(251, at: 4750) == 170)
    #expect(expired(2750, at: 4750) == 80)
    #expect(expired(2751, at: 4750) == nil)
  }

  @Test("Memory is short below a quarter, dire below a sixteenth, and each is left only when there is clearly more")
  func levels() {
    var slab = PacketSlab(shard: 0, slotCount: 160)
    var leased: [PacketHandle] = []
    var level = Scarcity.plenty
    var changes: [Int: Scarcity] = [:]
    func look() {
      let now = Scarcity(slab, before: level)
      if now != level { changes[slab.freeCount] = now }
      level = now
    }
    while let handle = slab.lease() {
      leased.append(handle)
      look()
    }
    #expect(changes == [39: .short, 9: .dire])
    changes = [:]
    for handle in leased {
      slab.release(handle)
      look()
    }
    #expect(changes == [20: .short, 60: .plenty])
  }
}
