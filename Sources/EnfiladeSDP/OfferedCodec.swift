// A payload type with everything that a section says about it.

package import EnfiladeWire

/// One format of an RTP section.
package struct OfferedCodec: Hashable, Sendable {
  package var payloadType: PayloadType
  /// As written: `VP8`, `opus`, `rtx`.
  package var encodingName: String
  package var clockRate: UInt32
  package var channels: UInt8
  package var parameters: FormatParameters
  package var feedback: [FeedbackMessage]

  package init(
    payloadType: PayloadType, encodingName: String, clockRate: UInt32, channels: UInt8 = 1, parameters: FormatParameters = .init(),
    feedback: [FeedbackMessage] = []
  ) {
    self.payloadType = payloadType
    self.encodingName = encodingName
    self.clockRate = clockRate
    self.channels = channels
    self.parameters = parameters
    self.feedback = feedback
  }

  /// The codec, when it is one that we know.
  package var name: CodecName? { CodecName(encodingName: encodingName) }

  /// Whether this is a retransmission format (RFC 4588 §8.6).
  package var isRetransmission: Bool { encodingName.matches("rtx") }

  /// What a retransmission format repeats.
  package var associatedPayloadType: PayloadType? {
    isRetransmission ? parameters["apt"].flatMap { PayloadType(format: $0[...]) } : nil
  }

  /// Whether both mean the same to a receiver: what RFC 9143 §9.1 wants of one payload type in two sections. Hints (bit rates, frame
  /// sizes) may differ; what selects the decoder may not.
  func isSameFormat(as other: OfferedCodec) -> Bool {
    guard encodingName.matches(other.encodingName), clockRate == other.clockRate, channels == other.channels else { return false }
    if isRetransmission { return associatedPayloadType == other.associatedPayloadType }
    guard let name, name == other.name else { return true }
    return CodecProfile(name, parameters) == CodecProfile(name, other.parameters)
  }

  /// The formats that need no `rtpmap` (RFC 3551 §6), of those that we know.
  static func wellKnown(_ payloadType: PayloadType) -> OfferedCodec? {
    switch payloadType.rawValue {
    case 0: OfferedCodec(payloadType: payloadType, encodingName: "PCMU", clockRate: 8000)
    case 8: OfferedCodec(payloadType: payloadType, encodingName: "PCMA", clockRate: 8000)
    default: nil
    }
  }
}
