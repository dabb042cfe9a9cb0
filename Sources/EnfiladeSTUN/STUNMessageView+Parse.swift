// Parsing of a STUN message: the header's checks (RFC 8489 §6.3) and one walk over the attributes (§14).

import EnfiladeWire

/// One attribute as it stands in the message.
package struct STUNAttribute: Hashable, Sendable {
  package let type: STUNAttributeType
  /// Where the attribute's header stands.
  package let headerOffset: Int
  package let value: STUNRange
}

/// Walks over the attributes of a message whose header has been checked.
package struct STUNAttributeCursor: ~Escapable {
  private var reader: ByteReader
  /// An attribute reached over the end; the walk is over.
  package private(set) var overran = false

  @_lifetime(copy message)
  package init(_ message: RawSpan) {
    reader = ByteReader(message)
    if !reader.skip(STUN.headerByteCount) { overran = true }
  }

  /// The next attribute, or `nil` at the end and after an overrun.
  package mutating func next() -> STUNAttribute? {
    guard !overran, !reader.isAtEnd else { return nil }
    let headerOffset = reader.offset
    guard let type = reader.readUInt16(), let count = reader.readUInt16() else {
      overran = true
      return nil
    }
    let valueOffset = reader.offset
    // Values are padded to four bytes; the padding's content means nothing (RFC 8489 §14).
    guard reader.skip((Int(count) + 3) & ~3), let offset = UInt16(exactly: valueOffset) else {
      overran = true
      return nil
    }
    return STUNAttribute(type: STUNAttributeType(type), headerOffset: headerOffset, value: STUNRange(offset: offset, byteCount: count))
  }
}

extension STUNMessageView {
  /// Parses a whole datagram. Neither FINGERPRINT nor MESSAGE-INTEGRITY is verified here.
  package static func parse(_ bytes: RawSpan) -> STUNParseResult {
    guard bytes.byteCount <= Limits.datagramByteCount else { return .malformed(.tooLong) }
    var reader = ByteReader(bytes)
    guard let type = reader.readUInt16(), let length = reader.readUInt16(), let cookie = reader.readUInt32(),
      let high = reader.readUInt32(), let low = reader.readUInt64()
    else { return .malformed(.truncated) }
    guard type & 0xC000 == 0, let (messageClass, method) = STUN.split(messageType: type) else { return .malformed(.leadingBits) }
    guard cookie == STUN.magicCookie else { return .malformed(.magicCookie) }
    guard length & 3 == 0, Int(length) == bytes.byteCount - STUN.headerByteCount else { return .malformed(.length) }

    var view = STUNMessageView(
      messageClass: messageClass, method: method, transactionID: STUNTransactionID(high: high, low: low),
      byteCount: UInt16(bytes.byteCount))
    var cursor = STUNAttributeCursor(bytes)
    while let attribute = cursor.next() {
      if view.hasFingerprint { return .malformed(.afterFingerprint) }
      guard view.take(attribute, in: bytes) else { return .malformed(.attributeValue) }
    }
    if cursor.overran { return .malformed(.attributeOverrun) }
    return .message(view)
  }

  /// Reads one attribute; `false` when its value cannot be. Of several of one type the first counts (RFC 8489 §14).
  private mutating func take(_ attribute: STUNAttribute, in bytes: RawSpan) -> Bool {
    let value = attribute.value.slice(of: bytes)
    let headerOffset = UInt16(truncatingIfNeeded: attribute.headerOffset)
    switch attribute.type {
    case .fingerprint:
      guard value.byteCount == 4 else { return false }
      fingerprintOffset = headerOffset
      return true
    case .messageIntegritySHA256:
      // RFC 8489 §14.6: a multiple of four between 16 and 32.
      guard 16...32 ~= value.byteCount, value.byteCount & 3 == 0 else { return false }
      if messageIntegritySHA256Offset == 0 { messageIntegritySHA256Offset = headerOffset }
      return true
    default:
      break
    }
    // What follows the integrity is not protected by it and does not count (RFC 8489 §14.5, §14.6).
    if hasMessageIntegrity || hasMessageIntegritySHA256 && attribute.type != .messageIntegrity { return true }
    return takeProtected(attribute, value: value, headerOffset: headerOffset)
  }

  private mutating func takeProtected(_ attribute: STUNAttribute, value: RawSpan, headerOffset: UInt16) -> Bool {
    var reader = ByteReader(value)
    switch attribute.type {
    case .messageIntegrity:
      guard value.byteCount == SHA1Digest.byteCount else { return false }
      messageIntegrityOffset = headerOffset
    case .username:
      // RFC 8489 §14.3: less than 509 bytes.
      guard value.byteCount < 509 else { return false }
      username = username ?? attribute.value
    case .software:
      software = software ?? attribute.value
    case .unknownAttributes:
      guard value.byteCount & 1 == 0 else { return false }
      unknownAttributes = unknownAttributes ?? attribute.value
    case .errorCode:
      guard let word = reader.readUInt32() else { return false }
      let (hundreds, rest) = (UInt16(word >> 8 & 7), UInt16(word & 0xFF))
      guard rest < 100, let code = STUNErrorCode(hundreds * 100 + rest) else { return false }
      if errorCode == nil {
        errorCode = code
        reasonPhrase = STUNRange(offset: attribute.value.offset + 4, byteCount: attribute.value.byteCount - 4)
      }
    case .mappedAddress:
      guard let address = readAddress(&reader, isMasked: false) else { return false }
      mappedAddress = mappedAddress ?? address
    case .xorMappedAddress:
      guard let address = readAddress(&reader, isMasked: true) else { return false }
      xorMappedAddress = xorMappedAddress ?? address
    case .priority:
      guard value.byteCount == 4, let number = reader.readUInt32() else { return false }
      priority = priority ?? number
    case .useCandidate:
      guard value.byteCount == 0 else { return false }
      useCandidate = true
    case .iceControlling:
      guard value.byteCount == 8, let tieBreaker = reader.readUInt64() else { return false }
      role = role ?? .controlling(tieBreaker: tieBreaker)
    case .iceControlled:
      guard value.byteCount == 8, let tieBreaker = reader.readUInt64() else { return false }
      role = role ?? .controlled(tieBreaker: tieBreaker)
    case .realm, .nonce:
      // The long-term mechanism's; understood, and of no use in ICE.
      break
    default:
      if attribute.type.isComprehensionRequired, unknownRequiredCount < .max { unknownRequiredCount += 1 }
    }
    return true
  }

  /// MAPPED-ADDRESS (RFC 8489 §14.1), or XOR-MAPPED-ADDRESS (§14.2) whose mask is the cookie and the transaction id.
  private func readAddress(_ reader: inout ByteReader, isMasked: Bool) -> SocketAddress? {
    guard let family = reader.readUInt16(), let rawPort = reader.readUInt16() else { return nil }
    let cookie = isMasked ? STUN.magicCookie : 0
    let port = rawPort ^ UInt16(truncatingIfNeeded: cookie >> 16)
    // The first byte is reserved and ignored.
    switch family & 0xFF {
    case 1:
      guard let address = reader.readUInt32(), reader.isAtEnd else { return nil }
      return SocketAddress(ipv4: address ^ cookie, port: port)
    case 2:
      guard let high = reader.readUInt64(), let low = reader.readUInt64(), reader.isAtEnd else { return nil }
      guard isMasked else { return SocketAddress(ipv6High: high, low: low, port: port) }
      let mask = UInt64(cookie) << 32 | UInt64(transactionID.high)
      return SocketAddress(ipv6High: high ^ mask, low: low ^ transactionID.low, port: port)
    default:
      return nil
    }
  }
}
