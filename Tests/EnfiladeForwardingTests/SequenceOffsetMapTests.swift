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

  @Test("A run of numbers left out is right as long as it is remembered, and what is older has no number")
  func longRun() {
    var map = SequenceOffsetMap()
    map.restart(input: Self.number(0), output: Self.number(0))
    map.drop(Self.number(5))
    for number in 10..<510 { map.drop(Self.number(Int64(number))) }
    #expect(map.output(for: Self.number(4)) == Self.number(4))
    #expect(map.output(for: Self.number(9)) == Self.number(8))
    #expect(map.output(for: Self.number(510)) == Self.number(9))
    for number in 510..<900 { map.drop(Self.number(Int64(number))) }
    #expect(map.output(for: Self.number(9)) == nil)
    #expect(map.output(for: Self.number(900)) == Self.number(9))
  }

  @Test("What it remembers is right", arguments: 0..<200)
  func againstModel(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var map = SequenceOffsetMap()
    var model: [Int64: Int64] = [:]
    var input = Int64(random.next() % 100_000)
    var output = Int64(random.next() % 30_000)
    map.restart(input: Self.number(input), output: Self.number(output))
    var first = input
    for _ in 0..<400 {
      switch random.next() % 10 {
      case 0...2:
        map.drop(Self.number(input))
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
        input = Int64(random.next() % 100_000)
        first = input
        map.restart(input: Self.number(input), output: Self.number(output))
      default:
        #expect(map.output(for: Self.number(input))?.rawValue == output, "seed \(seed)")
        model[input] = output
        input += 1
        output += 1
      }
      for probe in max(first, input - 60)..<input {
        let found = map.output(for: Self.number(probe))?.rawValue
        #expect(found == model[probe], "seed \(seed): \(probe)")
      }
      #expect(map.output(for: Self.number(first - 1)) == nil)
    }
  }

  @Test("A number is placed once; one left out late leaves a hole, and one that is settled nothing")
  func settled() {
    var map = SequenceOffsetMap()
    map.restart(input: Self.number(10), output: Self.number(0))
    #expect(map.place(Self.number(10)) == Self.number(0))
    #expect(map.place(Self.number(10)) == nil)
    #expect(map.drop(Self.number(11)) == .closed)
    #expect(map.drop(Self.number(11)) == .settled)
    #expect(map.place(Self.number(14)) == Self.number(3))
    #expect(map.drop(Self.number(13)) == .hole(Self.number(2)))
    #expect(map.place(Self.number(13)) == nil)
    #expect(map.place(Self.number(12)) == Self.number(1))
    #expect(map.drop(Self.number(9)) == .settled)
  }
}
