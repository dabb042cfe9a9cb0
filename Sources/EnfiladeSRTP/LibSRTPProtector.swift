// SRTP and SRTCP (RFC 3711, RFC 7714) by libsrtp2: everywhere available, and the reference for the other backend.

import CSRTP
package import EnfiladeTransport
import EnfiladeWire

/// Protection one packet at a time and in place: a payload that lies elsewhere is copied behind its header first.
package final class LibSRTPProtector: PacketProtector {
  package let name = "libsrtp2"

  /// Packets behind the newest that may be sent again with the same index (a retransmission without a repair stream): more than any
  /// history holds.
  private static let sendWindowPacketCount: UInt = 4_096
  /// Outbound sources of one session: libsrtp keeps a context for each.
  private static let sendSourceLimit = 8_192

  private struct Session {
    var outbound: srtp_t
    var inbound: srtp_t
    var profile: SRTPProfile
    /// Inbound RTP, to know the authenticated index and to bound the sources.
    var received: SourceTable
    /// Inbound RTCP senders; libsrtp keeps a context for each of them too.
    var receivedRTCP: SourceTable
    /// Outbound RTP: what libsrtp will guess as the next index.
    var sent: [SSRC: ExtendedSequenceNumber]
    /// Master key and salt in a row, for sources that begin at a rollover counter other than zero.
    var sendKey: [UInt8]
  }

  private var sessions = SessionTable<Session>()

  /// The library's own start, once for the process.
  private static let initialized: srtp_err_status_t = srtp_init()

  package init() {}

  deinit {
    sessions.forEach { Self.release(&$0.pointee) }
  }

  // MARK: Sessions

  package func openSession(_ keys: SRTPKeyingMaterial) throws(ProtectorError) -> ProtectorSession {
    guard Self.initialized == srtp_err_status_ok else { throw .library(Int32(Self.initialized.rawValue)) }
    let profile = keys.profile
    guard profile != .clear else { throw .unsupportedProfile }
    guard keys.sendMasterKey.count == profile.masterKeyByteCount, keys.receiveMasterKey.count == profile.masterKeyByteCount,
      keys.sendMasterSalt.count == profile.masterSaltByteCount, keys.receiveMasterSalt.count == profile.masterSaltByteCount
    else { throw .wrongKeyLength }
    let sendKey = keys.sendMasterKey + keys.sendMasterSalt
    let outbound = try Self.create(profile, key: sendKey, type: ssrc_any_outbound)
    let inbound: srtp_t
    do {
      inbound = try Self.create(profile, key: keys.receiveMasterKey + keys.receiveMasterSalt, type: ssrc_any_inbound)
    } catch {
      srtp_dealloc(outbound)
      throw error
    }
    var session = Session(
      outbound: outbound, inbound: inbound, profile: profile, received: SourceTable(), receivedRTCP: SourceTable(), sent: [:],
      sendKey: sendKey)
    guard let name = sessions.insert(session) else {
      Self.release(&session)
      throw .tooManySessions
    }
    return name
  }

  package func closeSession(_ session: ProtectorSession) {
    guard var state = sessions.remove(session) else { return }
    Self.release(&state)
  }

  private static func release(_ session: inout Session) {
    srtp_dealloc(session.outbound)
    srtp_dealloc(session.inbound)
    session.received.deallocate()
    session.receivedRTCP.deallocate()
  }

  private static func create(_ profile: SRTPProfile, key: [UInt8], type: srtp_ssrc_type_t) throws(ProtectorError) -> srtp_t {
    var session: srtp_t?
    let status = withPolicy(profile, key: key, ssrc: srtp_ssrc_t(type: type, value: 0)) { srtp_create(&session, $0) }
    guard status == srtp_err_status_ok, let session else { throw .library(Int32(status.rawValue)) }
    return session
  }

  private static func withPolicy(
    _ profile: SRTPProfile, key: [UInt8], ssrc: srtp_ssrc_t, _ body: (UnsafePointer<srtp_policy_t>) -> srtp_err_status_t
  ) -> srtp_err_status_t {
    var policy = srtp_policy_t()
    switch profile {
    case .aeadAES128GCM:
      srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp)
      srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp)
    case .aeadAES256GCM:
      srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp)
      srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp)
    case .aes128CMHMACSHA1_80:
      // The library's default is this profile (RFC 3711 §8.2); its named setter is a macro for it.
      srtp_crypto_policy_set_rtp_default(&policy.rtp)
      srtp_crypto_policy_set_rtcp_default(&policy.rtcp)
    case .aes128CMHMACSHA1_32:
      srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy.rtp)
      srtp_crypto_policy_set_rtcp_default(&policy.rtcp)
    // Opened by ``ClearProtector``, which never asks here.
    case .clear: return srtp_err_status_bad_param
    }
    policy.ssrc = ssrc
    policy.window_size = ssrc.type == ssrc_any_inbound ? UInt(SourceTable.windowPacketCount) : sendWindowPacketCount
    policy.allow_repeat_tx = 1
    var key = key
    return key.withUnsafeMutableBufferPointer { bytes in
      policy.key = bytes.baseAddress
      return body(&policy)
    }
  }

  // MARK: Protect

  package func protect(_ jobs: UnsafeMutableBufferPointer<ProtectJob>) {
    for position in jobs.indices { jobs[position].outcome = protectOne(&jobs[position]) }
  }

  private func protectOne(_ job: inout ProtectJob) -> ProtectionOutcome {
    guard let session = sessions.lookup[job.session] else { return .noKey }
    let header = Int(job.headerByteCount)
    let payload = Int(job.payloadByteCount)
    guard header >= (job.isRTCP ? PacketShape.rtcpClearByteCount : PacketShape.rtpFixedHeaderByteCount) else { return .malformed }
    let target = job.destination + header
    if job.payload != UnsafeRawPointer(target) { target.copyMemory(from: job.payload, byteCount: payload) }
    var length = Int32(header + payload)
    let status: srtp_err_status_t
    if job.isRTCP {
      status = srtp_protect_rtcp(session.pointee.outbound, job.destination, &length)
    } else {
      guard prepareSend(session, job) else { return .noKey }
      status = srtp_protect(session.pointee.outbound, job.destination, &length)
    }
    guard status == srtp_err_status_ok else { return Self.outcome(status) }
    if !job.isRTCP {
      let newest = session.pointee.sent[job.ssrc] ?? job.index
      session.pointee.sent[job.ssrc] = max(newest, job.index)
    }
    job.resultByteCount = UInt16(length)
    return .done
  }

  /// The library estimates the rollover counter by itself; where its estimate would differ from the job's index, it is told.
  private func prepareSend(_ session: UnsafeMutablePointer<Session>, _ job: ProtectJob) -> Bool {
    let ssrc = job.ssrc.rawValue
    guard job.index.rawValue >= 0, job.index.rawValue < 1 << 48 else { return false }
    guard let newest = session.pointee.sent[job.ssrc] else {
      guard session.pointee.sent.count < Self.sendSourceLimit else { return false }
      guard job.index.rolloverCounter > 0 else { return true }
      let specific = srtp_ssrc_t(type: ssrc_specific, value: ssrc)
      let added = Self.withPolicy(session.pointee.profile, key: session.pointee.sendKey, ssrc: specific) {
        srtp_add_stream(session.pointee.outbound, $0)
      }
      return added == srtp_err_status_ok
        && srtp_set_stream_roc(session.pointee.outbound, ssrc, job.index.rolloverCounter) == srtp_err_status_ok
    }
    let guess = SourceTable.estimateIndex(job.index.wire.rawValue, highest: newest.rawValue)
    if guess == job.index.rawValue { return true }
    return srtp_set_stream_roc(session.pointee.outbound, ssrc, job.index.rolloverCounter) == srtp_err_status_ok
  }

  // MARK: Unprotect

  package func unprotect(_ jobs: UnsafeMutableBufferPointer<UnprotectJob>) {
    for position in jobs.indices { jobs[position].outcome = unprotectOne(&jobs[position]) }
  }

  private func unprotectOne(_ job: inout UnprotectJob) -> ProtectionOutcome {
    guard let session = sessions.lookup[job.session] else { return .noKey }
    let count = Int(job.sourceByteCount)
    let profile = session.pointee.profile
    let ssrc: UInt32
    if job.isRTCP {
      guard count >= PacketShape.rtcpClearByteCount + profile.rtcpOverheadByteCount else { return .malformed }
      ssrc = PacketShape.loadUInt32(job.source, at: 4)
    } else {
      guard let header = PacketShape.rtpHeaderByteCount(job.source, byteCount: count), count >= header + profile.rtpOverheadByteCount else {
        return .malformed
      }
      ssrc = PacketShape.loadUInt32(job.source, at: 8)
    }
    if job.source != UnsafeRawPointer(job.destination) {
      guard Int(job.capacity) >= count else { return .malformed }
      job.destination.copyMemory(from: job.source, byteCount: count)
    }
    return job.isRTCP ? unprotectRTCP(&job, session, ssrc) : unprotectRTP(&job, session, ssrc)
  }

  private func unprotectRTP(_ job: inout UnprotectJob, _ session: UnsafeMutablePointer<Session>, _ ssrc: UInt32) -> ProtectionOutcome {
    let position = session.pointee.received.find(ssrc)
    // Checked before the library, which would make a context for the new source.
    if position < 0, session.pointee.received.isFull { return .noKey }
    let index = session.pointee.received.estimateIndex(PacketShape.loadUInt16(job.source, at: 2), at: position)
    var length = Int32(job.sourceByteCount)
    let status = srtp_unprotect(session.pointee.inbound, job.destination, &length)
    guard status == srtp_err_status_ok else { return Self.outcome(status) }
    _ = session.pointee.received.accept(index, ssrc: ssrc, at: position)
    job.index = ExtendedSequenceNumber(index)
    job.resultByteCount = UInt16(length)
    return .done
  }

  private func unprotectRTCP(_ job: inout UnprotectJob, _ session: UnsafeMutablePointer<Session>, _ ssrc: UInt32) -> ProtectionOutcome {
    let position = session.pointee.receivedRTCP.find(ssrc)
    if position < 0, session.pointee.receivedRTCP.isFull { return .noKey }
    var length = Int32(job.sourceByteCount)
    let status = srtp_unprotect_rtcp(session.pointee.inbound, job.destination, &length)
    guard status == srtp_err_status_ok else { return Self.outcome(status) }
    if position < 0 { _ = session.pointee.receivedRTCP.accept(0, ssrc: ssrc, at: position) }
    job.resultByteCount = UInt16(length)
    return .done
  }

  private static func outcome(_ status: srtp_err_status_t) -> ProtectionOutcome {
    switch status {
    case srtp_err_status_ok: .done
    // The AEAD ciphers report a wrong tag as a cipher that failed.
    case srtp_err_status_auth_fail, srtp_err_status_cipher_fail: .authenticationFailed
    case srtp_err_status_replay_fail: .replayed
    case srtp_err_status_replay_old, srtp_err_status_pkt_idx_old: .tooOld
    case srtp_err_status_key_expired, srtp_err_status_no_ctx, srtp_err_status_alloc_fail: .noKey
    default: .malformed
    }
  }
}
