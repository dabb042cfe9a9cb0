// What was received and what was sent, by number.

import EnfiladeStreams
import EnfiladeWire
import Testing

private func number(_ value: Int) -> ExtendedSequenceNumber { ExtendedSequenceNumber(Int64(value)) }

@Suite("PacketHistory")
struct PacketHistoryTests {
  private static func handle(_ value: Int) -> PacketHandle { PacketHandle(index: UInt32(value), generation: 0, shard: 0) }
  private static func entry(_ value: Int, handle: Int? = nil) -> PacketHistory<UInt32>.Entry {
    .init(sequence: number(value), handle: Self.handle(handle ?? value), metadata: UInt32(value * 10))
  }

  @Test("A packet is found by its number, with what was noted about it")
  func find() {
    var history = PacketHistory<UInt32>(capacity: 8, placeholder: 0)
    #expect(history.insert(Self.entry(5)) == .stored)
    #expect(history.find(number(5))?.handle == Self.handle(5))
    #expect(history.find(number(5))?.metadata == 50)
    #expect(history.find(number(13)) == nil)
    #expect(history.find(number(4)) == nil)
    #expect(history.count == 1)
  }

  @Test("The packet a whole ring older makes room and comes back for release")
  func eviction() {
    var history = PacketHistory<UInt32>(capacity: 4, placeholder: 0)
    for value in 10..<14 { #expect(history.insert(Self.entry(value)) == .stored) }
    #expect(history.insert(Self.entry(14)) == .replaced(Self.handle(10)))
    #expect(history.find(number(10)) == nil)
    #expect(history.count == 4)
  }

  @Test("A duplicate and a packet a whole ring late are refused")
  func refusal() {
    var history = PacketHistory<UInt32>(capacity: 4, placeholder: 0)
    _ = history.insert(Self.entry(10))
    #expect(history.insert(Self.entry(10, handle: 99)) == .duplicate)
    #expect(history.find(number(10))?.handle == Self.handle(10))
    #expect(history.insert(Self.entry(6)) == .tooOld)
    #expect(history.insert(Self.entry(7)) == .stored)
    #expect(history.newest == number(10))
  }

  @Test("What is noted of a packet can be noted anew, as long as the packet is held")
  func metadata() {
    var history = PacketHistory<UInt32>(capacity: 4, placeholder: 0)
    for value in 0..<5 { _ = history.insert(Self.entry(value)) }
    history.setMetadata(77, of: number(3))
    history.setMetadata(78, of: number(0))
    #expect(history.find(number(3))?.metadata == 77)
    #expect(history.find(number(3))?.handle == Self.handle(3))
    #expect(history.find(number(4))?.metadata == Self.entry(4).metadata)
  }

  @Test("Replay walks what is held in order and steps over gaps")
  func replay() {
    var history = PacketHistory<UInt32>(capacity: 8, placeholder: 0)
    for value in [65_533, 65_534, 65_537, 65_536, 65_539] { _ = history.insert(Self.entry(value)) }
    var seen: [Int64] = []
    var position = number(65_533)
    while let entry = history.next(after: position) {
      seen.append(entry.sequence.rawValue)
      position = entry.sequence
    }
    #expect(seen == [65_534, 65_536, 65_537, 65_539])
    #expect(history.next(after: number(-5_000))?.sequence == number(65_533))
  }

  @Test("What is too old comes back for release, each packet once, and what is newer stays")
  func trim() {
    var history = PacketHistory<UInt32>(capacity: 8, placeholder: 0)
    var released: [PacketHandle] = []
    history.trim(through: number(5)) { released.append($0) }
    for value in [10, 11, 13, 14, 9] { _ = history.insert(Self.entry(value)) }
    history.trim(through: number(8)) { released.append($0) }
    #expect(released.isEmpty)
    history.trim(through: number(12)) { released.append($0) }
    #expect(released == [9, 10, 11].map { Self.handle($0) })
    #expect(history.count == 2 && history.find(number(11)) == nil && history.find(number(13)) != nil && history.newest == number(14))
    // What comes late after that is held, and goes the next time.
    #expect(history.insert(Self.entry(12)) == .stored)
    for value in 15..<23 { _ = history.insert(Self.entry(value)) }
    released = []
    history.trim(through: number(16)) { released.append($0) }
    #expect(released == [15, 16].map { Self.handle($0) })
    history.trim(through: number(1000)) { released.append($0) }
    #expect(history.count == 0 && released.count == 8)
    #expect(history.insert(Self.entry(23)) == .stored && history.count == 1)
  }

  @Test("The low 32 bits of a number name the packet nearest the newest")
  func widen() {
    var history = PacketHistory<UInt32>(capacity: 8, placeholder: 0)
    #expect(history.widen(3) == nil)
    let base = (1 << 32) + 2
    _ = history.insert(.init(sequence: number(base), handle: Self.handle(1), metadata: 0))
    #expect(history.widen(2) == number(base))
    #expect(history.widen(UInt32.max) == number((1 << 32) - 1))
  }

  @Test("Random insertion agrees with a dictionary, and the slab balances after draining", arguments: 0..<20)
  func model(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let capacity = [1, 2, 16, 64].randomElement(using: &random)!
    var slab = PacketSlab(shard: 0, slotCount: capacity + 1, touchesPages: false)
    var history = PacketHistory<Int>(capacity: capacity, placeholder: 0)
    var held: [Int: PacketHandle] = [:]
    var newest = Int.random(in: 65_000...66_000, using: &random)
    for step in 0..<2_000 {
      newest += Int.random(in: 0...3, using: &random) == 0 ? Int.random(in: 1...5, using: &random) : 1
      let value = newest - (Int.random(in: 0..<4, using: &random) == 0 ? Int.random(in: 0..<(2 * capacity), using: &random) : 0)
      let leased = slab.lease()
      let handle = try #require(leased)
      switch history.insert(.init(sequence: number(value), handle: handle, metadata: step)) {
      case .stored:
        #expect(held[value] == nil)
        held[value] = handle
      case .replaced(let old):
        let gone = held.first { $0.value == old }
        #expect(gone.map { ($0.key - value) % capacity } == 0)
        #expect((gone?.key ?? .max) < value)
        held = held.filter { $0.value != old }
        held[value] = handle
        slab.release(old)
      case .duplicate:
        #expect(held[value] != nil)
        slab.release(handle)
      case .tooOld:
        #expect(history.newest!.rawValue - Int64(value) >= capacity || held.keys.contains { $0 > value && ($0 - value) % capacity == 0 })
        slab.release(handle)
      }
      #expect(history.count == held.count)
      #expect(slab.leasedCount == held.count)
      if let (key, handle) = held.randomElement(using: &random) { #expect(history.find(number(key))?.handle == handle) }
    }
    for (key, handle) in held { #expect(history.find(number(key))?.handle == handle) }
    history.drain { slab.release($0) }
    #expect(slab.isBalanced == true)
    #expect(history.count == 0 && history.newest == nil)
  }
}

@Suite("SequenceMap")
struct SequenceMapTests {
  @Test("An entry is two bytes and what it leads to")
  func size() {
    #expect(SequenceMap<UInt64>.entryByteCount == 10)
  }

  @Test("A sent number leads to its source until a ring later", arguments: [0, 65_500, 65_535 * 512, (1 << 40) + 5])
  func find(start: Int) {
    var map = SequenceMap<Int>(capacity: 16, placeholder: -1)
    #expect(map.find(number(start)) == nil)
    for offset in 0..<100 {
      map.insert(number(start + offset), from: offset * 3)
      for back in 0..<40 {
        let source = map.find(number(start + offset - back))
        if back < 16 && back <= offset {
          #expect(source == (offset - back) * 3)
        } else {
          #expect(source == nil)
        }
      }
      #expect(map.find(number(start + offset + 1)) == nil)
    }
  }

  @Test("A number left out between two sent ones is not found")
  func hole() {
    var map = SequenceMap<UInt64>(capacity: 16, placeholder: 0)
    for value in 0..<16 { map.insert(number(value), from: UInt64(value)) }
    map.insert(number(18), from: 18)
    #expect(map.find(number(17)) == nil)
    #expect(map.find(number(16)) == nil)
    #expect(map.find(number(15)) == 15)
  }

  @Test("A late packet is noted at its place, one a ring late is not")
  func late() {
    var map = SequenceMap<UInt64>(capacity: 16, placeholder: 0)
    map.insert(number(100), from: 100)
    map.insert(number(90), from: 90)
    map.insert(number(84), from: 84)
    #expect(map.find(number(90)) == 90)
    #expect(map.find(number(84)) == nil)
    #expect(map.newestSent == number(100))
  }

  @Test(
    "A NACK's 16 bits name the newest number that has them", arguments: [(65_540, 65_535), (65_540, 65_540), (65_540, 5), (70_000, 69_000)])
  func widen(newest: Int, asked: Int) {
    var map = SequenceMap<UInt64>(capacity: 16, placeholder: 0)
    #expect(map.widen(SequenceNumber(1)) == nil)
    map.insert(number(newest), from: 0)
    #expect(map.widen(number(asked).wire) == number(asked))
    // One ahead of the newest was never sent; the number a round before has the same bits.
    #expect(map.widen(number(newest + 1).wire) == number(newest + 1 - 65_536))
  }

  @Test("A NACK for a number before the first finds nothing")
  func beforeTheFirst() {
    var map = SequenceMap<UInt64>(capacity: 16, placeholder: 0)
    map.insert(number(3), from: 3)
    #expect(map.widen(SequenceNumber(0xFFFF)) == nil)
    #expect(map.find(number(-1)) == nil)
    #expect(map.find(number(-13)) == nil)
  }
}
