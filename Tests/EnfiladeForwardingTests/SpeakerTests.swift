// The dominant speaker, on scripted meetings: who speaks is found in time, and who coughs is not.

import EnfiladeForwarding
import EnfiladeWire
import Foundation
import Testing

@Suite("Speakers")
struct SpeakerTests {
  /// Some people whose packets come every 20 ms, each with the level of the script and a little chance.
  private struct Table {
    var activities: [SpeechActivity]
    var selector = SpeakerSelector<Int>()
    var random: SeededRandom
    var now = Instant(nanoseconds: 1_000_000_000)
    var changes: [(at: Instant, who: Int)] = []
    var reportCount = 0

    init(seed: UInt64, count: Int) {
      activities = (0..<count).map { _ in SpeechActivity() }
      random = SeededRandom(seed: seed)
    }

    /// A level of speech: mostly loud, with the short dips that syllables have.
    mutating func speech() -> UInt8 { random.next() % 10 < 9 ? 25 + UInt8(random.next() % 10) : 45 + UInt8(random.next() % 20) }
    mutating func noise() -> UInt8 { 95 + UInt8(random.next() % 10) }

    mutating func run(_ milliseconds: Int, _ level: (inout Table, Int, Int) -> UInt8?) {
      for elapsed in stride(from: 0, to: milliseconds, by: 20) {
        for who in activities.indices {
          guard let level = level(&self, who, elapsed), let score = activities[who].handleLevel(level, at: now) else { continue }
          reportCount += 1
          _ = selector.handleScore(score, of: who, at: now)
          if let new = selector.decide(at: now) { changes.append((now, new)) }
        }
        now = now + .milliseconds(20)
      }
    }

    mutating func run(_ milliseconds: Int, speaking: Set<Int>) {
      run(milliseconds) { table, who, _ in speaking.contains(who) ? table.speech() : table.noise() }
    }
  }

  @Test("The tables are the formula's logarithms")
  func tables() {
    func logScore(_ count: Int, of n: Int, lambda: Double) -> Double {
      let choose = lgamma(Double(n + 1)) - lgamma(Double(count + 1)) - lgamma(Double(n - count + 1))
      let score = choose + Double(n) * log(0.5) - log(lambda) + lambda * Double(count)
      return log(max(score, 1e-10))
    }
    for count in 0...13 { #expect(abs(SpeechTable.immediate(UInt8(count)) - logScore(count, of: 13, lambda: 0.78)) < 1e-6) }
    for count in 0...5 { #expect(abs(SpeechTable.medium(UInt8(count)) - logScore(count, of: 5, lambda: 24)) < 1e-6) }
    for count in 0...10 { #expect(abs(SpeechTable.long(UInt8(count)) - logScore(count, of: 10, lambda: 47)) < 1e-6) }
  }

  @Test("When one stops and another begins, the other is found within 300 to 900 ms, and nobody else meanwhile", arguments: 1...20)
  func takingTurns(seed: Int) {
    var table = Table(seed: UInt64(seed), count: 6)
    table.run(2000, speaking: [])
    #expect(table.changes.isEmpty)
    table.run(3000, speaking: [0])
    #expect(table.changes.map(\.who) == [0])
    for (turn, who) in [3, 1, 5, 3].enumerated() {
      let began = table.now
      table.run(3000, speaking: [who])
      #expect(table.changes.count == turn + 2)
      guard let change = table.changes.last else { continue }
      #expect(change.who == who)
      #expect(
        (TimeDelta.milliseconds(200)...TimeDelta.milliseconds(1000)).contains(change.at - began), "\((change.at - began).nanoseconds)")
    }
  }

  @Test("Coughs of 100 ms while somebody speaks change nothing", arguments: 1...20)
  func coughs(seed: Int) {
    var table = Table(seed: 1000 + UInt64(seed), count: 4)
    table.run(1000, speaking: [])
    table.run(3000, speaking: [0])
    for cougher in [1, 2, 3, 1, 2] {
      table.run(100) { table, who, _ in who == cougher ? 15 : who == 0 ? table.speech() : table.noise() }
      table.run(900, speaking: [0])
    }
    #expect(table.changes.map(\.who) == [0])
  }

  @Test("A constant noise, however loud, becomes the noise it is and never a speaker")
  func fan() {
    var table = Table(seed: 7, count: 2)
    table.run(1000) { _, who, _ in who == 0 ? 60 : nil }
    table.run(60_000) { table, who, elapsed in who == 0 ? 58 + UInt8(elapsed / 20 % 4) : elapsed % 6000 < 3000 ? table.speech() : 110 }
    #expect(table.changes.map(\.who) == [1])
  }

  @Test("Silence that is not sent is silence: a source whose packets stop speaks no more, and one second later has no score")
  func discontinuousTransmission() {
    var table = Table(seed: 8, count: 2)
    table.run(2000, speaking: [0])
    #expect(table.selector.dominant == 0)
    // Nothing but a comfort noise packet every 400 ms.
    table.run(2000) { table, who, elapsed in who == 0 ? (elapsed % 400 == 0 ? 110 : nil) : table.noise() }
    #expect(table.activities[0].score.isSilent)
    #expect(table.selector.score(0, at: table.now).isSilent)
    // He stays the last one who spoke.
    #expect(table.selector.dominant == 0)
  }

  @Test("A packet of 60 ms counts as three of 20 ms")
  func longPackets() {
    var short = Table(seed: 9, count: 1)
    var long = Table(seed: 9, count: 1)
    short.run(1200) { _, _, _ in 30 }
    long.run(1200) { _, _, elapsed in elapsed % 60 == 0 ? 30 : nil }
    // The very first level is taken for the noise: what follows is louder.
    short.run(20) { _, _, _ in 90 }
    long.run(20) { _, _, _ in 90 }
    short.run(1200) { _, _, _ in 30 }
    long.run(1200) { _, _, elapsed in elapsed % 60 == 0 ? 30 : nil }
    #expect(short.activities[0].score.long >= 9)
    #expect(long.activities[0].score.long >= 9)
  }

  @Test("A source that speaks reports some ten times a second, and one that is silent does not")
  func reports() {
    var table = Table(seed: 10, count: 1)
    table.run(1000, speaking: [])
    #expect(table.reportCount <= 1)
    let before = table.reportCount
    table.run(10_000, speaking: [0])
    #expect((90...170).contains(table.reportCount - before), "\(table.reportCount - before)")
    let spoken = table.reportCount
    table.run(10_000, speaking: [])
    #expect(table.reportCount - spoken <= 14)
  }

  @Test("Whoever is gone is not the dominant speaker any more")
  func removal() {
    var table = Table(seed: 11, count: 2)
    table.run(2000, speaking: [0])
    table.selector.remove(0)
    #expect(table.selector.dominant == nil)
    #expect(table.selector.heardAt(0) == nil)
    table.run(2000, speaking: [1])
    #expect(table.selector.dominant == 1)
  }
}
