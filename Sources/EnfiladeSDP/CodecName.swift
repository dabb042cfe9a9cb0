// The codecs that we know by name, and what of a format's parameters selects the decoder.

package import EnfiladeWire

/// A codec that we can negotiate.
package enum CodecName: UInt8, Hashable, Sendable, CaseIterable {
  /// RFC 7587.
  case opus
  /// RFC 2198.
  case red
  /// RFC 3551 §4.5.14.
  case pcmu
  case pcma
  /// RFC 4733.
  case telephoneEvent
  /// RFC 7741.
  case vp8
  /// RFC 9628.
  case vp9
  /// RFC 6184.
  case h264
  /// The Alliance for Open Media's RTP payload format.
  case av1

  /// Names do not depend on case (RFC 4855 §3).
  package init?(encodingName: String) {
    switch encodingName.lowercasedASCII {
    case "opus": self = .opus
    case "red": self = .red
    case "pcmu": self = .pcmu
    case "pcma": self = .pcma
    case "telephone-event": self = .telephoneEvent
    case "vp8": self = .vp8
    case "vp9": self = .vp9
    case "h264": self = .h264
    case "av1": self = .av1
    default: return nil
    }
  }

  /// As the registration spells it.
  package var encodingName: String {
    switch self {
    case .opus: "opus"
    case .red: "red"
    case .pcmu: "PCMU"
    case .pcma: "PCMA"
    case .telephoneEvent: "telephone-event"
    case .vp8: "VP8"
    case .vp9: "VP9"
    case .h264: "H264"
    case .av1: "AV1"
    }
  }

  package var kind: MediaKind {
    switch self {
    case .opus, .red, .pcmu, .pcma, .telephoneEvent: .audio
    case .vp8, .vp9, .h264, .av1: .video
    }
  }

  package var clockRate: UInt32 {
    switch self {
    case .opus, .red: 48_000
    case .pcmu, .pcma, .telephoneEvent: 8_000
    case .vp8, .vp9, .h264, .av1: 90_000
    }
  }

  package var channels: UInt8 { self == .opus || self == .red ? 2 : 1 }
}

/// Which decoder a format needs, apart from its name: two formats match when name and profile are equal.
package enum CodecProfile: Hashable, Sendable {
  case none
  /// `profile-id` (RFC 9628 §6), 0 when absent.
  case vp9(Int)
  /// The profile and `packetization-mode`: the two that must be equal on both sides (RFC 6184 §8.2.2).
  case h264(H264Profile, packetizationMode: Int)
  /// `profile`, 0 when absent.
  case av1(Int)
  /// Parameters that mean nothing we know; matches no capability.
  case unknown

  package init(_ name: CodecName, _ parameters: FormatParameters) {
    func number(_ key: String) -> Int? { (parameters[key] ?? "0")[...].decimal(Int.self) }
    switch name {
    case .vp9: self = number("profile-id").map { .vp9($0) } ?? .unknown
    case .av1: self = number("profile").map { .av1($0) } ?? .unknown
    case .h264:
      guard let mode = number("packetization-mode"), let level = H264ProfileLevel(parameters["profile-level-id"]) else {
        self = .unknown
        return
      }
      self = .h264(level.profile, packetizationMode: mode)
    case .opus, .red, .pcmu, .pcma, .telephoneEvent, .vp8: self = .none
    }
  }
}

/// The profiles of H.264 that clients offer.
package enum H264Profile: UInt8, Hashable, Sendable, CaseIterable {
  case constrainedBaseline
  case baseline
  case main
  case extended
  case constrainedHigh
  case high
  case predictiveHigh444
}

/// The value of `profile-level-id` (RFC 6184 §8.1): profile_idc, profile-iop, level_idc, two hexadecimal digits each.
package struct H264ProfileLevel: Hashable, Sendable {
  package var profile: H264Profile
  /// level_idc as written: 31 for level 3.1; 11 with constraint_set3 is level 1b, which we keep apart nowhere.
  package var level: UInt8

  /// Without the parameter the format is Baseline at level 1 (RFC 6184 §8.1).
  package init?(_ text: String?) {
    guard let text else {
      profile = .baseline
      level = 10
      return
    }
    let digits = text.utf8.compactMap(\.hexadecimalValue)
    guard text.utf8.count == 6, digits.count == 6 else { return nil }
    let indicator = digits[0] << 4 | digits[1]
    let constraints = digits[2] << 4 | digits[3]
    level = digits[4] << 4 | digits[5]
    guard let match = Self.table.first(where: { $0.indicator == indicator && constraints & $0.mask == $0.value }) else { return nil }
    profile = match.profile
  }

  /// RFC 6184 §8.1, table 5; the mask leaves out the bits that the table writes as x. Constrained High is ITU-T H.264 §A.2.4.2.
  private static let table: [(profile: H264Profile, indicator: UInt8, mask: UInt8, value: UInt8)] = [
    (.constrainedBaseline, 0x42, 0b0100_1111, 0b0100_0000),
    (.constrainedBaseline, 0x4D, 0b1000_1111, 0b1000_0000),
    (.constrainedBaseline, 0x58, 0b1100_1111, 0b1100_0000),
    (.baseline, 0x42, 0b0100_1111, 0b0000_0000),
    (.baseline, 0x58, 0b1100_1111, 0b1000_0000),
    (.main, 0x4D, 0b1010_1111, 0b0000_0000),
    (.extended, 0x58, 0b1100_1111, 0b0000_0000),
    (.high, 0x64, 0b1111_1111, 0b0000_0000),
    (.constrainedHigh, 0x64, 0b1111_1111, 0b0000_1100),
    (.predictiveHigh444, 0xF4, 0b1111_1111, 0b0000_0000),
  ]
}
