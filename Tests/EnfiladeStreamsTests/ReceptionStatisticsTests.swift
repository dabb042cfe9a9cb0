// Receiver and sender counts against the arithmetic of RFC 3550.

import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire
import Testing

private func milliseconds(_ value: Int64) -> Instant { Instant(nanoseconds: value * 1_000_000) }

@Suite("ReceptionStatistics")
struct ReceptionStatisticsTests {
  /// Packets of 20 ms at 48 kHz that all take equally long.
  private func statistics(_ numbers: some Sequence<Int>) -> ReceptionStatistics {
    var statistics = ReceptionStatistics(clockRate: 48_000)
    for number in numbers {
      statistics.handlePacket(
        ExtendedSequenceNumber(Int64(number)), timestamp: RTPTimestamp(UInt32(truncatingIfNeeded: number * 960)), byteCount: 100,
        at: milliseconds(Int64(number) * 20))
    }
    return statistics
  }

  @Test("Nothing received is nothing lost")
  func empty() {
    var statistics = ReceptionStatistics(clockRate: 90_000)
    let report = statistics.makeReport(of: SSRC(1), at: .zero)
    #expect(report.fractionLost == 0 && report.cumulativeLost == 0 && report.jitter == 0)
    #expect(report.lastSenderReport == 0 && report.delaySinceLastSenderReport == 0)
  }

  @Test("Every fourth packet lost is a fraction of 64/256")
  func fraction() {
    var statistics = statistics((0..<400).filter { $0 % 4 != 2 })
    let report = statistics.makeReport(of: SSRC(1), at: milliseconds(8_000))
    #expect(report.fractionLost == 64)
    #expect(report.cumulativeLost == 100)
    #expect(report.extendedHighestSequenceNumber == 399)
    #expect(statistics.receivedByteCount == 30_000)
  }

  @Test("The fraction covers the interval since the last report, the total the whole life")
  func interval() {
    var statistics = statistics((0..<100).filter { $0 < 50 || $0 >= 60 })
    #expect(statistics.makeReport(of: SSRC(1), at: milliseconds(2_000)).fractionLost == 25)
    for number in 100..<200 {
      statistics.handlePacket(
        ExtendedSequenceNumber(Int64(number)), timestamp: RTPTimestamp(UInt32(number * 960)), byteCount: 1,
        at: milliseconds(Int64(number) * 20))
    }
    let second = statistics.makeReport(of: SSRC(1), at: milliseconds(4_000))
    #expect(second.fractionLost == 0)
    #expect(second.cumulativeLost == 10)
  }

  @Test("Duplicates make the cumulative loss negative and the fraction zero")
  func duplicates() {
    var statistics = statistics((0..<10).flatMap { [$0, $0] })
    let report = statistics.makeReport(of: SSRC(1), at: milliseconds(200))
    #expect(report.fractionLost == 0)
    #expect(report.cumulativeLost == -10)
  }

  @Test("Everything but one packet in 1000 lost saturates the fraction at 255")
  func fractionSaturates() {
    var statistics = statistics(stride(from: 0, to: 20_000, by: 1000))
    #expect(statistics.makeReport(of: SSRC(1), at: milliseconds(400_000)).fractionLost == 255)
  }

  @Test("The cumulative loss saturates at 24 bits, signed (RFC 3550 §6.4.1)")
  func cumulativeSaturates() {
    var statistics = statistics(stride(from: 0, to: 9_000_000, by: 2_900))
    #expect(statistics.makeReport(of: SSRC(1), at: milliseconds(0)).cumulativeLost == 0x7F_FFFF)
  }

  @Test("Cycles stand above the sequence number after a wrap", arguments: [65_535, 65_536, 65_537, 131_071, 131_072])
  func wrap(last: Int) {
    var statistics = statistics((last - 50)...last)
    let report = statistics.makeReport(of: SSRC(1), at: .zero)
    #expect(report.extendedHighestSequenceNumber == UInt32(last))
    #expect(report.cumulativeLost == 0)
  }

  @Test("Late packets fill their gap; the highest number stays")
  func reordering() {
    var statistics = statistics([0, 1, 5, 3, 2, 4, 6])
    let report = statistics.makeReport(of: SSRC(1), at: milliseconds(120))
    #expect(report.cumulativeLost == 0)
    #expect(report.extendedHighestSequenceNumber == 6)
  }

  @Test("A jump is not believed until the next number confirms it (RFC 3550 A.1)")
  func restart() {
    var once = statistics([0, 1, 2, 10_000, 3, 4])
    #expect(once.makeReport(of: SSRC(1), at: .zero).extendedHighestSequenceNumber == 4)
    #expect(once.restartCount == 0)

    var twice = statistics([0, 1, 2, 10_000, 10_001])
    let report = twice.makeReport(of: SSRC(1), at: .zero)
    #expect(twice.restartCount == 1)
    #expect(report.extendedHighestSequenceNumber == 10_001)
    #expect(report.cumulativeLost == 0)
  }

  @Test("Equal transit times are no jitter, across the wrap of the timestamp too")
  func noJitter() {
    var statistics = ReceptionStatistics(clockRate: 48_000)
    let start = UInt32.max - 960 * 50
    for number in 0..<100 {
      statistics.handlePacket(
        ExtendedSequenceNumber(Int64(number)), timestamp: RTPTimestamp(start &+ UInt32(number * 960)), byteCount: 1,
        at: milliseconds(Int64(number) * 20 + 7))
    }
    #expect(statistics.jitter == 0)
  }

  @Test("Jitter follows the estimator of RFC 3550 §6.4.1 within one tick", arguments: [1, 2, 3, 4, 5])
  func jitter(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var statistics = ReceptionStatistics(clockRate: 90_000)
    var reference = 0.0
    var last: (arrival: Double, timestamp: Double)?
    for number in 0..<500 {
      let delay = Int64.random(in: 0...30, using: &random)
      let arrival = Int64(number) * 33 + delay
      let timestamp = number * 33 * 90
      statistics.handlePacket(
        ExtendedSequenceNumber(Int64(number)), timestamp: RTPTimestamp(UInt32(timestamp)), byteCount: 1, at: milliseconds(arrival))
      if let last {
        let difference = abs((Double(arrival) * 90 - last.arrival) - (Double(timestamp) - last.timestamp))
        reference += (difference - reference) / 16
      }
      last = (Double(arrival) * 90, Double(timestamp))
    }
    #expect(abs(Double(statistics.jitter) - reference) < 2)
    #expect(statistics.jitter > 90)
  }

  @Test("DLSR is the time since the report came: 5.25 s are 0x00054000 (RFC 3550 §6.4.1)")
  func delaySinceLast() {
    var statistics = ReceptionStatistics(clockRate: 90_000)
    statistics.handleSenderReport(ntp: NTPTimestamp(rawValue: 0xB44D_B705_2000_0000), at: milliseconds(1_000))
    let report = statistics.makeReport(of: SSRC(1), at: milliseconds(6_250))
    #expect(report.lastSenderReport == 0xB705_2000)
    #expect(report.delaySinceLastSenderReport == 0x0005_4000)
  }

  @Test("A new clock rate starts jitter anew")
  func clockRate() {
    var statistics = statistics([0, 1, 3, 2, 9])
    statistics.setClockRate(8_000)
    #expect(statistics.jitter == 0)
  }
}

@Suite("SenderStatistics")
struct SenderStatisticsTests {
  private func report(lastSenderReport: UInt32, delay: UInt32) -> ReportBlock {
    ReportBlock(
      ssrc: SSRC(1), fractionLost: 0, cumulativeLost: 0, extendedHighestSequenceNumber: 0, jitter: 0, lastSenderReport: lastSenderReport,
      delaySinceLastSenderReport: delay)
  }

  @Test("The round trip of RFC 3550's figure 2 is 6.125 s")
  func figure2() {
    var statistics = SenderStatistics()
    statistics.handleReport(report(lastSenderReport: 0xB705_2000, delay: 0x0005_4000), at: NTPTimestamp(rawValue: 0xB44D_B710_8000_0000))
    #expect(statistics.lastRoundTripTime == .milliseconds(6_125))
    #expect(statistics.roundTripTime == .milliseconds(6_125))
  }

  @Test("A receiver that has had no report of ours says nothing about the round trip")
  func noReport() {
    var statistics = SenderStatistics()
    statistics.handleReport(report(lastSenderReport: 0, delay: 0), at: NTPTimestamp(rawValue: 0xB44D_B710_8000_0000))
    #expect(statistics.roundTripTime == nil)
    #expect(statistics.lastReport != nil)
  }

  @Test(
    "Rounding below zero counts as almost nothing; nonsense counts as nothing",
    arguments: [(1, true), (65, true), (66, false), (1 << 20, false)])
  func negative(excess: UInt32, isBelieved: Bool) {
    var statistics = SenderStatistics()
    statistics.handleReport(report(lastSenderReport: 0x0001_0000, delay: excess), at: NTPTimestamp(rawValue: 0x0001_0000 << 16))
    #expect((statistics.roundTripTime != nil) == isBelieved)
    if isBelieved { #expect(statistics.roundTripTime! < .milliseconds(1)) }
  }

  @Test("A trip of more than ten seconds is not believed, across the wrap of LSR too")
  func tooLong() {
    var statistics = SenderStatistics()
    statistics.handleReport(report(lastSenderReport: 0xFFFF_0000, delay: 0), at: NTPTimestamp(rawValue: 0x000B_0000 << 16))
    #expect(statistics.roundTripTime == nil)
    statistics.handleReport(report(lastSenderReport: 0xFFFF_0000, delay: 0), at: NTPTimestamp(rawValue: 0x0001_0000 << 16))
    #expect(statistics.roundTripTime == .seconds(Int64(2)))
  }

  @Test("The smoothed round trip moves an eighth of the way")
  func smoothing() {
    var statistics = SenderStatistics()
    statistics.handleReport(report(lastSenderReport: 0x0001_0000, delay: 0), at: NTPTimestamp(rawValue: 0x0002_0000 << 16))
    statistics.handleReport(report(lastSenderReport: 0x0001_0000, delay: 0), at: NTPTimestamp(rawValue: 0x0003_0000 << 16))
    #expect(statistics.lastRoundTripTime == .seconds(Int64(2)))
    #expect(statistics.roundTripTime == .milliseconds(1_125))
  }

  @Test("Octets are payload, counts wrap at 32 bits, and neither time goes back")
  func information() {
    var statistics = SenderStatistics()
    for _ in 0..<3 { statistics.handleSent(payloadByteCount: 1_500_000_000, at: .zero) }
    let first = statistics.makeInformation(of: SSRC(1), ntp: NTPTimestamp(rawValue: 500), timestamp: RTPTimestamp(5))
    #expect(first.packetCount == 3)
    #expect(first.octetCount == UInt32(truncatingIfNeeded: 4_500_000_000 as Int64))
    let second = statistics.makeInformation(of: SSRC(1), ntp: NTPTimestamp(rawValue: 400), timestamp: RTPTimestamp(UInt32.max))
    #expect(second.ntp == first.ntp)
    #expect(second.rtpTimestamp == first.rtpTimestamp)
    let third = statistics.makeInformation(of: SSRC(1), ntp: NTPTimestamp(rawValue: 600), timestamp: RTPTimestamp(6))
    #expect(third.rtpTimestamp == RTPTimestamp(6))
  }
}
