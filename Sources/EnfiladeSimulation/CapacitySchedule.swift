// What a link carries over time.

import EnfiladeWire

/// Capacity as steps: from each step's time on, its rate. A schedule with a period repeats.
public struct CapacitySchedule: Hashable, Sendable {
  /// From `seconds` on the link carries `bitsPerSecond`.
  public struct Step: Hashable, Sendable {
    /// Seconds from the start of the scenario, or of the period.
    public var seconds: Double
    /// Bits per second.
    public var bitsPerSecond: Double

    /// A step at a time in seconds.
    public init(seconds: Double, bitsPerSecond: Double) {
      self.seconds = seconds
      self.bitsPerSecond = bitsPerSecond
    }
  }

  /// In ascending order of time; the first counts from zero on.
  public private(set) var steps: [Step]
  /// After so many seconds the schedule begins again; `nil` when it does not.
  public private(set) var periodSeconds: Double?

  /// The same rate for ever.
  public init(kilobitsPerSecond: Double) { self.init(steps: [Step(seconds: 0, bitsPerSecond: kilobitsPerSecond * 1000)]) }

  /// Steps in ascending order; negative rates count as zero.
  public init(steps: [Step], periodSeconds: Double? = nil) {
    precondition(!steps.isEmpty, "a schedule has a step")
    self.steps = steps.map { Step(seconds: $0.seconds, bitsPerSecond: max(0, $0.bitsPerSecond)) }
    self.periodSeconds = periodSeconds
  }

  /// Pairs of seconds and kilobits per second.
  public init(_ pairs: [(seconds: Double, kilobitsPerSecond: Double)]) {
    self.init(steps: pairs.map { Step(seconds: $0.seconds, bitsPerSecond: $0.kilobitsPerSecond * 1000) })
  }

  /// Bits per second at a time in seconds. Complexity: O(log *n*).
  public func bitsPerSecond(at seconds: Double) -> Double { steps[index(at: wrapped(seconds))].bitsPerSecond }

  /// The average over a stretch of time in seconds, in bits per second.
  public func average(from start: Double, to end: Double) -> Double {
    guard end > start else { return bitsPerSecond(at: start) }
    return bits(from: start, to: end) / (end - start)
  }

  /// Bits that can pass between two times, with no more than `limit` bits per second counted at any time.
  public func bits(from start: Double, to end: Double, limit: Double = .infinity) -> Double {
    var time = start
    var sum = 0.0
    while time < end {
      let (rate, until) = segment(at: time)
      let next = min(end, until)
      sum += min(rate, limit) * (next - time)
      time = next
    }
    return sum
  }

  /// When `bits` that start being sent at `start` have passed, in seconds; `nil` if never.
  public func finish(bits: Double, from start: Double) -> Double? {
    var time = start
    var left = bits
    // A bound for schedules that are zero for ever: a whole period, or all steps, without a bit.
    var idle = 0
    while true {
      let (rate, until) = segment(at: time)
      if rate > 0 {
        let needed = left / rate
        if time + needed <= until { return time + needed }
        left -= rate * (until - time)
        idle = 0
      } else {
        idle += 1
        if until == .infinity || idle > steps.count + 1 { return nil }
      }
      time = until
    }
  }

  /// The rate at a time, and until when it holds.
  private func segment(at seconds: Double) -> (rate: Double, until: Double) {
    let inside = wrapped(seconds)
    let index = index(at: inside)
    let base = seconds - inside
    let end = index + 1 < steps.count ? base + steps[index + 1].seconds : periodSeconds.map { base + $0 } ?? .infinity
    // Rounding must not make a segment of no length: time has to move.
    return (steps[index].bitsPerSecond, max(end, seconds + 1e-9))
  }

  private func wrapped(_ seconds: Double) -> Double {
    guard let periodSeconds, periodSeconds > 0 else { return seconds }
    return seconds - (seconds / periodSeconds).rounded(.down) * periodSeconds
  }

  private func index(at seconds: Double) -> Int {
    var low = 0
    var high = steps.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if steps[middle].seconds <= seconds { low = middle } else { high = middle }
    }
    return low
  }
}
