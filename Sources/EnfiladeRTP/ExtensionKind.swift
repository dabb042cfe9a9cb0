// The header extensions Enfilade knows, and the URIs that name them in SDP (RFC 8285 §5).

/// What a header extension element means.
@usableFromInline package enum ExtensionKind: UInt8, Hashable, Sendable, CaseIterable {
  /// The media section's identification tag (RFC 9143 §15).
  case mid
  /// The encoding's id (RFC 8852 §3.1).
  case rid
  /// The id of the encoding that a repair stream repairs (RFC 8852 §3.2).
  case repairedRid
  case absoluteSendTime
  case absoluteCaptureTime
  case transportSequenceNumber
  /// Client-to-mixer audio level (RFC 6464).
  case audioLevel
  /// Mixer-to-client audio levels (RFC 6465).
  case contributorAudioLevels
  /// Coordination of video orientation (3GPP TS 26.114 §7.4.5).
  case videoOrientation
  case playoutDelay
  /// The AV1 dependency descriptor, which other codecs use too.
  case dependencyDescriptor
  case videoLayersAllocation
  /// RFC 9626.
  case frameMarking

  @usableFromInline package static let count = 13

  @usableFromInline package var uri: String {
    switch self {
    case .mid: "urn:ietf:params:rtp-hdrext:sdes:mid"
    case .rid: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
    case .repairedRid: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
    case .absoluteSendTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    case .absoluteCaptureTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
    case .transportSequenceNumber: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
    case .audioLevel: "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    case .contributorAudioLevels: "urn:ietf:params:rtp-hdrext:csrc-audio-level"
    case .videoOrientation: "urn:3gpp:video-orientation"
    case .playoutDelay: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
    case .dependencyDescriptor:
      "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
    case .videoLayersAllocation: "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00"
    case .frameMarking: "urn:ietf:params:rtp-hdrext:framemarking"
    }
  }

  /// The kind that `uri` names, or `nil`.
  @usableFromInline package init?(uri: some StringProtocol) {
    guard let kind = Self.allCases.first(where: { $0.uri == uri }) else { return nil }
    self = kind
  }
}

/// A set of ``ExtensionKind``, one bit each.
@usableFromInline package struct ExtensionKinds: OptionSet, Hashable, Sendable {
  @usableFromInline package var rawValue: UInt16
  @inlinable package init(rawValue: UInt16) { self.rawValue = rawValue }
  @inlinable package init(_ kind: ExtensionKind) { rawValue = 1 << UInt16(kind.rawValue) }
  @inlinable package func contains(_ kind: ExtensionKind) -> Bool { rawValue >> UInt16(kind.rawValue) & 1 != 0 }

  /// What a forwarded packet keeps: said by the sender about the media, and true for every receiver.
  @usableFromInline package static let forwarded: ExtensionKinds = [
    ExtensionKinds(.absoluteCaptureTime), ExtensionKinds(.audioLevel), ExtensionKinds(.contributorAudioLevels),
    ExtensionKinds(.videoOrientation), ExtensionKinds(.playoutDelay), ExtensionKinds(.dependencyDescriptor),
  ]

  /// What is ours to say on each hop: never copied.
  @usableFromInline package static let writtenFresh: ExtensionKinds = [
    ExtensionKinds(.mid), ExtensionKinds(.transportSequenceNumber), ExtensionKinds(.absoluteSendTime),
  ]
}
