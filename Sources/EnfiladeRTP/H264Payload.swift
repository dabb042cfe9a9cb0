// As much of H.264 in RTP as a forwarder looks at: which packets begin something decodable (RFC 6184 §5).

import EnfiladeWire

package enum H264Payload {
  /// What NAL units one packet carries, or begins.
  package struct Contents: OptionSet, Hashable, Sendable {
    package var rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A sequence parameter set (type 7).
    package static let sequenceParameterSet = Contents(rawValue: 1)
    /// A picture parameter set (type 8).
    package static let pictureParameterSet = Contents(rawValue: 2)
    /// A slice of an IDR picture (type 5).
    package static let instantaneousRefresh = Contents(rawValue: 4)
  }

  /// Looks at single NAL units, at each unit of a STAP-A, and at the first fragment of an FU-A; other packetizations of RFC 6184
  /// are not used between browsers. `nil` when the payload contradicts itself.
  package static func contents(_ payload: RawSpan) -> Contents? {
    guard payload.byteCount > 0 else { return nil }
    let type = payload.loadUInt8(at: 0) & 0x1F
    switch type {
    case 24:  // STAP-A (RFC 6184 §5.7.1)
      var contents: Contents = []
      var offset = 1
      guard offset < payload.byteCount else { return nil }
      while offset < payload.byteCount {
        guard offset + 2 <= payload.byteCount else { return nil }
        let length = Int(payload.loadUInt16(at: offset))
        offset += 2
        guard length > 0, offset + length <= payload.byteCount else { return nil }
        contents.formUnion(unit(payload.loadUInt8(at: offset) & 0x1F))
        offset += length
      }
      return contents
    case 28:  // FU-A (RFC 6184 §5.8)
      guard payload.byteCount >= 2 else { return nil }
      let header = payload.loadUInt8(at: 1)
      // Start and end in one fragment are forbidden.
      guard header & 0xC0 != 0xC0 else { return nil }
      return header & 0x80 != 0 ? unit(header & 0x1F) : []
    default:
      return unit(type)
    }
  }

  private static func unit(_ type: UInt8) -> Contents {
    switch type {
    case 5: .instantaneousRefresh
    case 7: .sequenceParameterSet
    case 8: .pictureParameterSet
    default: []
    }
  }
}
