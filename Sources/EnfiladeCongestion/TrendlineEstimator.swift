// Is the queue growing? A line through the last delays, held against a threshold that follows what is usual on this path.

import EnfiladeWire

/// What the delays of a path say of its load.
package enum BandwidthUsage: UInt8, Hashable, Sendable, CaseIterable {
  case normal
  case overusing
  case underusing
}

/// The trendline filter and overuse detector that senders in use have (the successor of the filter in draft-ietf-rmcat-gcc-02 §5.3 and
/// §5.4; the gains differ from the draft's because what they are applied to differs).
package struct TrendlineEstimator: Sendable {
  package static let windowCount = 20
  package static let smoothing = 0.9
  package static let gain = 4.0
  package static let minimumDeltaCount = 60
  package static let overuseMilliseconds = 10.0
  package static let thresholdRange = 6.0...600.0
  package static let thresholdGainUp = 0.0087
  package static let thresholdGainDown = 0.039
  /// Delays further above the threshold than this are not usual, and do not move it.
  package static let adaptationMargin = 15.0

  /// ``windowCount`` in fours.
  private var times: InlineArray<5, SIMD4<Double>> = InlineArray(repeating: .zero)
  private var delays: InlineArray<5, SIMD4<Double>> = InlineArray(repeating: .zero)
  private var next = 0
  private var filled = 0
  private var firstArrival: Int64?
  private var accumulated = 0.0
  private var smoothed = 0.0
  private var deltaCount = 0
  private var previousTrend = 0.0
  private var overusingMilliseconds = -1.0
  private var overuseCount = 0
  private var lastAdaptation: Int64?
  /// In milliseconds of modified trend.
  package private(set) var threshold = 12.5
  package private(set) var usage = BandwidthUsage.normal

  package init() {}

  /// The slope of delay over time; above zero while the queue grows.
  package var trend: Double { previousTrend }

  /// Takes the difference between two neighbouring groups.
  package mutating func handle(_ delta: InterArrival.Delta, arrivalNanoseconds: Int64) {
    let sendMilliseconds = Double(delta.send.nanoseconds) * 1e-6
    deltaCount = min(deltaCount + 1, 1000)
    let first = firstArrival ?? arrivalNanoseconds
    firstArrival = first
    accumulated += Double(delta.arrival.nanoseconds) * 1e-6 - sendMilliseconds
    smoothed = Self.smoothing * smoothed + (1 - Self.smoothing) * accumulated
    times[next >> 2][next & 3] = Double(arrivalNanoseconds - first) * 1e-6
    delays[next >> 2][next & 3] = smoothed
    next = next + 1 == Self.windowCount ? 0 : next + 1
    filled = min(filled + 1, Self.windowCount)
    let trend = filled == Self.windowCount ? slope() ?? previousTrend : previousTrend
    detect(trend, sendMilliseconds, arrivalNanoseconds)
  }

  /// Least squares over the window; `nil` when all arrived at once.
  private mutating func slope() -> Double? {
    // Spans: indexing an inline array that is a part of `self` copies all of it each time.
    let times = times.span
    let delays = delays.span
    // Four sums at a time: one addition need not wait for the one before.
    var timeSums = SIMD4<Double>.zero
    var delaySums = SIMD4<Double>.zero
    for index in times.indices {
      timeSums += times[index]
      delaySums += delays[index]
    }
    let timeMean = timeSums.sum() / Double(Self.windowCount)
    let delayMean = delaySums.sum() / Double(Self.windowCount)
    var numerators = SIMD4<Double>.zero
    var denominators = SIMD4<Double>.zero
    for index in times.indices {
      let time = times[index] - timeMean
      numerators += time * (delays[index] - delayMean)
      denominators += time * time
    }
    let numerator = numerators.sum()
    let denominator = denominators.sum()
    return denominator == 0 ? nil : numerator / denominator
  }

  private mutating func detect(_ trend: Double, _ sendMilliseconds: Double, _ arrival: Int64) {
    guard deltaCount >= 2 else {
      usage = .normal
      return
    }
    let modified = Double(min(deltaCount, Self.minimumDeltaCount)) * trend * Self.gain
    if modified > threshold {
      overusingMilliseconds = overusingMilliseconds < 0 ? sendMilliseconds / 2 : overusingMilliseconds + sendMilliseconds
      overuseCount += 1
      if overusingMilliseconds > Self.overuseMilliseconds, overuseCount > 1, trend >= previousTrend {
        overusingMilliseconds = 0
        overuseCount = 0
        usage = .overusing
      }
    } else {
      overusingMilliseconds = -1
      overuseCount = 0
      usage = modified < -threshold ? .underusing : .normal
    }
    previousTrend = trend
    adaptThreshold(modified, arrival)
  }

  private mutating func adaptThreshold(_ modified: Double, _ arrival: Int64) {
    let last = lastAdaptation ?? arrival
    lastAdaptation = arrival
    let distance = abs(modified) - threshold
    guard distance <= Self.adaptationMargin else { return }
    let gain = distance < 0 ? Self.thresholdGainDown : Self.thresholdGainUp
    threshold += gain * distance * min(Double(arrival - last) * 1e-6, 100)
    threshold = min(max(threshold, Self.thresholdRange.lowerBound), Self.thresholdRange.upperBound)
  }
}
