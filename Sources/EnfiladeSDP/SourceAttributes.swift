// What belongs together: sources (RFC 5576), media streams (RFC 8830), sections (RFC 5888, RFC 9143).

package import EnfiladeWire

extension SDPAttribute {
  /// `a=ssrc` (RFC 5576 §4.1).
  package struct Source: SDPAttributeValue {
    package static let name = "ssrc"

    package var ssrc: SSRC
    /// `cname`, `msid`, …
    package var attribute: String
    package var value: String?

    package init(ssrc: SSRC, attribute: String, value: String? = nil) {
      self.ssrc = ssrc
      self.attribute = attribute
      self.value = value
    }

    package init?(parsing value: Substring) {
      let (ssrcText, rest) = value.cut(at: UInt8(ascii: " "))
      guard let number = ssrcText.decimal(UInt32.self), let rest else { return nil }
      let (attribute, attributeValue) = rest.cut(at: UInt8(ascii: ":"))
      guard attribute.isToken, attributeValue?.isEmpty != true else { return nil }
      ssrc = SSRC(number)
      self.attribute = String(attribute)
      self.value = attributeValue.map(String.init)
    }

    package var text: String { "\(ssrc.rawValue) \(attribute)" + (value.map { ":\($0)" } ?? "") }
  }

  /// `a=ssrc-group` (RFC 5576 §4.2).
  package struct SourceGroup: SDPAttributeValue {
    package static let name = "ssrc-group"

    /// `FID` (a stream and its retransmission), `SIM` (encodings of one source), `FEC-FR` (a stream and its repair).
    package var semantics: String
    package var ssrcs: [SSRC]

    package init(semantics: String, ssrcs: [SSRC]) {
      self.semantics = semantics
      self.ssrcs = ssrcs
    }

    package init?(parsing value: Substring) {
      let words = value.words
      guard let first = words.first, first.isToken else { return nil }
      semantics = String(first)
      ssrcs = []
      for word in words.dropFirst() {
        guard let number = word.decimal(UInt32.self) else { return nil }
        ssrcs.append(SSRC(number))
      }
    }

    package var text: String { ([semantics] + ssrcs.map { String($0.rawValue) }).joined(separator: " ") }
  }

  /// `a=msid` (RFC 8830 §2).
  package struct MSID: SDPAttributeValue {
    package static let name = "msid"

    /// `nil` for `-`: the track belongs to no stream.
    package var streamID: String?
    package var trackID: String?

    package init(streamID: String?, trackID: String?) {
      self.streamID = streamID
      self.trackID = trackID
    }

    package init?(parsing value: Substring) {
      let words = value.words
      guard words.count == 1 || words.count == 2, words.allSatisfy({ $0.isToken && $0.utf8.count <= 256 }) else { return nil }
      streamID = words[0] == "-" ? nil : String(words[0])
      trackID = words.count == 2 ? String(words[1]) : nil
    }

    package var text: String { (streamID ?? "-") + (trackID.map { " \($0)" } ?? "") }
  }

  /// `a=msid-semantic`, of the drafts before RFC 8830; clients still write it.
  package struct MSIDSemantic: SDPAttributeValue {
    package static let name = "msid-semantic"

    package var semantic: String
    package var streamIDs: [String]

    package init(semantic: String, streamIDs: [String]) {
      self.semantic = semantic
      self.streamIDs = streamIDs
    }

    package init?(parsing value: Substring) {
      let words = value.words
      guard let first = words.first, words.allSatisfy(\.isVisibleWord) else { return nil }
      semantic = String(first)
      streamIDs = words.dropFirst().map(String.init)
    }

    package var text: String { ([semantic] + streamIDs).joined(separator: " ") }
  }

  /// `a=group` (RFC 5888 §5).
  package struct Group: SDPAttributeValue {
    package static let name = "group"

    /// `BUNDLE` (RFC 9143 §5), `LS`, …
    package var semantics: String
    package var mids: [String]

    package init(semantics: String, mids: [String]) {
      self.semantics = semantics
      self.mids = mids
    }

    package init?(parsing value: Substring) {
      let words = value.words
      guard words.allSatisfy(\.isToken), let first = words.first else { return nil }
      semantics = String(first)
      mids = words.dropFirst().map(String.init)
    }

    package var text: String { ([semantics] + mids).joined(separator: " ") }
  }

  /// `a=mid` (RFC 5888 §4).
  package struct MID: SDPAttributeValue {
    package static let name = "mid"

    package var mid: String

    package init(_ mid: String) { self.mid = mid }

    package init?(parsing value: Substring) {
      guard value.isToken, value.utf8.count <= 255 else { return nil }
      mid = String(value)
    }

    package var text: String { mid }
  }
}
