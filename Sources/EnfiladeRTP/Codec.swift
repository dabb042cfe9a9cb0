// The codecs Enfilade forwards, by the names that SDP gives them.

package import EnfiladeWire

/// A payload format.
package enum Codec: UInt8, Hashable, Sendable, CaseIterable {
  case opus
  /// Redundant audio (RFC 2198).
  case red
  case pcmu
  case pcma
  case g722
  case telephoneEvent
  case comfortNoise
  case vp8
  case vp9
  case h264
  case av1
  /// Retransmission of another format (RFC 4588).
  case rtx

  /// As in `a=rtpmap`.
  package var encodingName: String {
    switch self {
    case .opus: "opus"
    case .red: "red"
    case .pcmu: "PCMU"
    case .pcma: "PCMA"
    case .g722: "G722"
    case .telephoneEvent: "telephone-event"
    case .comfortNoise: "CN"
    case .vp8: "VP8"
    case .vp9: "VP9"
    case .h264: "H264"
    case .av1: "AV1"
    case .rtx: "rtx"
    }
  }

  /// The codec of that name; case does not matter (RFC 4855 §3). `AV1X` is what AV1 was called before it had a name.
  package init?(encodingName: some StringProtocol) {
    let name = encodingName.lowercased()
    guard let codec = Self.allCases.first(where: { $0.encodingName.lowercased() == name }) ?? (name == "av1x" ? .av1 : nil)
    else { return nil }
    self = codec
  }

  /// The rate of the RTP timestamp when SDP says nothing else; telephone-event, CN, red and rtx take that of the format they stand with.
  package var clockRate: Int {
    switch self {
    case .opus, .red: 48_000
    case .pcmu, .pcma, .g722, .telephoneEvent, .comfortNoise: 8_000
    case .vp8, .vp9, .h264, .av1, .rtx: 90_000
    }
  }

  /// `nil` for what repairs either.
  package var kind: MediaKind? {
    switch self {
    case .opus, .red, .pcmu, .pcma, .g722, .telephoneEvent, .comfortNoise: .audio
    case .vp8, .vp9, .h264, .av1: .video
    case .rtx: nil
    }
  }
}
