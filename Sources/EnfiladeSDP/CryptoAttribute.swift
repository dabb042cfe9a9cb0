// Keys in a session description (RFC 4568, RFC 7714 §14.2): `a=crypto`.

/// How a stream is protected, as SDES names it.
package enum CryptoSuite: String, CaseIterable, Hashable, Sendable {
  case aes128CMHMACSHA1_80 = "AES_CM_128_HMAC_SHA1_80"
  case aes128CMHMACSHA1_32 = "AES_CM_128_HMAC_SHA1_32"
  case aeadAES128GCM = "AEAD_AES_128_GCM"
  case aeadAES256GCM = "AEAD_AES_256_GCM"

  /// Bytes of master key.
  package var keyByteCount: Int { self == .aeadAES256GCM ? 32 : 16 }
  /// Bytes of master salt.
  package var saltByteCount: Int { self == .aeadAES128GCM || self == .aeadAES256GCM ? 12 : 14 }
}

/// Why a `crypto` attribute is not taken.
package enum CryptoAttributeError: Error, Hashable, Sendable {
  case malformed
  case tooLong
  case unknownSuite
  /// A key of another method than `inline`, or several keys.
  case unsupportedKeyMethod
  /// Not as long as the suite's key and salt, or not base64.
  case wrongKeyLength
  /// A master key identifier, which we do not write into packets.
  case unsupportedKeyIdentifier
  /// A session parameter without which the other side would not understand us (RFC 4568 §6.3).
  case unsupportedParameter
}

/// One `crypto` attribute: a tag, a suite, and the key by which whoever says it will send.
package struct CryptoAttribute: Hashable, Sendable {
  /// What an answer refers to; at most nine digits (RFC 4568 §9.1).
  package var tag: UInt32
  package var suite: CryptoSuite
  package var masterKey: [UInt8]
  package var masterSalt: [UInt8]

  package init(tag: UInt32, suite: CryptoSuite, masterKey: [UInt8], masterSalt: [UInt8]) {
    self.tag = tag
    self.suite = suite
    self.masterKey = masterKey
    self.masterSalt = masterSalt
  }

  /// The longest attribute that is read: a tag, a suite, a key, and session parameters.
  package static let characterLimit = 512

  /// Reads the attribute's value: `1 AES_CM_128_HMAC_SHA1_80 inline:… `; with `a=crypto:` in front of it, too.
  package init(parsing text: String) throws(CryptoAttributeError) {
    guard text.utf8.count <= Self.characterLimit else { throw .tooLong }
    var value = Array(text.utf8)[...]
    while let last = value.last, last == 13 || last == 10 { value.removeLast() }
    let prefix = Array("a=crypto:".utf8)
    if value.starts(with: prefix) { value = value.dropFirst(prefix.count) }
    let words = value.split(separator: 32)
    guard words.count >= 3 else { throw .malformed }
    guard (1...9).contains(words[0].count), words[0].allSatisfy({ (48...57).contains($0) }) else { throw .malformed }
    tag = words[0].reduce(0) { $0 * 10 + UInt32($1 - 48) }
    guard let suite = CryptoSuite.allCases.first(where: { $0.rawValue.utf8.elementsEqual(words[1]) }) else { throw .unknownSuite }
    self.suite = suite
    let method = Array("inline:".utf8)
    guard words[2].starts(with: method), !words[2].contains(59) else { throw .unsupportedKeyMethod }
    let parts = words[2].dropFirst(method.count).split(separator: 124, omittingEmptySubsequences: false)
    guard let material = Base64.decode(parts[0]), material.count == suite.keyByteCount + suite.saltByteCount else { throw .wrongKeyLength }
    masterKey = Array(material.prefix(suite.keyByteCount))
    masterSalt = Array(material.dropFirst(suite.keyByteCount))
    for part in parts.dropFirst() { try Self.check(part) }
    // RFC 4568 §6.3.7: what does not begin with a minus must be understood, and WSH is only advice.
    for parameter in words.dropFirst(3) where parameter.first != 45 && !parameter.starts(with: Array("WSH=".utf8)) {
      throw .unsupportedParameter
    }
  }

  /// A lifetime is taken note of and not needed: we never come near the 2^31 packets that every suite allows. A key identifier is refused.
  private static func check(_ part: ArraySlice<UInt8>) throws(CryptoAttributeError) {
    guard !part.contains(58) else { throw .unsupportedKeyIdentifier }
    let digits = part.starts(with: [50, 94]) ? part.dropFirst(2) : part
    guard !digits.isEmpty, digits.count <= 15, digits.allSatisfy({ (48...57).contains($0) }) else { throw .malformed }
  }

  /// The attribute's value.
  package var value: String { "\(tag) \(suite.rawValue) inline:\(Base64.encode(masterKey + masterSalt))" }
}

/// Base64 (RFC 4648 §4), strict: whole quadruples, padding, no bits left over.
enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private static let padding: UInt8 = 61

  static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var word = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      word <<= UInt32(8 * (3 - group.count))
      for position in 0..<4 {
        text.append(position <= group.count ? alphabet[Int(word >> UInt32(18 - 6 * position) & 63)] : padding)
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    guard !text.isEmpty, text.count % 4 == 0 else { return nil }
    let paddingCount = text.reversed().prefix { $0 == padding }.count
    guard paddingCount <= 2 else { return nil }
    var bytes: [UInt8] = []
    var word: UInt32 = 0
    var bitCount = 0
    for character in text.prefix(text.count - paddingCount) {
      guard let value = value(of: character) else { return nil }
      word = word << 6 | value
      bitCount += 6
      if bitCount >= 8 {
        bitCount -= 8
        bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(bitCount)))
        word &= (1 << UInt32(bitCount)) - 1
      }
    }
    return word == 0 ? bytes : nil
  }

  private static func value(of character: UInt8) -> UInt32? {
    switch character {
    case 65...90: UInt32(character - 65)
    case 97...122: UInt32(character - 71)
    case 48...57: UInt32(character + 4)
    case 43: 62
    case 47: 63
    default: nil
    }
  }
}
