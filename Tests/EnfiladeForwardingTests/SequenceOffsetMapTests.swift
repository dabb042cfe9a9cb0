// The offset map against a model that remembers everything.

import EnfiladeForwarding
import EnfiladeWire
import Testing

@Suite("SequenceOffsetMap")
struct SequenceOffsetMapTests {
  private static func number(_ value: Int64) -> ExtendedSequenceNumber { ExtendedSequenceNumber(value) }

  @Test("Before its first source it numbers nothing")
  func empty() {
    var map = SequenceOffsetMap()
    #expect(map.output(for: Self.number(5)) == nil)
    map.drop(Self.number(5))
    #expect(map.output(for: Self.number(6)) == nil)
  }

  @Test("From a restart on, numbers follow one another; what is older has none")
  func restart() {
    var map = SequenceOffsetMap()
    map.restart(input: Self.number(1000), output: Self.number(7))
    #expect(map.output(for: Self.number(999)) == nil)
    #expect(map.output(for: Self.number(1000)) == Self.number(7))
    #expect(map.output(for: Self.number(1500)) == Self.number(507))
    map.restart(input: Self.number(20), output: Self.number(508))
    #expect(map.output(for: Self.number(1501)) == Self.number(508 + 1481))
    #expect(map.output(for: Self.number(20)) == Self.number(508))
    #expect(map.output(for: Self.number(19)) == nil)
  }

  @Test("What is left out has no number, and what follows closes up")
  func drop() {
    var map = SequenceOffsetMap()
    map.restart(input: Self.number(10), output: Self.number(0))
    map.drop(Self.number(12))
    map.drop(Self.number(13))
    map.drop(Self.number(16))
    let outputs = (10...18).map { map.output(for: Self.number($0))?.rawValue }
    #expect(outputs == [0, 1, nil, nil, 2, 3, nil, 4, 5])
  }

  @Test("The first number of a source may be left out")
  func dropFirst() {
    var map = SequenceOffsetMap()
    map.restart(input: Self.number(10), output: Self.number(100))
    map.drop(Self.number(10))
    map.drop(Self.number(11))
    #expect(map.output(for: Self.number(10)) == nil)
    #expect(map.output(for: Self.number(11)) == nil)
    #expect(map.output(for: Self.number(12)) == Self.number(100))
  }

  @Test("A run of numbers left out costs one place, however long it is")
  func longRun() {
    var map = SequenceOffsetMap()
    map.restart(input: Self.number(0), output: Self.number(0))
    map.drop(Self.number(5))
    for number in 10..<1000 { map.drop(Self.number(Int64(number))) }
    #expect(map.output(for: Self.number(4)) == Self.number(4))
    #expect(map.output(for: Self.number(9)) == Self.number(8))
    #expect(map.output(for: Self.number(1000)) == Self.number(9))
  }

  @Test("What it remembers is right, what it has forgotten has no number, and it remembers the last changes", arguments: 0..<200)
  func againstModel(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var map = SequenceOffsetMap()
    var model: [Int64: Int64] = [:]
    var input = Int64(random.next() % 100_000)
    var output = Int64(random.next() % 30_000)
    map.restart(input: Self.number(input), output: Self.number(output))
    var first = input
    var drops: [Int64] = []
    for _ in 0..<400 {
      switch random.next() % 10 {
      case 0...2:
        map.drop(Self.number(input))
        drops.append(input)
        input += 1
      case 3:
        // Lost on the way in: it keeps its number, in case it comes.
        let gap = Int64(random.next() % 20)
        for _ in 0..<gap {
          model[input] = output
          input += 1
          output += 1
        }
      case 4 where random.next() % 8 == 0:
        model = [:]
        drops = []
        input = Int64(random.next() % 100_000)
        first = input
        map.restart(input: Self.number(input), output: Self.number(output))
      default:
        #expect(map.output(for: Self.number(input))?.rawValue == output, "seed \(seed)")
        model[input] = output
        input += 1
        output += 1
      }
      // Seven separate runs fit beside the open end; nothing behind the seventh youngest is forgotten.
      var runs = 0
      var horizon = first
      var newer: Int64?
      for dropped in drops.reversed() {
        if newer != dropped + 1 { runs += 1 }
        if runs > 7 {
          horizon = dropped + 1
          break
        }
        newer = dropped
      }
      for probe in max(first, input - 60)..<input {
        let found = map.output(for: Self.number(probe))?.rawValue
        if probe >= horizon {
          #expect(found == model[probe], "seed \(seed): \(probe)")
        } else {
          #expect(found == nil || found == model[probe], "seed \(seed): \(probe)")
        }
      }
      #expect(map.output(for: Self.number(first - 1)) == nil)
    }
  }
}
