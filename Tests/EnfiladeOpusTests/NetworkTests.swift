// Sources behind bad networks: how late they are heard, how much is made up, and that the buffer neither grows nor starves.

import EnfiladeMixing
import EnfiladeWire
import Foundation
import Testing

@Suite("Jitter, loss and drift")
struct NetworkTests {
  struct Path: Sendable, CustomTestStringConvertible {
    var loss: Double
    var jitter: Int64
    var drift: Double
    var testDescription: String { "loss \(loss) %, jitter \(jitter) ms, drift \(drift) ppm" }
  }

  /// What a path did to a source.
  struct Result {
    /// After each second: how long after its fastest packet's arrival the source is heard, in milliseconds.
    var delays: [Double]
    var statistics: SourcePlayout.Statistics
    var late: Double { Double(statistics.late) / Double(max(1, statistics.packets)) }
    var concealed: Double { Double(statistics.concealed) / Double(max(1, statistics.samples)) }
    /// The ends of the second half, which tell growth from wandering.
    var median: Double { delays.suffix(delays.count / 2).sorted()[delays.count / 4] }
    var largest: Double { delays.suffix(delays.count / 2).max() ?? 0 }
    var smallest: Double { delays.suffix(delays.count / 2).min() ?? 0 }
  }

  /// Speech as far as loudness goes, 2.5 s that repeat: syllables four times in a second, and a breath.
  private static let voice: [Float] = (0..<120_000).map { time in
    let seconds = Double(time) / 48_000
    let syllable = 0.55 - 0.45 * cos(2 * Double.pi * 4 * seconds)
    let breath = seconds < 0.3 ? 0.0 : 1
    return Float(0.2 * syllable * breath * sin(2 * Double.pi * 150 * seconds))
  }
  private static let levels: [UInt8] = (0..<125).map { packet in
    let power = voice[packet * 960..<(packet + 1) * 960].reduce(0) { $0 + $1 * $1 } / 960
    return power > 1e-12 ? UInt8(max(0, min(127, -10 * log10(power)))) : 127
  }

  static func run(_ path: Path, seconds: Int, seed: UInt64 = 7) throws -> Result {
    let (voice, levels) = (voice, levels)
    var world = MixWorld(seed: seed, sound: { _, time in voice[Int(time % 120_000)] })
    var source = TestSource(number: 0, owner: 0) { Double(voice[Int($0 % 120_000)]) }
    source.level = { levels[Int($0 % 125)] }
    source.lossPercent = path.loss
    source.jitter = .milliseconds(path.jitter)
    source.drift = path.drift
    let number = try world.add(source)
    world.listen(100, owner: 99)
    world.heard[100] = nil
    var delays: [Double] = []
    var statistics = SourcePlayout.Statistics()
    for second in 1...seconds {
      // Ticks are at whole multiples of 20 ms: one has just been made when this is asked.
      try world.run(until: Instant(nanoseconds: Int64(second) * 1_000_000_000 + 1_000_000))
      let index = world.source(number).index
      if let delay = world.mixer.playoutDelay(of: index, at: world.now) { delays.append(Double(delay + 960) / 48) }
      statistics = world.mixer.playoutStatistics(of: index) ?? statistics
    }
    return Result(delays: delays, statistics: statistics)
  }

  @Test(
    "Twenty seconds of every path: delay, late and made-up sound stay within their bounds",
    arguments: [0.0, 5, 10, 20].flatMap { loss in [Int64(0), 30, 100].map { Path(loss: loss, jitter: $0, drift: 0) } })
  func paths(_ path: Path) throws {
    let result = try Self.run(path, seconds: 20)
    // A tick, a packet where losses are waited for, and the jitter with what it takes to even it out.
    let bound = 30 + (path.loss > 2 ? 45 : 0) + Double(path.jitter) * 1.6
    #expect(result.median <= bound, "\(result.median) ms")
    #expect(result.late <= 0.03, "\(result.late)")
    #expect(result.concealed <= path.loss / 100 * 1.6 + 0.04, "\(result.concealed)")
    #expect(Double(result.statistics.packets) > 900 * (1 - path.loss / 100))
  }

  @Test("Clocks that do not agree are made up for: half a minute, either way", arguments: [-200.0, 200])
  func drift(_ drift: Double) throws {
    let result = try Self.run(Path(loss: 0, jitter: 0, drift: drift), seconds: 30)
    #expect(result.largest < 50 && result.smallest > 0, "\(result.smallest)…\(result.largest) ms")
    #expect(result.concealed < 0.01, "\(result.concealed)")
    #expect(result.late == 0)
  }

  @Test("A machine that halts for 30 to 150 ms again and again leaves out what is over, and what it makes has every tone")
  func halts() throws {
    let frequencies = [440.0, 700]
    for opus in [false, true] {
      let tones = frequencies.map { tone($0) }
      let exact: @Sendable (Int, Int64) -> Float = { source, time in Float(tones[source](time)) }
      var world = MixWorld(seed: 11, sound: opus ? nil : exact)
      world.decodesOutput = opus
      for number in 0..<2 { _ = try world.add(TestSource(number: number, owner: UInt64(number), sound: tones[number])) }
      world.listen(100, owner: 99)
      var random = SeededRandom(seed: 12)
      var halts: [Range<Int64>] = []
      var end: Int64 = 1_000
      while end < 9_000 {
        let start = end + Int64.random(in: 10...60, using: &random)
        end = start + Int64.random(in: 30...150, using: &random)
        halts.append(start..<end)
      }
      let all = halts
      world.isHalted = { (now: Instant) in all.contains { $0.contains(now.nanoseconds / 1_000_000) } }
      try world.run(until: Instant(nanoseconds: 10_000_000_000))
      #expect(world.mixer.statistics.skippedTicks > 100)
      let heard = world.heard[100]!
      // While it halts, and after it: in most pieces of 100 ms each tone is there, and at the end the delay is what it was before.
      let parts: [(String, Range<Int>)] = [
        ("halting", heard.count / 3..<heard.count - 48_000), ("after", heard.count - 24_000..<heard.count),
      ]
      for (part, range) in parts {
        for frequency in frequencies {
          let starts = Array(stride(from: range.lowerBound, to: range.upperBound - 4_799, by: 4_800))
          let levels: [Double] = starts.map { toneLevel(frequency, in: heard[$0..<$0 + 4_800]) }.sorted()
          print("halts: \(part), \(frequency) Hz at \(levels[levels.count / 2].rounded()) dB, at worst \(levels[0].rounded()) dB")
          #expect(abs(levels[levels.count / 2] - -14) < 3)
        }
      }
    }
  }

  @Test("A source whose packets take longer from one moment on is heard again within a second", arguments: [200, 700, 3_000, -200])
  func detour(_ milliseconds: Int64) throws {
    let tone = tone(440)
    let exact: @Sendable (Int, Int64) -> Float = { _, time in Float(tone(time)) }
    var world = MixWorld(seed: 13, sound: exact)
    var source = TestSource(number: 0, owner: 0, sound: tone)
    source.detour = { (now: Instant) in
      let isLonger = (now.nanoseconds >= 3_000_000_000) == (milliseconds > 0)
      return isLonger ? TimeDelta.milliseconds(abs(milliseconds)) : .zero
    }
    _ = try world.add(source)
    world.listen(100, owner: 99)
    try world.run(until: Instant(nanoseconds: 4_000_000_000 + max(0, milliseconds) * 1_000_000))
    let end = world.heard[100]!.count
    try world.run(until: world.now + .milliseconds(500))
    let level = toneLevel(440, in: world.heard[100]![end...].prefix(4_800))
    print("detour of \(milliseconds) ms: the tone at \(level.rounded()) dB a second later")
    #expect(abs(level - -14) < 3)
  }

  /// The table of docs/MIXING.md: ten minutes each; `ENFILADE_LONG_TESTS=1 swift test --filter NetworkTests`.
  @Test(
    "Ten minutes of every path", .enabled(if: ProcessInfo.processInfo.environment["ENFILADE_LONG_TESTS"] != nil),
    arguments: [0.0, 5, 10, 20].flatMap { loss in
      [Int64(0), 30, 100].flatMap { jitter in [-200.0, 200].map { Path(loss: loss, jitter: jitter, drift: $0) } }
    })
  func tenMinutes(_ path: Path) throws {
    let result = try Self.run(path, seconds: 600)
    let row = [path.loss, Double(path.jitter), path.drift, result.median, result.largest, result.late * 100, result.concealed * 100]
    print("| " + row.map { String(format: "%.1f", $0) }.joined(separator: " | ") + " |")
    let bound = 30 + (path.loss > 2 ? 45 : 0) + Double(path.jitter) * 1.6
    #expect(result.median <= bound, "\(result.median) ms")
    #expect(result.largest <= bound + 60 && result.smallest > 0, "\(result.smallest)…\(result.largest) ms")
    #expect(result.late <= 0.03, "\(result.late)")
    #expect(result.concealed <= path.loss / 100 * 1.6 + 0.04, "\(result.concealed)")
  }
}
