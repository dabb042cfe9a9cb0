// SHA-1, HMAC-SHA1 and CRC-32 against the published vectors.

import EnfiladeSTUN
import EnfiladeWire
import Testing

@Suite struct HashTests {
  private func bytes(of digest: SHA1Digest) -> [UInt8] { written { digest.write(into: &$0) } }

  private func sha1(_ pieces: [[UInt8]]) -> [UInt8] {
    var hash = SHA1()
    for piece in pieces { hash.update(piece.rawBytes) }
    return bytes(of: hash.finalize())
  }

  private func hmac(_ key: [UInt8], _ data: [UInt8]) -> [UInt8] {
    var hmac = HMACSHA1(STUNKey(password: key.rawBytes))
    hmac.update(data.rawBytes)
    return bytes(of: hmac.finalize())
  }

  private func crc(_ data: [UInt8]) -> UInt32 {
    var crc = CRC32()
    crc.update(data.rawBytes)
    return crc.value
  }

  @Test(
    "SHA-1 gives the digests of RFC 3174 §7.3, and of FIPS 180 for nothing",
    arguments: [
      ("abc", 1, "a9993e36 4706816a ba3e2571 7850c26c 9cd0d89d"),
      ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, "84983e44 1c3bd26e baae4aa1 f95129e5 e54670f1"),
      ("a", 1_000_000, "34aa973c d4c4daa4 f61eeb2b dbad2731 6534016f"),
      ("0123456701234567012345670123456701234567012345670123456701234567", 10, "dea356a2 cddd90c7 a7ecedc5 ebb56393 4f460452"),
      ("", 1, "da39a3ee 5e6b4b0d 3255bfef 95601890 afd80709"),
    ])
  func sha1Vectors(text: String, count: Int, digest: String) {
    #expect(sha1([Array(String(repeating: text, count: count).utf8)]) == hex(digest))
  }

  @Test("SHA-1 does not care where the pieces part")
  func sha1Pieces() {
    let data = (0..<200).map { UInt8($0) }
    let whole = sha1([data])
    for cut in 0...data.count { #expect(sha1([Array(data[..<cut]), Array(data[cut...])]) == whole) }
  }

  @Test(
    "HMAC-SHA1 gives the digests of RFC 2202 §3",
    arguments: [
      ([UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8), "b617318655057264e28bc0b6fb378c8ef146be00"),
      (Array("Jefe".utf8), Array("what do ya want for nothing?".utf8), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
      ([UInt8](repeating: 0xAA, count: 20), [UInt8](repeating: 0xDD, count: 50), "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
      ((1...25).map { UInt8($0) }, [UInt8](repeating: 0xCD, count: 50), "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
      ([UInt8](repeating: 0x0C, count: 20), Array("Test With Truncation".utf8), "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
      (
        [UInt8](repeating: 0xAA, count: 80), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
        "aa4ae5e15272d00e95705637ce8a3b55ed402112"
      ),
      (
        [UInt8](repeating: 0xAA, count: 80), Array("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data".utf8),
        "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"
      ),
    ])
  func hmacVectors(key: [UInt8], data: [UInt8], digest: String) {
    #expect(hmac(key, data) == hex(digest))
  }

  @Test("Digests compare equal only when all bits are")
  func constantTimeComparison() {
    func digest(_ bytes: [UInt8]) -> SHA1Digest {
      var hash = SHA1()
      hash.update(bytes.rawBytes)
      return hash.finalize()
    }
    #expect(digest([1]).isEqualInConstantTime(to: digest([1])))
    #expect(!digest([1]).isEqualInConstantTime(to: digest([2])))
  }

  @Test("CRC-32 gives the check value of ITU-T V.42, and zero for nothing")
  func crcVectors() {
    #expect(crc(Array("123456789".utf8)) == 0xCBF4_3926)
    #expect(crc([]) == 0)
    #expect(crc([UInt8](repeating: 0, count: 32)) == 0x190A_55AD)
  }
}
