// One media section: its `m=` line (RFC 8866 §5.14) and what stands below.

/// A media section. The `m=` line is kept as written beside its parts, so the parts cannot be changed; make a new one instead.
package struct MediaDescription: AttributeContainer, Hashable, Sendable {
  /// `audio`, `video`, `application`, …
  package let media: String
  package let port: UInt16
  /// The number of ports after a slash, when written.
  package let portCount: UInt16?
  /// The transport protocol: `UDP/TLS/RTP/SAVPF` and its kin.
  package let proto: String
  package let formats: [String]
  /// The value of the `m=` line.
  package let mediaValue: Substring
  /// The lines below the `m=` line, in their order.
  package internal(set) var lines: [SDPLine]

  package init(media: String, port: UInt16, proto: String, formats: [String], lines: [SDPLine] = []) {
    self.media = media
    self.port = port
    portCount = nil
    self.proto = proto
    self.formats = formats
    mediaValue = "\(media) \(port) \(proto) \(formats.joined(separator: " "))"[...]
    self.lines = lines
  }

  /// Takes the value of an `m=` line apart: `media SP port ["/" integer] SP proto 1*(SP fmt)`.
  package init?(parsingMediaValue value: Substring) {
    let fields = value.pieces(at: UInt8(ascii: " "))
    guard fields.count >= 4, fields[0].isToken else { return nil }
    let (portText, countText) = fields[1].cut(at: UInt8(ascii: "/"))
    guard let port = portText.decimal(UInt16.self) else { return nil }
    if let countText {
      guard let count = countText.decimal(UInt16.self), count > 0 else { return nil }
      portCount = count
    } else {
      portCount = nil
    }
    guard fields[2].pieces(at: UInt8(ascii: "/")).allSatisfy(\.isToken), fields[3...].allSatisfy(\.isToken) else { return nil }
    media = String(fields[0])
    self.port = port
    proto = String(fields[2])
    formats = fields[3...].map(String.init)
    mediaValue = value
    lines = []
  }

  /// `c=` (RFC 8866 §5.7).
  package var connection: ConnectionData? { lines.first { $0.type == .connection }.flatMap { ConnectionData(parsing: $0.value) } }
  /// `b=` (RFC 8866 §5.8).
  package var bandwidths: [Bandwidth] { lines.filter { $0.type == .bandwidth }.compactMap { Bandwidth(parsing: $0.value) } }
}
