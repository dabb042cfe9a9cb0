// What a run has measured, as a value that can be written as JSON and read as text.

import EnfiladeWire

/// The counts of the measured window, and what they say.
package struct LoadReport: Codable, Sendable {
  /// One-way, from just before protection at the publisher to just after the receive call at a probe, in microseconds.
  package struct Latency: Codable, Sendable {
    package var packetCount: UInt64
    package var p50Microseconds: Double
    package var p99Microseconds: Double
    package var p999Microseconds: Double
    package var maximumMicroseconds: Double

    /// `nil` when nothing was measured.
    init?(_ histogram: LatencyHistogram) {
      guard let p50 = histogram.quantile(0.5), let p99 = histogram.quantile(0.99), let p999 = histogram.quantile(0.999) else { return nil }
      packetCount = histogram.count
      p50Microseconds = Double(p50.nanoseconds) / 1000
      p99Microseconds = Double(p99.nanoseconds) / 1000
      p999Microseconds = Double(p999.nanoseconds) / 1000
      maximumMicroseconds = Double(histogram.maximum.nanoseconds) / 1000
    }
  }

  package var publisherCount = 0
  package var subscriberCount = 0
  package var memberCount = 0
  /// The SRTP profile that the subscribers' handshakes chose.
  package var profile = ""
  package var seconds = 0.0
  /// From the first request to the last client connected.
  package var joinSeconds = 0.0

  package var sentPacketCount: UInt64 = 0
  package var sentByteCount: UInt64 = 0
  package var sentVideoStreamCount = 0
  package var keyframeCount = 0
  package var keyframeRequestCount = 0
  package var retransmittedCount: UInt64 = 0

  /// Media, retransmissions not counted.
  package var receivedPacketCount: UInt64 = 0
  package var receivedByteCount: UInt64 = 0
  package var receivedRetransmissionCount: UInt64 = 0
  /// Gaps in the sequence numbers that subscribers saw.
  package var lostPacketCount: UInt64 = 0
  /// What was received of what the publishers sent, times subscribers; a server that sends less than it gets shows here, not as loss.
  /// Zero with members, whose stages have room for a part only.
  package var deliveredRatio = 0.0
  package var strayPacketCount: UInt64 = 0

  package var openedPacketCount: UInt64 = 0
  /// Could not be decrypted: a run with any of these is not to be believed.
  package var rejectedPacketCount: UInt64 = 0
  /// Decrypted, and without a stamp: no packet of ours, or one that was changed; no more to be believed.
  package var unstampedPacketCount: UInt64 = 0
  /// Opened before, or behind the replay window: sent twice, or far out of order.
  package var replayedPacketCount: UInt64 = 0

  package var videoLatency: Latency?
  package var audioLatency: Latency?

  /// Processor time of the client's thread.
  package var clientProcessorSeconds = 0.0
  /// Sessions that the server would not delete.
  package var undeletedSessionCount = 0

  package init() {}

  package var lossRatio: Double {
    let all = receivedPacketCount + lostPacketCount
    return all == 0 ? 0 : Double(lostPacketCount) / Double(all)
  }

  package var receivedPacketsPerSecond: Double { seconds > 0 ? Double(receivedPacketCount) / seconds : 0 }

  /// For people.
  package var table: String {
    func number(_ value: Double, _ digits: Int) -> String {
      var scale = 1.0
      for _ in 0..<digits { scale *= 10 }
      let rounded = (value * scale).rounded()
      let whole = Int64(rounded / scale)
      guard digits > 0 else { return "\(whole)" }
      let fraction = String(Int64(rounded) - whole * Int64(scale))
      return "\(whole).\(String(repeating: "0", count: max(0, digits - fraction.count)))\(fraction)"
    }
    var rows: [(String, String)] = [
      ("publishers, subscribers, members", "\(publisherCount), \(subscriberCount), \(memberCount)"),
      ("profile", profile),
      ("joined in", "\(number(joinSeconds, 2)) s"),
      ("measured for", "\(number(seconds, 2)) s"),
      ("sent", "\(sentPacketCount) packets, \(number(seconds > 0 ? Double(sentByteCount) * 8e-6 / seconds : 0, 2)) Mbit/s"),
      ("key frames", "\(keyframeCount) (asked for \(keyframeRequestCount) times)"),
      ("retransmitted by publishers", "\(retransmittedCount)"),
      ("received", "\(receivedPacketCount) packets, \(number(receivedPacketsPerSecond, 0)) per second"),
      ("retransmissions received", "\(receivedRetransmissionCount)"),
      ("delivered", "\(number(deliveredRatio * 100, 3)) %"),
      ("lost", "\(lostPacketCount) (\(number(lossRatio * 100, 4)) %)"),
      ("opened, rejected, replayed", "\(openedPacketCount), \(rejectedPacketCount), \(replayedPacketCount)"),
      ("without a stamp", "\(unstampedPacketCount)"),
      ("stray", "\(strayPacketCount)"),
    ]
    for (name, latency) in [("video", videoLatency), ("audio", audioLatency)] {
      guard let latency else { continue }
      rows.append(
        (
          "\(name) latency",
          "p50 \(number(latency.p50Microseconds, 0)), p99 \(number(latency.p99Microseconds, 0)), p99.9 \(number(latency.p999Microseconds, 0)), max \(number(latency.maximumMicroseconds, 0)) µs (\(latency.packetCount) packets)"
        ))
    }
    rows.append(
      (
        "client",
        "\(number(clientProcessorSeconds, 2)) s of processor, \(number(seconds > 0 ? clientProcessorSeconds / seconds * 100 : 0, 1)) %"
      ))
    if undeletedSessionCount > 0 { rows.append(("sessions not deleted", "\(undeletedSessionCount)")) }
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { "\($0.0)\(String(repeating: " ", count: width - $0.0.count))  \($0.1)" }.joined(separator: "\n")
  }
}
