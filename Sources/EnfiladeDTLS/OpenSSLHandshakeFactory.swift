// The settings every handshake shares (RFC 5764, RFC 8827 §6.5): DTLS 1.2, our certificate, our order of SRTP profiles.

import COpenSSL
package import EnfiladeTransport

/// Makes DTLS handshakes by OpenSSL with one certificate. May be shared by threads; each handshake belongs to one.
package final class OpenSSLHandshakeFactory: HandshakeFactory, @unchecked Sendable {
  // Unchecked: the settings do not change after init, and the library counts their users with its own lock.

  /// Forward secrecy and an AEAD, whatever the peer's certificate is made of (RFC 8827 §6.5 asks for the first at least).
  private static let cipherList =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    + "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
  private static let groupList = "X25519:P-256:P-384"

  package let localFingerprint: CertificateFingerprint
  let context: OpaquePointer

  /// Makes a key and a certificate.
  /// - Parameter profiles: What we offer and accept, in our order; a server's order decides.
  package init(profiles: [SRTPProfile] = SRTPProfile.negotiated) throws(OpenSSLError) {
    let certificate = try DTLSCertificate()
    guard let fingerprint = DTLSCertificate.fingerprint(of: certificate.certificate, algorithm: "sha-256"),
      let context = SSL_CTX_new(DTLS_method())
    else { throw OpenSSLError.take("context") }
    localFingerprint = fingerprint
    self.context = context
    try configure(certificate, profiles)
  }

  deinit { SSL_CTX_free(context) }

  package func makeHandshake(role: HandshakeRole, remoteFingerprints: [CertificateFingerprint]) -> any Handshake {
    OpenSSLHandshake(factory: self, role: role, remoteFingerprints: remoteFingerprints)
  }

  private func configure(_ certificate: DTLSCertificate, _ profiles: [SRTPProfile]) throws(OpenSSLError) {
    // The setters that C has as macros.
    let minimum = SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(DTLS1_2_VERSION), nil)
    let maximum = SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(DTLS1_2_VERSION), nil)
    var groups = Array(Self.groupList.utf8CString)
    let grouped = groups.withUnsafeMutableBytes { SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, $0.baseAddress) }
    SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
    SSL_CTX_ctrl(context, SSL_CTRL_SET_READ_AHEAD, 1, nil)
    guard minimum == 1, maximum == 1, grouped == 1, SSL_CTX_set_cipher_list(context, Self.cipherList) == 1 else {
      throw OpenSSLError.take("protocol settings")
    }
    guard SSL_CTX_use_certificate(context, certificate.certificate) == 1, SSL_CTX_use_PrivateKey(context, certificate.key) == 1 else {
      throw OpenSSLError.take("certificate")
    }
    // No second handshake on a connection, no tickets, no query of the path: the MTU is ours.
    let options =
      UInt64(1) << 30 /* SSL_OP_NO_RENEGOTIATION */ | UInt64(1) << 14 /* SSL_OP_NO_TICKET */ | UInt64(1) << 12 /* SSL_OP_NO_QUERY_MTU */
      | UInt64(1) << 22 /* SSL_OP_CIPHER_SERVER_PREFERENCE */
    SSL_CTX_set_options(context, options)
    // Names as the library spells them (RFC 5764 §4.1.2, RFC 7714 §14.2). This one call gives 0 when it succeeds.
    let names = profiles.compactMap { profile -> String? in
      switch profile {
      case .aeadAES128GCM: "SRTP_AEAD_AES_128_GCM"
      case .aeadAES256GCM: "SRTP_AEAD_AES_256_GCM"
      case .aes128CMHMACSHA1_80: "SRTP_AES128_CM_SHA1_80"
      case .aes128CMHMACSHA1_32: "SRTP_AES128_CM_SHA1_32"
      case .clear: nil
      }
    }
    guard SSL_CTX_set_tlsext_use_srtp(context, names.joined(separator: ":")) == 0 else { throw OpenSSLError.take("SRTP profiles") }
    // The peer must show a certificate; what counts about it is its fingerprint.
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    SSL_CTX_set_cert_verify_callback(context, { store, _ in OpenSSLHandshake.verify(store) ? 1 : 0 }, nil)
  }
}
