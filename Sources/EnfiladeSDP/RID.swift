// Encodings of one source and how they are offered together (RFC 8851, RFC 8853).

package import EnfiladeWire

extension SDPAttribute {
  /// `a=rid` (RFC 8851 §10).
  package struct RID: SDPAttributeValue {
    package static let name = "rid"

    package enum Direction: String, Hashable, Sendable {
      case send
      case recv
    }

    package var id: String
    package var direction: Direction
    /// The payload types the encoding is confined to; empty when not confined.
    package var payloadTypes: [PayloadType]
    /// `max-width=1280` and the like, in their order.
    package var restrictions: FormatParameters

    package init(id: String, direction: Direction, payloadTypes: [PayloadType] = [], restrictions: FormatParameters = .init()) {
      self.id = id
      self.direction = direction
      self.payloadTypes = payloadTypes
      self.restrictions = restrictions
    }

    package init?(parsing value: Substring) {
      let words = value.words
      guard words.count >= 2, words[0].isRIDIdentifier, let direction = Direction(rawValue: String(words[1])) else { return nil }
      id = String(words[0])
      self.direction = direction
      payloadTypes = []
      restrictions = FormatParameters(parsing: words.dropFirst(2).joined(separator: " ")[...])
      if let first = restrictions.parameters.first, first.key == "pt" {
        // RFC 8851 §10: the formats come first.
        for format in (first.value ?? "")[...].pieces(at: UInt8(ascii: ",")) {
          guard let payloadType = PayloadType(format: format) else { return nil }
          payloadTypes.append(payloadType)
        }
        restrictions.parameters.removeFirst()
      }
      guard !restrictions.parameters.contains(where: { $0.key == "pt" }) else { return nil }
    }

    package var text: String {
      var parts = payloadTypes.isEmpty ? [] : ["pt=" + payloadTypes.map { String($0.rawValue) }.joined(separator: ",")]
      if !restrictions.isEmpty { parts.append(restrictions.text) }
      return "\(id) \(direction.rawValue)" + (parts.isEmpty ? "" : " " + parts.joined(separator: ";"))
    }
  }

  /// `a=simulcast` (RFC 8853 §5.1).
  package struct Simulcast: SDPAttributeValue {
    package static let name = "simulcast"

    /// One way to encode a stream.
    package struct Alternative: Hashable, Sendable {
      package var rid: String
      /// Written with `~`: offered, but not sent for now.
      package var isPaused: Bool

      package init(_ rid: String, isPaused: Bool = false) {
        self.rid = rid
        self.isPaused = isPaused
      }

      var text: String { (isPaused ? "~" : "") + rid }
    }

    /// The simulcast streams, each a list of alternatives with the best liked first.
    package var send: [[Alternative]]
    package var receive: [[Alternative]]

    package init(send: [[Alternative]] = [], receive: [[Alternative]] = []) {
      self.send = send
      self.receive = receive
    }

    package init?(parsing value: Substring) {
      let words = value.words
      guard words.count == 2 || words.count == 4 else { return nil }
      send = []
      receive = []
      for index in stride(from: 0, to: words.count, by: 2) {
        guard let streams = Self.streams(words[index + 1]) else { return nil }
        switch words[index] {
        case "send" where send.isEmpty: send = streams
        case "recv" where receive.isEmpty: receive = streams
        default: return nil
        }
      }
    }

    private static func streams(_ list: Substring) -> [[Alternative]]? {
      var streams: [[Alternative]] = []
      for stream in list.pieces(at: UInt8(ascii: ";")) {
        var alternatives: [Alternative] = []
        for var rid in stream.pieces(at: UInt8(ascii: ",")) {
          let isPaused = rid.utf8.first == UInt8(ascii: "~")
          if isPaused { rid = Substring(rid.utf8.dropFirst()) }
          guard rid.isRIDIdentifier else { return nil }
          alternatives.append(Alternative(String(rid), isPaused: isPaused))
        }
        streams.append(alternatives)
      }
      return streams
    }

    package var text: String {
      func list(_ streams: [[Alternative]]) -> String {
        streams.map { $0.map(\.text).joined(separator: ",") }.joined(separator: ";")
      }
      var parts: [String] = []
      if !send.isEmpty { parts.append("send \(list(send))") }
      if !receive.isEmpty { parts.append("recv \(list(receive))") }
      return parts.joined(separator: " ")
    }
  }
}

extension Substring {
  /// `rid-id`: letters, digits, `-` and `_` (RFC 8851 §10). The one-byte form of its header extension holds sixteen bytes (RFC 8285 §4.2); we
  /// allow four times that.
  var isRIDIdentifier: Bool {
    (1...64).contains(utf8.count) && utf8.allSatisfy { $0.isAlphanumeric || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
  }
}
