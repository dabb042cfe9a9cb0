// What the control plane tells a shard about itself, its links and their media sections: values, made once for each negotiation.

package import EnfiladeCongestion
import EnfiladeForwarding
package import EnfiladeRTP
package import EnfiladeSTUN
package import EnfiladeTransport
package import EnfiladeWire

/// What a shard is told when it is made.
package struct ShardConfiguration: Sendable {
  /// Which shard this is; its packets carry the number.
  package var shard: UInt8
  /// Seeds everything random that needs no secrecy: first sequence numbers, timestamps, hash seeds.
  package var seed: UInt64
  package var wallClock: WallClock
  /// The canonical name our own streams carry in SDES (RFC 3550 §6.5.1).
  package var canonicalName: String
  /// The most links this shard takes.
  package var linkCapacity: Int
  /// Slots of the packet slab.
  package var slotCount: Int
  /// Whether packets that differ by a few bytes are padded to one size, so that more of them leave in one message.
  package var levelsRuns = true
  /// How downlinks are controlled whose peers report what arrives; `nil` sends to everybody whatever is chosen, at once.
  package var congestion: CongestionProfile?
  package var redundancy = RedundancyPolicy()
  /// How much media one link may bring in; zero for any amount.
  package var inboundLimit = Bitrate.zero

  package init(
    shard: UInt8, seed: UInt64, wallClock: WallClock, canonicalName: String = "enfilade", linkCapacity: Int = 4096, slotCount: Int = 32_768
  ) {
    self.shard = shard
    self.seed = seed
    self.wallClock = wallClock
    self.canonicalName = canonicalName
    self.linkCapacity = linkCapacity
    self.slotCount = slotCount
  }
}

/// A format that both ends of a media section agreed on.
package struct NegotiatedFormat: Hashable, Sendable {
  package var format: MediaFormat
  package var payloadType: PayloadType
  /// The payload type of its retransmissions, if negotiated (RFC 4588 §8.6).
  package var retransmissionPayloadType: PayloadType?
  package var feedback: FeedbackCapabilities

  package init(
    format: MediaFormat, payloadType: PayloadType, retransmissionPayloadType: PayloadType? = nil, feedback: FeedbackCapabilities = []
  ) {
    self.format = format
    self.payloadType = payloadType
    self.retransmissionPayloadType = retransmissionPayloadType
    self.feedback = feedback
  }
}

/// Which RTCP feedback was negotiated for a format (RFC 4585 §4.2, RFC 5104 §7.1).
package struct FeedbackCapabilities: OptionSet, Hashable, Sendable {
  package var rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }
  package static let nack = FeedbackCapabilities(rawValue: 1 << 0)
  package static let pictureLossIndication = FeedbackCapabilities(rawValue: 1 << 1)
  package static let fullIntraRequest = FeedbackCapabilities(rawValue: 1 << 2)
  package static let transportWide = FeedbackCapabilities(rawValue: 1 << 3)
  package static let receiverEstimatedMaximumBitrate = FeedbackCapabilities(rawValue: 1 << 4)
  /// RFC 8888.
  package static let congestionControl = FeedbackCapabilities(rawValue: 1 << 5)
}

/// A media section that brings media in.
package struct ReceiveSection: Sendable {
  package var publication: PublicationKey
  package var mid: [UInt8]
  package var kind: MediaKind
  package var formats: [NegotiatedFormat]
  /// The extensions of this section, ids as the peer chose them.
  package var extensions: ExtensionMap
  /// How many encodings of the same picture the section carries; at most ``Limits/encodingCount``.
  package var encodingCount: Int
  /// The encodings' names (RFC 8851), in their order; empty for a section of one encoding, and for peers that tell encodings by SSRC.
  package var rids: [[UInt8]]
  /// Sources announced by `a=ssrc`, those of a simulcast group first and in its order; empty for peers that rely on MID.
  package var sources: [SSRC]
  /// Retransmission sources announced by `a=ssrc-group:FID`, in the order of what they repair.
  package var retransmissionSources: [SSRC]

  package init(
    publication: PublicationKey, mid: [UInt8], kind: MediaKind, formats: [NegotiatedFormat], extensions: ExtensionMap,
    encodingCount: Int = 1, rids: [[UInt8]] = [], sources: [SSRC] = [], retransmissionSources: [SSRC] = []
  ) {
    self.publication = publication
    self.mid = mid
    self.kind = kind
    self.formats = formats
    self.extensions = extensions
    self.encodingCount = min(encodingCount, Limits.encodingCount)
    self.rids = Array(rids.prefix(Limits.encodingCount))
    self.sources = sources
    self.retransmissionSources = retransmissionSources
  }
}

/// A media section that we send through.
package struct SendSection: Sendable {
  package var slot: SlotKey
  package var mid: [UInt8]
  package var kind: MediaKind
  package var formats: [NegotiatedFormat]
  package var extensions: ExtensionMap
  /// The peer takes two-byte header extensions mixed with one-byte ones (RFC 8285 §6).
  package var allowsMixedExtensions: Bool
  package var source: SSRC
  package var retransmissionSource: SSRC?

  package init(
    slot: SlotKey, mid: [UInt8], kind: MediaKind, formats: [NegotiatedFormat], extensions: ExtensionMap, allowsMixedExtensions: Bool,
    source: SSRC, retransmissionSource: SSRC?
  ) {
    self.slot = slot
    self.mid = mid
    self.kind = kind
    self.formats = formats
    self.extensions = extensions
    self.allowsMixedExtensions = allowsMixedExtensions
    self.source = source
    self.retransmissionSource = retransmissionSource
  }
}

/// How a link is reached and trusted; fixed for its life, but for the credentials, which an ICE restart replaces.
package struct LinkConfiguration: Sendable {
  package var localCredentials: ICECredentials
  package var remoteCredentials: ICECredentials
  /// Our role in DTLS.
  package var role: HandshakeRole
  /// Certificates the peer may show.
  package var fingerprints: [CertificateFingerprint]

  package init(
    localCredentials: ICECredentials, remoteCredentials: ICECredentials, role: HandshakeRole, fingerprints: [CertificateFingerprint]
  ) {
    self.localCredentials = localCredentials
    self.remoteCredentials = remoteCredentials
    self.role = role
    self.fingerprints = fingerprints
  }
}

/// What a link carries; replaced as a whole by every negotiation.
package struct MediaConfiguration: Sendable {
  package var receive: [ReceiveSection]
  package var send: [SendSection]
  /// RTCP need not be compound (RFC 5506).
  package var reducedSizeRTCP: Bool

  package init(receive: [ReceiveSection] = [], send: [SendSection] = [], reducedSizeRTCP: Bool = false) {
    self.receive = receive
    self.send = send
    self.reducedSizeRTCP = reducedSizeRTCP
  }
}
