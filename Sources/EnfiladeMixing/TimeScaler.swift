// Plays a little faster or slower without changing the pitch: one period is taken out, or said twice.

import EnfiladeWire

/// Removes or repeats one pitch period at the front of a queue, where two periods are alike; the seam is faded over a whole period, so nothing jumps.
struct TimeScaler {
  /// 2.5 ms to 12 ms: from 400 Hz down to 83 Hz. Longer seams are heard.
  private static let lags = 120...576
  /// Compared in every fourth sample: pitch is far below 6 kHz.
  private static let stride = 4
  /// How alike two periods must be before one of them may go: the correlation of voiced speech.
  private static let threshold: Float = 0.85
  /// Where less than this is to be heard any seam is good.
  private static let silence: Float = 1e-7

  /// How many samples for each channel it needs to see.
  static let sampleCount = 2 * 576

  /// Takes one period out, from `start` on. Gives how many samples for each channel went; zero when no two periods are alike.
  static func accelerate(_ queue: inout SampleQueue, start: Int, channelCount: Int) -> Int {
    guard let lag = findLag(queue, start: start, channelCount: channelCount) else { return 0 }
    var samples = queue.mutableSamples
    let count = lag * channelCount
    for index in 0..<count {
      let weight = Float(index / channelCount) / Float(lag)
      let place = start * channelCount + index
      samples[place + count] = samples[place] * (1 - weight) + samples[place + count] * weight
    }
    queue.remove(count, at: start * channelCount)
    return lag
  }

  /// Says one period twice, from `start` on. Gives how many samples for each channel were added; zero when no two periods are alike, or none fit.
  static func decelerate(_ queue: inout SampleQueue, start: Int, channelCount: Int) -> Int {
    guard let lag = findLag(queue, start: start, channelCount: channelCount) else { return 0 }
    let count = lag * channelCount
    let first = start * channelCount
    // a b c … becomes a (b fading into a) b c …
    guard queue.insertGap(count, at: first + count) else { return 0 }
    var samples = queue.mutableSamples
    for index in 0..<count {
      let weight = Float(index / channelCount) / Float(lag)
      let second = samples[first + 2 * count + index]
      samples[first + count + index] = second * (1 - weight) + samples[first + index] * weight
    }
    return lag
  }

  private static func findLag(_ queue: borrowing SampleQueue, start: Int, channelCount: Int) -> Int? {
    let samples = queue.samples
    guard samples.count >= (start + sampleCount) * channelCount else { return nil }
    // What is compared is as long as the longest lag, so that every lag has the same sound in front of it.
    let window = lags.upperBound / stride
    let base = start * channelCount
    let step = stride * channelCount
    var energy: Float = 0
    for index in 0..<window { energy += samples[base + index * step] * samples[base + index * step] }
    if energy < silence * Float(window) { return lags.upperBound }
    var best = (lag: 0, score: Float(0))
    var lag = lags.lowerBound
    while lag <= lags.upperBound {
      var product: Float = 0
      var other: Float = 1e-12
      let shift = base + lag * channelCount
      for index in 0..<window {
        let value = samples[shift + index * step]
        product += samples[base + index * step] * value
        other += value * value
      }
      let score = product / (energy * other).squareRoot()
      if score > best.score { best = (lag, score) }
      lag += stride
    }
    return best.score >= threshold ? best.lag : nil
  }
}
