// SRTP and SRTCP (RFC 3711, RFC 7714) by Intel's multi-buffer library: out of place, several packets at a time, no allocation.

#if ENFILADE_IPSEC_MB

  import CIPsecMB
  package import EnfiladeTransport
  import EnfiladeWire

  /// Protection in batches on x86-64. AES-GCM goes packet by packet, straight from the shared payload to where it is sent from; AES-CM
  /// keeps many packets in flight, because the library hashes several at a time.
  package final class MultiBufferProtector: PacketProtector {
    package let name = "ipsec-mb"

    /// Packets of AES-CM in flight before they are collected: below the 256 that the library queues, and enough for a frame to many
    /// subscribers to be collected once, because lanes run empty at each collection.
    static let flightLimit = 240

    let manager: OpaqueManager
    var sessions = SessionTable<MultiBufferSession>()
    /// AES-GCM's intermediate state.
    let context: UnsafeMutablePointer<gcm_context_data>
    /// Initialization vectors of the packets in flight, 16 bytes each.
    let vectors: UnsafeMutableRawPointer
    /// Computed tags of the packets in flight.
    let tags: UnsafeMutableRawPointer
    /// Received tags of the packets in flight, 16 bytes each: where a packet is opened in place, its tag's place is needed for the hash.
    let receivedTags: UnsafeMutableRawPointer
    /// The library's word on each packet in flight.
    let statuses: UnsafeMutablePointer<UInt8>
    /// Which job each packet in flight belongs to.
    let flight: UnsafeMutablePointer<Int>
    /// How long the tag of each packet in flight is.
    let tagLengths: UnsafeMutablePointer<UInt8>
    var flightCount = 0

    /// Whether this processor has what makes the library fast.
    static let isSupported: Bool = {
      guard let manager = OpaqueManager() else { return false }
      defer { manager.release() }
      return manager.isFast
    }()

    package init?() {
      guard Self.isSupported, let manager = OpaqueManager() else { return nil }
      self.manager = manager
      context = .allocate(capacity: 1)
      context.initialize(to: gcm_context_data())
      vectors = .allocate(byteCount: 16 * Self.flightLimit, alignment: 64)
      tags = .allocate(byteCount: Int(ENFILADE_IMB_TAG_STRIDE) * Self.flightLimit, alignment: 64)
      receivedTags = .allocate(byteCount: 16 * Self.flightLimit, alignment: 64)
      statuses = .allocate(capacity: Self.flightLimit)
      statuses.initialize(repeating: 0, count: Self.flightLimit)
      flight = .allocate(capacity: Self.flightLimit)
      flight.initialize(repeating: 0, count: Self.flightLimit)
      tagLengths = .allocate(capacity: Self.flightLimit)
      tagLengths.initialize(repeating: 0, count: Self.flightLimit)
    }

    deinit {
      sessions.forEach { $0.pointee.release() }
      imb_clear_mem(context, MemoryLayout<gcm_context_data>.size)
      context.deallocate()
      vectors.deallocate()
      tags.deallocate()
      receivedTags.deallocate()
      statuses.deallocate()
      flight.deallocate()
      tagLengths.deallocate()
      manager.release()
    }

    // MARK: Sessions

    package func openSession(_ keys: SRTPKeyingMaterial) throws(ProtectorError) -> ProtectorSession {
      try openSession(keys, isDerived: false)
    }

    /// Opens a session of AES-GCM with keys that are session keys already, as the vectors of RFC 7714 give them.
    package func openSession(derived keys: SRTPKeyingMaterial) throws(ProtectorError) -> ProtectorSession {
      guard !keys.profile.isCounterMode else { throw .unsupportedProfile }
      return try openSession(keys, isDerived: true)
    }

    private func openSession(_ keys: SRTPKeyingMaterial, isDerived: Bool) throws(ProtectorError) -> ProtectorSession {
      let profile = keys.profile
      guard profile != .clear else { throw .unsupportedProfile }
      guard keys.sendMasterKey.count == profile.masterKeyByteCount, keys.receiveMasterKey.count == profile.masterKeyByteCount,
        keys.sendMasterSalt.count == profile.masterSaltByteCount, keys.receiveMasterSalt.count == profile.masterSaltByteCount
      else { throw .wrongKeyLength }
      guard var session = MultiBufferSession(keys, isDerived: isDerived, manager: manager) else {
        throw .library(manager.pointer.pointee.imb_errno)
      }
      guard let name = sessions.insert(session) else {
        session.release()
        throw .tooManySessions
      }
      return name
    }

    /// A session key by RFC 3711 §4.3: labels 0 to 5.
    package func deriveKey(label: UInt8, byteCount: Int, masterKey: [UInt8], masterSalt: [UInt8]) -> [UInt8]? {
      KeyDerivation(key: masterKey, salt: masterSalt).derive(label: label, byteCount: byteCount, manager: manager)
    }

    /// The keystream of RFC 3711 §4.1.1 from a 16-byte initialization vector.
    package func keystream(key: [UInt8], vector: [UInt8], byteCount: Int) -> [UInt8]? {
      guard vector.count == 16, key.count == 16 || key.count == 32 else { return nil }
      return KeyDerivation.keystream(key: key, vector: vector, byteCount: byteCount, manager: manager)
    }

    package func closeSession(_ session: ProtectorSession) {
      guard var state = sessions.remove(session) else { return }
      state.release()
    }

    // MARK: Protect

    package func protect(_ jobs: UnsafeMutableBufferPointer<ProtectJob>) {
      guard let base = jobs.baseAddress else { return }
      let open = sessions.lookup
      for position in 0..<jobs.count {
        let job = base + position
        guard let session = open[job.pointee.session] else {
          job.pointee.outcome = .noKey
          continue
        }
        guard let index = sendIndex(job, session) else { continue }
        if session.pointee.isCounterMode {
          if flightCount == Self.flightLimit { landSealed(base) }
          submitSeal(job, position, session, index)
        } else {
          sealGCM(job, session, index)
        }
      }
      if flightCount > 0 { landSealed(base) }
    }

    /// The index to protect with, or `nil` when the job is over already. RTCP has its payload brought behind its header, so that the
    /// clear part ends where SRTCP says and not where the header does.
    @inline(__always)
    private func sendIndex(_ job: UnsafeMutablePointer<ProtectJob>, _ session: UnsafeMutablePointer<MultiBufferSession>) -> UInt64? {
      let header = Int(job.pointee.headerByteCount)
      if job.pointee.isRTCP {
        guard header >= PacketShape.rtcpClearByteCount else {
          job.pointee.outcome = .malformed
          return nil
        }
        // 31 bits (RFC 3711 §3.4, §9.2).
        guard session.pointee.lastRTCPIndex < 0x7FFF_FFFF else {
          job.pointee.outcome = .noKey
          return nil
        }
        session.pointee.lastRTCPIndex += 1
        return UInt64(session.pointee.lastRTCPIndex)
      }
      guard header >= PacketShape.rtpFixedHeaderByteCount else {
        job.pointee.outcome = .malformed
        return nil
      }
      // 48 bits (RFC 3711 §9.2).
      let index = job.pointee.index.rawValue
      guard index >= 0, index < 1 << 48 else {
        job.pointee.outcome = .noKey
        return nil
      }
      return UInt64(index)
    }

    // MARK: Unprotect

    package func unprotect(_ jobs: UnsafeMutableBufferPointer<UnprotectJob>) {
      guard let base = jobs.baseAddress else { return }
      let open = sessions.lookup
      for position in 0..<jobs.count {
        let job = base + position
        guard let session = open[job.pointee.session] else {
          job.pointee.outcome = .noKey
          continue
        }
        guard let packet = look(at: job, session) else { continue }
        if session.pointee.isCounterMode {
          // The first packet of a source decides where its index begins, so it is opened alone.
          let isAlone = packet.position < 0
          if isAlone || flightCount == Self.flightLimit { landOpened(base, open) }
          submitOpen(job, position, session, packet)
          if isAlone { landOpened(base, open) }
        } else {
          openGCM(job, session, packet)
        }
      }
      if flightCount > 0 { landOpened(base, open) }
    }

    /// What must be known of a received packet before it is opened.
    struct Received {
      var ssrc: UInt32
      /// Of the part that is authenticated and not encrypted.
      var clearByteCount: Int
      /// Of the encrypted part.
      var cipherByteCount: Int
      var index: UInt64
      /// In the table of sources; -1 for a new one.
      var position: Int
      /// SRTCP only: whether it is encrypted at all (RFC 3711 §3.4).
      var isEncrypted: Bool
    }

    /// Takes a received packet apart and asks the replay window; `nil` when the job is over already.
    @inline(__always)
    private func look(at job: UnsafeMutablePointer<UnprotectJob>, _ session: UnsafeMutablePointer<MultiBufferSession>) -> Received? {
      let packet = job.pointee.source
      let count = Int(job.pointee.sourceByteCount)
      let profile = session.pointee.profile
      guard job.pointee.capacity >= job.pointee.sourceByteCount || packet == UnsafeRawPointer(job.pointee.destination) else {
        job.pointee.outcome = .malformed
        return nil
      }
      var received: Received
      let verdict: SourceTable.Verdict
      if job.pointee.isRTCP {
        let clear = PacketShape.rtcpClearByteCount
        guard count >= clear + profile.rtcpOverheadByteCount else {
          job.pointee.outcome = .malformed
          return nil
        }
        // RFC 7714 §9.3 puts the E flag and the index last; RFC 3711 §3.4 puts them before the tag.
        let trailer = profile.isCounterMode ? count - profile.rtcpOverheadByteCount : count - PacketShape.rtcpIndexByteCount
        let word = PacketShape.loadUInt32(packet, at: trailer)
        let ssrc = PacketShape.loadUInt32(packet, at: 4)
        received = Received(
          ssrc: ssrc, clearByteCount: clear, cipherByteCount: count - clear - profile.rtcpOverheadByteCount,
          index: UInt64(word & 0x7FFF_FFFF), position: session.pointee.receivedRTCP.find(ssrc), isEncrypted: word >> 31 == 1)
        guard received.position >= 0 || !session.pointee.receivedRTCP.isFull else {
          job.pointee.outcome = .noKey
          return nil
        }
        verdict = session.pointee.receivedRTCP.check(Int64(received.index), at: received.position)
      } else {
        guard let header = PacketShape.rtpHeaderByteCount(packet, byteCount: count), count >= header + profile.rtpOverheadByteCount else {
          job.pointee.outcome = .malformed
          return nil
        }
        let ssrc = PacketShape.loadUInt32(packet, at: 8)
        let position = session.pointee.received.find(ssrc)
        guard position >= 0 || !session.pointee.received.isFull else {
          job.pointee.outcome = .noKey
          return nil
        }
        let index = session.pointee.received.estimateIndex(PacketShape.loadUInt16(packet, at: 2), at: position)
        received = Received(
          ssrc: ssrc, clearByteCount: header, cipherByteCount: count - header - profile.rtpOverheadByteCount, index: UInt64(index),
          position: position, isEncrypted: true)
        verdict = session.pointee.received.check(index, at: position)
      }
      switch verdict {
      case .fresh: return received
      case .replayed: job.pointee.outcome = .replayed
      case .tooOld: job.pointee.outcome = .tooOld
      }
      return nil
    }

    /// After the tag fitted: remembers the index and finishes the job.
    @inline(__always)
    func accept(
      _ job: UnsafeMutablePointer<UnprotectJob>, _ session: UnsafeMutablePointer<MultiBufferSession>, ssrc: UInt32, index: UInt64,
      position: Int, byteCount: Int
    ) {
      let isKept =
        job.pointee.isRTCP
        ? session.pointee.receivedRTCP.accept(Int64(index), ssrc: ssrc, at: position)
        : session.pointee.received.accept(Int64(index), ssrc: ssrc, at: position)
      guard isKept else {
        job.pointee.outcome = .noKey
        return
      }
      if !job.pointee.isRTCP { job.pointee.index = ExtendedSequenceNumber(Int64(index)) }
      job.pointee.resultByteCount = UInt16(byteCount)
      job.pointee.outcome = .done
    }
  }

  /// Whether two tags are the same, in a time that does not depend on where they differ.
  @inline(__always)
  func tagsAreEqual(_ one: UnsafeRawPointer, _ other: UnsafeRawPointer, byteCount: Int) -> Bool {
    var difference: UInt8 = 0
    for offset in 0..<byteCount {
      difference |= one.load(fromByteOffset: offset, as: UInt8.self) ^ other.load(fromByteOffset: offset, as: UInt8.self)
    }
    return difference == 0
  }

#endif
