// Latencies in buckets of a thirty-second of their size: nothing is allocated while it fills.

import EnfiladeWire

/// Counts spans of time; percentiles are exact to about 3 %.
struct LatencyHistogram {
  private static let subBuckets = 32
  private var counts = [UInt64](repeating: 0, count: 64 * subBuckets)
  private(set) var count: UInt64 = 0

  mutating func record(_ span: TimeDelta, times: Int = 1) {
    counts[Self.bucket(of: UInt64(max(0, span.nanoseconds)))] += UInt64(times)
    count += UInt64(times)
  }

  /// The span that this share of what was recorded does not exceed.
  func percentile(_ share: Double) -> TimeDelta {
    var left = UInt64((Double(count) * share).rounded(.up))
    for (bucket, entries) in counts.enumerated() where entries > 0 {
      if entries >= left { return .nanoseconds(Int64(Self.upperBound(of: bucket))) }
      left -= entries
    }
    return .zero
  }

  private static func bucket(of value: UInt64) -> Int {
    guard value >= UInt64(subBuckets) else { return Int(value) }
    let exponent = 63 - value.leadingZeroBitCount
    return (exponent - 4) * subBuckets + Int(value >> UInt64(exponent - 5)) - subBuckets
  }

  private static func upperBound(of bucket: Int) -> UInt64 {
    guard bucket >= subBuckets else { return UInt64(bucket) }
    let exponent = bucket / subBuckets + 4
    return UInt64(bucket % subBuckets + subBuckets + 1) << UInt64(exponent - 5)
  }
}

/// The percentiles that tables show, in microseconds.
struct LatencySummary: Codable {
  var p50Microseconds: Double
  var p99Microseconds: Double
  var p999Microseconds: Double

  init(_ histogram: LatencyHistogram) {
    p50Microseconds = Double(histogram.percentile(0.5).nanoseconds) / 1_000
    p99Microseconds = Double(histogram.percentile(0.99).nanoseconds) / 1_000
    p999Microseconds = Double(histogram.percentile(0.999).nanoseconds) / 1_000
  }
}
