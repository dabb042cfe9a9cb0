// The two seams behind which C may stand: protection (SRTP) and the handshake (DTLS). The engine knows only these protocols,
// so that a test can put null cryptography in their place.

public import EnfiladeWire

// MARK: - Protection

/// The SRTP profiles we know (RFC 5764 §4.1.2, RFC 7714 §14.2).
package enum SRTPProfile: UInt16, Hashable, Sendable, CaseIterable {
  case aeadAES128GCM = 0x0007
  case aeadAES256GCM = 0x0008
  case aes128CMHMACSHA1_80 = 0x0001
  /// Four bytes of tag behind RTP, ten behind RTCP (RFC 3711 §5.2, RFC 4568 §6.2.2): for gateways that want it, never in DTLS.
  case aes128CMHMACSHA1_32 = 0x0002
  /// No protection at all: plain RTP, for a network that is trusted.
  case clear = 0

  /// Those that protect.
  package static let allCases: [SRTPProfile] = [.aeadAES128GCM, .aeadAES256GCM, .aes128CMHMACSHA1_80, .aes128CMHMACSHA1_32]
  /// Those that are offered in a handshake, in our order of preference.
  package static let negotiated: [SRTPProfile] = [.aeadAES128GCM, .aeadAES256GCM, .aes128CMHMACSHA1_80]

  /// AES in counter mode with HMAC-SHA1, not AES-GCM.
  package var isCounterMode: Bool { self == .aes128CMHMACSHA1_80 || self == .aes128CMHMACSHA1_32 }
  /// Bytes of master key (RFC 3711 §8.2, RFC 7714 §12).
  package var masterKeyByteCount: Int { self == .clear ? 0 : self == .aeadAES256GCM ? 32 : 16 }
  /// Bytes of master salt.
  package var masterSaltByteCount: Int { self == .clear ? 0 : isCounterMode ? 14 : 12 }
  /// What protection adds to an RTP packet.
  package var rtpOverheadByteCount: Int {
    switch self {
    case .aeadAES128GCM, .aeadAES256GCM: 16
    case .aes128CMHMACSHA1_80: 10
    case .aes128CMHMACSHA1_32: 4
    case .clear: 0
    }
  }
  /// What protection adds to an RTCP packet: the tag, and the E flag with the SRTCP index.
  package var rtcpOverheadByteCount: Int { self == .clear ? 0 : isCounterMode ? 14 : 20 }
}

/// The keys that a finished handshake exports (RFC 5764 §4.2), already told apart by direction as we see it.
package struct SRTPKeyingMaterial: Hashable, Sendable {
  package var profile: SRTPProfile
  package var sendMasterKey: [UInt8]
  package var sendMasterSalt: [UInt8]
  package var receiveMasterKey: [UInt8]
  package var receiveMasterSalt: [UInt8]

  package init(
    profile: SRTPProfile, sendMasterKey: [UInt8], sendMasterSalt: [UInt8], receiveMasterKey: [UInt8], receiveMasterSalt: [UInt8]
  ) {
    self.profile = profile
    self.sendMasterKey = sendMasterKey
    self.sendMasterSalt = sendMasterSalt
    self.receiveMasterKey = receiveMasterKey
    self.receiveMasterSalt = receiveMasterSalt
  }
}

/// Names one link's keys inside a protector.
@usableFromInline package struct ProtectorSession: Hashable, Sendable {
  @usableFromInline package var index: Int32
  @inlinable package init(index: Int32) { self.index = index }
}

/// What became of one packet in a protector's hands.
@usableFromInline package enum ProtectionOutcome: UInt8, Sendable {
  case pending
  case done
  /// The tag does not fit: forged, damaged, or of another session.
  case authenticationFailed
  /// The index was accepted before (RFC 3711 §3.3.2).
  case replayed
  /// The index is older than the replay window.
  case tooOld
  /// Too short to hold a header and a tag, or does not fit the destination.
  case malformed
  /// The session is closed or the key's lifetime is over.
  case noKey
}

/// One packet to protect. The header (fixed part, CSRCs, extensions) already stands at `destination`; the clear payload is read from
/// `payload`, which either lies directly behind the header at `destination` or does not overlap the destination at all.
@usableFromInline @safe package struct ProtectJob {
  // The widest first: jobs are copied into their batch, and this leaves no gaps and no overlaps.
  @usableFromInline package var payload: UnsafeRawPointer
  /// Room for header, payload and the profile's overhead.
  @usableFromInline package var destination: UnsafeMutableRawPointer
  /// The RTP packet's index: rollover counter and sequence number (RFC 3711 §3.3.1). Not used for RTCP.
  @usableFromInline package var index: ExtendedSequenceNumber
  @usableFromInline package var ssrc: SSRC
  @usableFromInline package var session: ProtectorSession
  @usableFromInline package var headerByteCount: UInt16
  @usableFromInline package var payloadByteCount: UInt16
  /// Out: header, protected payload, tag.
  @usableFromInline package var resultByteCount: UInt16
  @usableFromInline package var isRTCP: Bool
  @usableFromInline package var outcome: ProtectionOutcome

  @inlinable package init(
    session: ProtectorSession, isRTCP: Bool, headerByteCount: Int, payloadByteCount: Int, ssrc: SSRC, index: ExtendedSequenceNumber,
    payload: UnsafeRawPointer, destination: UnsafeMutableRawPointer
  ) {
    self.session = session
    self.isRTCP = isRTCP
    outcome = .pending
    self.headerByteCount = UInt16(headerByteCount)
    self.payloadByteCount = UInt16(payloadByteCount)
    resultByteCount = 0
    self.ssrc = ssrc
    self.index = index
    unsafe self.payload = payload
    unsafe self.destination = destination
  }
}

/// One received packet to open: from `source` to `destination`, which may be the same address and otherwise does not overlap.
@usableFromInline @safe package struct UnprotectJob {
  @usableFromInline package var session: ProtectorSession
  @usableFromInline package var isRTCP: Bool
  @usableFromInline package var outcome: ProtectionOutcome
  @usableFromInline package var sourceByteCount: UInt16
  /// Room at `destination`.
  @usableFromInline package var capacity: UInt16
  /// Out: the clear packet, header included.
  @usableFromInline package var resultByteCount: UInt16
  /// Out, RTP only: the authenticated index, rollover counter included.
  @usableFromInline package var index: ExtendedSequenceNumber
  @usableFromInline package var source: UnsafeRawPointer
  @usableFromInline package var destination: UnsafeMutableRawPointer

  @inlinable package init(
    session: ProtectorSession, isRTCP: Bool, source: UnsafeRawPointer, sourceByteCount: Int, destination: UnsafeMutableRawPointer,
    capacity: Int
  ) {
    self.session = session
    self.isRTCP = isRTCP
    outcome = .pending
    self.sourceByteCount = UInt16(sourceByteCount)
    self.capacity = UInt16(capacity)
    resultByteCount = 0
    index = ExtendedSequenceNumber(0)
    unsafe self.source = source
    unsafe self.destination = destination
  }
}

/// SRTP and SRTCP for every link of one shard, in batches. Not thread-safe: one shard, one protector.
package protocol PacketProtector: AnyObject {
  /// The implementation's name, for logs and tables.
  var name: String { get }
  /// Takes a link's keys in. Control plane: may allocate.
  func openSession(_ keys: SRTPKeyingMaterial) throws(ProtectorError) -> ProtectorSession
  /// Forgets a link's keys.
  func closeSession(_ session: ProtectorSession)
  /// Protects each job; never throws, the outcome stands in the job.
  func protect(_ jobs: UnsafeMutableBufferPointer<ProtectJob>)
  /// Opens each job, with replay protection (RFC 3711 §3.3.2). State moves only for packets whose tag fits.
  func unprotect(_ jobs: UnsafeMutableBufferPointer<UnprotectJob>)
}

/// Why a protector refused keys.
package enum ProtectorError: Error, Hashable {
  case wrongKeyLength
  case unsupportedProfile
  case tooManySessions
  /// The library behind the seam said no; its own code.
  case library(Int32)
}

// MARK: - Handshake

/// Who speaks first in DTLS (RFC 5763 §5): `active` is the client.
package enum HandshakeRole: UInt8, Hashable, Sendable {
  case active
  case passive
}

/// A certificate fingerprint as SDP carries it (RFC 8122 §5).
package struct CertificateFingerprint: Hashable, Sendable {
  /// The hash function's name in lower case: `sha-256`, `sha-384`, `sha-512`; `sha-1` is refused.
  package var algorithm: String
  package var digest: [UInt8]

  package init(algorithm: String, digest: [UInt8]) {
    self.algorithm = algorithm
    self.digest = digest
  }
}

/// Where a handshake stands.
package enum HandshakeState: Hashable, Sendable {
  case idle
  case handshaking
  case connected
  case failed(HandshakeFailure)
  /// The peer said goodbye, or we did.
  case closed
}

/// Why a handshake failed.
package enum HandshakeFailure: Hashable, Sendable {
  case fingerprintMismatch
  case noSharedProfile
  case timedOut
  /// The peer refused or broke the protocol; the library's reason for the log.
  case protocolError(String)
}

/// One DTLS association, sans-IO. It is fed datagrams and time, and asked for datagrams.
package protocol Handshake: AnyObject {
  var state: HandshakeState { get }
  /// The exported keys once ``state`` is connected.
  var keyingMaterial: SRTPKeyingMaterial? { get }
  /// When ``handleTimeout(at:)`` wants to be called (retransmission), or `nil`.
  var nextDeadline: Instant? { get }
  /// Starts an active handshake; does nothing for a passive one.
  func start(at now: Instant)
  /// A datagram that RFC 7983 says is DTLS.
  func handleDatagram(_ datagram: RawSpan, at now: Instant)
  func handleTimeout(at now: Instant)
  /// Sends close_notify.
  func close(at now: Instant)
  /// Moves the next datagram to send into `buffer` and gives its length; zero when there is none. At most ``Limits/handshakeMTU`` bytes.
  func pollTransmit(into buffer: inout MutableRawSpan) -> Int
}

/// Makes handshakes that share one certificate.
package protocol HandshakeFactory: AnyObject {
  /// The fingerprint of our certificate, for SDP.
  var localFingerprint: CertificateFingerprint { get }
  func makeHandshake(role: HandshakeRole, remoteFingerprints: [CertificateFingerprint]) -> any Handshake
}
