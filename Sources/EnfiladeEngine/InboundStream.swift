// One source of a publisher: what has arrived, what is missing, what is kept for repair.

package import EnfiladeForwarding
package import EnfiladeRTP
package import EnfiladeStreams
package import EnfiladeWire

/// An incoming RTP stream inside its shard, or the mirror of one that comes in at another.
package struct InboundStream: ~Copyable {
  /// Where a mirror comes from.
  package struct Mirrored {
    /// The lane to its home.
    package var port: Int
    /// The original's place there.
    package var place: Int32
    /// The original's serial number.
    package var serial: UInt32
    package var publisherClock: PublisherClock
    /// When home may be asked for a key frame again.
    package var nextAsking = Instant.zero
  }

  /// Tells this stream from every other that has stood at the same index.
  package let serial: UInt32
  package let publication: Int
  /// What all subscribers share of it: its frames and layers, and which of the publication's encodings it is.
  package var encoding: Encoding
  /// The link that brings it in, or −1 for a mirror.
  package let link: Int
  package let ssrc: SSRC
  package let kind: MediaKind
  package let clockRate: Int
  /// The format of its first packet.
  package let firstFormat: MediaFormat
  /// Set for a mirror.
  package var mirrored: Mirrored?
  package var extensions: ExtensionMap
  /// What the last packet's payload type stands for, until the section is negotiated anew.
  package var format: NegotiatedFormat?
  package var statistics: ReceptionStatistics
  package var nack: NACKGenerator
  package var history: PacketHistory<HistoryNote>
  /// How old the history's packets are.
  var age = HistoryAge()
  package var keyframes = KeyframeRequester()
  /// A request that leaves with the next feedback.
  package var keyframeRequest: KeyframeRequester.Request?
  package var clock: SenderReportClock
  /// How much it speaks, for sound.
  package var speech = SpeechActivity()
  /// Keys that are pressed, for sound.
  package var tones = TelephoneEventReceiver()
  package var feedback: FeedbackCapabilities = []
  /// Before this another codec is not taken: what a change costs is paid by every subscriber.
  package var nextCodecChange = Instant.zero
  /// Packets of the history may wait for a structure to be read by.
  package var hasUnread = false
  /// Widens the original sequence numbers of retransmissions.
  package var unwrapper = SequenceUnwrapper()

  package init(
    serial: UInt32, publication: Int, encoding: Int, format: MediaFormat, link: Int, ssrc: SSRC, kind: MediaKind, extensions: ExtensionMap,
    historyCapacity: Int? = nil
  ) {
    self.serial = serial
    self.publication = publication
    self.encoding = Encoding(serial: serial, index: UInt8(encoding), codec: format.payloadCodec)
    self.link = link
    self.ssrc = ssrc
    self.kind = kind
    clockRate = format.clockRate
    firstFormat = format
    self.extensions = extensions
    statistics = ReceptionStatistics(clockRate: clockRate)
    nack = NACKGenerator(kind == .audio ? .audio : .video)
    history = PacketHistory(
      capacity: historyCapacity ?? (kind == .audio ? Limits.audioHistoryPacketCount : Limits.videoHistoryPacketCount),
      placeholder: HistoryNote(start: 0, byteCount: 0, format: .opus, frame: FrameInfo()))
    clock = SenderReportClock(clockRate: clockRate)
  }
}
