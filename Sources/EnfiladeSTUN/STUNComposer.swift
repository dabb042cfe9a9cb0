// Building of STUN messages into memory that the caller owns (RFC 8489 §5, §14).

package import EnfiladeWire

/// A message being written. It holds only where the message began; a write that does not fit shows in the writer's
/// ``ByteWriter/overflowed``.
package struct STUNComposer: Sendable {
  private let start: Int
  private let transactionID: STUNTransactionID

  /// Writes the header.
  package init(
    _ messageClass: STUNClass, _ method: STUNMethod = .binding, transactionID: STUNTransactionID, into writer: inout ByteWriter
  ) {
    start = writer.count
    self.transactionID = transactionID
    writer.writeUInt16(STUN.messageType(messageClass, method))
    writer.writeUInt16(0)
    writer.writeUInt32(STUN.magicCookie)
    writer.writeUInt32(transactionID.high)
    writer.writeUInt64(transactionID.low)
  }

  /// Any attribute from its bytes. `padding` fills up to four bytes; its value means nothing (RFC 8489 §14).
  package func attribute(_ type: STUNAttributeType, _ value: RawSpan, padding: UInt8 = 0, into writer: inout ByteWriter) {
    header(type, byteCount: value.byteCount, into: &writer)
    writer.writeBytes(value)
    pad(after: value.byteCount, with: padding, into: &writer)
  }

  /// USERNAME as ICE writes it: the receiver's ufrag, a colon, the sender's (RFC 8445 §7.2.2).
  package func username(receiver: RawSpan, sender: RawSpan, into writer: inout ByteWriter) {
    let byteCount = receiver.byteCount + 1 + sender.byteCount
    header(.username, byteCount: byteCount, into: &writer)
    writer.writeBytes(receiver)
    writer.writeUInt8(UInt8(ascii: ":"))
    writer.writeBytes(sender)
    pad(after: byteCount, with: 0, into: &writer)
  }

  package func priority(_ priority: UInt32, into writer: inout ByteWriter) {
    header(.priority, byteCount: 4, into: &writer)
    writer.writeUInt32(priority)
  }

  package func useCandidate(into writer: inout ByteWriter) {
    header(.useCandidate, byteCount: 0, into: &writer)
  }

  package func role(_ role: STUNRole, into writer: inout ByteWriter) {
    switch role {
    case .controlling(let tieBreaker):
      header(.iceControlling, byteCount: 8, into: &writer)
      writer.writeUInt64(tieBreaker)
    case .controlled(let tieBreaker):
      header(.iceControlled, byteCount: 8, into: &writer)
      writer.writeUInt64(tieBreaker)
    }
  }

  /// RFC 8489 §14.2.
  package func xorMappedAddress(_ address: SocketAddress, into writer: inout ByteWriter) {
    let cookie = STUN.magicCookie
    header(.xorMappedAddress, byteCount: address.isIPv6 ? 20 : 8, into: &writer)
    writer.writeUInt16(address.isIPv6 ? 2 : 1)
    writer.writeUInt16(address.port ^ UInt16(truncatingIfNeeded: cookie >> 16))
    if address.isIPv6 {
      writer.writeUInt64(address.high ^ (UInt64(cookie) << 32 | UInt64(transactionID.high)))
      writer.writeUInt64(address.low ^ transactionID.low)
    } else {
      writer.writeUInt32(UInt32(truncatingIfNeeded: address.low) ^ cookie)
    }
  }

  /// RFC 8489 §14.1.
  package func mappedAddress(_ address: SocketAddress, into writer: inout ByteWriter) {
    header(.mappedAddress, byteCount: address.isIPv6 ? 20 : 8, into: &writer)
    writer.writeUInt16(address.isIPv6 ? 2 : 1)
    writer.writeUInt16(address.port)
    if address.isIPv6 {
      writer.writeUInt64(address.high)
      writer.writeUInt64(address.low)
    } else {
      writer.writeUInt32(UInt32(truncatingIfNeeded: address.low))
    }
  }

  /// ERROR-CODE with the phrase the RFC recommends (RFC 8489 §14.8).
  package func errorCode(_ code: STUNErrorCode, into writer: inout ByteWriter) {
    let phrase = code.reasonPhrase
    let byteCount = 4 + phrase.utf8CodeUnitCount
    header(.errorCode, byteCount: byteCount, into: &writer)
    writer.writeUInt16(0)
    writer.writeUInt8(UInt8(code.rawValue / 100))
    writer.writeUInt8(UInt8(code.rawValue % 100))
    for index in 0..<phrase.utf8CodeUnitCount {
      // Sound: a static string's bytes live for ever, and the index is inside its count. All our phrases are pointers, not scalars.
      writer.writeUInt8(unsafe phrase.utf8Start[index])
    }
    pad(after: byteCount, with: 0, into: &writer)
  }

  /// UNKNOWN-ATTRIBUTES (RFC 8489 §14.9): the required types of `request` that we do not know, at most eight, so that an answer stays small.
  package func unknownAttributes(of request: STUNMessageView, in bytes: RawSpan, into writer: inout ByteWriter) {
    let count = min(Int(request.unknownRequiredCount), 8)
    header(.unknownAttributes, byteCount: count * 2, into: &writer)
    var written = 0
    var cursor = STUNAttributeCursor(bytes)
    while written < count, let attribute = cursor.next() {
      guard attribute.type.isComprehensionRequired, !attribute.type.isKnown else { continue }
      writer.writeUInt16(attribute.type.rawValue)
      written += 1
    }
    pad(after: count * 2, with: 0, into: &writer)
  }

  /// Ends the message with MESSAGE-INTEGRITY, if there is a key, and FINGERPRINT, if wanted (RFC 8489 §14.5, §14.7).
  package func finish(key: STUNKey?, fingerprint: Bool = true, into writer: inout ByteWriter) {
    if let key, !writer.overflowed {
      let digest = STUNMessageView.messageIntegrity(over: writer.written.extracting(start..<writer.count), key: key)
      header(.messageIntegrity, byteCount: SHA1Digest.byteCount, into: &writer)
      digest.write(into: &writer)
    }
    if fingerprint, !writer.overflowed {
      // The length must count FINGERPRINT before the CRC is taken.
      patchLength(adding: STUN.attributeHeaderByteCount + 4, into: &writer)
      var crc = CRC32()
      crc.update(writer.written.extracting(start..<writer.count))
      header(.fingerprint, byteCount: 4, into: &writer)
      writer.writeUInt32(crc.value ^ STUN.fingerprintMask)
    }
    patchLength(adding: 0, into: &writer)
  }

  private func patchLength(adding more: Int, into writer: inout ByteWriter) {
    let length = writer.count - start - STUN.headerByteCount + more
    writer.patchUInt16(UInt16(truncatingIfNeeded: length), at: start + 2)
  }

  private func header(_ type: STUNAttributeType, byteCount: Int, into writer: inout ByteWriter) {
    writer.writeUInt16(type.rawValue)
    writer.writeUInt16(UInt16(truncatingIfNeeded: byteCount))
  }

  private func pad(after byteCount: Int, with padding: UInt8, into writer: inout ByteWriter) {
    for _ in 0..<(0 &- byteCount) & 3 { writer.writeUInt8(padding) }
  }
}
