// Keeps a mixture below full scale: where voices add up to more, all of it gets quieter for a moment, and nothing is cut off.

/// Looks one block ahead: the gain goes in straight lines from edge to edge of blocks of 1 ms, and at every edge is small enough for both blocks
/// beside it, so no sample is larger than the ceiling. What it gives out is one block behind what it is given.
struct Limiter: ~Copyable {
  /// 0.2 dB below full scale.
  static let ceiling: Float = 0.977
  static let blockSampleCount = 48
  /// How fast the gain comes back: from a half to nine tenths in 0.1 s.
  private static let recovery: Float = 0.017

  private let channelCount: Int
  /// The block that waits.
  private var waiting: SampleQueue
  /// The gain at the waiting block's beginning, and the largest that it bears.
  private var gain: Float = 1
  private var waitingBound: Float = 1

  init(channelCount: Int) {
    self.channelCount = channelCount
    waiting = SampleQueue(capacity: 2 * Self.blockSampleCount * channelCount)
    waiting.appendSilence(Self.blockSampleCount * channelCount)
  }

  /// Whether it gives out what it is given, only later.
  var isTransparent: Bool { gain == 1 && waitingBound == 1 }

  /// Takes over where another stands: the mixtures were the same until now.
  mutating func copyState(of other: borrowing Limiter) {
    gain = other.gain
    waitingBound = other.waitingBound
    let source = other.waiting.samples
    var target = waiting.mutableSamples
    for index in 0..<min(source.count, target.count) { target[index] = source[index] }
  }

  mutating func reset() {
    gain = 1
    waitingBound = 1
    var target = waiting.mutableSamples
    for index in 0..<target.count { target[index] = 0 }
  }

  /// Replaces `samples`, a whole number of blocks, by what is to be heard.
  mutating func process(_ samples: inout MutableSpan<Float>) {
    let blockCount = Self.blockSampleCount * channelCount
    precondition(samples.count % blockCount == 0, "a limiter works in blocks")
    for block in 0..<samples.count / blockCount {
      let start = block * blockCount
      let peak = SampleKernels.peak(samples.span.extracting(start..<start + blockCount))
      let bound = peak > Self.ceiling ? Self.ceiling / peak : 1
      let recovered = gain > 0.9999 ? 1 : gain + (1 - gain) * Self.recovery
      let next = min(recovered, min(waitingBound, bound))
      Self.exchange(&waiting, with: &samples, at: start, from: gain, to: next, channelCount: channelCount)
      gain = next
      waitingBound = bound
    }
  }

  /// Puts the waiting block, with its gain, where the new one stands, which waits from now on.
  private static func exchange(
    _ waiting: inout SampleQueue, with samples: inout MutableSpan<Float>, at start: Int, from first: Float, to last: Float,
    channelCount: Int
  ) {
    var held = waiting.mutableSamples
    let isUnity = first == 1 && last == 1
    let step = (last - first) / Float(blockSampleCount)
    for index in 0..<blockSampleCount * channelCount {
      let value = held[index]
      held[index] = samples[start + index]
      samples[start + index] = isUnity ? value : value * (first + step * Float(index / channelCount))
    }
  }
}
