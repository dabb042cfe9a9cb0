// Who is heard: hysteresis, the dominant speaker kept, the right number.

import EnfiladeMixing
import EnfiladeWire
import Testing

@Suite("The loudest few")
struct LoudestSelectorTests {
  /// A selector with a clock.
  private struct Table {
    var selector: LoudestSelector
    var now = Instant.zero
  }

  private func run(_ table: inout Table, ticks: Int, _ levels: [Int32: Float]) -> [Set<Int32>] {
    (0..<ticks).map { _ in
      table.now += .milliseconds(20)
      table.selector.tick(at: table.now) { levels[$0] ?? -127 }
      return Set(table.selector.candidates.filter(\.isSelected).map(\.source))
    }
  }

  /// As `run`, in words: five ticks of each eight are said.
  private func talk(_ table: inout Table, ticks: Int, _ levels: [Int32: Float]) -> [Set<Int32>] {
    (0..<ticks).flatMap { tick in run(&table, ticks: 1, tick % 8 < 5 ? levels : levels.mapValues { $0 - 35 }) }
  }

  private func selector(limit: Int, sources: Int32) -> Table {
    var selector = LoudestSelector(limit: limit)
    for source in 0..<sources { selector.add(source) }
    return Table(selector: selector)
  }

  @Test("Of five who speak, the three loudest are heard")
  func loudest() {
    var table = selector(limit: 3, sources: 5)
    let heard = run(&table, ticks: 100, [0: -40, 1: -20, 2: -30, 3: -10, 4: -45])
    #expect(heard.last == [1, 2, 3])
  }

  @Test("Silence is not heard, and costs its place after a second")
  func silence() {
    var table = selector(limit: 3, sources: 2)
    #expect(run(&table, ticks: 20, [0: -20]).last == [0])
    let afterwards = run(&table, ticks: 200, [:])
    #expect(afterwards[20] == [0])
    #expect(afterwards.last == [])
  }

  @Test("Two of nearly the same loudness do not take turns")
  func hysteresis() {
    var table = selector(limit: 1, sources: 2)
    _ = run(&table, ticks: 50, [0: -22])
    var changes = 0
    var last: Set<Int32> = [0]
    for tick in 0..<500 {
      let heard = run(&table, ticks: 1, [0: -22 + Float(tick % 7), 1: -22 + Float((tick + 3) % 7)])[0]
      if heard != last { changes += 1 }
      last = heard
    }
    #expect(changes == 0)
  }

  @Test("A cough takes nobody's place; who goes on does, within half a second")
  func challenge() {
    var table = selector(limit: 2, sources: 3)
    _ = run(&table, ticks: 200, [0: -20, 1: -30])
    // 20 ms are one tick.
    _ = run(&table, ticks: 1, [0: -20, 1: -30, 2: -10])
    #expect(run(&table, ticks: 1, [0: -20, 1: -30]).last == [0, 1])
    #expect(run(&table, ticks: 25, [0: -20, 1: -30, 2: -15]).last == [0, 2])
  }

  @Test("The dominant speaker is not displaced while he speaks, however loud the others are; the second is")
  func dominant() {
    var table = selector(limit: 2, sources: 3)
    _ = talk(&table, ticks: 300, [0: -25])
    #expect(table.selector.dominant == 0)
    _ = talk(&table, ticks: 48, [0: -30, 1: -40])
    let heard = talk(&table, ticks: 40, [0: -30, 1: -40, 2: -12])
    #expect(heard.allSatisfy { $0.contains(0) })
    #expect(heard.last == [0, 2])
    _ = talk(&table, ticks: 60, [1: -40])
    #expect(table.selector.dominant != 0)
  }

  @Test("Fewer may be heard from one tick to the next")
  func limit() {
    var table = selector(limit: 3, sources: 3)
    _ = run(&table, ticks: 100, [0: -20, 1: -30, 2: -40])
    table.selector.limit = 1
    #expect(run(&table, ticks: 1, [0: -20, 1: -30, 2: -40]).last?.count == 1)
  }
}
