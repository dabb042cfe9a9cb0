// What a sender counts about one outgoing stream, and what its receiver says back (RFC 3550 §6.4.1).

package import EnfiladeRTP
package import EnfiladeWire

/// Counts one outgoing stream, makes its sender information, and reads round trips out of what comes back.
package struct SenderStatistics: Sendable {
  /// Packets sent.
  package private(set) var packetCount: UInt64 = 0
  /// Payload octets sent, without headers and padding (RFC 3550 §6.4.1).
  package private(set) var octetCount: UInt64 = 0
  package private(set) var lastSentAt: Instant?
  /// The newest round trip, or `nil` before the first.
  package private(set) var lastRoundTripTime: TimeDelta?
  /// The smoothed round trip (RFC 6298 §2, gain 1/8), or `nil` before the first.
  package private(set) var roundTripTime: TimeDelta?
  /// What the receiver reported last.
  package private(set) var lastReport: ReportBlock?
  /// The NTP time and media time of our last sender report: neither goes back.
  private var lastInformation: SenderInfo?

  package init() {}

  /// A packet left.
  package mutating func handleSent(payloadByteCount: Int, at now: Instant) {
    packetCount &+= 1
    octetCount &+= UInt64(max(0, payloadByteCount))
    lastSentAt = now
  }

  /// Sender information for `timestamp`, the outgoing media time at `ntp`. Where the mapping moved back a little, the timestamp stays.
  package mutating func makeInformation(of ssrc: SSRC, ntp: NTPTimestamp, timestamp: RTPTimestamp) -> SenderInfo {
    var information = SenderInfo(
      ssrc: ssrc, ntp: ntp, rtpTimestamp: timestamp, packetCount: UInt32(truncatingIfNeeded: packetCount),
      octetCount: UInt32(truncatingIfNeeded: octetCount))
    if let last = lastInformation {
      if information.rtpTimestamp.distance(from: last.rtpTimestamp) < 0 { information.rtpTimestamp = last.rtpTimestamp }
      if information.ntp < last.ntp { information.ntp = last.ntp }
    }
    lastInformation = information
    return information
  }

  /// A report block about this stream came at `ntp` of our clock.
  package mutating func handleReport(_ report: ReportBlock, at ntp: NTPTimestamp) {
    lastReport = report
    guard report.lastSenderReport != 0 else { return }
    // RFC 3550 §6.4.1: A − LSR − DLSR in 1/65536 s, modulo 2³².
    let units = Int64(Int32(bitPattern: ntp.compact &- report.lastSenderReport &- report.delaySinceLastSenderReport))
    // A receiver's rounding can make a short trip negative by a unit or so; what is far off is a broken or lying receiver.
    guard units > -66, units < 10 << 16 else { return }
    let trip = TimeDelta(nanoseconds: max(1, units) * 1_000_000_000 / 65_536)
    lastRoundTripTime = trip
    roundTripTime = roundTripTime.map { $0 + (trip - $0) / 8 } ?? trip
  }
}
