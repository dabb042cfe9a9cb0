// How long packets were on their way: counts in buckets, so that a million of them cost no memory.

package import EnfiladeWire

/// Spans of time in buckets that are at most 1/32 of their value wide.
package struct LatencyHistogram: Sendable {
  private static let stepBits = 5
  private static let steps = 1 << stepBits
  /// Above 2^40 ns, 18 minutes, everything is one.
  private static let largestExponent = 40

  private var counts: [UInt64]
  package private(set) var count: UInt64 = 0
  package private(set) var maximum = TimeDelta.zero

  package init() { counts = [UInt64](repeating: 0, count: (Self.largestExponent - Self.stepBits + 2) * Self.steps) }

  /// Counts a span so many times; one that is negative counts as none.
  package mutating func record(_ span: TimeDelta, times: Int = 1) {
    counts[Self.bucket(of: UInt64(max(0, span.nanoseconds)))] += UInt64(times)
    count += UInt64(times)
    maximum = max(maximum, span)
  }

  package mutating func merge(_ other: LatencyHistogram) {
    for index in counts.indices { counts[index] += other.counts[index] }
    count += other.count
    maximum = max(maximum, other.maximum)
  }

  package mutating func reset() { self = LatencyHistogram() }

  /// The span that `part` (0…1) of all do not exceed, to 1/32 of itself; `nil` when nothing was recorded.
  package func quantile(_ part: Double) -> TimeDelta? {
    guard count > 0 else { return nil }
    let rank = max(1, UInt64((Double(count) * part).rounded(.up)))
    var seen: UInt64 = 0
    for index in counts.indices {
      seen += counts[index]
      // The last bucket has no upper end.
      if index == counts.count - 1 { break }
      if seen >= rank { return min(maximum, .nanoseconds(Int64(Self.upperBound(of: index)))) }
    }
    return maximum
  }

  private static func bucket(of nanoseconds: UInt64) -> Int {
    guard nanoseconds >= steps else { return Int(nanoseconds) }
    let exponent = 63 - nanoseconds.leadingZeroBitCount
    guard exponent <= largestExponent else { return (largestExponent - stepBits + 2) * steps - 1 }
    return (exponent - stepBits + 1) * steps + Int(nanoseconds >> UInt64(exponent - stepBits)) - steps
  }

  private static func upperBound(of bucket: Int) -> UInt64 {
    guard bucket >= steps else { return UInt64(bucket) }
    let exponent = bucket / steps + stepBits - 1
    let step = bucket % steps + steps
    return (UInt64(step) + 1) << UInt64(exponent - stepBits) - 1
  }
}
