// The mixture against what it should be, sample by sample, and through real Opus.

import EnfiladeMixing
import EnfiladeRTP
import EnfiladeWire
import Foundation
import Testing

@Suite("Audio mixer")
struct MixTests {
  /// Voices that can be told apart: a carrier for each source, moving in loudness as speech does.
  private static let frequencies = [440.0, 700, 1_100, 1_700, 2_500]
  private static let sound: @Sendable (Int, Int64) -> Double = { source, time in
    let seconds = Double(time) / 48_000
    return 0.15 * (0.8 + 0.2 * sin(2 * Double.pi * 3 * seconds + Double(source))) * sin(2 * Double.pi * frequencies[source] * seconds)
  }
  private static let exact: @Sendable (Int, Int64) -> Float = { Float(sound($0, $1)) }

  private func world(seed: UInt64 = 1, speakers: Int, of count: Int = 3) throws -> MixWorld {
    var world = MixWorld(seed: seed, configuration: .init(speakerCount: count), sound: Self.exact)
    for number in 0..<speakers { _ = try world.add(TestSource(number: number, owner: UInt64(number)) { Self.sound(number, $0) }) }
    return world
  }

  /// The delay, in samples, at which `heard` is most like the sum of `sources`, and how much more sum than error there is then, in decibels.
  private func signalToNoise(_ heard: [Float], sources: [Int], at position: Int, lags: Range<Int64>) -> (lag: Int64, decibels: Double) {
    var best = (lag: Int64(0), decibels: -Double.infinity)
    func ratio(_ lag: Int64, stride step: Int) -> Double {
      var signal = 0.0
      var noise = 0.0
      for index in Swift.stride(from: position, to: position + 24_000, by: step) {
        let expected = sources.reduce(0.0) { $0 + Self.sound($1, Int64(index) - lag) }
        signal += expected * expected
        noise += (Double(heard[index]) - expected) * (Double(heard[index]) - expected)
      }
      return 10 * log10(signal / max(1e-20, noise))
    }
    for lag in lags {
      let found = ratio(lag, stride: 97)
      if found > best.decibels { best = (lag, found) }
    }
    return (best.lag, ratio(best.lag, stride: 1))
  }

  @Test("The mixture is the sum of the others, at least 40 dB above every error, and nobody hears himself")
  func reference() throws {
    var world = try world(speakers: 3)
    world.listen(100, owner: 99)
    for speaker in 0..<3 { world.listen(UInt64(speaker), owner: UInt64(speaker)) }
    try world.run(until: Instant(nanoseconds: 4_000_000_000))
    let all = signalToNoise(world.heard[100]!, sources: [0, 1, 2], at: 96_000, lags: -1_000..<3_000)
    #expect(all.decibels >= 40, "\(all)")
    for speaker in 0..<3 {
      let others = [0, 1, 2].filter { $0 != speaker }
      let heard = world.heard[UInt64(speaker)]!
      let found = signalToNoise(heard, sources: others, at: 96_000, lags: all.lag - 2_000..<all.lag + 2_000)
      #expect(found.decibels >= 40, "\(speaker): \(found)")
      let own = toneLevel(Self.frequencies[speaker], in: heard[96_000..<144_000])
      let loud = toneLevel(Self.frequencies[others[0]], in: heard[96_000..<144_000])
      #expect(own < loud - 60, "\(speaker): \(own) against \(loud)")
    }
    // All who are silent share one, and each of three speakers has one of his own.
    #expect(world.encodeCounts.last == 4)
  }

  @Test("Of five who speak three are in the mixture, by name and by level")
  func selection() throws {
    var world = MixWorld(configuration: .init(speakerCount: 3), sound: Self.exact)
    let loudness = [0.02, 1, 0.5, 1.5, 0.05]
    let sound: @Sendable (Int, Int64) -> Float = { Float(loudness[$0] * Self.sound($0, $1)) }
    world = MixWorld(configuration: .init(speakerCount: 3), sound: sound)
    for number in 0..<5 {
      _ = try world.add(TestSource(number: number, owner: UInt64(number)) { loudness[number] * Self.sound(number, $0) })
    }
    world.listen(100, owner: 99)
    try world.run(until: Instant(nanoseconds: 3_000_000_000))
    #expect(Set(world.mixer.speakers) == [1, 2, 3])
    let output = try #require(world.outputs.last)
    #expect(output.contributorCount == 3)
    let named = Set((0..<3).map { output.contributors[$0].rawValue })
    #expect(named == [1_001, 1_002, 1_003])
    for index in 0..<3 where output.contributors[index].rawValue == 1_003 {
      #expect(abs(Int(output.levels[index]) - 17) <= 3, "\(output.levels[index])")
    }
    for number in 0..<5 {
      let level = toneLevel(Self.frequencies[number], in: world.heard[100]![72_000..<120_000])
      #expect((level > -50) == [1, 2, 3].contains(number), "\(number): \(level)")
    }
  }

  @Test("Nobody's beginning or end is a click: the largest step is little more than the voices' own")
  func steps() throws {
    var world = try world(speakers: 3)
    world.change(1) { $0.speaks = { ($0.nanoseconds / 1_710_000_000) % 2 == 0 } }
    world.change(2) { $0.speaks = { ($0.nanoseconds / 1_530_000_000) % 2 == 1 } }
    world.listen(100, owner: 99)
    world.listen(1, owner: 1)
    try world.run(until: Instant(nanoseconds: 8_000_000_000))
    // What each source moves by in one sample at most, all together.
    let own = Self.frequencies[0..<3].reduce(0.0) { $0 + 0.15 * 2 * Double.pi * $1 / 48_000 }
    for listener in [UInt64(100), 1] {
      let heard = world.heard[listener]!
      var largest: Float = 0
      for index in 48_000..<heard.count - 1 { largest = max(largest, abs(heard[index + 1] - heard[index])) }
      #expect(Double(largest) < own * 1.1 + 0.002, "\(listener): \(largest)")
    }
  }

  @Test("However many shout, nothing is above full scale")
  func limiter() throws {
    let sound: @Sendable (Int, Int64) -> Float = { Float(6 * Self.sound($0, $1)) }
    var world = MixWorld(configuration: .init(speakerCount: 5), sound: sound)
    for number in 0..<5 { _ = try world.add(TestSource(number: number, owner: UInt64(number)) { 6 * Self.sound(number, $0) }) }
    world.listen(100, owner: 99)
    try world.run(until: Instant(nanoseconds: 3_000_000_000))
    let largest = world.heard[100]!.map(abs).max()!
    #expect(largest <= 0.978)
    #expect(largest > 0.9)
  }

  @Test("A listener's own volume is his alone, and a source that he mutes is gone")
  func volume() throws {
    var world = try world(speakers: 2)
    world.listen(100, owner: 99)
    world.listen(101, owner: 98)
    try world.run(until: Instant(nanoseconds: 1_000_000_000))
    world.mixer.setGain(0, of: 0, for: 101)
    world.mixer.setGain(2, of: 1, for: 101)
    try world.run(until: Instant(nanoseconds: 3_000_000_000))
    let plain = world.heard[100]!.suffix(48_000)
    let own = world.heard[101]!.suffix(48_000)
    #expect(toneLevel(Self.frequencies[0], in: own) < -100)
    #expect(abs(toneLevel(Self.frequencies[1], in: own) - toneLevel(Self.frequencies[1], in: plain) - 6.02) < 0.1)
    #expect(toneLevel(Self.frequencies[0], in: plain) > -20)
    #expect(world.encodeCounts.last == 2)
    world.mixer.setGain(1, of: 0, for: 101)
    world.mixer.setGain(1, of: 1, for: 101)
    try world.run(until: Instant(nanoseconds: 3_200_000_000))
    #expect(world.encodeCounts.last == 1)
  }

  @Test("Five thousand silent listeners cost one encode")
  func sharing() throws {
    var world = try world(speakers: 3)
    for listener in 0..<5_000 { world.listen(UInt64(1_000 + listener), owner: UInt64(1_000 + listener)) }
    for speaker in 0..<3 { world.listen(UInt64(speaker), owner: UInt64(speaker)) }
    for listener in 0..<5_000 { world.heard[UInt64(1_000 + listener)] = nil }
    var variants: Set<Int> = []
    try world.run(until: Instant(nanoseconds: 500_000_000))
    for listener in 0..<5_000 { variants.insert(world.variantOf[UInt64(1_000 + listener)]!) }
    #expect(variants.count == 1)
    #expect(world.encodeCounts.last == 4)
  }

  @Test("Where nobody speaks there is no tick")
  func idle() throws {
    var world = try world(speakers: 3)
    for number in 0..<3 { world.change(number) { $0.speaks = { $0.nanoseconds < 1_000_000_000 } } }
    world.listen(100, owner: 99)
    try world.run(until: Instant(nanoseconds: 4_000_000_000))
    #expect(world.mixer.nextDeadline == .distantFuture)
    let ticks = world.mixer.statistics.ticks
    #expect(ticks > 40 && ticks < 150, "\(ticks)")
    world.change(0) { $0.speaks = { _ in true } }
    try world.run(until: Instant(nanoseconds: 5_000_000_000))
    #expect(toneLevel(Self.frequencies[0], in: world.heard[100]!.suffix(24_000)) > -20)
  }

  @Test("With comfort noise somebody who hears nobody hears that, at its level; a voice is free of it, and no seam is a click")
  func comfortNoise() throws {
    var world = MixWorld(configuration: .init(comfortNoiseLevel: -60), sound: Self.exact)
    _ = try world.add(TestSource(number: 0, owner: 0) { Self.sound(0, $0) })
    // His first packet begins with a whole period: what is not his own step is the seam's.
    world.change(0) { $0.speaks = { (2_010_000_000..<4_000_000_000).contains($0.nanoseconds) } }
    try world.run(until: Instant(nanoseconds: 500_000_000))
    #expect(world.mixer.nextDeadline == .distantFuture && world.mixer.statistics.ticks == 0)
    world.listen(100, owner: 99)
    world.listen(0, owner: 0)
    try world.run(until: Instant(nanoseconds: 7_000_000_000))
    func decibels(_ samples: ArraySlice<Float>) -> Double {
      10 * log10(samples.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(samples.count))
    }
    let heard = world.heard[100]!
    // A tick every 20 ms from the first listener on.
    #expect(abs(heard.count - 48_000 * 13 / 2) <= 2 * 960)
    let (before, after) = (decibels(heard[24_000..<67_200]), decibels(heard.suffix(48_000)))
    // Who speaks hears nobody, all the time.
    let own = decibels(world.heard[0]!.dropFirst(24_000))
    // Samples of his voice and of the mixture stand in one line, but half a second apart; without noise they agree.
    let voice = signalToNoise(heard, sources: [0], at: 120_000, lags: -25_000 ..< -20_000)
    var step: Float = 0
    for index in 0..<heard.count - 1 { step = max(step, abs(heard[index + 1] - heard[index])) }
    let bound = 0.15 * 2 * Double.pi * Self.frequencies[0] / 48_000 + 2 * 1.74e-3
    print("noise of -60 dBov: \(before) before the voice, \(after) after it, \(own) for who speaks")
    print("noise: beside the voice \(voice), largest step \(step) of \(bound)")
    #expect(abs(before - -60) < 0.2 && abs(after - -60) < 0.2 && abs(own - -60) < 0.2)
    #expect(voice.decibels > 60)
    #expect(Double(step) < bound)
    // Where nobody listens there is none.
    world.mixer.removeListener(100)
    world.mixer.removeListener(0)
    try world.run(until: Instant(nanoseconds: 8_000_000_000))
    #expect(world.mixer.nextDeadline == .distantFuture)
    #expect(world.mixer.statistics.skippedTicks == 0)
  }

  @Test("Through Opus the comfort noise is there all the time, also where discontinuous transmission was asked for")
  func comfortNoiseThroughOpus() throws {
    var world = MixWorld(configuration: .init(encoder: EncoderSettings(usesDiscontinuousTransmission: true), comfortNoiseLevel: -50))
    world.decodesOutput = true
    world.listen(100, owner: 99)
    try world.run(until: Instant(nanoseconds: 5_000_000_000))
    let heard = world.heard[100]!.dropFirst(48_000)
    var levels: [Double] = []
    for start in stride(from: heard.startIndex, to: heard.endIndex - 9_599, by: 9_600) {
      levels.append(10 * log10(heard[start..<start + 9_600].reduce(0.0) { $0 + Double($1) * Double($1) } / 9_600))
    }
    let smallest = world.outputs.map(\.byteCount).min() ?? 0
    let bitrate = world.outputs.reduce(0) { $0 + $1.byteCount } * 8 / 5
    print("noise of -50 dBov through Opus: \(levels.min()!) to \(levels.max()!) dBov in 200 ms")
    print("noise: packets of \(smallest) bytes and more, \(bitrate) bit/s")
    #expect(world.outputs.count > 240 && smallest > 3)
    #expect(levels.allSatisfy { abs($0 - -50) < 4 })
  }

  @Test("Who claims to shout and is silent loses his place, and does not get it back by claiming")
  func liar() throws {
    let sound: @Sendable (Int, Int64) -> Float = { $0 == 4 ? 0 : Self.exact($0, $1) }
    var world = MixWorld(configuration: .init(speakerCount: 2), sound: sound)
    for number in 0..<2 { _ = try world.add(TestSource(number: number, owner: UInt64(number)) { Self.sound(number, $0) * 0.2 }) }
    _ = try world.add(TestSource(number: 4, owner: 4, sound: { _ in 0 }, claim: 1))
    world.listen(100, owner: 99)
    var heard = 0
    for step in 1...100 {
      try world.run(until: Instant(nanoseconds: Int64(step) * 100_000_000))
      if world.mixer.speakers.contains(4) { heard += 1 }
    }
    #expect(heard <= 10, "\(heard)")
    #expect(Set(world.mixer.speakers) == [0, 1])
  }

  @Test("A source that says nothing of its loudness is heard by its sound")
  func undeclared() throws {
    let sound: @Sendable (Int, Int64) -> Float = { $0 == 1 ? 0 : Self.exact($0, $1) }
    var world = MixWorld(configuration: .init(speakerCount: 3), sound: sound)
    _ = try world.add(TestSource(number: 0, owner: 0, sound: { Self.sound(0, $0) }, declares: false))
    _ = try world.add(TestSource(number: 1, owner: 1, sound: { _ in 0 }, declares: false))
    world.listen(100, owner: 99)
    try world.run(until: Instant(nanoseconds: 3_000_000_000))
    #expect(world.mixer.speakers == [0])
  }

  @Test(
    "Of those who say nothing of their loudness, who is not heard is decoded every fifth tick, and heard within 0.3 s when he gets loud")
  func looks() throws {
    let loudness: @Sendable (Int, Int64) -> Double = { source, time in
      source == 4 && time >= 144_000 ? 2.5 : [1, 0.8, 0.9, 0.1, 0.12][source]
    }
    let sound: @Sendable (Int, Int64) -> Float = { Float(loudness($0, $1) * Self.sound($0, $1)) }
    var world = MixWorld(configuration: .init(speakerCount: 3), sound: sound)
    for number in 0..<5 {
      _ = try world.add(
        TestSource(number: number, owner: UInt64(number), sound: { loudness(number, $0) * Self.sound(number, $0) }, declares: false))
    }
    world.listen(100, owner: 99)
    try world.run(until: Instant(nanoseconds: 2_000_000_000))
    #expect(Set(world.mixer.speakers) == [0, 1, 2])
    let before = world.mixer.statistics.decodedTicks
    try world.run(until: Instant(nanoseconds: 3_000_000_000))
    let decoded = world.mixer.statistics.decodedTicks - before
    print("looks: \(decoded) decoded ticks in fifty, of which 150 were heard")
    #expect(165...180 ~= decoded)
    try world.run(until: Instant(nanoseconds: 3_300_000_000))
    #expect(world.mixer.speakers.contains(4))
    // Of those who were passed over, nothing was missed, and nothing is called lost.
    for source in 0..<5 {
      let found = world.mixer.playoutStatistics(of: world.source(source).index)
      let statistics = try #require(found)
      #expect(statistics.lost == 0 && statistics.skipped == 0 && statistics.late == 0, "\(source): \(statistics)")
    }
  }

  @Test("Through Opus the tones of the others are found again, and one's own is not")
  func opus() throws {
    let frequencies = [440.0, 700, 1_100]
    var world = MixWorld(configuration: .init(speakerCount: 3))
    world.decodesOutput = true
    for number in 0..<3 { _ = try world.add(TestSource(number: number, owner: UInt64(number), sound: tone(frequencies[number]))) }
    world.listen(100, owner: 99)
    for speaker in 0..<3 { world.listen(UInt64(speaker), owner: UInt64(speaker)) }
    try world.run(until: Instant(nanoseconds: 4_000_000_000))
    for listener in [UInt64(0), 1, 2, 100] {
      let heard = world.heard[listener]!.suffix(48_000)
      for number in 0..<3 {
        let level = toneLevel(frequencies[number], in: heard)
        if UInt64(number) == listener {
          #expect(level < -45, "\(listener) hears himself at \(level)")
        } else {
          #expect(abs(level - -14) < 2, "\(listener) hears \(number) at \(level)")
        }
      }
    }
  }

  @Test("Telephones speak A-law and µ-law, and are heard", arguments: [Codec.pcma, .pcmu])
  func telephones(codec: Codec) throws {
    var world = MixWorld()
    world.decodesOutput = true
    _ = try world.add(TestSource(number: 0, owner: 0, sound: tone(700), codec: codec))
    world.listen(100, owner: 99)
    try world.run(until: Instant(nanoseconds: 3_000_000_000))
    let level = toneLevel(700, in: world.heard[100]!.suffix(48_000))
    #expect(abs(level - -14) < 2, "\(level)")
  }

  @Test("Left is left and right is right")
  func placement() throws {
    var world = MixWorld(configuration: .init(encoder: EncoderSettings(channelCount: 2)), sound: Self.exact)
    for number in 0..<2 { _ = try world.add(TestSource(number: number, owner: UInt64(number)) { Self.sound(number, $0) }) }
    world.mixer.setPlacement(-1, of: 0)
    world.mixer.setPlacement(1, of: 1)
    world.listen(100, owner: 99)
    try world.run(until: Instant(nanoseconds: 3_000_000_000))
    let heard = Array(world.heard[100]!.suffix(96_000))
    let left = stride(from: 0, to: heard.count, by: 2).map { heard[$0] }
    let right = stride(from: 1, to: heard.count, by: 2).map { heard[$0] }
    #expect(toneLevel(Self.frequencies[0], in: left[...]) > -20 && toneLevel(Self.frequencies[0], in: right[...]) < -80)
    #expect(toneLevel(Self.frequencies[1], in: right[...]) > -20 && toneLevel(Self.frequencies[1], in: left[...]) < -80)
  }

  @Test("Less effort means simpler encoding, then fewer speakers, and the way back")
  func effort() throws {
    var world = try world(speakers: 3)
    world.listen(100, owner: 99)
    try world.run(until: Instant(nanoseconds: 1_000_000_000))
    #expect(world.mixer.speakers.count == 3)
    world.mixer.setEffort(AudioMixer.lastEffort(world.mixer.configuration))
    try world.run(until: Instant(nanoseconds: 1_500_000_000))
    #expect(world.mixer.speakers.count == 1)
    world.mixer.setEffort(0)
    try world.run(until: Instant(nanoseconds: 2_500_000_000))
    #expect(world.mixer.speakers.count == 3)
  }
}
