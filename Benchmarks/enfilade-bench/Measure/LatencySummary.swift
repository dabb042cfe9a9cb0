// The percentiles that tables show.

import EnfiladeLoad
import EnfiladeWire

/// Latencies in microseconds.
struct LatencySummary: Codable {
  var p50Microseconds: Double
  var p99Microseconds: Double
  var p999Microseconds: Double

  init(_ histogram: LatencyHistogram) {
    func microseconds(_ part: Double) -> Double { Double(histogram.quantile(part)?.nanoseconds ?? 0) / 1_000 }
    p50Microseconds = microseconds(0.5)
    p99Microseconds = microseconds(0.99)
    p999Microseconds = microseconds(0.999)
  }
}
