// What a payload type stands for once both ends agreed: a codec together with the parameters that decide whether a decoder takes it.

package import EnfiladeRTP
package import EnfiladeWire

/// A codec with its incompatible variants told apart, so that a publisher's payload type finds a subscriber's by number.
package enum MediaFormat: UInt8, CaseIterable, Hashable, Sendable, BitwiseCopyable {
  case opus
  case red
  case pcmu
  case pcma
  case g722
  case telephoneEvent
  case vp8
  /// VP9 profile 0: 8 bits, 4:2:0 (RFC 9628 §6).
  case vp9
  /// VP9 profile 2: 10 bits.
  case vp9Profile2
  case av1
  // H.264 by profile and packetization mode (RFC 6184 §8.1).
  case h264ConstrainedBaselineSingle
  case h264ConstrainedBaseline
  case h264BaselineSingle
  case h264Baseline
  case h264MainSingle
  case h264Main
  case h264HighSingle
  case h264High

  package static let count = allCases.count

  package var codec: Codec {
    switch self {
    case .opus: .opus
    case .red: .red
    case .pcmu: .pcmu
    case .pcma: .pcma
    case .g722: .g722
    case .telephoneEvent: .telephoneEvent
    case .vp8: .vp8
    case .vp9, .vp9Profile2: .vp9
    case .av1: .av1
    default: .h264
    }
  }

  /// The codec of what is inside: RED is Opus with more of it (RFC 2198), and sources go from one to the other from packet to packet.
  package var payloadCodec: Codec { self == .red ? .opus : codec }

  /// As which it is announced.
  package var announced: MediaFormat { self == .red ? .opus : self }

  package var kind: MediaKind { codec.kind ?? .video }
  /// Ticks of the RTP clock per second.
  package var clockRate: Int { codec.clockRate }

  package var isH264: Bool { rawValue >= Self.h264ConstrainedBaselineSingle.rawValue }

  /// What a subscriber without this very format can be given it as: any H.264 decoder that assembles fragments takes any H.264 of a lower or
  /// equal profile, and in practice of a higher one, which is what every endpoint's negotiation table ends up relying on.
  package var substitutes: [MediaFormat] {
    guard isH264 else { return [] }
    return [.h264ConstrainedBaseline, .h264Baseline, .h264Main, .h264High].filter { $0 != self }
  }
}

/// One payload type for each format, or none: a look-up per packet without a dictionary.
package struct PayloadTypeTable: Sendable {
  private var media: InlineArray<32, UInt8>
  private var retransmission: InlineArray<32, UInt8>
  private static let none: UInt8 = 255
  /// RED is not taken: what comes in it goes out as what is inside.
  package private(set) var stripsRedundancy = false

  package init() {
    media = InlineArray(repeating: Self.none)
    retransmission = InlineArray(repeating: Self.none)
  }

  /// Formats that were negotiated, and those that a negotiated one stands in for.
  package init(_ formats: [NegotiatedFormat]) {
    self.init()
    for format in formats where media[Int(format.format.rawValue)] == Self.none { set(format, for: format.format) }
    for format in MediaFormat.allCases where media[Int(format.rawValue)] == Self.none {
      for substitute in format.substitutes {
        guard let negotiated = formats.first(where: { $0.format == substitute }) else { continue }
        set(negotiated, for: format)
        break
      }
    }
    if media[Int(MediaFormat.red.rawValue)] == Self.none, let opus = formats.first(where: { $0.format == .opus }) {
      set(opus, for: .red)
      stripsRedundancy = true
    }
  }

  private mutating func set(_ negotiated: NegotiatedFormat, for format: MediaFormat) {
    media[Int(format.rawValue)] = negotiated.payloadType.rawValue
    retransmission[Int(format.rawValue)] = negotiated.retransmissionPayloadType?.rawValue ?? Self.none
  }

  package func payloadType(for format: MediaFormat) -> PayloadType? {
    let value = media[Int(format.rawValue)]
    return value == Self.none ? nil : PayloadType(value)
  }

  /// Some payload type of a retransmission, for packets that retransmit nothing.
  package var anyRetransmissionPayloadType: PayloadType? {
    for format in retransmission.indices where retransmission[format] != Self.none { return PayloadType(retransmission[format]) }
    return nil
  }

  package func retransmissionPayloadType(for format: MediaFormat) -> PayloadType? {
    let value = retransmission[Int(format.rawValue)]
    return value == Self.none ? nil : PayloadType(value)
  }
}
