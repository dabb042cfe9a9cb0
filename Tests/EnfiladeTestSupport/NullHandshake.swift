// A handshake of one datagram each way, with first bytes that RFC 7983 takes for DTLS: for tests and simulations.

package import EnfiladeTransport
package import EnfiladeWire

/// One association. The client says hello with a number and its certificate's digest, the server answers with its own; both numbers
/// make the keys. A lost datagram is sent again after half a second.
package final class NullHandshake: Handshake {
  private enum Message: UInt8 {
    case hello = 1
    case reply = 2
    case goodbye = 3
  }

  private static let magic: [UInt8] = Array("NULL".utf8)
  /// Content type 22, version, kind, magic, 16 bytes of number, 32 of digest.
  private static let byteCount = 4 + 4 + 16 + 32
  private static let retransmission = TimeDelta.milliseconds(500)

  package let role: HandshakeRole
  package private(set) var state = HandshakeState.idle
  package private(set) var keyingMaterial: SRTPKeyingMaterial?
  package private(set) var nextDeadline: Instant?

  private let profile: SRTPProfile
  private let number: [UInt8]
  private let digest: [UInt8]
  private let remoteFingerprints: [CertificateFingerprint]
  private var remoteNumber: [UInt8] = []
  private var outbox: [[UInt8]] = []
  private var deadline: Instant?

  init(
    role: HandshakeRole, profile: SRTPProfile, digest: [UInt8], remoteFingerprints: [CertificateFingerprint], random: inout SeededRandom
  ) {
    self.role = role
    self.profile = profile
    self.digest = digest
    self.remoteFingerprints = remoteFingerprints
    number = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  package func start(at now: Instant) {
    guard role == .active, state == .idle else { return }
    state = .handshaking
    deadline = now + Limits.handshakeTimeout
    sayHello(at: now)
  }

  package func handleDatagram(_ datagram: RawSpan, at now: Instant) {
    let bytes = datagram.copyToArray()
    guard bytes.count == Self.byteCount, bytes[0] == 22, Array(bytes[4..<8]) == Self.magic, let message = Message(rawValue: bytes[3]) else {
      return
    }
    let theirNumber = Array(bytes[8..<24])
    let theirDigest = Array(bytes[24...])
    switch (message, role, state) {
    case (.hello, .passive, .idle), (.hello, .passive, .handshaking):
      guard accepts(theirDigest) else { return }
      remoteNumber = theirNumber
      connect()
      outbox.append(frame(.reply))
    case (.hello, .passive, .connected) where theirNumber == remoteNumber:
      // The answer was lost.
      outbox.append(frame(.reply))
    case (.reply, .active, .handshaking):
      guard accepts(theirDigest) else { return }
      remoteNumber = theirNumber
      connect()
    case (.goodbye, _, .connected) where theirNumber == remoteNumber:
      state = .closed
    default:
      return
    }
  }

  package func handleTimeout(at now: Instant) {
    guard let nextDeadline, nextDeadline <= now else { return }
    guard let deadline, now < deadline else {
      state = .failed(.timedOut)
      self.nextDeadline = nil
      return
    }
    sayHello(at: now)
  }

  package func close(at now: Instant) {
    if state == .connected { outbox.append(frame(.goodbye)) }
    nextDeadline = nil
    state = .closed
  }

  package func pollTransmit(into buffer: inout MutableRawSpan) -> Int {
    guard !outbox.isEmpty, buffer.byteCount >= Self.byteCount else { return 0 }
    let bytes = outbox.removeFirst()
    for (offset, byte) in bytes.enumerated() { buffer.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self) }
    return bytes.count
  }

  // MARK: -

  private func sayHello(at now: Instant) {
    outbox.append(frame(.hello))
    nextDeadline = now + Self.retransmission
  }

  private func frame(_ message: Message) -> [UInt8] { [22, 0xFE, 0xFD, message.rawValue] + Self.magic + number + digest }

  private func accepts(_ theirDigest: [UInt8]) -> Bool {
    if remoteFingerprints.contains(where: { $0.digest == theirDigest }) { return true }
    state = .failed(.fingerprintMismatch)
    nextDeadline = nil
    return false
  }

  private func connect() {
    let client = role == .active ? number : remoteNumber
    let server = role == .active ? remoteNumber : number
    func bytes(_ label: UInt8, _ count: Int) -> [UInt8] {
      var seed = UInt64(label)
      for byte in client + server { seed = seed &* 0x0100_0000_01B3 ^ UInt64(byte) }
      var random = SeededRandom(seed: seed)
      return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }
    let clientKey = bytes(1, profile.masterKeyByteCount)
    let serverKey = bytes(2, profile.masterKeyByteCount)
    let clientSalt = bytes(3, profile.masterSaltByteCount)
    let serverSalt = bytes(4, profile.masterSaltByteCount)
    let isClient = role == .active
    keyingMaterial = SRTPKeyingMaterial(
      profile: profile, sendMasterKey: isClient ? clientKey : serverKey, sendMasterSalt: isClient ? clientSalt : serverSalt,
      receiveMasterKey: isClient ? serverKey : clientKey, receiveMasterSalt: isClient ? serverSalt : clientSalt)
    state = .connected
    nextDeadline = nil
  }
}

/// Makes null handshakes that share one made-up certificate.
package final class NullHandshakeFactory: HandshakeFactory {
  package let localFingerprint: CertificateFingerprint
  /// What the handshakes settle on.
  package var profile: SRTPProfile
  private var random: SeededRandom

  package init(seed: UInt64, profile: SRTPProfile = .aeadAES128GCM) {
    var random = SeededRandom(seed: seed)
    let digest = (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }
    self.random = random
    self.profile = profile
    localFingerprint = CertificateFingerprint(algorithm: "sha-256", digest: digest)
  }

  package func makeHandshake(role: HandshakeRole, remoteFingerprints: [CertificateFingerprint]) -> any Handshake {
    NullHandshake(
      role: role, profile: profile, digest: localFingerprint.digest, remoteFingerprints: remoteFingerprints, random: &random)
  }
}
