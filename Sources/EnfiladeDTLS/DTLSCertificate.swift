// Our certificate: made at start, signed by itself, known to peers by its fingerprint (RFC 8122 §5, RFC 8827 §6.5).

import COpenSSL
import EnfiladeTransport

/// Why OpenSSL could not do what a start needs.
package struct OpenSSLError: Error, Hashable, CustomStringConvertible {
  /// What was being done.
  package var operation: String
  /// The library's reason.
  package var reason: String

  package var description: String { "\(operation): \(reason)" }

  /// Takes the oldest reason from the library's queue and empties the queue.
  static func take(_ operation: String) -> OpenSSLError {
    OpenSSLError(operation: operation, reason: takeReason() ?? "no reason given")
  }

  /// The oldest reason in this thread's queue, which is emptied.
  static func takeReason() -> String? {
    let code = ERR_get_error()
    defer { ERR_clear_error() }
    guard code != 0 else { return nil }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      guard let start = buffer.baseAddress else { return nil }
      ERR_error_string_n(code, start, buffer.count)
      return String(cString: start)
    }
  }
}

/// An ECDSA key on P-256 with a certificate that lives for a year; browsers look at its fingerprint alone.
final class DTLSCertificate {
  private static let lifetimeSeconds = 365 * 24 * 3_600
  /// Peers' clocks may be behind.
  private static let startsSecondsAgo = 24 * 3_600

  let key: OpaquePointer
  let certificate: OpaquePointer

  init() throws(OpenSSLError) {
    ERR_clear_error()
    guard let key = Self.makeKey() else { throw OpenSSLError.take("key") }
    guard let certificate = X509_new() else {
      EVP_PKEY_free(key)
      throw OpenSSLError.take("certificate")
    }
    self.key = key
    self.certificate = certificate
    guard fill() else { throw OpenSSLError.take("certificate") }
  }

  deinit {
    X509_free(certificate)
    EVP_PKEY_free(key)
  }

  private static func makeKey() -> OpaquePointer? {
    guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil) else { return nil }
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1,
      EVP_PKEY_keygen(context, &key) == 1
    else { return nil }
    return key
  }

  private func fill() -> Bool {
    var serial: UInt64 = 0
    let drawn = withUnsafeMutableBytes(of: &serial) { RAND_bytes($0.baseAddress!.assumingMemoryBound(to: UInt8.self), Int32($0.count)) }
    guard drawn == 1, X509_set_version(certificate, 2) == 1,
      // Positive and never zero (RFC 5280 §4.1.2.2).
      ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1,
      X509_gmtime_adj(X509_getm_notBefore(certificate), -Self.startsSecondsAgo) != nil,
      X509_gmtime_adj(X509_getm_notAfter(certificate), Self.lifetimeSeconds) != nil,
      X509_set_pubkey(certificate, key) == 1, let name = X509_get_subject_name(certificate),
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_FLAG | 1, "enfilade", -1, -1, 0) == 1,
      X509_set_issuer_name(certificate, name) == 1
    else { return false }
    return X509_sign(certificate, key, EVP_sha256()) > 0
  }

  /// The digest of a certificate; `nil` for a hash function that we refuse (`sha-1`) or do not know.
  static func fingerprint(of certificate: OpaquePointer, algorithm: String) -> CertificateFingerprint? {
    let function: OpaquePointer? =
      switch algorithm.lowercased() {
      case "sha-256": EVP_sha256()
      case "sha-384": EVP_sha384()
      case "sha-512": EVP_sha512()
      default: nil
      }
    guard let function else { return nil }
    var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var count: UInt32 = 0
    guard X509_digest(certificate, function, &digest, &count) == 1 else { return nil }
    return CertificateFingerprint(algorithm: algorithm.lowercased(), digest: Array(digest.prefix(Int(count))))
  }
}
