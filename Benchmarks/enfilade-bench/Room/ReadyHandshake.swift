// A handshake that is over before it begins: both ends make the keys from one number. What is measured is media, not DTLS.

import EnfiladeTransport
import EnfiladeWire

/// Keys that follow from a member's number.
enum ReadyKeys {
  /// The keys as the engine sees them.
  static func make(for number: UInt64, profile: SRTPProfile) -> SRTPKeyingMaterial {
    var random = SeededRandom(seed: number &* 0x9E37_79B9_7F4A_7C15)
    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
    return SRTPKeyingMaterial(
      profile: profile, sendMasterKey: bytes(profile.masterKeyByteCount), sendMasterSalt: bytes(profile.masterSaltByteCount),
      receiveMasterKey: bytes(profile.masterKeyByteCount), receiveMasterSalt: bytes(profile.masterSaltByteCount))
  }

  /// The same keys as the member sees them.
  static func mirrored(_ keys: SRTPKeyingMaterial) -> SRTPKeyingMaterial {
    SRTPKeyingMaterial(
      profile: keys.profile, sendMasterKey: keys.receiveMasterKey, sendMasterSalt: keys.receiveMasterSalt,
      receiveMasterKey: keys.sendMasterKey, receiveMasterSalt: keys.sendMasterSalt)
  }

  /// What stands in a link's configuration in place of a certificate's digest, so that the factory learns whose keys are wanted.
  static func fingerprint(of number: UInt64) -> CertificateFingerprint {
    CertificateFingerprint(algorithm: "sha-256", digest: (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) })
  }

  static func number(of fingerprint: CertificateFingerprint) -> UInt64 {
    fingerprint.digest.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}

/// One association, connected from the start.
final class ReadyHandshake: Handshake {
  private(set) var state = HandshakeState.connected
  let keyingMaterial: SRTPKeyingMaterial?
  var nextDeadline: Instant? { nil }

  init(_ keys: SRTPKeyingMaterial) { keyingMaterial = keys }

  func start(at now: Instant) {}
  func handleDatagram(_ datagram: RawSpan, at now: Instant) {}
  func handleTimeout(at now: Instant) {}
  func close(at now: Instant) { state = .closed }
  func pollTransmit(into buffer: inout MutableRawSpan) -> Int { 0 }
}

/// Makes handshakes that are over.
final class ReadyHandshakeFactory: HandshakeFactory {
  let localFingerprint = ReadyKeys.fingerprint(of: 0)
  private let profile: SRTPProfile

  init(profile: SRTPProfile) { self.profile = profile }

  func makeHandshake(role: HandshakeRole, remoteFingerprints: [CertificateFingerprint]) -> any Handshake {
    ReadyHandshake(ReadyKeys.make(for: remoteFingerprints.first.map(ReadyKeys.number) ?? 0, profile: profile))
  }
}
