// The limiter: never above full scale, and nothing changed below.

import EnfiladeWire
import Foundation
import Testing

@testable import EnfiladeMixing

@Suite("Limiter")
struct LimiterTests {
  @Test("Nothing leaves above the ceiling, whatever comes", arguments: 0..<20)
  func neverClips(seed: Int) {
    var random = SeededRandom(seed: UInt64(seed))
    var limiter = Limiter(channelCount: seed % 2 + 1)
    var largest: Float = 0
    for _ in 0..<50 {
      let scale = Float.random(in: 0...12, using: &random)
      var samples = (0..<960 * (seed % 2 + 1)).map { _ in Float.random(in: -1...1, using: &random) * scale }
      var target = samples.mutableSpan
      limiter.process(&target)
      largest = max(largest, samples.map(abs).max()!)
    }
    #expect(largest <= Limiter.ceiling + 1e-5)
    #expect(largest > 0.5)
  }

  @Test("Below the ceiling what comes leaves unchanged, one block later")
  func transparent() {
    var limiter = Limiter(channelCount: 1)
    var random = SeededRandom(seed: 3)
    var given: [Float] = []
    var taken: [Float] = []
    for _ in 0..<10 {
      var samples = (0..<960).map { _ in Float.random(in: -0.97...0.97, using: &random) }
      given += samples
      var target = samples.mutableSpan
      limiter.process(&target)
      taken += samples
    }
    #expect(Array(taken.dropFirst(Limiter.blockSampleCount)) == Array(given.dropLast(Limiter.blockSampleCount)))
  }

  @Test("The gain moves without a step")
  func smooth() {
    var limiter = Limiter(channelCount: 1)
    var last: Float = 0
    var largestStep: Float = 0
    for tick in 0..<30 {
      // A voice that grows to three times full scale and back, four times in a second.
      var samples = (0..<960).map { index in
        let time = Double(tick * 960 + index) / 48_000
        return Float((1.6 - 1.4 * cos(2 * Double.pi * 4 * time)) * sin(2 * Double.pi * 100 * time))
      }
      var target = samples.mutableSpan
      limiter.process(&target)
      for sample in samples {
        largestStep = max(largestStep, abs(sample - last))
        last = sample
      }
    }
    // The tone itself moves by 0.013 a sample at full scale, and by 0.04 at three times that.
    #expect(largestStep < 0.05, "\(largestStep)")
  }
}
