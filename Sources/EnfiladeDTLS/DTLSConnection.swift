// The door to one SSL object: datagrams in and out of it through a BIO of our own, and its timer on our clock.

import COpenSSL
import EnfiladeTransport
import EnfiladeWire
import Glibc

/// An SSL object with its datagrams.
///
/// The library measures time by itself, and looks at its timer whenever it reads. Ours is the only clock here, so its timer must
/// stand still until we say so. Up to OpenSSL 3.1 it tells its BIO where the timer lies (BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT): the
/// timer is always set an hour ahead (by the interval callback), and moved into the past for the one call that retransmits. Later
/// versions pass a copy; there the interval callback gives the library nearly the interval we wait, so that its timer has run out
/// in real time when ours has.
final class DTLSConnection {
  /// How far a step came.
  enum Step {
    case wantsMore
    case finished
    case closedByPeer
    case failed(String)
  }

  /// The first version whose timer is out of reach.
  private static let timerIsReachable = OpenSSL_version_num() < 0x3020_0000
  private static let farAheadMicroseconds: UInt32 = 3_600_000_000
  /// The library counts a timer as run out 15 ms early; this much earlier still covers the rest of a call.
  private static let headStartMicroseconds: UInt32 = 20_000

  private let ssl: OpaquePointer
  /// The datagram to be read; taken once.
  private var incoming: [UInt8]?
  private var clearRecordCount: UInt64 = 0
  var expectedFingerprints: [CertificateFingerprint] = []
  private(set) var isPeerVerified = false
  private(set) var hasFingerprintMismatch = false
  private var outgoing: [[UInt8]] = []
  private var timerLocation: UnsafeMutablePointer<timeval>?
  private var timerStarted = false

  init?(factory: OpenSSLHandshakeFactory, role: HandshakeRole) {
    ERR_clear_error()
    guard let ssl = SSL_new(factory.context) else { return nil }
    guard let method = datagramMethod.pointer, let bio = BIO_new(method) else {
      SSL_free(ssl)
      return nil
    }
    self.ssl = ssl
    let me = Unmanaged.passUnretained(self).toOpaque()
    BIO_set_data(bio, me)
    BIO_set_init(bio, 1)
    SSL_set_bio(ssl, bio, bio)
    SSL_set_ex_data(ssl, 0, me)
    SSL_ctrl(ssl, SSL_CTRL_SET_MTU, Limits.handshakeMTU, nil)
    DTLS_set_timer_cb(ssl) { ssl, interval in
      guard let ssl, let connection = DTLSConnection.connection(of: ssl) else { return DTLSConnection.farAheadMicroseconds }
      return connection.nextInterval(after: interval)
    }
    if role == .active { SSL_set_connect_state(ssl) } else { SSL_set_accept_state(ssl) }
  }

  deinit {
    // The library may still talk to the BIO while it takes it down.
    if let bio = SSL_get_rbio(ssl) { BIO_set_data(bio, nil) }
    SSL_free(ssl)
  }

  static func connection(of ssl: OpaquePointer) -> DTLSConnection? {
    guard let raw = SSL_get_ex_data(ssl, 0) else { return nil }
    return Unmanaged<DTLSConnection>.fromOpaque(raw).takeUnretainedValue()
  }

  // MARK: Steps

  func handshake() -> Step {
    ERR_clear_error()
    let result = SSL_do_handshake(ssl)
    return result == 1 ? .finished : classify(result)
  }

  /// Reads records of a finished association: alerts, a repeated last flight; application data are not for us and are dropped.
  func read() -> Step {
    withUnsafeTemporaryAllocation(byteCount: 2_048, alignment: 16) { scratch in
      // A datagram holds few records; the number stops the loop whatever is in them.
      for _ in 0..<64 {
        ERR_clear_error()
        let result = SSL_read(ssl, scratch.baseAddress, Int32(scratch.count))
        if result <= 0 { return classify(result) }
      }
      return .wantsMore
    }
  }

  private func classify(_ result: Int32) -> Step {
    switch SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
      return .wantsMore
    case SSL_ERROR_ZERO_RETURN:
      return .closedByPeer
    default:
      return .failed(OpenSSLError.takeReason() ?? "closed")
    }
  }

  /// Sends close_notify where the association is far enough for one.
  func shutdown() {
    ERR_clear_error()
    if SSL_is_init_finished(ssl) == 1 { SSL_shutdown(ssl) }
    ERR_clear_error()
  }

  // MARK: Time

  /// Whether the library waits for an answer.
  var isTimerRunning: Bool {
    var left = timeval()
    return SSL_ctrl(ssl, DTLS_CTRL_GET_TIMEOUT, 0, &left) == 1
  }

  /// Whether a new flight has started the timer since this was last asked.
  func takeTimerStart() -> Bool {
    defer { timerStarted = false }
    return timerStarted
  }

  /// Sends the last flight again; `false` when the library has given up.
  func retransmit() -> Bool {
    ERR_clear_error()
    // One second after the epoch: long ago, and not zero, which would mean that the timer does not run.
    if Self.timerIsReachable, let timerLocation, timerLocation.pointee.tv_sec != 0 {
      timerLocation.pointee = timeval(tv_sec: 1, tv_usec: 0)
    }
    return SSL_ctrl(ssl, DTLS_CTRL_HANDLE_TIMEOUT, 0, nil) >= 0
  }

  private func nextInterval(after interval: UInt32) -> UInt32 {
    if interval == 0 { timerStarted = true }
    guard !Self.timerIsReachable else { return Self.farAheadMicroseconds }
    let first = UInt32(OpenSSLHandshake.firstRetransmission.microseconds)
    let longest = UInt32(OpenSSLHandshake.longestRetransmission.microseconds)
    return interval == 0 ? first - Self.headStartMicroseconds : min(interval * 2, longest - Self.headStartMicroseconds)
  }

  // MARK: The peer and the keys

  /// Whether a certificate has one of the announced fingerprints (RFC 8122 §5).
  func verify(_ certificate: OpaquePointer) -> Bool {
    isPeerVerified = expectedFingerprints.contains { expected in
      DTLSCertificate.fingerprint(of: certificate, algorithm: expected.algorithm)?.digest == expected.digest
    }
    hasFingerprintMismatch = !isPeerVerified
    return isPeerVerified
  }

  var selectedProfile: SRTPProfile? {
    guard let profile = SSL_get_selected_srtp_profile(ssl) else { return nil }
    return SRTPProfile(rawValue: UInt16(truncatingIfNeeded: profile.pointee.id))
  }

  /// The keys of RFC 5764 §4.2: client key, server key, client salt, server salt.
  func exportKeys(profile: SRTPProfile, role: HandshakeRole) -> SRTPKeyingMaterial? {
    let (key, salt) = (profile.masterKeyByteCount, profile.masterSaltByteCount)
    var bytes = [UInt8](repeating: 0, count: 2 * (key + salt))
    let label = "EXTRACTOR-dtls_srtp"
    guard SSL_export_keying_material(ssl, &bytes, bytes.count, label, label.utf8.count, nil, 0, 0) == 1 else { return nil }
    let client = (key: Array(bytes[0..<key]), salt: Array(bytes[2 * key..<2 * key + salt]))
    let server = (key: Array(bytes[key..<2 * key]), salt: Array(bytes[(2 * key + salt)...]))
    let (ours, theirs) = role == .active ? (client, server) : (server, client)
    return SRTPKeyingMaterial(
      profile: profile, sendMasterKey: ours.key, sendMasterSalt: ours.salt, receiveMasterKey: theirs.key, receiveMasterSalt: theirs.salt)
  }

  // MARK: Datagrams

  /// Lays a datagram down for the next step.
  ///
  /// Records in clear are numbered anew in the order of arrival. Their numbers (RFC 6347 §4.1.2.6) are not authenticated, and one
  /// forged high number would make every true record look like a replay; repeated messages are told by their own numbers.
  func take(_ datagram: RawSpan) {
    var bytes = datagram.copyToArray()
    var offset = 0
    // Content type, version, epoch, 48 bits of number, length.
    while offset + 13 <= bytes.count {
      if bytes[offset + 3] == 0, bytes[offset + 4] == 0 {
        for position in 0..<6 { bytes[offset + 5 + position] = UInt8(truncatingIfNeeded: clearRecordCount >> (40 - 8 * UInt64(position))) }
        clearRecordCount &+= 1
      }
      offset += 13 + Int(bytes[offset + 11]) << 8 + Int(bytes[offset + 12])
    }
    incoming = bytes
  }

  func takeOutgoing() -> [[UInt8]] {
    defer { outgoing.removeAll() }
    return outgoing
  }

  fileprivate func write(_ bytes: UnsafeRawBufferPointer) { outgoing.append(Array(bytes)) }

  /// Gives the waiting datagram once; a read that takes less than all of it loses the rest, as a socket's would.
  fileprivate func read(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
    guard let datagram = incoming else { return nil }
    incoming = nil
    let count = min(datagram.count, buffer.count)
    datagram.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(count))) }
    return count
  }

  fileprivate func control(_ command: Int32, _ argument: UnsafeMutableRawPointer?) -> Int {
    switch command {
    case BIO_CTRL_FLUSH, BIO_CTRL_DUP:
      return 1
    case BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT:
      if Self.timerIsReachable { timerLocation = argument?.assumingMemoryBound(to: timeval.self) }
      return 1
    case BIO_CTRL_DGRAM_QUERY_MTU, BIO_CTRL_DGRAM_GET_MTU, BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
      return Limits.handshakeMTU
    default:
      return 0
    }
  }
}

/// The kind of BIO that keeps datagrams apart. Made once for the process, and never changed after.
private struct DatagramMethod: @unchecked Sendable {
  let pointer: OpaquePointer?

  init() {
    pointer = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "enfilade datagrams")
    guard let pointer else { return }
    BIO_meth_set_write(pointer) { bio, bytes, count in
      guard let connection = DatagramMethod.connection(of: bio), let bytes, count > 0 else { return 0 }
      BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
      connection.write(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
      return count
    }
    BIO_meth_set_read(pointer) { bio, bytes, count in
      guard let connection = DatagramMethod.connection(of: bio), let bytes, count > 0 else { return 0 }
      BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_SHOULD_RETRY)
      guard let read = connection.read(into: UnsafeMutableRawBufferPointer(start: bytes, count: Int(count))) else {
        BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        return -1
      }
      return Int32(read)
    }
    BIO_meth_set_ctrl(pointer) { bio, command, _, argument in
      DatagramMethod.connection(of: bio)?.control(command, argument) ?? 0
    }
  }

  private static func connection(of bio: OpaquePointer?) -> DTLSConnection? {
    guard let bio, let raw = BIO_get_data(bio) else { return nil }
    return Unmanaged<DTLSConnection>.fromOpaque(raw).takeUnretainedValue()
  }
}

private let datagramMethod = DatagramMethod()
