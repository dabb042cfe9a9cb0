// One source of a publisher: what has arrived, what is missing, what is kept for repair.

package import EnfiladeRTP
package import EnfiladeStreams
package import EnfiladeWire

/// An incoming RTP stream inside its shard.
package struct InboundStream: ~Copyable {
  /// Tells this stream from every other that has stood at the same index.
  package let serial: UInt32
  package let publication: Int
  package let link: Int
  package let ssrc: SSRC
  package let kind: MediaKind
  package var statistics: ReceptionStatistics
  package var nack = NACKGenerator()
  package var history: PacketHistory<HistoryNote>
  package var keyframes = KeyframeRequester()
  package var clock: SenderReportClock
  package var feedback: FeedbackCapabilities = []
  package var newest = ExtendedSequenceNumber(.min)
  package var newestTimestamp = RTPTimestamp(0)

  package init(serial: UInt32, publication: Int, link: Int, ssrc: SSRC, kind: MediaKind, clockRate: Int) {
    self.serial = serial
    self.publication = publication
    self.link = link
    self.ssrc = ssrc
    self.kind = kind
    statistics = ReceptionStatistics(clockRate: clockRate)
    history = PacketHistory(capacity: kind == .audio ? Limits.audioHistoryPacketCount : Limits.videoHistoryPacketCount)
    clock = SenderReportClock(clockRate: clockRate)
  }
}
