// Comfort noise: as loud as it should be, as loud everywhere, and the same from the same seed.

import EnfiladeWire
import Foundation
import Testing

@testable import EnfiladeMixing

@Suite("Comfort noise")
struct ComfortNoiseTests {
  private static func make(_ noise: inout ComfortNoise, ticks: Int) -> [Float] {
    var made: [Float] = []
    for _ in 0..<ticks {
      noise.makeTick()
      for index in 0..<noise.samples.count { made.append(noise.samples[index]) }
    }
    return made
  }

  @Test("It has the level that was asked for, and no offset", arguments: [-30, -45, -60, -90])
  func level(decibels: Int) {
    var noise = ComfortNoise(level: decibels, channelCount: 1, seed: 5)
    let made = Self.make(&noise, ticks: 250)
    let power = made.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(made.count)
    let mean = made.reduce(0.0) { $0 + Double($1) } / Double(made.count)
    print("noise of \(decibels) dBov: \(10 * log10(power)) dBov over 5 s, offset \(20 * log10(abs(mean) / power.squareRoot())) dB below it")
    #expect(abs(10 * log10(power) - Double(decibels)) < 0.05)
    #expect(abs(mean) < power.squareRoot() / 100)
    // Nothing stands out of it: an even distribution has a crest of √3.
    #expect(Double(made.map(abs).max() ?? 0) < 1.74 * power.squareRoot())
  }

  @Test("Its spectrum is flat: the power of every kilohertz is the same, and no tick is like another")
  func spectrum() {
    var noise = ComfortNoise(level: -50, channelCount: 1, seed: 6)
    let made = Self.make(&noise, ticks: 500)
    let block = 960
    var bands: [Double] = []
    for band in 0..<24 {
      // Sixteen frequencies of each kilohertz, each a whole number of times in a block.
      var sum = 0.0
      for step in 0..<16 {
        let cycles = band * 20 + step + 2
        let coefficient = 2 * cos(2 * Double.pi * Double(cycles) / Double(block))
        for start in stride(from: 0, to: made.count, by: 5 * block) {
          var (first, second) = (0.0, 0.0)
          for index in start..<start + block { (first, second) = (Double(made[index]) + coefficient * first - second, first) }
          sum += first * first + second * second - coefficient * first * second
        }
      }
      bands.append(sum)
    }
    let arithmetic = bands.reduce(0, +) / Double(bands.count)
    let geometric = exp(bands.reduce(0.0) { $0 + log($1) } / Double(bands.count))
    let deviations = bands.map { 10 * log10($0 / arithmetic) }
    print("noise: flatness \(geometric / arithmetic), bands of 1 kHz from \(deviations.min()!) to \(deviations.max()!) dB")
    #expect(geometric / arithmetic > 0.99)
    #expect(deviations.allSatisfy { abs($0) < 0.6 })
    // Autocorrelation at every distance up to two ticks: nothing comes again.
    let power = made.prefix(4_800).reduce(0.0) { $0 + Double($1) * Double($1) }
    var largest = 0.0
    for distance in 1...1_920 {
      var sum = 0.0
      for index in 0..<4_800 { sum += Double(made[index]) * Double(made[index + distance]) }
      largest = max(largest, abs(sum) / power)
    }
    print("noise: the largest correlation with itself is \(largest)")
    #expect(largest < 0.08)
  }

  @Test("The same seed makes the same, another one another; both channels have the same; none is none")
  func seeds() {
    var one = ComfortNoise(level: -60, channelCount: 1, seed: 1)
    var same = ComfortNoise(level: -60, channelCount: 1, seed: 1)
    var other = ComfortNoise(level: -60, channelCount: 1, seed: 2)
    let made = Self.make(&one, ticks: 3)
    #expect(Self.make(&same, ticks: 3) == made)
    #expect(Self.make(&other, ticks: 3) != made)
    var stereo = ComfortNoise(level: -60, channelCount: 2, seed: 1)
    let both = Self.make(&stereo, ticks: 3)
    #expect(stride(from: 0, to: both.count, by: 2).map { both[$0] } == made)
    #expect(stride(from: 1, to: both.count, by: 2).map { both[$0] } == made)
    var none = ComfortNoise(level: nil, channelCount: 1, seed: 1)
    #expect(!none.isOn && Self.make(&none, ticks: 3).isEmpty)
  }

  @Test("It comes within ten ticks, and goes within one")
  func gain() {
    var gains: [Float] = [0]
    for _ in 0..<12 { gains.append(ComfortNoise.gain(after: gains.last!, isHeard: false)) }
    #expect(zip(gains, gains.dropFirst()).allSatisfy { $1 - $0 <= 0.1001 && $1 >= $0 })
    #expect(gains.last == .some(1))
    #expect(ComfortNoise.gain(after: 1, isHeard: true) == 0)
  }
}
