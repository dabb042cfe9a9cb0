// The username fragment and password of one ICE generation (RFC 8445 §5.3, RFC 8839 §5.4).

import EnfiladeWire

/// A username fragment and its password.
package struct ICECredentials: Hashable, Sendable {
  /// 4 to 256 ice-chars (RFC 8839 §5.4).
  package let ufrag: [UInt8]
  /// 22 to 256 ice-chars.
  package let password: [UInt8]

  /// Our own ufrags all have this length, so that one is a word and a table of words finds the link.
  package static let localUfragByteCount = 8
  /// 24 characters of six bits: 144 bits, where RFC 8445 §5.3 asks for 128.
  package static let localPasswordByteCount = 24

  /// Takes credentials as SDP carries them; `nil` when a length or a character is not what RFC 8839 §5.4 allows.
  package init?(ufrag: String, password: String) {
    let (ufrag, password) = (Array(ufrag.utf8), Array(password.utf8))
    guard 4...256 ~= ufrag.count, 22...256 ~= password.count else { return nil }
    guard ufrag.allSatisfy(Self.isICEChar), password.allSatisfy(Self.isICEChar) else { return nil }
    self.ufrag = ufrag
    self.password = password
  }

  private init(ufrag: [UInt8], password: [UInt8]) {
    self.ufrag = ufrag
    self.password = password
  }

  /// New credentials for our side. `random` must be fit for keys, outside simulation.
  package static func make(using random: inout some RandomNumberGenerator) -> ICECredentials {
    let ufrag = (0..<localUfragByteCount).map { _ in iceChar(random.next() >> 58) }
    let password = (0..<localPasswordByteCount).map { _ in iceChar(random.next() >> 58) }
    return ICECredentials(ufrag: ufrag, password: password)
  }

  package var ufragText: String { String(decoding: ufrag, as: UTF8.self) }
  package var passwordText: String { String(decoding: password, as: UTF8.self) }
  package var key: STUNKey { STUNKey(password: password.rawBytes) }
  /// The ufrag as one word, if it has the length of ours.
  package var ufragKey: UfragKey? { UfragKey(ufrag.rawBytes) }

  /// ALPHA / DIGIT / "+" / "/" (RFC 8839 §5.1).
  package static func isICEChar(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "+"), UInt8(ascii: "/"):
      true
    default:
      false
    }
  }

  private static func iceChar(_ sixBits: UInt64) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: sixBits & 63)
    return switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + (value - 26)
    case 52..<62: UInt8(ascii: "0") + (value - 52)
    case 62: UInt8(ascii: "+")
    default: UInt8(ascii: "/")
    }
  }
}

/// One of our own ufrags as a word.
package struct UfragKey: Hashable, Sendable {
  package let rawValue: UInt64

  /// `nil` unless `ufrag` has exactly the length of ours.
  package init?(_ ufrag: RawSpan) {
    guard ufrag.byteCount == ICECredentials.localUfragByteCount else { return nil }
    var reader = ByteReader(ufrag)
    guard let word = reader.readUInt64() else { return nil }
    rawValue = word
  }
}

extension STUNMessageView {
  /// Which of our ufrags the message is for, in a form that finds the link; `nil` when it cannot be one of ours.
  package func receiverUfragKey(in bytes: RawSpan) -> UfragKey? {
    guard let ufrag = receiverUfrag(in: bytes) else { return nil }
    return UfragKey(ufrag)
  }
}
