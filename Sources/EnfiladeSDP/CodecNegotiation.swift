// Which of a section's codecs we take, in which order, and what we say about each (RFC 3264 §6, RFC 4588, RFC 6184 §8.2.2, RFC 7587 §7).

package import EnfiladeWire

/// A codec that an answer accepts.
package struct AcceptedCodec: Hashable, Sendable {
  package var name: CodecName
  package var profile: CodecProfile
  /// The offer's number: an answer uses the same (RFC 3264 §6.1).
  package var payloadType: PayloadType
  /// The number of its retransmission format.
  package var retransmission: PayloadType?
  package var clockRate: UInt32
  package var channels: UInt8
  /// Our side of the format's parameters.
  package var parameters: FormatParameters
  package var feedback: [FeedbackMessage]

  package init(
    name: CodecName, profile: CodecProfile = .none, payloadType: PayloadType, retransmission: PayloadType? = nil, clockRate: UInt32? = nil,
    channels: UInt8? = nil, parameters: FormatParameters = .init(), feedback: [FeedbackMessage] = []
  ) {
    self.name = name
    self.profile = profile
    self.payloadType = payloadType
    self.retransmission = retransmission
    self.clockRate = clockRate ?? name.clockRate
    self.channels = channels ?? name.channels
    self.parameters = parameters
    self.feedback = feedback
  }
}

/// A codec that we can take, as one line of the table of preferences.
package struct CodecCapability: Hashable, Sendable {
  package var name: CodecName
  package var profile: CodecProfile
  /// Whether retransmission is taken where it is offered.
  package var takesRetransmission: Bool

  package init(_ name: CodecName, _ profile: CodecProfile = .none, takesRetransmission: Bool? = nil) {
    self.name = name
    self.profile = profile
    self.takesRetransmission = takesRetransmission ?? (name.kind == .video)
  }
}

/// What we can take and like best.
package struct CodecPreferences: Hashable, Sendable {
  /// The best liked first. A codec that is not in the table is not accepted.
  package var capabilities: [CodecCapability]
  /// The feedback that we give and understand; what a section offers beyond it is left out of the answer.
  package var feedback: [FeedbackMessage]
  package var opus = OpusPreferences()
  /// Whether `goog-remb` is taken where it is offered without anything better. Transport-wide feedback says more, and a sender that has it needs no other; some
  /// senders (aiortc) have this one only.
  package var takesReceiverEstimate = false

  package init(capabilities: [CodecCapability], feedback: [FeedbackMessage] = Self.usualFeedback) {
    self.capabilities = capabilities
    self.feedback = feedback
  }

  /// All that we can do, but for the receiver's estimate: see ``takesReceiverEstimate``.
  package static let usualFeedback: [FeedbackMessage] = [.transportWide, .fullIntraRequest, .nack, .pictureLoss]

  /// Everything that can be forwarded: the order is that in which every browser decodes most surely.
  package static let forwarding = CodecPreferences(
    capabilities: [
      CodecCapability(.opus), CodecCapability(.red), CodecCapability(.pcmu), CodecCapability(.pcma), CodecCapability(.telephoneEvent),
      CodecCapability(.vp8), CodecCapability(.vp9, .vp9(0)),
      CodecCapability(.h264, .h264(.constrainedBaseline, packetizationMode: 1)),
      CodecCapability(.h264, .h264(.baseline, packetizationMode: 1)),
      CodecCapability(.h264, .h264(.main, packetizationMode: 1)),
      CodecCapability(.h264, .h264(.constrainedHigh, packetizationMode: 1)),
      CodecCapability(.h264, .h264(.high, packetizationMode: 1)),
      CodecCapability(.h264, .h264(.constrainedBaseline, packetizationMode: 0)),
      CodecCapability(.av1, .av1(0)), CodecCapability(.vp9, .vp9(2)),
    ])

  /// The codecs of the section that we take, the best liked first; several formats of one line of the table keep the offer's order.
  package func accept(_ section: MediaSection) -> [AcceptedCodec] {
    var accepted: [AcceptedCodec] = []
    for capability in capabilities where capability.name.kind == section.mediaKind {
      for offered in section.codecs where offered.name == capability.name && matches(offered, capability) {
        accepted.append(accept(offered, capability, in: section))
      }
    }
    // RED carries other formats, and means nothing without them (RFC 2198 §5).
    return accepted.filter { codec in
      codec.name != .red
        || codec.redundantFormats.allSatisfy { format in accepted.contains { $0.payloadType == format && $0.name != .red } }
    }
  }

  private func takesReceiverEstimate(of offered: OfferedCodec) -> Bool {
    takesReceiverEstimate && !(feedback.contains(.transportWide) && offered.feedback.contains(.transportWide))
  }

  private func matches(_ offered: OfferedCodec, _ capability: CodecCapability) -> Bool {
    guard CodecProfile(capability.name, offered.parameters) == capability.profile else { return false }
    switch capability.name {
    // RFC 4733 §2.1: events run on the clock of the audio beside them.
    case .telephoneEvent: return offered.channels == 1
    case .red: return offered.clockRate == 48_000 && offered.channels == 2
    default: return offered.clockRate == capability.name.clockRate && offered.channels == capability.name.channels
    }
  }

  private func accept(_ offered: OfferedCodec, _ capability: CodecCapability, in section: MediaSection) -> AcceptedCodec {
    AcceptedCodec(
      name: capability.name, profile: capability.profile, payloadType: offered.payloadType,
      retransmission: capability.takesRetransmission ? section.retransmission(of: offered)?.payloadType : nil,
      clockRate: offered.clockRate, channels: offered.channels, parameters: answerParameters(offered, capability.name),
      feedback: offered.feedback.filter { feedback.contains($0) || ($0 == .receiverEstimate && takesReceiverEstimate(of: offered)) })
  }

  /// Our side of the parameters. A forwarder passes on what others encode, so it repeats the offer's operating point and promises nothing
  /// of its own.
  private func answerParameters(_ offered: OfferedCodec, _ name: CodecName) -> FormatParameters {
    switch name {
    case .opus: opus.answer(to: offered.parameters)
    // RFC 6184 §8.2.2: profile and packetization-mode are symmetric; the same level is allowed with and without asymmetry.
    case .h264: offered.parameters.echoing(["level-asymmetry-allowed", "packetization-mode", "profile-level-id"])
    case .vp9: offered.parameters.echoing(["profile-id"])
    case .av1: offered.parameters.echoing(["level-idx", "profile", "tier"])
    case .red, .telephoneEvent: offered.parameters
    case .pcmu, .pcma, .vp8: FormatParameters()
    }
  }
}

extension AcceptedCodec {
  /// The formats that a RED format names: `111/111`.
  var redundantFormats: [PayloadType] {
    guard name == .red, let first = parameters.parameters.first, first.value == nil else { return [] }
    return first.key[...].pieces(at: UInt8(ascii: "/")).compactMap { PayloadType(format: $0) }
  }
}

/// What we ask of those who send us Opus (RFC 7587 §6.1: each parameter describes what its writer likes to receive).
package struct OpusPreferences: Hashable, Sendable {
  /// Forward error correction in band; harmless where the sender cannot.
  package var usesInBandFEC = true
  /// Fewer packets in silence.
  package var usesDTX = false
  /// Stereo where the offer says that it will send it or likes to hear it.
  package var echoesStereo = true

  package init() {}

  func answer(to offered: FormatParameters) -> FormatParameters {
    var parameters = offered.echoing(["minptime"]).parameters
    if usesInBandFEC { parameters.append(.init("useinbandfec", "1")) }
    if usesDTX { parameters.append(.init("usedtx", "1")) }
    if echoesStereo, offered["stereo"] == "1" || offered["sprop-stereo"] == "1" { parameters.append(.init("stereo", "1")) }
    return FormatParameters(parameters)
  }
}
