// One DTLS 1.2 association (RFC 6347) for SRTP keys (RFC 5764), sans-IO: OpenSSL between two queues of datagrams, on our clock.
//
//   idle ──start / first ClientHello──▶ handshaking ──keys exported──▶ connected ──close_notify, either way──▶ closed
//    ▲                                     │    └─ wrong fingerprint, no shared profile, alert, time over ─▶ failed
//    └── passive: a hello it cannot take ──┘

import COpenSSL
package import EnfiladeTransport
package import EnfiladeWire

/// A handshake by OpenSSL. Belongs to one thread.
package final class OpenSSLHandshake: Handshake {
  /// The first wait for an answer. RFC 6347 §4.2.4.1 begins at a second for peers it knows nothing about; ours have just exchanged
  /// connectivity checks, and 100 ms is more than their round trip in most meetings.
  package static let firstRetransmission = TimeDelta.milliseconds(100)
  /// The longest wait: with it, twelve retransmissions (the library's own limit) fill ``Limits/handshakeTimeout``.
  package static let longestRetransmission = TimeDelta.seconds(Int64(4))
  /// Datagrams that wait to be sent: a flight is two or three of them.
  private static let outgoingLimit = 32

  package private(set) var state = HandshakeState.idle
  package private(set) var keyingMaterial: SRTPKeyingMaterial?
  /// Datagrams dropped before they reached the library, or because too many were waiting to be sent.
  package private(set) var droppedCount: UInt64 = 0

  private let factory: OpenSSLHandshakeFactory
  private let role: HandshakeRole
  private let remoteFingerprints: [CertificateFingerprint]
  private var connection: DTLSConnection?
  private var hello = HelloFilter()
  /// Whether the library has taken the peer's first flight: from here on its errors are final.
  private var hasAnswered = false
  private var outgoing: [[UInt8]] = []
  private var timer = RetransmissionTimer()
  private var giveUpAt = Instant.distantFuture

  init(factory: OpenSSLHandshakeFactory, role: HandshakeRole, remoteFingerprints: [CertificateFingerprint]) {
    self.factory = factory
    self.role = role
    self.remoteFingerprints = remoteFingerprints
  }

  // MARK: Look

  package var nextDeadline: Instant? {
    guard state == .handshaking else { return nil }
    return min(timer.deadline ?? .distantFuture, giveUpAt)
  }

  // MARK: Told

  package func start(at now: Instant) {
    guard role == .active, state == .idle, open(at: now), let connection else { return }
    advance(connection, at: now)
  }

  package func handleDatagram(_ datagram: RawSpan, at now: Instant) {
    guard datagram.byteCount > 0 else { return }
    switch state {
    case .failed, .closed:
      droppedCount &+= 1
      return
    case .idle, .handshaking:
      guard admit(datagram, at: now) else {
        droppedCount &+= 1
        return
      }
    case .connected:
      break
    }
    guard let connection else { return }
    connection.take(datagram)
    advance(connection, at: now)
  }

  package func handleTimeout(at now: Instant) {
    guard state == .handshaking, let connection else { return }
    if now >= giveUpAt { return fail(.timedOut) }
    guard timer.fire(at: now) else { return }
    if !connection.retransmit() { return fail(.timedOut) }
    collect(from: connection)
  }

  package func close(at now: Instant) {
    switch state {
    case .idle, .handshaking, .connected:
      if let connection {
        connection.shutdown()
        collect(from: connection)
      }
      finish(.closed)
    case .failed, .closed:
      break
    }
  }

  package func pollTransmit(into buffer: inout MutableRawSpan) -> Int {
    guard !outgoing.isEmpty else { return 0 }
    let datagram = outgoing.removeFirst()
    guard datagram.count <= buffer.byteCount else { return 0 }
    for (offset, byte) in datagram.enumerated() { buffer.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self) }
    return datagram.count
  }

  // MARK: The passive role's door

  /// Whether a datagram may reach the library before the peer is known; opens the association for a first hello.
  private func admit(_ datagram: RawSpan, at now: Instant) -> Bool {
    guard role == .passive else { return state == .handshaking }
    if hasAnswered, datagram.byte(at: 0) != 22 || !isHello(datagram) { return true }
    switch hello.judge(datagram) {
    case .drop:
      return false
    case .pass:
      return state == .handshaking || open(at: now)
    case .startOver:
      reset()
      _ = hello.judge(datagram)
      return open(at: now)
    }
  }

  /// Whether the first record is a ClientHello in clear.
  private func isHello(_ datagram: RawSpan) -> Bool {
    // Content type, epoch, and behind the record header the handshake type (RFC 6347 §4.1, §4.2.2).
    datagram.byteCount > 13 && datagram.byte(at: 3) == 0 && datagram.byte(at: 4) == 0 && datagram.byte(at: 13) == 1
  }

  private func open(at now: Instant) -> Bool {
    guard let connection = DTLSConnection(factory: factory, role: role) else {
      finish(.failed(.protocolError(OpenSSLError.takeReason() ?? "out of memory")))
      return false
    }
    connection.expectedFingerprints = remoteFingerprints
    self.connection = connection
    state = .handshaking
    giveUpAt = now + Limits.handshakeTimeout
    return true
  }

  /// Back to the beginning, as if the peer had not spoken.
  private func reset() {
    connection = nil
    hello = HelloFilter()
    hasAnswered = false
    outgoing.removeAll()
    timer = RetransmissionTimer()
    giveUpAt = .distantFuture
    state = .idle
  }

  // MARK: Moving on

  private func advance(_ connection: DTLSConnection, at now: Instant) {
    let step = state == .connected ? connection.read() : connection.handshake()
    switch step {
    case .wantsMore:
      collect(from: connection)
      timer.follow(connection, at: now)
    case .finished:
      collect(from: connection)
      complete(connection)
      // What came in the same datagram behind the last handshake record.
      if state == .connected { advance(connection, at: now) }
    case .closedByPeer:
      connection.shutdown()
      collect(from: connection)
      finish(.closed)
    case .failed(let reason):
      handleError(reason, connection)
    }
  }

  private func handleError(_ reason: String, _ connection: DTLSConnection) {
    if connection.hasFingerprintMismatch {
      collect(from: connection)
      return fail(.fingerprintMismatch)
    }
    guard role == .passive, !hasAnswered, state == .handshaking else {
      collect(from: connection)
      // After the handshake the library ends an association only for an authenticated alert.
      return state == .connected ? finish(.closed) : fail(.protocolError(reason))
    }
    // A first flight that the library cannot take says nothing about who sent it: forget it, and let the real one in. A peer with
    // whom we share no cipher or version still learns so.
    let answers = connection.takeOutgoing().filter(\.isNegotiationAlert)
    reset()
    outgoing = answers
  }

  private func complete(_ connection: DTLSConnection) {
    guard connection.isPeerVerified else { return fail(.fingerprintMismatch) }
    guard let profile = connection.selectedProfile else {
      connection.shutdown()
      collect(from: connection)
      return fail(.noSharedProfile)
    }
    guard let keys = connection.exportKeys(profile: profile, role: role) else { return fail(.protocolError("key export")) }
    keyingMaterial = keys
    state = .connected
    timer = RetransmissionTimer()
    giveUpAt = .distantFuture
  }

  private func fail(_ failure: HandshakeFailure) { finish(.failed(failure)) }

  private func finish(_ end: HandshakeState) {
    state = end
    connection = nil
    timer = RetransmissionTimer()
    giveUpAt = .distantFuture
    if case .failed = end { keyingMaterial = nil }
  }

  private func collect(from connection: DTLSConnection) {
    for datagram in connection.takeOutgoing() {
      guard outgoing.count < Self.outgoingLimit else {
        droppedCount &+= 1
        continue
      }
      hasAnswered = true
      outgoing.append(datagram)
    }
  }

  /// Called by the library from within a handshake: whether the peer's certificate is the one that signaling announced.
  static func verify(_ store: OpaquePointer?) -> Bool {
    guard let store, let raw = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
      let connection = DTLSConnection.connection(of: OpaquePointer(raw)), let certificate = X509_STORE_CTX_get0_cert(store)
    else { return false }
    return connection.verify(certificate)
  }
}

extension [UInt8] {
  /// A fatal alert in clear that says that the two ends share no cipher or version (RFC 5246 §7.2.2).
  fileprivate var isNegotiationAlert: Bool {
    count >= 15 && self[0] == 21 && self[3] == 0 && self[4] == 0 && self[13] == 2 && (self[14] == 40 || self[14] == 70)
  }
}

/// When the last flight is sent again (RFC 6347 §4.2.4): our deadlines, the library's flights.
private struct RetransmissionTimer {
  private(set) var deadline: Instant?
  private var wait = OpenSSLHandshake.firstRetransmission

  /// Starts, goes on or stops as the library's own timer did.
  mutating func follow(_ connection: DTLSConnection, at now: Instant) {
    guard connection.isTimerRunning else {
      deadline = nil
      return
    }
    if connection.takeTimerStart() || deadline == nil {
      wait = OpenSSLHandshake.firstRetransmission
      deadline = now + wait
    }
  }

  /// Whether the time has come; then the next wait is twice as long.
  mutating func fire(at now: Instant) -> Bool {
    guard let due = deadline, now >= due else { return false }
    wait = min(wait * 2, OpenSSLHandshake.longestRetransmission)
    deadline = now + wait
    return true
  }
}
