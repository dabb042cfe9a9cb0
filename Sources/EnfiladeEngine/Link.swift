// One remote endpoint as its shard sees it: how it is reached, how it is trusted, what it carries.

package import BasicContainers
package import EnfiladeCongestion
package import EnfiladeRTP
package import EnfiladeSTUN
package import EnfiladeTransport
package import EnfiladeWire

/// A link's state. Tables are small and searched linearly: a link has a few dozen sources at most.
package struct Link: ~Copyable {
  /// A source that the peer sends, and what it is to us.
  package struct Source {
    package var ssrc: SSRC
    package var inbound: Int32
    package var isRetransmission: Bool
  }

  /// Sources one link may send: every encoding of every section, with its retransmissions, twice over for restarts.
  package static let sourceCapacity = 64

  package var id: LinkID
  package var ice: ICELiteAgent
  /// The local fragments under which the agent is found; two during an ICE restart.
  package var handshake: (any Handshake)?
  package var session: ProtectorSession?
  package var profile: SRTPProfile = .aeadAES128GCM
  package var state = LinkState.connecting

  // Media coming in.
  package var receive: [ReceiveSection] = []
  package var sources = UniqueArray<Source>()
  package var publications = UniqueArray<Int32>()
  package var recorder = ReceivedPacketRecorder()
  /// The source that feedback is about, as its media SSRC.
  package var feedbackTarget = SSRC(0)

  // Media going out.
  package var outbound = UniqueArray<Int32>()
  package var reducedSizeRTCP = false
  package var roundTripTime = TimeDelta.milliseconds(100)
  package var hasRoundTripTime = false

  // This turn's sending.
  package var firstRecord: Int32 = -1
  package var lastRecord: Int32 = -1
  package var isDirty = false
  /// Feedback or a report is due now.
  package var owesRTCP = false
  package var nextReport = Instant.distantFuture

  package var datagramsIn: UInt64 = 0
  package var bytesIn: UInt64 = 0
  package var packetsOut: UInt64 = 0
  package var bytesOut: UInt64 = 0

  package init(id: LinkID, ice: consuming ICELiteAgent, handshake: any Handshake) {
    self.id = id
    self.ice = ice
    self.handshake = handshake
  }

  /// Which of the link's sources `ssrc` is.
  package func source(_ ssrc: SSRC) -> Source? {
    for index in 0..<sources.count where sources[index].ssrc == ssrc { return sources[index] }
    return nil
  }
}
