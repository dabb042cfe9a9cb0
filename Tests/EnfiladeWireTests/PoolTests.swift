// The table whose elements never move, against a dictionary.

import EnfiladeWire
import Testing

@Suite("Pool")
struct PoolTests {
  /// Counts its ends, so that each element is destroyed exactly once.
  private final class Ledger {
    var ends: [Int: Int] = [:]
  }
  private struct Tracked: ~Copyable {
    let value: Int
    let ledger: Ledger
    deinit { ledger.ends[value, default: 0] += 1 }
  }

  @Test("The capacity is rounded up to whole chunks, and a full table refuses", arguments: [(0, 64), (1, 64), (64, 64), (65, 128)])
  func capacity(asked: Int, granted: Int) {
    var pool = Pool<Int>(capacity: asked)
    for value in 0..<granted { #expect(pool.insert(value) == value) }
    #expect(pool.isFull == true)
    #expect(pool.insert(-1) == nil)
    #expect(pool.remove(at: 5) == 5)
    #expect(pool.insert(500) == 5)
    #expect(pool.count == granted)
  }

  @Test("Indices outside or vacant hold nothing", arguments: [-1, 0, 3, 64, Int.max])
  func outside(index: Int) {
    var pool = Pool<Int>(capacity: 64)
    _ = pool.insert(1)
    _ = pool.insert(2)
    _ = pool.remove(at: 0)
    #expect(pool.contains(index) == false)
    #expect(pool.contains(1) == true)
  }

  @Test("Random insertion and removal agree with a dictionary; nothing moves, everything ends once", arguments: 0..<8)
  func model(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let ledger = Ledger()
    var made = 0
    do {
      var pool = Pool<Tracked>(capacity: 200)
      var held: [Int: Int] = [:]
      var indices: [Int] = []
      var addresses: [Int: UInt] = [:]
      for _ in 0..<3_000 {
        if Int.random(in: 0..<5, using: &random) < 3 {
          let index = pool.insert(Tracked(value: made, ledger: ledger))
          made += 1
          guard let index else {
            #expect(held.count == pool.capacity)
            // Refused, so it ended here.
            #expect(ledger.ends[made - 1] == 1)
            continue
          }
          #expect(held[index] == nil)
          held[index] = made - 1
          indices.append(index)
          addresses[index] = address(of: &pool[index])
        } else if let position = indices.indices.randomElement(using: &random) {
          let index = indices.remove(at: position)
          let value = pool.remove(at: index).value
          #expect(value == held.removeValue(forKey: index))
          #expect(ledger.ends[value] == 1)
        }
        #expect(pool.count == held.count)
        if let index = indices.randomElement(using: &random) {
          let value = pool[index].value
          #expect(value == held[index])
          #expect(address(of: &pool[index]) == addresses[index])
        }
      }
      #expect((0..<pool.bound).filter { pool.contains($0) } == held.keys.sorted())
    }
    #expect(ledger.ends.count == made)
    #expect(ledger.ends.values.allSatisfy { $0 == 1 })
  }

  private func address(of element: inout Tracked) -> UInt {
    withUnsafeMutablePointer(to: &element) { UInt(bitPattern: $0) }
  }
}
