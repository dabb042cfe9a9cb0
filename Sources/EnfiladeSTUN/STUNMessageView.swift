// A received STUN message, parsed once into offsets and values (RFC 8489 §5, §6.3, §14). The view owns no bytes: each look into
// the message takes the same bytes again.

package import EnfiladeWire

/// A run of bytes inside a message.
package struct STUNRange: Hashable, Sendable {
  package let offset: UInt16
  package let byteCount: UInt16

  @_lifetime(copy bytes)
  package func slice(of bytes: RawSpan) -> RawSpan {
    let start = min(Int(offset), bytes.byteCount)
    return bytes.extracting(start..<min(start + Int(byteCount), bytes.byteCount))
  }
}

/// Which ICE role the sender claims, with its tie-breaker (RFC 8445 §7.1.3).
package enum STUNRole: Hashable, Sendable {
  case controlling(tieBreaker: UInt64)
  case controlled(tieBreaker: UInt64)
}

/// Why bytes are not a STUN message.
package enum STUNMalformation: UInt8, Hashable, Sendable, CaseIterable {
  /// Less than a header.
  case truncated
  /// More than ``Limits/datagramByteCount``.
  case tooLong
  /// The two leading bits are not zero.
  case leadingBits
  /// RFC 3489, or not STUN at all.
  case magicCookie
  /// The length field is no multiple of four, or does not say what arrived.
  case length
  /// An attribute reaches over the end.
  case attributeOverrun
  /// An attribute whose value cannot be what its type says.
  case attributeValue
  /// Something follows FINGERPRINT, which must be last (RFC 8489 §14.7).
  case afterFingerprint
}

/// What ``STUNMessageView/parse(_:)`` found.
package enum STUNParseResult: Hashable, Sendable {
  case message(STUNMessageView)
  case malformed(STUNMalformation)

  package var message: STUNMessageView? {
    if case .message(let view) = self { view } else { nil }
  }
}

/// A STUN message as offsets and values.
package struct STUNMessageView: Hashable, Sendable {
  package let messageClass: STUNClass
  package let method: STUNMethod
  package let transactionID: STUNTransactionID
  package let byteCount: UInt16
  package internal(set) var username: STUNRange?
  package internal(set) var software: STUNRange?
  package internal(set) var reasonPhrase: STUNRange?
  package internal(set) var unknownAttributes: STUNRange?
  package internal(set) var errorCode: STUNErrorCode?
  package internal(set) var mappedAddress: SocketAddress?
  package internal(set) var xorMappedAddress: SocketAddress?
  package internal(set) var priority: UInt32?
  package internal(set) var role: STUNRole?
  package internal(set) var useCandidate = false
  /// How many attributes the sender demands that we know, and we do not.
  package internal(set) var unknownRequiredCount: UInt8 = 0
  /// Where the attribute's header stands; zero when it is not there.
  var messageIntegrityOffset: UInt16 = 0
  var messageIntegritySHA256Offset: UInt16 = 0
  var fingerprintOffset: UInt16 = 0

  package var hasMessageIntegrity: Bool { messageIntegrityOffset != 0 }
  /// Recognised, so that it is never answered with 420; ICE knows only MESSAGE-INTEGRITY (RFC 8445 §7.2.2), so it is not verified.
  package var hasMessageIntegritySHA256: Bool { messageIntegritySHA256Offset != 0 }
  package var hasFingerprint: Bool { fingerprintOffset != 0 }

  /// Whether FINGERPRINT is there and fits (RFC 8489 §14.7).
  package func hasValidFingerprint(in bytes: RawSpan) -> Bool {
    let offset = Int(fingerprintOffset)
    guard offset != 0, bytes.byteCount == Int(byteCount) else { return false }
    var reader = ByteReader(bytes)
    guard reader.skip(offset + STUN.attributeHeaderByteCount), let claimed = reader.readUInt32() else { return false }
    var crc = CRC32()
    // The header's length already counts FINGERPRINT, because it is last.
    crc.update(bytes.extracting(0..<offset))
    return crc.value ^ STUN.fingerprintMask == claimed
  }

  /// Whether MESSAGE-INTEGRITY is there and was made with `key` (RFC 8489 §14.5).
  package func hasValidMessageIntegrity(in bytes: RawSpan, key: STUNKey) -> Bool {
    let offset = Int(messageIntegrityOffset)
    guard offset != 0, bytes.byteCount == Int(byteCount) else { return false }
    var reader = ByteReader(bytes)
    guard reader.skip(offset + STUN.attributeHeaderByteCount), let claimed = SHA1Digest(reading: &reader) else { return false }
    return Self.messageIntegrity(over: bytes.extracting(0..<offset), key: key).isEqualInConstantTime(to: claimed)
  }

  /// The HMAC over everything before the attribute, with the header's length as if the message ended behind it (RFC 8489 §14.5).
  static func messageIntegrity(over bytes: RawSpan, key: STUNKey) -> SHA1Digest {
    let length = bytes.byteCount - STUN.headerByteCount + STUN.attributeHeaderByteCount + SHA1Digest.byteCount
    var hmac = HMACSHA1(key)
    hmac.update(bytes.extracting(0..<2))
    hmac.update(UInt16(truncatingIfNeeded: length))
    hmac.update(bytes.extracting(4..<bytes.byteCount))
    return hmac.finalize()
  }

  /// The part of USERNAME before the first colon: in a request, the ufrag of who receives it (RFC 8445 §7.2.2).
  @_lifetime(copy bytes)
  package func receiverUfrag(in bytes: RawSpan) -> RawSpan? {
    guard let name = username?.slice(of: bytes), let colon = Self.firstColon(in: name) else { return nil }
    return name.extracting(0..<colon)
  }

  /// The part of USERNAME behind the first colon: the ufrag of who sends it.
  @_lifetime(copy bytes)
  package func senderUfrag(in bytes: RawSpan) -> RawSpan? {
    guard let name = username?.slice(of: bytes), let colon = Self.firstColon(in: name) else { return nil }
    return name.extracting(colon + 1..<name.byteCount)
  }

  private static func firstColon(in name: RawSpan) -> Int? {
    for index in 0..<name.byteCount where name.byte(at: index) == UInt8(ascii: ":") { return index }
    return nil
  }
}
