// The array that is never copied, against one that is.

import EnfiladeWire
import Testing

@Suite("UniqueArray")
struct UniqueArrayTests {
  private final class Ledger {
    var ends: [Int: Int] = [:]
  }
  private struct Tracked: ~Copyable {
    let value: Int
    let ledger: Ledger
    deinit { ledger.ends[value, default: 0] += 1 }
  }

  @Test("It grows when it must, and keeps its room when asked to")
  func room() {
    var array = UniqueArray<Int>(minimumCapacity: 3)
    for value in 0..<3 { array.append(value) }
    #expect(array.capacity == 3)
    array.append(3)
    #expect(array.capacity >= 4)
    let room = array.capacity
    array.removeAll(keepingCapacity: true)
    #expect(array.isEmpty == true)
    #expect(array.capacity == room)
    array.append(1)
    array.removeAll()
    #expect(array.isEmpty == true)
    #expect(array.capacity == 0)
  }

  @Test("Spans show all elements, and changes through them stay")
  func spans() {
    var array = UniqueArray<Int>(repeating: 7, count: 4)
    do {
      var span = array.mutableSpan
      span[2] = 9
    }
    array[3] += 1
    let seen = (0..<array.span.count).map { array.span[$0] }
    #expect(seen == [7, 7, 9, 8])
  }

  @Test("Random changes agree with an ordinary array, and every element ends once", arguments: 0..<8)
  func model(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let ledger = Ledger()
    var made = 0
    do {
      var array = UniqueArray<Tracked>()
      var model: [Int] = []
      for _ in 0..<2_000 {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5:
          array.append(Tracked(value: made, ledger: ledger))
          model.append(made)
          made += 1
        case 5 where !model.isEmpty:
          let value = array.removeLast().value
          #expect(value == model.removeLast())
        case 6 where !model.isEmpty:
          let index = model.indices.randomElement(using: &random)!
          let value = array.remove(at: index).value
          #expect(value == model.remove(at: index))
        case 7 where !model.isEmpty:
          let (a, b) = (model.indices.randomElement(using: &random)!, model.indices.randomElement(using: &random)!)
          array.swapAt(a, b)
          model.swapAt(a, b)
        case 8:
          let number = Int.random(in: 0...min(3, model.count), using: &random)
          array.removeFirst(number)
          model.removeFirst(number)
        case 9:
          let number = Int.random(in: 0...min(3, model.count), using: &random)
          array.removeLast(number)
          model.removeLast(number)
        default: break
        }
        #expect(array.count == model.count)
        if let index = model.indices.randomElement(using: &random) {
          let value = array[index].value
          #expect(value == model[index])
        }
      }
      let all = array.indices.map { array[$0].value }
      #expect(all == model)
      for value in 0..<made { #expect(ledger.ends[value, default: 0] == (model.contains(value) ? 0 : 1)) }
    }
    #expect(ledger.ends.count == made)
    #expect(ledger.ends.values.allSatisfy { $0 == 1 })
  }
}
