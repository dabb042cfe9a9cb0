// Each C library answers through its door: it is found, it links, and one real function does what it says.

import CEnfiladeShims
import COpenSSL
import COpus
import CSRTP
import CVPX
import CYUV
import Testing

#if ENFILADE_IPSEC_MB
  import CIPsecMB
#endif

@Suite("C library doors")
struct DoorTests {
  @Test("OpenSSL digests the empty message (FIPS 180-4)")
  func openSSL() {
    var digest = [UInt8](repeating: 0, count: 32)
    var count: UInt32 = 0
    #expect(EVP_Digest("", 0, &digest, &count, EVP_sha256(), nil) == 1)
    #expect(count == 32)
    #expect(digest.prefix(4) == [0xE3, 0xB0, 0xC4, 0x42])
    // From 3.2 on the timer of a DTLS object is out of reach, and handshakes can no longer run in virtual time.
    #expect(OpenSSL_version_num() >= 0x3000_0000)
  }

  @Test("libsrtp2 tells its version and has AES-GCM")
  func srtp() {
    // Not started here: it starts once for a process, and the protector's tests, which may run in this one, do that.
    #expect(srtp_get_version() >> 24 == 2)
    var policy = srtp_policy_t()
    srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp)
    #expect(policy.rtp.auth_tag_len == 16)
    #expect(policy.rtp.cipher_key_len == 28)
  }

  @Test("Opus makes a packet of 20 ms of silence and decodes it to as many samples")
  func opus() throws {
    var error: Int32 = 0
    let encoder = try #require(opus_encoder_create(48_000, 2, OPUS_APPLICATION_VOIP, &error))
    defer { opus_encoder_destroy(encoder) }
    let decoder = try #require(opus_decoder_create(48_000, 2, &error))
    defer { opus_decoder_destroy(decoder) }
    #expect(enfilade_opus_encoder_set(encoder, OPUS_SET_BITRATE_REQUEST, 32_000) == OPUS_OK)
    var bitrate: Int32 = 0
    #expect(enfilade_opus_encoder_get(encoder, OPUS_GET_BITRATE_REQUEST, &bitrate) == OPUS_OK)
    #expect(bitrate == 32_000)
    var packet = [UInt8](repeating: 0, count: 1_275)
    let count = opus_encode(encoder, [Int16](repeating: 0, count: 960 * 2), 960, &packet, 1_275)
    #expect(count > 0)
    var samples = [Int16](repeating: 1, count: 960 * 2)
    #expect(opus_decode(decoder, packet, count, &samples, 960, 0) == 960)
  }

  @Test("libvpx has VP8 and VP9 both ways")
  func vpx() {
    for interface in [vpx_codec_vp8_cx(), vpx_codec_vp9_cx()] {
      var configuration = vpx_codec_enc_cfg()
      #expect(vpx_codec_enc_config_default(interface, &configuration, 0) == VPX_CODEC_OK)
      #expect(configuration.g_timebase.den > 0)
    }
    for interface in [vpx_codec_vp8_dx(), vpx_codec_vp9_dx()] {
      var decoder = vpx_codec_ctx_t()
      #expect(vpx_codec_dec_init_ver(&decoder, interface, nil, 0, Int32(VPX_DECODER_ABI_VERSION)) == VPX_CODEC_OK)
      #expect(enfilade_vpx_control(&decoder, Int32(VP8_COPY_REFERENCE.rawValue), 0) != VPX_CODEC_OK)
      #expect(vpx_codec_destroy(&decoder) == VPX_CODEC_OK)
    }
  }

  @Test("libyuv scales a grey picture to a grey picture of half the size")
  func yuv() {
    let (luma, chroma) = ([UInt8](repeating: 90, count: 64 * 64), [UInt8](repeating: 128, count: 32 * 32))
    var (scaledLuma, scaledU, scaledV) = (
      [UInt8](repeating: 0, count: 32 * 32), [UInt8](repeating: 0, count: 16 * 16), [UInt8](repeating: 0, count: 16 * 16)
    )
    let status = I420Scale(luma, 64, chroma, 32, chroma, 32, 64, 64, &scaledLuma, 32, &scaledU, 16, &scaledV, 16, 32, 32, kFilterBox)
    #expect(status == 0)
    #expect(scaledLuma.allSatisfy { $0 == 90 })
    #expect(scaledU.allSatisfy { $0 == 128 })
  }

  @Test("The shims refuse what the kernel refuses")
  func shims() {
    var address = enfilade_address()
    #expect(enfilade_local_address(-1, &address) < 0)
    #expect(enfilade_processor_count() > 0)
    var bytes = [UInt8](repeating: 0, count: 16)
    #expect(enfilade_random(&bytes, bytes.count) == 0)
    #expect(bytes != [UInt8](repeating: 0, count: 16))
    #expect(MemoryLayout<enfilade_datagram>.size == 40)
  }

  #if ENFILADE_IPSEC_MB
    @Test("ipsec-mb hashes one block (FIPS 180-4: SHA-1 from its initial state)")
    func ipsecMB() throws {
      let manager = try #require(enfilade_imb_open())
      defer { free_mb_mgr(manager) }
      // "abc" with its padding: one block, so the state after it is the digest, in the machine's own order.
      var block: [UInt8] = [0x61, 0x62, 0x63, 0x80] + [UInt8](repeating: 0, count: 60)
      block[63] = 24
      var state = [UInt32](repeating: 0, count: 5)
      manager.pointee.sha1_one_block(block, &state)
      #expect(state == [0xA999_3E36, 0x4706_816A, 0xBA3E_2571, 0x7850_C26C, 0x9CD0_D89D])
    }
  #endif
}
