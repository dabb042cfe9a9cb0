// How late packets come, and how long playing must wait so that few come too late.

import EnfiladeWire

/// Measures one source's delay against its fastest packets, and from that the delay to play it with. All times are samples at 48 kHz.
///
/// A packet's *transit* is its arrival less its timestamp; the smallest transit of the last 4 to 8 s stands for a packet that waited nowhere.
/// How much longer the others took goes into a histogram that forgets; its 98th percentile is what playing has to wait.
package struct JitterEstimator: Sendable {
  /// 5 ms.
  private static let bucketSampleCount: Int64 = 240
  private static let bucketCount = 100
  /// The share of packets that come in time; beyond it waiting costs everybody more than the loss costs.
  private static let quantile: Float = 0.98
  /// The histogram's memory: 10 s of 20 ms packets.
  private static let forgetting: Float = 0.002
  private static let window: Int64 = 4 * 48_000
  /// So many packets in a row that come later than anybody waits are no jitter: the source's clock, or the path, is another.
  private static let strangerLimit = 10

  private var histogram = InlineArray<100, Float>(repeating: 0)
  private var packetCount: Float = 0
  private var smallest: Int64?
  private var smallestBefore: Int64?
  private var windowStart: Int64 = 0
  private var strangers = 0

  package init() {}

  /// The transit of a packet that waited nowhere; `nil` before the first.
  package var baseline: Int64? {
    guard let smallest else { return nil }
    return min(smallest, smallestBefore ?? smallest)
  }

  /// What playing has to wait beyond ``baseline`` so that few packets come too late.
  package private(set) var delay: Int64 = 0

  /// A packet came, the newest so far or not.
  package mutating func handlePacket(timestamp: Int64, arrival: Int64) {
    let transit = arrival - timestamp
    if let baseline {
      strangers = transit - baseline > Int64(Limits.maximumPlayoutDelay) ? strangers + 1 : 0
      // The source began anew with other timestamps, or stood still for long.
      if abs(transit - baseline) > 10 * 48_000 || strangers >= Self.strangerLimit { self = JitterEstimator() }
    }
    if smallest == nil || arrival - windowStart >= Self.window {
      smallestBefore = smallest
      smallest = transit
      windowStart = arrival
    }
    smallest = min(smallest!, transit)
    packetCount += 1
    let weight = max(Self.forgetting, 1 / packetCount)
    let bucket = min(Self.bucketCount - 1, Int((transit - baseline!) / Self.bucketSampleCount))
    var remaining: Float = 1 - Self.quantile
    var index = Self.bucketCount - 1
    for bucket in 0..<Self.bucketCount { histogram[bucket] *= 1 - weight }
    histogram[bucket] += weight
    while index > 0, remaining > histogram[index] {
      remaining -= histogram[index]
      index -= 1
    }
    // In the lowest bucket there is no jitter to speak of; from the others, the upper edge.
    delay = index == 0 ? 0 : Int64(index + 1) * Self.bucketSampleCount
  }
}
