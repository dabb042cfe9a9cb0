// Typed attributes: text to value and back. Each lives in this namespace under the name that its RFC gives it.

/// The attributes that we understand.
package enum SDPAttribute {}

/// An attribute with a value. ``text`` of a parsed value parses to an equal value.
package protocol SDPAttributeValue: Hashable, Sendable {
  /// The attribute's name: `rtpmap`.
  static var name: String { get }
  /// Reads what stands behind the colon; `nil` when the grammar does not allow it.
  init?(parsing value: Substring)
  /// What stands behind the colon.
  var text: String { get }
}

extension SDPAttributeValue {
  /// The attribute as a line.
  package var line: SDPLine { SDPLine(attribute: Self.name, text) }
}

/// The attributes that are only a name (RFC 8866 §5.13).
package enum PropertyAttribute: String, Hashable, Sendable, CaseIterable {
  /// RFC 5761 §5.1.1.
  case rtcpMux = "rtcp-mux"
  /// RFC 8858 §3.
  case rtcpMuxOnly = "rtcp-mux-only"
  /// RFC 5506 §5.1.
  case rtcpReducedSize = "rtcp-rsize"
  /// RFC 8839 §5.3.
  case iceLite = "ice-lite"
  /// RFC 8840 §8.2.
  case endOfCandidates = "end-of-candidates"
  /// RFC 9143 §6.
  case bundleOnly = "bundle-only"
  /// RFC 8285 §6.
  case extmapAllowMixed = "extmap-allow-mixed"

  package var line: SDPLine { SDPLine(attribute: rawValue) }
}

extension AttributeContainer {
  package func has(_ property: PropertyAttribute) -> Bool { hasAttribute(property.rawValue) }
}

/// Which way media flows (RFC 8866 §6.7), seen from who wrote the description.
package enum MediaDirection: String, Hashable, Sendable, CaseIterable {
  case sendrecv
  case sendonly
  case recvonly
  case inactive

  package var sends: Bool { self == .sendrecv || self == .sendonly }
  package var receives: Bool { self == .sendrecv || self == .recvonly }

  package init(sends: Bool, receives: Bool) {
    self =
      switch (sends, receives) {
      case (true, true): .sendrecv
      case (true, false): .sendonly
      case (false, true): .recvonly
      case (false, false): .inactive
      }
  }

  /// The same flow seen from the other side.
  package var reversed: MediaDirection { MediaDirection(sends: receives, receives: sends) }

  /// What both allow, both seen from the same side.
  package func intersection(_ other: MediaDirection) -> MediaDirection {
    MediaDirection(sends: sends && other.sends, receives: receives && other.receives)
  }

  package var line: SDPLine { SDPLine(attribute: rawValue) }
}

extension AttributeContainer {
  /// The direction that is written, or `nil`.
  package var direction: MediaDirection? {
    for attribute in attributes where attribute.value == nil {
      if let direction = MediaDirection(rawValue: String(attribute.name)) { return direction }
    }
    return nil
  }
}
