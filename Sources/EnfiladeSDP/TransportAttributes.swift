// What the transport needs: DTLS roles and fingerprints (RFC 4145, RFC 8122, RFC 8842), ICE credentials (RFC 8839).

extension SDPAttribute {
  /// `a=setup` (RFC 4145 §4): who opens the connection; for DTLS the active side is the client (RFC 8842 §5.1).
  package enum Setup: String, SDPAttributeValue, CaseIterable {
    case active
    case passive
    case actpass
    case holdconn

    package static let name = "setup"
    package init?(parsing value: Substring) { self.init(rawValue: String(value)) }
    package var text: String { rawValue }
  }

  /// `a=fingerprint` (RFC 8122 §5).
  package struct Fingerprint: SDPAttributeValue {
    package static let name = "fingerprint"

    /// The hash function in lower case: `sha-256`.
    package var algorithm: String
    package var digest: [UInt8]

    package init(algorithm: String, digest: [UInt8]) {
      self.algorithm = algorithm
      self.digest = digest
    }

    package init?(parsing value: Substring) {
      let words = value.words
      guard words.count == 2, words[0].isToken else { return nil }
      algorithm = String(words[0]).lowercasedASCII
      digest = []
      for pair in words[1].pieces(at: UInt8(ascii: ":")) {
        guard pair.utf8.count == 2, let high = pair.utf8.first?.hexadecimalValue, let low = pair.utf8.last?.hexadecimalValue else {
          return nil
        }
        digest.append(high << 4 | low)
      }
      if let expected = Self.digestByteCount(of: algorithm), digest.count != expected { return nil }
    }

    /// Upper case, as RFC 8122 §5 wants it written.
    package var text: String {
      let digits = Array("0123456789ABCDEF".utf8)
      var bytes: [UInt8] = []
      for byte in digest {
        if !bytes.isEmpty { bytes.append(UInt8(ascii: ":")) }
        bytes.append(digits[Int(byte >> 4)])
        bytes.append(digits[Int(byte & 15)])
      }
      return "\(algorithm) \(String(decoding: bytes, as: UTF8.self))"
    }

    /// Whether the hash may be relied on: the SHA-2 family. RFC 8122 §5 forbids MD5 and MD2; SHA-1 is refused as broken.
    package var isTrustworthy: Bool { ["sha-224", "sha-256", "sha-384", "sha-512"].contains(algorithm) }

    private static func digestByteCount(of algorithm: String) -> Int? {
      switch algorithm {
      case "md5": 16
      case "sha-1": 20
      case "sha-224": 28
      case "sha-256": 32
      case "sha-384": 48
      case "sha-512": 64
      default: nil
      }
    }
  }

  /// `a=ice-ufrag` (RFC 8839 §5.4): 4 to 256 characters.
  package struct ICEUfrag: SDPAttributeValue {
    package static let name = "ice-ufrag"

    package var ufrag: String

    package init(_ ufrag: String) { self.ufrag = ufrag }

    package init?(parsing value: Substring) {
      guard value.isICEText, (4...256).contains(value.utf8.count) else { return nil }
      ufrag = String(value)
    }

    package var text: String { ufrag }
  }

  /// `a=ice-pwd` (RFC 8839 §5.4): 22 to 256 characters.
  package struct ICEPassword: SDPAttributeValue {
    package static let name = "ice-pwd"

    package var password: String

    package init(_ password: String) { self.password = password }

    package init?(parsing value: Substring) {
      guard value.isICEText, (22...256).contains(value.utf8.count) else { return nil }
      password = String(value)
    }

    package var text: String { password }
  }

  /// `a=ice-options` (RFC 8839 §5.6): `trickle`, `ice2`, `renomination`.
  package struct ICEOptions: SDPAttributeValue {
    package static let name = "ice-options"

    package var options: [String]

    package init(_ options: [String]) { self.options = options }

    package init?(parsing value: Substring) {
      let words = value.words
      guard !words.isEmpty, words.allSatisfy(\.isVisibleWord) else { return nil }
      options = words.map(String.init)
    }

    package var text: String { options.joined(separator: " ") }
  }

  /// `a=rtcp` (RFC 3605 §2.1).
  package struct RTCP: SDPAttributeValue {
    package static let name = "rtcp"

    package var port: UInt16
    package var connection: ConnectionData?

    package init(port: UInt16, connection: ConnectionData? = nil) {
      self.port = port
      self.connection = connection
    }

    package init?(parsing value: Substring) {
      let (portText, rest) = value.cut(at: UInt8(ascii: " "))
      guard let port = portText.decimal(UInt16.self) else { return nil }
      if let rest {
        guard let connection = ConnectionData(parsing: rest) else { return nil }
        self.connection = connection
      }
      self.port = port
    }

    package var text: String { "\(port)" + (connection.map { " \($0.text)" } ?? "") }
  }

  /// `a=sctp-port` (RFC 8841 §5.1).
  package struct SCTPPort: SDPAttributeValue {
    package static let name = "sctp-port"

    package var port: UInt16

    package init(_ port: UInt16) { self.port = port }

    package init?(parsing value: Substring) {
      guard let port = value.decimal(UInt16.self) else { return nil }
      self.port = port
    }

    package var text: String { String(port) }
  }

  /// `a=max-message-size` (RFC 8841 §6.1), in bytes.
  package struct MaxMessageSize: SDPAttributeValue {
    package static let name = "max-message-size"

    package var byteCount: UInt64

    package init(byteCount: UInt64) { self.byteCount = byteCount }

    package init?(parsing value: Substring) {
      guard let byteCount = value.decimal(UInt64.self) else { return nil }
      self.byteCount = byteCount
    }

    package var text: String { String(byteCount) }
  }

  /// `a=ptime` (RFC 8866 §6.4): how much audio a packet should hold.
  package struct PacketTime: SDPAttributeValue {
    package static let name = "ptime"

    package var milliseconds: UInt16

    package init(milliseconds: UInt16) { self.milliseconds = milliseconds }

    package init?(parsing value: Substring) {
      guard let milliseconds = value.decimal(UInt16.self), milliseconds > 0 else { return nil }
      self.milliseconds = milliseconds
    }

    package var text: String { String(milliseconds) }
  }

  /// `a=maxptime` (RFC 8866 §6.5): how much audio a packet may hold.
  package struct MaxPacketTime: SDPAttributeValue {
    package static let name = "maxptime"

    package var milliseconds: UInt16

    package init(milliseconds: UInt16) { self.milliseconds = milliseconds }

    package init?(parsing value: Substring) {
      guard let milliseconds = value.decimal(UInt16.self), milliseconds > 0 else { return nil }
      self.milliseconds = milliseconds
    }

    package var text: String { String(milliseconds) }
  }
}

/// A user name fragment and its password, which belong together (RFC 8839 §5.4). Both must change in an ICE restart (RFC 8839 §4.4.1.1.1).
package struct ICECredentials: Hashable, Sendable {
  package var ufrag: String
  package var password: String

  package init(ufrag: String, password: String) {
    self.ufrag = ufrag
    self.password = password
  }

  var lines: [SDPLine] { [SDPAttribute.ICEUfrag(ufrag).line, SDPAttribute.ICEPassword(password).line] }
}
