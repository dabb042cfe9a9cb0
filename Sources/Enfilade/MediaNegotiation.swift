// From a section of an offer to what the engine is told about it: formats, extensions, sources.

import EnfiladeEngine
import EnfiladeRTP
import EnfiladeSDP
import EnfiladeTransport
import EnfiladeWire

/// What this engine accepts of an offered section.
enum MediaNegotiation {
  /// Opus comes before RED, so that publishers send it plain unless they like it otherwise: what is lost on the way down is known here.
  static func preferences(_ redundantAudio: RedundantAudio) -> CodecPreferences {
    var preferences = CodecPreferences.forwarding
    preferences.takesReceiverEstimate = true
    if redundantAudio == .off { preferences.capabilities.removeAll { $0.name == .red } }
    return preferences
  }

  /// Extensions read from a publisher.
  private static let received: Set<ExtensionKind> = [
    .mid, .rid, .repairedRid, .transportSequenceNumber, .absoluteSendTime, .absoluteCaptureTime, .audioLevel, .videoOrientation,
    .playoutDelay, .dependencyDescriptor, .videoLayersAllocation, .frameMarking,
  ]
  /// Extensions written to a subscriber.
  private static let sent: Set<ExtensionKind> = [
    .mid, .transportSequenceNumber, .absoluteSendTime, .absoluteCaptureTime, .audioLevel, .contributorAudioLevels, .videoOrientation,
    .playoutDelay,
    .dependencyDescriptor,
  ]

  static func formats(_ codecs: [AcceptedCodec]) -> [NegotiatedFormat] {
    codecs.compactMap { codec in
      guard let format = MediaFormat(codec) else { return nil }
      return NegotiatedFormat(
        format: format, payloadType: codec.payloadType, retransmissionPayloadType: codec.retransmission,
        feedback: FeedbackCapabilities(codec.feedback))
    }
  }

  /// The extensions of a section in the direction that it will have, under the peer's numbers.
  static func extensions(_ section: MediaSection, receives: Bool, sends: Bool) -> [SDPAttribute.ExtMap] {
    let kinds = (receives ? received : []).union(sends ? sent : [])
    return section.extensions(supporting: ExtensionKind.allCases.filter(kinds.contains).map(\.uri))
  }

  static func map(_ extensions: [SDPAttribute.ExtMap]) -> ExtensionMap {
    var map = ExtensionMap()
    for element in extensions {
      if let kind = ExtensionKind(uri: element.uri), let identifier = UInt8(exactly: element.id) { map[kind] = identifier }
    }
    return map
  }
}

extension MediaFormat {
  /// The format of an accepted codec; `nil` for one that is negotiated but never forwarded.
  init?(_ codec: AcceptedCodec) {
    switch (codec.name, codec.profile) {
    case (.opus, _): self = .opus
    case (.red, _): self = .red
    case (.pcmu, _): self = .pcmu
    case (.pcma, _): self = .pcma
    // RFC 4733 §2.1: on the clock of the audio beside it; only the usual one has a place in the table.
    case (.telephoneEvent, _):
      guard codec.clockRate == 8_000 else { return nil }
      self = .telephoneEvent
    case (.vp8, _): self = .vp8
    case (.vp9, .vp9(2)): self = .vp9Profile2
    case (.vp9, _): self = .vp9
    case (.av1, _): self = .av1
    case (.h264, .h264(let profile, let mode)):
      switch (profile, mode) {
      case (.constrainedBaseline, 0): self = .h264ConstrainedBaselineSingle
      case (.constrainedBaseline, _): self = .h264ConstrainedBaseline
      case (.baseline, 0): self = .h264BaselineSingle
      case (.baseline, _): self = .h264Baseline
      case (.main, 0): self = .h264MainSingle
      case (.main, _): self = .h264Main
      case (.constrainedHigh, 0), (.high, 0): self = .h264HighSingle
      case (.constrainedHigh, _), (.high, _): self = .h264High
      case (.extended, _), (.predictiveHigh444, _): return nil
      }
    case (.h264, _): return nil
    }
  }
}

extension FeedbackCapabilities {
  init(_ messages: [FeedbackMessage]) {
    self = []
    if messages.contains(.nack) { insert(.nack) }
    if messages.contains(.pictureLoss) { insert(.pictureLossIndication) }
    if messages.contains(.fullIntraRequest) { insert(.fullIntraRequest) }
    if messages.contains(.transportWide) { insert(.transportWide) }
    if messages.contains(.receiverEstimate) { insert(.receiverEstimatedMaximumBitrate) }
  }
}

extension MediaKind {
  init(_ kind: EnfiladeWire.MediaKind) { self = kind == .audio ? .audio : .video }
  var wire: EnfiladeWire.MediaKind { self == .audio ? .audio : .video }
}

extension ConnectionState {
  init(_ state: LinkState) {
    switch state {
    case .connecting: self = .connecting
    case .connected: self = .connected
    case .disconnected: self = .disconnected
    case .failed: self = .failed
    case .closed: self = .closed
    }
  }
}
