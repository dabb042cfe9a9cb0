// The numbers of STUN: classes, methods, transaction ids, attribute types and error codes (RFC 8489 §5, §14, §18; RFC 8445 §16).

/// The two class bits of a message type (RFC 8489 §5).
package enum STUNClass: UInt8, Hashable, Sendable, CaseIterable {
  case request = 0b00
  case indication = 0b01
  case successResponse = 0b10
  case errorResponse = 0b11
}

/// The twelve method bits of a message type (RFC 8489 §5).
package struct STUNMethod: Hashable, Sendable {
  package let rawValue: UInt16
  package init(_ rawValue: UInt16) { self.rawValue = rawValue & 0x0FFF }
  package static var binding: STUNMethod { STUNMethod(0x001) }
}

/// The 96 bits that tie a response to its request (RFC 8489 §5).
package struct STUNTransactionID: Hashable, Sendable {
  package var high: UInt32
  package var low: UInt64

  package init(high: UInt32, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// A fresh id. It must be hard to guess for who is not on the path (RFC 8489 §5), so `random` must be, outside simulation.
  package init(using random: inout some RandomNumberGenerator) {
    high = UInt32(truncatingIfNeeded: random.next())
    low = random.next()
  }
}

/// What RFC 8489 §5 fixes about every message.
package enum STUN {
  package static let headerByteCount = 20
  package static let magicCookie: UInt32 = 0x2112_A442
  /// The FINGERPRINT's mask: "STUN" in ASCII (RFC 8489 §14.7).
  static let fingerprintMask: UInt32 = 0x5354_554E
  static let attributeHeaderByteCount = 4

  /// The sixteen bits of a message type, the class spread over the method (RFC 8489 §5, figure 3).
  static func messageType(_ messageClass: STUNClass, _ method: STUNMethod) -> UInt16 {
    let m = method.rawValue
    let c = UInt16(messageClass.rawValue)
    return (m & 0x000F) | (c & 1) << 4 | (m & 0x0070) << 1 | (c & 2) << 7 | (m & 0x0F80) << 2
  }

  static func split(messageType t: UInt16) -> (STUNClass, STUNMethod)? {
    guard let messageClass = STUNClass(rawValue: UInt8(truncatingIfNeeded: (t >> 4 & 1) | (t >> 7 & 2))) else { return nil }
    return (messageClass, STUNMethod((t & 0x000F) | (t >> 1 & 0x0070) | (t >> 2 & 0x0F80)))
  }
}

/// An attribute's type (RFC 8489 §18.3, RFC 8445 §16.1).
package struct STUNAttributeType: Hashable, Sendable {
  package let rawValue: UInt16
  package init(_ rawValue: UInt16) { self.rawValue = rawValue }

  package static var mappedAddress: Self { Self(0x0001) }
  package static var username: Self { Self(0x0006) }
  package static var messageIntegrity: Self { Self(0x0008) }
  package static var errorCode: Self { Self(0x0009) }
  package static var unknownAttributes: Self { Self(0x000A) }
  package static var realm: Self { Self(0x0014) }
  package static var nonce: Self { Self(0x0015) }
  package static var messageIntegritySHA256: Self { Self(0x001C) }
  package static var xorMappedAddress: Self { Self(0x0020) }
  package static var priority: Self { Self(0x0024) }
  package static var useCandidate: Self { Self(0x0025) }
  package static var software: Self { Self(0x8022) }
  package static var fingerprint: Self { Self(0x8028) }
  package static var iceControlled: Self { Self(0x8029) }
  package static var iceControlling: Self { Self(0x802A) }
  /// What libwebrtc tells about its network; read by nobody here.
  package static var networkCost: Self { Self(0xC057) }

  /// Types below 0x8000 must be understood by who answers (RFC 8489 §14).
  package var isComprehensionRequired: Bool { rawValue < 0x8000 }

  /// Whether the parser reads it or knows that it may be passed over.
  var isKnown: Bool {
    switch self {
    case .mappedAddress, .username, .messageIntegrity, .errorCode, .unknownAttributes, .realm, .nonce, .messageIntegritySHA256,
      .xorMappedAddress, .priority, .useCandidate, .software, .fingerprint, .iceControlled, .iceControlling, .networkCost:
      true
    default:
      false
    }
  }
}

/// The error codes we send or act on (RFC 8489 §14.8, RFC 8445 §16.2).
package struct STUNErrorCode: Hashable, Sendable {
  /// Class times a hundred plus number: 300…699.
  package let rawValue: UInt16

  package init?(_ rawValue: UInt16) {
    guard 300...699 ~= rawValue else { return nil }
    self.rawValue = rawValue
  }

  private init(known rawValue: UInt16) { self.rawValue = rawValue }

  package static var badRequest: Self { Self(known: 400) }
  package static var unauthenticated: Self { Self(known: 401) }
  package static var unknownAttribute: Self { Self(known: 420) }
  package static var roleConflict: Self { Self(known: 487) }

  /// The phrase the RFC recommends, for whoever reads a capture.
  var reasonPhrase: StaticString {
    switch rawValue {
    case 400: "Bad Request"
    case 401: "Unauthenticated"
    case 420: "Unknown Attribute"
    case 487: "Role Conflict"
    default: ""
    }
  }
}
