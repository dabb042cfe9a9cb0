// Keys in session descriptions (RFC 4568 §9.1, RFC 7714 §14.2).

import Foundation
import Testing

@testable import EnfiladeSDP

@Suite("Crypto attributes")
struct CryptoAttributeTests {
  // RFC 4568 §10.1.
  private static let example = "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4"

  @Test("The key of an attribute is read, with its name in front of it and a lifetime behind it; written it is read again")
  func reads() throws {
    let text = "a=crypto:" + Self.example.replacingOccurrences(of: "|1:4", with: "") + "\r\n"
    let read = try CryptoAttribute(parsing: text)
    #expect(read.tag == 1)
    #expect(read.suite == .aes128CMHMACSHA1_80)
    #expect(Data(read.masterKey + read.masterSalt) == Data(base64Encoded: "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"))
    #expect(try CryptoAttribute(parsing: read.value) == read)
  }

  @Test("Every suite comes back as it was written, and with one byte too many or too few it is refused", arguments: CryptoSuite.allCases)
  func suites(suite: CryptoSuite) throws {
    let count = suite.keyByteCount + suite.saltByteCount
    for length in [count - 1, count, count + 1] {
      let key = Data((0..<length).map { UInt8($0 * 37 & 255) })
      let text = "7 \(suite.rawValue) inline:\(key.base64EncodedString())"
      if length == count {
        let read = try CryptoAttribute(parsing: text)
        #expect(Data(read.masterKey + read.masterSalt) == key)
        #expect(read.value == text)
      } else {
        #expect(throws: CryptoAttributeError.wrongKeyLength) { try CryptoAttribute(parsing: text) }
      }
    }
  }

  @Test(
    "What we would not do as it is meant is refused, by its reason",
    arguments: [
      (CryptoAttributeTests.example, CryptoAttributeError.unsupportedKeyIdentifier),
      ("1 AES_CM_128_HMAC_SHA1_80", .malformed), ("", .malformed), ("x AES_CM_128_HMAC_SHA1_80 inline:AAAA", .malformed),
      ("1234567890 AES_CM_128_HMAC_SHA1_80 inline:AAAA", .malformed), ("1 F8_128_HMAC_SHA1_80 inline:AAAA", .unknownSuite),
      ("1 AES_CM_128_HMAC_SHA1_80 uri:AAAA", .unsupportedKeyMethod),
      (
        "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz;inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        .unsupportedKeyMethod
      ),
      ("1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGV!", .wrongKeyLength),
      ("1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|x", .malformed),
      ("1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz UNENCRYPTED_SRTP", .unsupportedParameter),
      ("1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz KDR=1", .unsupportedParameter),
      (String(repeating: "1", count: 513), .tooLong),
    ])
  func refuses(text: String, error: CryptoAttributeError) { #expect(throws: error) { try CryptoAttribute(parsing: text) } }

  @Test("Advice and what may be left out is left out")
  func optional() throws {
    _ = try CryptoAttribute(parsing: Self.example.replacingOccurrences(of: "|2^20|1:4", with: "|1048576 WSH=128 -X=1"))
  }

  @Test("Cut at every length and flipped at every bit, it is read as it is written or not at all")
  func hostile() {
    var bytes = Array(Self.example.utf8)
    for count in bytes.indices { #expect(violation(ofCrypto: Array(bytes[..<count])) == nil) }
    for index in bytes.indices {
      for bit in 0..<8 {
        bytes[index] ^= 1 << bit
        #expect(violation(ofCrypto: bytes) == nil)
        bytes[index] ^= 1 << bit
      }
    }
  }

  private static let corpus: [URL] = {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fuzz/Corpus/crypto")
    return ((try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []).sorted { $0.path < $1.path }
  }()

  @Test("Every input that the fuzzer kept")
  func replay() throws {
    #expect(Self.corpus.count >= 3)
    for file in Self.corpus { #expect(violation(ofCrypto: [UInt8](try Data(contentsOf: file))) == nil, "\(file.lastPathComponent)") }
  }
}
