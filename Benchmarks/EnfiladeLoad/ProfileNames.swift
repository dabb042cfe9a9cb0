// Short names for the SRTP profiles, as commands take them.

package import EnfiladeTransport

extension SRTPProfile {
  package var shortName: String {
    switch self {
    case .aeadAES128GCM: "aes-gcm"
    case .aeadAES256GCM: "aes-gcm-256"
    case .aes128CMHMACSHA1_80: "aes-cm"
    case .aes128CMHMACSHA1_32: "aes-cm-32"
    case .clear: "clear"
    }
  }

  /// As the registry has it (RFC 5764 §4.1.2, RFC 7714 §14.2).
  package var registeredName: String {
    switch self {
    case .aeadAES128GCM: "AEAD_AES_128_GCM"
    case .aeadAES256GCM: "AEAD_AES_256_GCM"
    case .aes128CMHMACSHA1_80: "AES_CM_128_HMAC_SHA1_80"
    case .aes128CMHMACSHA1_32: "AES_CM_128_HMAC_SHA1_32"
    case .clear: "none"
    }
  }
}
