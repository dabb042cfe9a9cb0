// Comfort noise (after RFC 3389 §3): so that a line on which nobody speaks does not seem dead.

import EnfiladeWire

/// White noise of one level, made once a tick for all mixtures in which nobody is heard.
struct ComfortNoise: ~Copyable {
  /// A mixture in which nobody is heard any more reaches the noise in ten ticks; a voice that begins puts it out within one.
  private static let rise: Float = 0.1
  /// The root mean square of 16 bits that are each as likely, taken as a number and a half.
  private static let rootMeanSquare: Float = 18_918.614
  /// 10^(−1/20): one decibel less.
  private static let decibel = 0.891_250_938_133_745_6

  private let channelCount: Int
  private let scale: Float
  private var random: SeededRandom
  /// One tick, the same in every channel; empty when there is to be none.
  private(set) var samples: UniqueArray<Float>

  /// - Parameter level: the mean square in decibels of a full-scale square wave's (dBov), 0 down to −127; `nil` for no noise at all.
  init(level: Int?, channelCount: Int, seed: UInt64) {
    self.channelCount = channelCount
    var amplitude = 1.0
    for _ in 0..<max(0, min(127, -(level ?? 0))) { amplitude *= Self.decibel }
    scale = Float(amplitude) / Self.rootMeanSquare
    random = SeededRandom(seed: seed)
    samples = UniqueArray(repeating: 0, count: level == nil ? 0 : Limits.mixTickSampleCount * channelCount)
  }

  var isOn: Bool { samples.count > 0 }

  /// How much of it a mixture ends the tick with.
  static func gain(after gain: Float, isHeard: Bool) -> Float { isHeard ? 0 : min(1, gain + rise) }

  /// Makes the next tick's.
  mutating func makeTick() {
    guard isOn else { return }
    Self.fill(&samples, from: &random, scale: scale, channelCount: channelCount)
  }

  // Several members at once: as parameters, they do not overlap.
  private static func fill(_ samples: inout UniqueArray<Float>, from random: inout SeededRandom, scale: Float, channelCount: Int) {
    var samples = samples.mutableSpan
    var bits: UInt64 = 0
    for index in 0..<samples.count / channelCount {
      bits = index % 4 == 0 ? random.next() : bits >> 16
      let value = (Float(Int16(truncatingIfNeeded: bits)) + 0.5) * scale
      for channel in 0..<channelCount { samples[index * channelCount + channel] = value }
    }
  }
}
