// Other rates on their way to 48 kHz: what passes, what folds back, and that time stays what it was.

import EnfiladeMixing
import Foundation
import Testing

@Suite("Rate converter")
struct RateConverterTests {
  private static func convert(_ samples: [Float], from rate: Int, channelCount: Int = 1, piece: Int = 441) -> [Float] {
    var converter = RateConverter(from: rate, channelCount: channelCount)
    var output: [Float] = []
    for start in stride(from: 0, to: samples.count, by: piece * channelCount) {
      output += converter.convert(Array(samples[start..<min(samples.count, start + piece * channelCount)]))
    }
    return output + converter.finish()
  }

  private static func sine(_ frequency: Double, rate: Int, seconds: Double, amplitude: Double = 0.5) -> [Float] {
    (0..<Int(Double(rate) * seconds)).map { Float(amplitude * sin(2 * Double.pi * frequency * Double($0) / Double(rate))) }
  }

  /// The power of everything in the middle of a stretch, in decibels of a full sine.
  private static func power(_ samples: some Collection<Float>) -> Double {
    10 * log10(max(1e-20, 2 * samples.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(samples.count)))
  }

  @Test(
    "A tone of every rate is the same tone at 48 kHz, at the same moments, at least 80 dB above every error",
    arguments: [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 47_999, 96_000, 192_000, 384_000])
  func tones(rate: Int) {
    // Low, and high where the filter is still open.
    for frequency in [440.0, 0.8 * min(Double(rate), 48_000) / 2] {
      let output = Self.convert(Self.sine(frequency, rate: rate, seconds: 0.25), from: rate)
      #expect(abs(output.count - 12_000) <= 1, "\(output.count)")
      let error = (2_000..<10_000).map { Float(Double(output[$0]) - 0.5 * sin(2 * Double.pi * frequency * Double($0) / 48_000)) }
      let decibels = Self.power(error) - Self.power(output[2_000..<10_000])
      print("rate \(rate) Hz, tone \(frequency.rounded()) Hz: error \(decibels.rounded()) dB")
      #expect(decibels < -80)
    }
  }

  @Test(
    "What 48 kHz cannot hold is at least 80 dB down, and does not fold back",
    arguments: [(96_000, 30_000.0), (96_000, 24_500), (192_000, 60_000), (384_000, 100_000)])
  func aliases(rate: Int, frequency: Double) {
    let output = Self.convert(Self.sine(frequency, rate: rate, seconds: 0.25), from: rate)
    let level = Self.power(output[2_000..<10_000]) - Self.power([0.5, -0.5].map { $0 / Float(2).squareRoot() })
    print("rate \(rate) Hz, tone \(frequency) Hz: \(level.rounded()) dB are left")
    #expect(level < -80)
  }

  @Test("No image of a tone appears above the half rate of the input", arguments: [8_000, 16_000, 44_100])
  func images(rate: Int) {
    let frequency = 0.35 * Double(rate)
    let output = Self.convert(Self.sine(frequency, rate: rate, seconds: 0.25), from: rate)
    let image = Double(rate) - frequency
    guard image < 24_000 else { return }
    var (first, second) = (0.0, 0.0)
    let coefficient = 2 * cos(2 * Double.pi * image / 48_000)
    var weight = 0.0
    for (index, sample) in output[2_000..<10_000].enumerated() {
      let window = 0.5 - 0.5 * cos(2 * Double.pi * Double(index) / 7_999)
      weight += window
      (first, second) = (Double(sample) * window + coefficient * first - second, first)
    }
    let level = 10 * log10(max(1e-20, (first * first + second * second - coefficient * first * second) * 4 / (weight * weight))) + 6
    print("rate \(rate) Hz: the image at \(image.rounded()) Hz is at \(level.rounded()) dB")
    #expect(level < -80)
  }

  @Test("The pieces in which it comes make no difference, and channels stay apart")
  func pieces() {
    let left = Self.sine(700, rate: 44_100, seconds: 0.1)
    let both: [Float] = left.flatMap { [$0, Float(0)] }
    let whole = Self.convert(both, from: 44_100, channelCount: 2, piece: 10_000)
    let parted = Self.convert(both, from: 44_100, channelCount: 2, piece: 7)
    #expect(whole == parted)
    #expect(stride(from: 1, to: whole.count, by: 2).allSatisfy { whole[$0] == 0 })
    #expect(stride(from: 0, to: whole.count, by: 2).map { whole[$0] } == Self.convert(left, from: 44_100))
  }

  @Test("At 48 kHz it changes nothing")
  func same() {
    let samples = Self.sine(440, rate: 48_000, seconds: 0.05)
    #expect(Self.convert(samples, from: 48_000) == samples)
  }
}
