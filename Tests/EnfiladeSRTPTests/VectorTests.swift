// The published vectors: RFC 3711 Appendix B, RFC 7714 §16 and §17.

import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Published vectors")
struct VectorTests {
  /// The known answer that libsrtp's own driver checks for AES_CM_128_HMAC_SHA1_80: sixteen bytes of 0xAB, master keys as in B.3.
  @Test(
    "A packet under the master key of RFC 3711 B.3 comes out as published", arguments: combinations.filter { $0.1 == .aes128CMHMACSHA1_80 })
  func knownAnswer(backend: ProtectorBackend, profile: SRTPProfile) throws {
    let protector = try #require(makeProtector(backend))
    let keys = KeyPair(profile: profile, key: hex("E1F97A0D3E018BE0D64FA32C06DE4139"), salt: hex("0EC675AD498AFEEBB6960B3AABE6"))
    let session = try protector.openSession(keys.near)
    var packet = ClearPacket(index: 0x1234, ssrc: 0xCAFE_BABE, payload: [UInt8](repeating: 0xAB, count: 16))
    packet.header = hex("800F1234 DECAFBAD CAFEBABE")
    let sealed = hex("800F1234 DECAFBAD CAFEBABE 4E55DC4C E79978D8 8CA4D215 949D2402 B78D6ACC 99EA179B 8DBB")
    #expect(protector.protect(packet, session) == sealed)
    #expect(protector.unprotect(sealed, session) == Opened(outcome: .done, bytes: packet.bytes, index: 0x1234))
  }

  #if ENFILADE_IPSEC_MB

    private func protector() throws -> MultiBufferProtector? {
      try #require(ProtectorBackend.multiBuffer.isAvailable ? MultiBufferProtector() : nil)
    }

    @Test("RFC 3711 B.3: keys are derived as published", .enabled(if: ProtectorBackend.multiBuffer.isAvailable))
    func keyDerivation() throws {
      let protector = try #require(try protector())
      let (key, salt) = (hex("E1F97A0D3E018BE0D64FA32C06DE4139"), hex("0EC675AD498AFEEBB6960B3AABE6"))
      #expect(protector.deriveKey(label: 0, byteCount: 16, masterKey: key, masterSalt: salt) == hex("C61E7A93744F39EE10734AFE3FF7A087"))
      #expect(protector.deriveKey(label: 2, byteCount: 14, masterKey: key, masterSalt: salt) == hex("30CBBC08863D8C85D49DB34A9AE1"))
      #expect(
        protector.deriveKey(label: 1, byteCount: 94, masterKey: key, masterSalt: salt)
          == hex(
            """
            CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE E049646C43D9327AD175578EF7227098
            6371C10C9A369AC2F94A8C5FBCDDDC25 6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2
            """))
    }

    @Test("RFC 3711 B.2: the keystream is as published", .enabled(if: ProtectorBackend.multiBuffer.isAvailable))
    func keystream() throws {
      let protector = try #require(try protector())
      let bytes = try #require(
        protector.keystream(
          key: hex("2B7E151628AED2A6ABF7158809CF4F3C"), vector: hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"), byteCount: 0xFF02 * 16))
      #expect(
        Array(bytes.prefix(48)) == hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0")
      )
      #expect(
        Array(bytes.suffix(48)) == hex("EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44")
      )
    }

    /// RFC 7714 §16, §17: session keys, not master keys.
    private func galliaKeys(_ profile: SRTPProfile) -> SRTPKeyingMaterial {
      let bytes = (0..<profile.masterKeyByteCount).map { UInt8($0) }
      return KeyPair(profile: profile, key: bytes, salt: hex("51756964 2070726F 2071756F")).near
    }

    @Test(
      "RFC 7714 §16.1 and §16.2: an RTP packet comes out as published", .enabled(if: ProtectorBackend.multiBuffer.isAvailable),
      arguments: [
        (
          SRTPProfile.aeadAES128GCM,
          "F24DE3A3 FB34DE6C ACBA861C 9D7E4BCA BE633BD5 0D294E6F 42A5F47A 51C7D19B 36DE3ADF 8833 899D7F27 BEB16A91 52CF765E E4390CCE"
        ),
        (
          .aeadAES256GCM,
          "32B1DE78 A822FE12 EF9F78FA 332E33AA B1801238 9A58E2F3 B50B2A02 76FFAE0F 1BA63799 B87B 7AA3DB36 DFFFD6B0 F9BB7878 D7A76C13"
        ),
      ])
    func gcm(profile: SRTPProfile, sealed: String) throws {
      let protector = try #require(try protector())
      let session = try protector.openSession(derived: galliaKeys(profile))
      var packet = ClearPacket(
        index: 0xF17B, ssrc: 0x5501_A0B2,
        payload: hex("47616C6C 69612065 7374206F 6D6E6973 20646976 69736120 696E2070 61727465 73207472 6573"))
      packet.header = hex("8040F17B 8041F8D3 5501A0B2")
      #expect(protector.protect(packet, session) == packet.header + hex(sealed))
      #expect(protector.unprotect(packet.header + hex(sealed), session) == Opened(outcome: .done, bytes: packet.bytes, index: 0xF17B))
    }

    /// The report of RFC 7714 §17.1 to §17.4, whose sender is "Mars".
    private static let mars = hex(
      "81C8000D 4D617273 4E545031 4E545032 52545020 0000042A 0000E930 4C756E61 DEADBEEF DEADBEEF DEADBEEF DEADBEEF DEADBEEF")

    @Test(
      "RFC 7714 §17: reports open as published, the one that is only authenticated too",
      .enabled(if: ProtectorBackend.multiBuffer.isAvailable),
      arguments: [
        (
          SRTPProfile.aeadAES128GCM,
          """
          81C8000D 4D617273 63E94885 DCDAB67C A727D766 2F6B7E99 7FF5C0F7 6C06F32D C676A5F1 730D6FDA 4CE09B46 86303DED
          0BB9275B C84AA458 96CF4D2F C5ABF872 45D9EADE 800005D4
          """
        ),
        (
          .aeadAES256GCM,
          """
          81C8000D 4D617273 D50AE4D1 F5CE5D30 4BA297E4 7D470C28 2C3ECE5D BFFE0A50 A2EAA5C1 110555BE 8415F658 C61DE047
          6F1B6FAD 1D1EB30C 4446839F 57FF6F6C B26AC3BE 800005D4
          """
        ),
        (
          .aeadAES128GCM,
          """
          81C8000D 4D617273 4E545031 4E545032 52545020 0000042A 0000E930 4C756E61 DEADBEEF DEADBEEF DEADBEEF DEADBEEF DEADBEEF
          841DD968 3DD78EC9 2AE58790 125F62B3 000005D4
          """
        ),
      ])
    func gcmReports(profile: SRTPProfile, sealed: String) throws {
      let protector = try #require(try protector())
      let session = try protector.openSession(derived: galliaKeys(profile))
      #expect(protector.unprotect(hex(sealed), session, isRTCP: true) == Opened(outcome: .done, bytes: Self.mars, index: 0))
    }

    @Test("RFC 7714 §17: the report with index 0x5D4 comes out as published", .enabled(if: ProtectorBackend.multiBuffer.isAvailable))
    func gcmReport() throws {
      let protector = try #require(try protector())
      let session = try protector.openSession(derived: galliaKeys(.aeadAES128GCM))
      var sealed: [UInt8] = []
      for _ in 1...0x5D4 { sealed = protector.protectReport(Self.mars, session) }
      #expect(
        sealed
          == hex(
            """
            81C8000D 4D617273 63E94885 DCDAB67C A727D766 2F6B7E99 7FF5C0F7 6C06F32D C676A5F1 730D6FDA 4CE09B46 86303DED
            0BB9275B C84AA458 96CF4D2F C5ABF872 45D9EADE 800005D4
            """))
    }

  #endif
}
