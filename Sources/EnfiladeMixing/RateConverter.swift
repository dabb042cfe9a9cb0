// Brings sound of any rate to 48 kHz: a windowed sinc between samples, wide enough that what folds back is more than 80 dB down.

import EnfiladeWire

/// Converts samples as they come; what it gives lies at the same moments as what it is given. Made once for each stream.
package struct RateConverter: Sendable {
  /// Taps at or below 48 kHz. Blackman's window needs some 5.5 divided by this of the sampling rate from pass to stop.
  private static let baseTapCount = 64
  /// Of the lower of both half rates: the middle of the slope, which ends at the half rate.
  private static let cutoff = 0.91
  /// As many positions between two samples are exact; where more are needed, the neighbours are weighted.
  private static let largestPositionCount = 640

  /// The conversion's ratio in lowest terms: so many samples of input for so many of output.
  private let inputStep: Int
  private let outputStep: Int
  private let channelCount: Int
  private let tapCount: Int
  private let positionCount: Int
  private let bank: [Float]
  /// What has come and may be needed again, for each channel; begins with silence in place of what was before.
  private var history: [[Float]]
  /// The place of the next output: whole samples of history, and what lies between in steps of the output.
  private var whole = 0
  private var fraction = 0
  /// Samples for each channel that were given, and that were made.
  private var takenCount = 0
  private var madeCount = 0

  /// - Parameter sampleRate: of the input, in samples a second, at most eight times 48 kHz.
  package init(from sampleRate: Int, channelCount: Int) {
    precondition(sampleRate > 0 && sampleRate <= 8 * Limits.mixSampleRate && channelCount > 0, "no such sound")
    let divisor = Self.greatestCommonDivisor(sampleRate, Limits.mixSampleRate)
    inputStep = sampleRate / divisor
    outputStep = Limits.mixSampleRate / divisor
    self.channelCount = channelCount
    // Above our own rate the filter is as much longer as its band is narrower.
    let narrowing = max(1, Double(sampleRate) / Double(Limits.mixSampleRate))
    tapCount = Int((Double(Self.baseTapCount) * narrowing / 8).rounded(.up)) * 8
    positionCount = min(outputStep, Self.largestPositionCount)
    bank =
      outputStep == 1 && inputStep == 1
      ? [] : WindowedSinc.bank(positionCount: positionCount, tapCount: tapCount, cutoff: Self.cutoff / narrowing)
    history = [[Float]](repeating: [Float](repeating: 0, count: tapCount / 2 - 1), count: channelCount)
  }

  /// Takes samples, channels side by side, and gives those at 48 kHz that can be told by now.
  package mutating func convert(_ samples: [Float]) -> [Float] {
    guard !bank.isEmpty else { return samples }
    let count = samples.count / channelCount
    takenCount += count
    for channel in 0..<channelCount {
      history[channel].reserveCapacity(history[channel].count + count)
      for index in 0..<count { history[channel].append(samples[index * channelCount + channel]) }
    }
    return make(limit: .max)
  }

  /// Nothing more comes: gives what is left.
  package mutating func finish() -> [Float] {
    guard !bank.isEmpty else { return [] }
    for channel in 0..<channelCount { history[channel] += [Float](repeating: 0, count: tapCount) }
    let (product, _) = takenCount.multipliedReportingOverflow(by: outputStep)
    return make(limit: (product + inputStep - 1) / inputStep - madeCount)
  }

  private mutating func make(limit: Int) -> [Float] {
    let available = history[0].count
    var output: [Float] = []
    var made = 0
    while whole + tapCount <= available, made < limit {
      let between = Double(fraction) * Double(positionCount) / Double(outputStep)
      let place = Int(between)
      let weight = Float(between - Double(place))
      for channel in 0..<channelCount { output.append(Self.dot(history[channel], at: whole, bank, place, tapCount, weight: weight)) }
      made += 1
      fraction += inputStep
      whole += fraction / outputStep
      fraction %= outputStep
    }
    madeCount += made
    let past = min(whole, available)
    for channel in 0..<channelCount { history[channel].removeFirst(past) }
    whole -= past
    return output
  }

  /// The sum of products with the taps that lie between two neighbouring positions of the bank.
  private static func dot(_ input: [Float], at start: Int, _ bank: [Float], _ place: Int, _ tapCount: Int, weight: Float) -> Float {
    precondition(start + tapCount <= input.count && (place + 2) * tapCount <= bank.count, "too few samples to read")
    // Sound: the places were compared with both counts above; eight elements for each vector, loaded at their own alignment.
    return unsafe input.withUnsafeBufferPointer { input in
      unsafe bank.withUnsafeBufferPointer { bank in
        let samples = unsafe UnsafeRawPointer(input.baseAddress! + start)
        let low = unsafe UnsafeRawPointer(bank.baseAddress! + place * tapCount)
        let high = unsafe low + tapCount * 4
        var sum = SIMD8<Float>(repeating: 0)
        for vector in 0..<tapCount / 8 {
          let first = unsafe low.loadUnaligned(fromByteOffset: vector &* 32, as: SIMD8<Float>.self)
          let second = unsafe high.loadUnaligned(fromByteOffset: vector &* 32, as: SIMD8<Float>.self)
          let values = unsafe samples.loadUnaligned(fromByteOffset: vector &* 32, as: SIMD8<Float>.self)
          sum += values * (first + (second - first) * weight)
        }
        return SampleKernels.sum(sum)
      }
    }
  }

  private static func greatestCommonDivisor(_ one: Int, _ other: Int) -> Int {
    other == 0 ? one : greatestCommonDivisor(other, one % other)
  }
}
