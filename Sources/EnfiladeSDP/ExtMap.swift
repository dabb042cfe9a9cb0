// RTP header extensions and the numbers they travel under (RFC 8285 §8).

extension SDPAttribute {
  /// `a=extmap`.
  package struct ExtMap: SDPAttributeValue {
    package static let name = "extmap"

    /// 1 to 14 fit the one-byte form; up to 255 the two-byte form; 4096 to 4351 are still without a number (RFC 8285 §7).
    package var id: UInt16
    /// Which way the extension may be sent; as the section when not written.
    package var direction: MediaDirection?
    package var uri: String
    package var extensionAttributes: String?

    package init(id: UInt16, direction: MediaDirection? = nil, uri: String, extensionAttributes: String? = nil) {
      self.id = id
      self.direction = direction
      self.uri = uri
      self.extensionAttributes = extensionAttributes
    }

    package init?(parsing value: Substring) {
      let (head, rest) = value.cut(at: UInt8(ascii: " "))
      let (idText, directionText) = head.cut(at: UInt8(ascii: "/"))
      guard let id = idText.decimal(UInt16.self), (1...255).contains(id) || (4096...4351).contains(id), let rest else { return nil }
      if let directionText {
        guard let direction = MediaDirection(rawValue: String(directionText)) else { return nil }
        self.direction = direction
      }
      let (uri, attributes) = rest.trimmed.cut(at: UInt8(ascii: " "))
      guard uri.isVisibleWord else { return nil }
      self.id = id
      self.uri = String(uri)
      if let attributes = attributes?.trimmed, !attributes.isEmpty { extensionAttributes = String(attributes) }
    }

    package var text: String {
      "\(id)" + (direction.map { "/\($0.rawValue)" } ?? "") + " \(uri)" + (extensionAttributes.map { " \($0)" } ?? "")
    }

    /// Whether the number can be sent.
    package var isUsable: Bool { id <= 255 }
  }
}

/// The names of the header extensions that we know.
package enum HeaderExtensionURI {
  /// RFC 9143 §15.2: which media section a packet belongs to.
  package static let mid = "urn:ietf:params:rtp-hdrext:sdes:mid"
  /// RFC 8852 §3.3: which encoding.
  package static let rid = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
  /// RFC 8852 §3.3: which encoding a repair packet repairs.
  package static let repairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
  /// RFC 6464.
  package static let audioLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
  /// RFC 6465.
  package static let mixerAudioLevels = "urn:ietf:params:rtp-hdrext:csrc-audio-level"
  /// RFC 5450.
  package static let transmissionOffset = "urn:ietf:params:rtp-hdrext:toffset"
  /// 3GPP TS 26.114 §7.4.5.
  package static let videoOrientation = "urn:3gpp:video-orientation"
  package static let absoluteSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
  package static let absoluteCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
  /// draft-holmer-rmcat-transport-wide-cc-extensions-01.
  package static let transportWideSequenceNumber = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
  /// AV1 RTP payload format, appendix A.
  package static let dependencyDescriptor = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
  package static let playoutDelay = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
  package static let videoContentType = "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type"
  package static let videoTiming = "http://www.webrtc.org/experiments/rtp-hdrext/video-timing"
  package static let videoLayersAllocation = "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00"
}
