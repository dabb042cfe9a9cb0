// What a payload type carries, and how it is configured (RFC 8866 §6.6 and §6.15, RFC 4585 §4.2).

package import EnfiladeWire

extension SDPAttribute {
  /// `a=rtpmap` (RFC 8866 §6.6).
  package struct RTPMap: SDPAttributeValue {
    package static let name = "rtpmap"

    package var payloadType: PayloadType
    package var encodingName: String
    package var clockRate: UInt32
    /// As written; audio without it has one channel.
    package var channels: UInt8?

    package init(payloadType: PayloadType, encodingName: String, clockRate: UInt32, channels: UInt8? = nil) {
      self.payloadType = payloadType
      self.encodingName = encodingName
      self.clockRate = clockRate
      self.channels = channels
    }

    package init?(parsing value: Substring) {
      let words = value.words
      guard words.count == 2, let payloadType = PayloadType(format: words[0]) else { return nil }
      let parts = words[1].pieces(at: UInt8(ascii: "/"))
      guard parts.count == 2 || parts.count == 3, parts[0].isToken, let clockRate = parts[1].decimal(UInt32.self), clockRate > 0 else {
        return nil
      }
      if parts.count == 3 {
        guard let channels = parts[2].decimal(UInt8.self), channels > 0 else { return nil }
        self.channels = channels
      }
      self.payloadType = payloadType
      encodingName = String(parts[0])
      self.clockRate = clockRate
    }

    package var text: String {
      "\(payloadType.rawValue) \(encodingName)/\(clockRate)" + (channels.map { "/\($0)" } ?? "")
    }
  }

  /// `a=fmtp` (RFC 8866 §6.15).
  package struct FMTP: SDPAttributeValue {
    package static let name = "fmtp"

    package var payloadType: PayloadType
    package var parameters: FormatParameters

    package init(payloadType: PayloadType, parameters: FormatParameters) {
      self.payloadType = payloadType
      self.parameters = parameters
    }

    package init?(parsing value: Substring) {
      let (format, rest) = value.cut(at: UInt8(ascii: " "))
      guard let payloadType = PayloadType(format: format), let rest else { return nil }
      self.payloadType = payloadType
      parameters = FormatParameters(parsing: rest)
      if parameters.isEmpty { return nil }
    }

    package var text: String { "\(payloadType.rawValue) \(parameters.text)" }
  }

  /// `a=rtcp-fb` (RFC 4585 §4.2).
  package struct RTCPFeedback: SDPAttributeValue {
    package static let name = "rtcp-fb"

    /// `nil` for `*`: every payload type of the section.
    package var payloadType: PayloadType?
    package var message: FeedbackMessage

    package init(payloadType: PayloadType?, message: FeedbackMessage) {
      self.payloadType = payloadType
      self.message = message
    }

    package init?(parsing value: Substring) {
      let (format, rest) = value.cut(at: UInt8(ascii: " "))
      if format != "*" {
        guard let payloadType = PayloadType(format: format) else { return nil }
        self.payloadType = payloadType
      }
      let words = rest?.words ?? []
      guard let first = words.first, first.isToken else { return nil }
      let parameter = words.dropFirst().joined(separator: " ")
      message = FeedbackMessage(String(first), parameter.isEmpty ? nil : parameter)
    }

    package var text: String { "\(payloadType.map { String($0.rawValue) } ?? "*") \(message.text)" }
  }
}

extension PayloadType {
  /// Reads a format of an `m=` line: a number below 128 (RFC 3551 §6).
  init?(format: Substring) {
    guard let number = format.decimal(UInt8.self), number < 128 else { return nil }
    self.init(number)
  }

  /// Whether the number may be used beside RTCP on one port (RFC 5761 §4).
  var isUnambiguousWithRTCP: Bool { !(64...95).contains(rawValue) }
}

/// What one side can be told about the media it sends (RFC 4585 §4.2): `nack`, `nack pli`, `ccm fir`, `transport-cc`.
package struct FeedbackMessage: Hashable, Sendable {
  package var type: String
  package var parameter: String?

  package init(_ type: String, _ parameter: String? = nil) {
    self.type = type
    self.parameter = parameter
  }

  package var text: String { parameter.map { "\(type) \($0)" } ?? type }

  /// RFC 4585 §6.2.1.
  package static let nack = FeedbackMessage("nack")
  /// RFC 4585 §6.3.1.
  package static let pictureLoss = FeedbackMessage("nack", "pli")
  /// RFC 5104 §7.1.
  package static let fullIntraRequest = FeedbackMessage("ccm", "fir")
  /// draft-alvestrand-rmcat-remb-03.
  package static let receiverEstimate = FeedbackMessage("goog-remb")
  /// draft-holmer-rmcat-transport-wide-cc-extensions-01.
  package static let transportWide = FeedbackMessage("transport-cc")
}

/// The format-specific part of an `a=fmtp` line: parameters in their order. Some formats have no `key=value` (RED writes `111/111`,
/// telephone-event `0-15`): such a parameter has no value.
package struct FormatParameters: Hashable, Sendable {
  package struct Parameter: Hashable, Sendable {
    package var key: String
    package var value: String?

    package init(_ key: String, _ value: String? = nil) {
      self.key = key
      self.value = value
    }

    var text: String { value.map { "\(key)=\($0)" } ?? key }
  }

  package var parameters: [Parameter]

  package init(_ parameters: [Parameter] = []) { self.parameters = parameters }

  package init(parsing text: Substring) {
    parameters = text.pieces(at: UInt8(ascii: ";")).compactMap { piece in
      let (key, value) = piece.trimmed.cut(at: UInt8(ascii: "="))
      let name = key.trimmed
      if name.isEmpty { return nil }
      return Parameter(String(name), value.map { String($0.trimmed) })
    }
  }

  package var isEmpty: Bool { parameters.isEmpty }

  /// The value of the first parameter of that name; names do not depend on case (RFC 6838 §4.3).
  package subscript(key: String) -> String? { parameters.first { $0.key.matches(key) }?.value }

  package var text: String { parameters.map(\.text).joined(separator: ";") }

  /// Those of `keys` that are present, in the order of `keys`.
  func echoing(_ keys: [String]) -> FormatParameters {
    FormatParameters(keys.compactMap { key in parameters.first { $0.key.matches(key) && $0.value != nil } })
  }
}
