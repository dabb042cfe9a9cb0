// What a subscriber that reports by stream does (RFC 8888 §3).

import EnfiladeRTP
import EnfiladeWire

/// Collects arrivals of two streams, audio and everything else, and reports them every 50 ms. Losses are reported twice: with what
/// follows them, and once more.
struct StreamReportGenerator {
  static let interval = 0.05
  /// Numbers before the newest that a report goes back.
  static let overlap: Int64 = 16

  private struct Stream {
    var ssrc: SSRC
    var arrivals: [Int64: Double] = [:]
    var begin: Int64?
    var end: Int64 = 0
  }

  static let videoSSRC = SSRC(0x5EED_0001)
  static let audioSSRC = SSRC(0x5EED_0002)

  private var streams = [Stream(ssrc: Self.videoSSRC), Stream(ssrc: Self.audioSSRC)]
  private var pendingSince: Double?
  private var last = -1.0

  init() {}

  var nextDeadline: Double? { pendingSince.map { max($0, last + Self.interval) } }

  /// The number of a packet in its stream, as it is reported: here the transport's own, for all streams.
  mutating func record(_ packet: SimulatedPacket, at now: Double) {
    let index = packet.isAudio ? 1 : 0
    let number = packet.streamNumber
    if streams[index].arrivals[number] == nil { streams[index].arrivals[number] = now }
    if streams[index].begin == nil { streams[index].begin = number }
    streams[index].end = max(streams[index].end, number + 1)
    if pendingSince == nil { pendingSince = now }
  }

  mutating func poll(at now: Double) -> [UInt8]? {
    guard let deadline = nextDeadline, now >= deadline - 1e-9 else { return nil }
    pendingSince = nil
    last = now
    let bytes = [UInt8].writing(capacity: 4096) { writer in
      guard let report = CongestionControlFeedbackWriter(senderSSRC: SSRC(1), into: &writer) else { return }
      for index in streams.indices {
        guard let begin = streams[index].begin, streams[index].end > begin else { continue }
        var metrics: [PacketMetric] = []
        for number in begin..<streams[index].end {
          if let arrival = streams[index].arrivals[number] {
            metrics.append(PacketMetric(receivedBefore: .seconds(now - arrival)))
          } else {
            metrics.append(PacketMetric(isReceived: false))
          }
        }
        _ = report.add(
          ssrc: streams[index].ssrc, beginSequenceNumber: SequenceNumber(UInt16(truncatingIfNeeded: begin)), metrics: metrics.span,
          into: &writer)
        let next = max(begin, streams[index].end - Self.overlap)
        for number in begin..<next { streams[index].arrivals[number] = nil }
        streams[index].begin = next
      }
      report.finish(timestamp: UInt32(truncatingIfNeeded: Int64(now * 65_536)), into: &writer)
    }
    return bytes
  }
}
