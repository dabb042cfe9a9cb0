import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire

extension ReportBlock {
  init(_ r: ReceptionReport, of ssrc: SSRC) {
    self.init(
      ssrc: ssrc, fractionLost: r.fractionLost, cumulativeLost: r.cumulativeLost,
      extendedHighestSequenceNumber: r.extendedHighestSequenceNumber, jitter: r.jitter, lastSenderReport: r.lastSenderReport,
      delaySinceLastSenderReport: r.delaySinceLastSenderReport)
  }
}
extension ReceptionReport {
  init(_ r: ReportBlock) {
    self.init(
      fractionLost: r.fractionLost, cumulativeLost: r.cumulativeLost, extendedHighestSequenceNumber: r.extendedHighestSequenceNumber,
      jitter: r.jitter, lastSenderReport: r.lastSenderReport, delaySinceLastSenderReport: r.delaySinceLastSenderReport)
  }
}
extension SenderInfo {
  init(_ i: SenderInformation, of ssrc: SSRC) {
    self.init(ssrc: ssrc, ntp: i.ntp, rtpTimestamp: i.timestamp, packetCount: i.packetCount, octetCount: i.octetCount)
  }
}
