// One remote endpoint as its shard sees it: how it is reached, how it is trusted, what it carries.

package import EnfiladeCongestion
import EnfiladeRTP
package import EnfiladeStreams
package import EnfiladeTransport
package import EnfiladeWire

/// A link's state. Its tables are small and searched linearly: a link has a few dozen sources at most.
package struct Link: ~Copyable {
  /// A source that the peer sends, and what it is to us.
  package struct Source {
    package var ssrc: SSRC
    /// The stream it belongs to; for a retransmission source, the one it repairs.
    package var inbound: Int32
    /// Its media section's place in ``Link/receive``.
    package var section: Int32
    package var isRetransmission: Bool
  }

  /// Sources one link may send: every encoding of every section with its retransmissions, and again after a restart.
  package static let sourceCapacity = 64

  // This turn's sending, together because every turn asks for all of it.
  package var firstRecord: Int32 = -1
  package var lastRecord: Int32 = -1
  package var isDirty = false
  /// Feedback or a report is due now.
  package var owesRTCP = false
  /// The pacer has something to let go now.
  package var owesDepartures = false
  /// Media came or left since its last report.
  package var hasMedia = false
  /// Between its last two reports there was no media either way.
  package var isQuiet = false
  /// Its peer reports packets by stream (RFC 8888).
  package var isReportedByStream = false
  /// Its congestion control, or −1 for none.
  package var downlink: Int32 = -1
  package var session: ProtectorSession?
  package var profile = SRTPProfile.aeadAES128GCM
  package var packetsIn: UInt64 = 0
  package var bytesIn: UInt64 = 0
  package var packetsOut: UInt64 = 0
  package var bytesOut: UInt64 = 0
  /// What it may bring in.
  package var policer: RatePolicer

  package let id: LinkID
  /// What stands as sender in feedback of a link that we send nothing else to.
  package let localSSRC: SSRC
  package var ice: ICELiteAgent
  package let handshake: any Handshake
  /// What the handshake wants of time, as it last said: timers look at it without counting references.
  package var handshakeDeadline = Instant.distantFuture
  package var state = LinkState.connecting
  /// When the peer last sent something that it alone can send: a check.
  package var lastHeard: Instant

  // Media coming in.
  package var receive: [ReceiveSection] = []
  package var sources = UniqueArray<Source>()
  package var publications = UniqueArray<Int32>()
  package var publisherClock = PublisherClock()
  /// Made when the first numbered packet comes, so that a link that only receives does not pay for it.
  package var recorder: ReceivedPacketRecorder?
  /// The estimate of what comes, for a peer that takes nothing better, or −1 for none.
  package var receiverEstimator: Int32 = -1
  /// The source that transport-wide feedback names.
  package var feedbackTarget = SSRC(0)

  // Media going out.
  package var outbound = UniqueArray<Int32>()
  package var reducedSizeRTCP = false
  package var roundTripTime = Limits.assumedRoundTripTime
  package var nextReport = Instant.distantFuture
  /// When the next packet of a replay is due.
  package var nextReplay = Instant.distantFuture

  /// Where its peer is, for a link without ICE.
  package var plain: PlainPath?

  package init(id: LinkID, localSSRC: SSRC, ice: consuming ICELiteAgent, handshake: any Handshake, inboundLimit: Bitrate, at now: Instant) {
    policer = RatePolicer(limit: inboundLimit, at: now)
    self.id = id
    self.localSSRC = localSSRC
    self.ice = ice
    self.handshake = handshake
    lastHeard = now
  }

  /// Where media goes; `nil` while that is not known.
  package var selectedAddress: SocketAddress? { plain == nil ? ice.selectedAddress : plain!.remote }
  /// When its path wants to be called.
  package var pathDeadline: Instant { plain == nil ? ice.nextDeadline : plain!.nextDeadline }

  /// Which of the link's sources `ssrc` is.
  package func source(_ ssrc: SSRC) -> Source? {
    for index in 0..<sources.count where sources[index].ssrc == ssrc { return sources[index] }
    return nil
  }
}
