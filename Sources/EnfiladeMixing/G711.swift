// G.711: eight thousand bytes a second, each the logarithm of a sample (ITU-T G.711; RFC 3551 §4.5.14).

import EnfiladeRTP
import EnfiladeWire

/// The two laws by which G.711 turns a sample into a byte.
package enum G711Law: Sendable, Hashable, CaseIterable {
  /// A-law, PCMA.
  case a
  /// µ-law, PCMU.
  case mu

  /// A byte's sample, 16 bits.
  package func sample(of byte: UInt8) -> Int16 {
    switch self {
    case .a:
      let code = byte ^ 0x55
      let exponent = Int32(code >> 4 & 7)
      let mantissa = Int32(code & 0x0F)
      let magnitude = exponent == 0 ? mantissa << 4 | 8 : (mantissa << 4 | 0x108) << (exponent - 1)
      return Int16(code & 0x80 != 0 ? magnitude : -magnitude)
    case .mu:
      let code = ~byte
      let exponent = Int32(code >> 4 & 7)
      let magnitude = ((Int32(code & 0x0F) << 3 | 0x84) << exponent) - 0x84
      return Int16(code & 0x80 != 0 ? -magnitude : magnitude)
    }
  }

  /// A sample's byte.
  package func byte(of sample: Int16) -> UInt8 {
    switch self {
    case .a:
      // Thirteen bits: one step is eight of a 16-bit sample, and the first segment goes on to the second without a bend.
      let isPositive = sample >= 0
      let magnitude = min(0x7FFF, isPositive ? Int32(sample) : -Int32(sample) - 1)
      let exponent = max(0, 24 - Int32((magnitude | 0xFF).leadingZeroBitCount))
      let mantissa = UInt8(magnitude >> (exponent == 0 ? 4 : exponent + 3) & 0x0F)
      return ((isPositive ? 0x80 : 0) | UInt8(exponent) << 4 | mantissa) ^ 0x55
    case .mu:
      let magnitude = min(Int32(sample.magnitude), 32_635) + 0x84
      let exponent = 24 - Int32(magnitude.leadingZeroBitCount)
      let mantissa = UInt8(magnitude >> (exponent + 3) & 0x0F)
      return ~((sample < 0 ? 0x80 : 0) | UInt8(exponent) << 4 | mantissa)
    }
  }
}

/// Encodes 20 ms of 48 kHz as 160 bytes of G.711. What 8 kHz cannot carry is filtered out before it is left out.
package final class G711Encoder: AudioEncoder {
  private static let factor = 6
  /// Of a low pass at 3.6 kHz, which is 70 dB down from 4.2 kHz on: 2.5 ms of delay.
  private static let tapCount = 240
  private static let sharedFilter = WindowedSinc.decimator(factor: factor, tapCount: tapCount)

  private let filter = sharedFilter
  private let law: G711Law
  private let channelCount: Int
  /// What the filter looks back at, and the tick behind it; one channel.
  private var samples: [Float]

  package init(_ law: G711Law, channelCount: Int) {
    self.law = law
    self.channelCount = channelCount
    samples = [Float](repeating: 0, count: Self.tapCount + Limits.mixTickSampleCount)
  }

  package func encode(_ tick: Span<Float>, into payload: inout MutableRawSpan) throws(AudioCodecError) -> Int {
    let count = tick.count / channelCount
    guard count == Limits.mixTickSampleCount, payload.byteCount >= count / Self.factor else { throw .noRoom }
    for index in 0..<Self.tapCount { samples[index] = samples[index + count] }
    for index in 0..<count {
      // Two channels are heard as one.
      let sum = channelCount == 2 ? (tick[2 * index] + tick[2 * index + 1]) / 2 : tick[index]
      samples[Self.tapCount + index] = sum
    }
    let (samples, filter) = (samples, filter)
    for index in 0..<count / Self.factor {
      let first = (index + 1) * Self.factor
      let sum = SampleKernels.dot(samples.span.extracting(first..<first + Self.tapCount), filter.span)
      let scaled = max(-32_768, min(32_767, (sum * 32_768).rounded()))
      payload.storeUInt8(law.byte(of: Int16(scaled)), at: index)
    }
    return count / Self.factor
  }

  package func setComplexity(_ complexity: Int) {}
  /// Every byte stands for itself.
  package func setIsolated(_ isIsolated: Bool) {}
  package func reset() { for index in samples.indices { samples[index] = 0 } }
}

/// Decodes G.711 to 48 kHz. What is lost is made up from the last pitch periods, as Appendix I of G.711 does.
package final class G711Decoder: AudioDecoder {
  /// Samples of ours for each of G.711.
  private static let factor = 6
  /// Taps of the interpolating filter for each of its phases.
  private static let tapCount = 16
  /// What is repeated when something is lost: at 8 kHz, from 400 Hz down to 66 Hz.
  private static let lags = 20...120
  private static let historyCount = 400
  /// Lost sound fades within this many samples at 8 kHz: 60 ms.
  private static let fadeCount = 480

  /// Phase after phase.
  private static let sharedFilter = WindowedSinc.interpolator(factor: factor, tapCount: tapCount)

  private let filter = sharedFilter
  private let channelCount: Int
  private let table: [Float]
  /// At 8 kHz, the newest in front of `end`; the filter looks back into it.
  private var history = [Float](repeating: 0, count: 4 * historyCount)
  private var end = historyCount
  /// How much has been made up since the last packet, and by repeating what.
  private var concealedCount = 0
  private var lag = 0

  package init(_ law: G711Law, channelCount: Int) {
    self.channelCount = channelCount
    table = (0...255).map { Float(law.sample(of: UInt8($0))) / 32_768 }
  }

  package func sampleCount(of payload: RawSpan) -> Int? {
    let count = payload.byteCount * Self.factor
    return count > 0 && count <= Limits.audioPacketSampleCount ? count : nil
  }

  package func decode(_ payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) -> Int {
    guard let count = sampleCount(of: payload) else { throw .malformedPacket }
    guard samples.count >= count * channelCount else { throw .noRoom }
    for index in 0..<payload.byteCount { write(table[Int(payload.loadUInt8(at: index))], at: index, into: &samples) }
    concealedCount = 0
    return count
  }

  package func recover(before payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) {
    try conceal(into: &samples)
  }

  package func conceal(into samples: inout MutableSpan<Float>) throws(AudioCodecError) {
    if concealedCount == 0 { lag = findLag() }
    let count = samples.count / (Self.factor * channelCount)
    for index in 0..<count {
      let fade = max(0, 1 - Float(concealedCount) / Float(Self.fadeCount))
      let last = max(0, 1 - Float(max(0, concealedCount - 1)) / Float(Self.fadeCount))
      // The history holds what was made up, faded: undone before it is repeated.
      let repeated = history[end - lag] / max(last, 0.05)
      write((concealedCount < lag ? history[end - lag] : repeated) * fade, at: index, into: &samples)
      concealedCount += 1
    }
    for index in count * Self.factor * channelCount..<samples.count { samples[index] = 0 }
  }

  package func reset() {
    for index in history.indices { history[index] = 0 }
    concealedCount = 0
  }

  /// Takes one sample at 8 kHz, and writes the six at 48 kHz that it completes.
  private func write(_ sample: Float, at index: Int, into samples: inout MutableSpan<Float>) {
    if end == history.count {
      for place in 0..<Self.historyCount { history[place] = history[end - Self.historyCount + place] }
      end = Self.historyCount
    }
    history[end] = sample
    end += 1
    let first = end - Self.tapCount
    let (history, filter) = (history, filter)
    for phase in 0..<Self.factor {
      let start = phase * Self.tapCount
      let sum = SampleKernels.dot(history.span.extracting(first..<end), filter.span.extracting(start..<start + Self.tapCount))
      let place = (index * Self.factor + phase) * channelCount
      for channel in 0..<channelCount { samples[place + channel] = sum }
    }
  }

  /// The period that the last 20 ms repeat best.
  private func findLag() -> Int {
    var best = (lag: Self.lags.lowerBound, score: -Float.infinity)
    let window = 160
    for lag in Self.lags {
      var product: Float = 0
      var energy: Float = 1e-9
      for index in end - window..<end {
        product += history[index] * history[index - lag]
        energy += history[index - lag] * history[index - lag]
      }
      let score = product / energy.squareRoot()
      if score > best.score { best = (lag, score) }
    }
    return best.lag
  }
}
