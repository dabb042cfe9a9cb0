// Makes up for clocks that do not agree: a source that counts 48,010 samples in one of our seconds is read that much faster.

/// Reads a queue at a ratio close to one. Sixteen taps at 128 positions between two samples; at a ratio of exactly one, and nowhere between two
/// samples, it copies.
struct Resampler {
  static let tapCount = 16
  /// Samples in front of the one that is read next, which the filter needs to see.
  static let lead = tapCount / 2 - 1
  private static let positionCount = 128
  private static let sharedBank = WindowedSinc.bank(positionCount: positionCount, tapCount: tapCount)

  private let bank = sharedBank
  /// Where between two samples the next output lies, 0..<1.
  private var fraction = 0.0

  /// How many samples for each channel there must be from the next one on, without the lead in front of it.
  func neededCount(for outputCount: Int, ratio: Double) -> Int {
    Int((fraction + Double(outputCount) * ratio).rounded(.up)) + Self.tapCount / 2 + 1
  }

  /// Fills `output`, and gives how many samples for each channel the reading went on by. `input` begins with the lead, and has what
  /// ``neededCount(for:ratio:)`` says.
  mutating func read(_ input: Span<Float>, ratio: Double, channelCount: Int, into output: inout MutableSpan<Float>) -> Int {
    let outputCount = output.count / channelCount
    if ratio == 1, fraction == 0 {
      for index in 0..<output.count { output[index] = input[Self.lead * channelCount + index] }
      return outputCount
    }
    // Sound: the caller gives `neededCount` samples behind the lead, and the last place read is `floor(position) + tapCount - 1`.
    precondition(input.count >= (Self.lead + neededCount(for: outputCount, ratio: ratio)) * channelCount, "too few samples to read")
    var position = fraction
    for index in 0..<outputCount {
      let whole = Int(position)
      let between = (position - Double(whole)) * Double(Self.positionCount)
      let place = Int(between)
      let weight = Float(between - Double(place))
      for channel in 0..<channelCount {
        let value = dot(input, at: whole * channelCount + channel, stride: channelCount, place: place, weight: weight)
        output[index * channelCount + channel] = value
      }
      position += ratio
    }
    let consumed = Int(position)
    fraction = position - Double(consumed)
    return consumed
  }

  mutating func reset() { fraction = 0 }

  /// The sum of products with the taps that lie between two neighbouring positions of the bank.
  private func dot(_ input: Span<Float>, at start: Int, stride: Int, place: Int, weight: Float) -> Float {
    // Sound: `place` is below `positionCount`, whose bank has one position more; the input was measured by the caller.
    unsafe bank.withUnsafeBufferPointer { bank in
      unsafe input.withUnsafeBufferPointer { input in
        let taps = unsafe UnsafeRawPointer(bank.baseAddress! + place * Self.tapCount)
        let low = unsafe taps.loadUnaligned(as: SIMD16<Float>.self)
        let high = unsafe taps.loadUnaligned(fromByteOffset: Self.tapCount * 4, as: SIMD16<Float>.self)
        let mixed = low + (high - low) * weight
        if stride == 1 {
          let values = unsafe UnsafeRawPointer(input.baseAddress! + start).loadUnaligned(as: SIMD16<Float>.self)
          return SampleKernels.sum(values * mixed)
        }
        var sum: Float = 0
        for tap in 0..<Self.tapCount { sum += unsafe input[start + tap * stride] * mixed[tap] }
        return sum
      }
    }
  }
}
