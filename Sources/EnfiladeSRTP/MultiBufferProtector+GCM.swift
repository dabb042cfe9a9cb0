// AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714), packet by packet.

#if ENFILADE_IPSEC_MB

  import CIPsecMB
  import EnfiladeTransport
  import EnfiladeWire

  extension MultiBufferProtector {
    @inline(__always)
    func sealGCM(_ job: UnsafeMutablePointer<ProtectJob>, _ session: UnsafeMutablePointer<MultiBufferSession>, _ index: UInt64) {
      if job.pointee.isRTCP { return sealGCMReport(job, session, index) }
      let header = Int(job.pointee.headerByteCount)
      let payload = Int(job.pointee.payloadByteCount)
      let target = job.pointee.destination.assumingMemoryBound(to: UInt8.self)
      session.pointee.writeGCMVector(.sendRTP, ssrc: job.pointee.ssrc.rawValue, index: index, to: vectors)
      enfilade_imb_gcm_seal(
        manager.pointer, session.pointee.isAES256, session.pointee.gcmKey(.sendRTP), context, target + header,
        job.pointee.payload.assumingMemoryBound(to: UInt8.self), UInt64(payload), vectors.assumingMemoryBound(to: UInt8.self), target,
        UInt64(header), target + header + payload)
      job.pointee.resultByteCount = UInt16(header + payload + 16)
      job.pointee.outcome = .done
    }

    /// RFC 7714 §9: the associated data are the clear part and the word with the E flag and the index, which is sent behind the tag.
    private func sealGCMReport(
      _ job: UnsafeMutablePointer<ProtectJob>, _ session: UnsafeMutablePointer<MultiBufferSession>, _ index: UInt64
    ) {
      let clear = PacketShape.rtcpClearByteCount
      let target = job.pointee.destination
      let count = layDownReport(job)
      let word = (0x8000_0000 | UInt32(index)).bigEndian
      withUnsafeTemporaryAllocation(byteCount: clear + 4, alignment: 16) { associated in
        associated.baseAddress!.copyMemory(from: target, byteCount: clear)
        associated.storeBytes(of: word, toByteOffset: clear, as: UInt32.self)
        session.pointee.writeGCMVector(.sendRTCP, ssrc: PacketShape.loadUInt32(target, at: 4), index: index, to: vectors)
        let bytes = target.assumingMemoryBound(to: UInt8.self)
        enfilade_imb_gcm_seal(
          manager.pointer, session.pointee.isAES256, session.pointee.gcmKey(.sendRTCP), context, bytes + clear, bytes + clear,
          UInt64(count - clear), vectors.assumingMemoryBound(to: UInt8.self), associated.baseAddress!.assumingMemoryBound(to: UInt8.self),
          UInt64(clear + 4), bytes + count)
      }
      target.storeBytes(of: word, toByteOffset: count + 16, as: UInt32.self)
      job.pointee.resultByteCount = UInt16(count + 20)
      job.pointee.outcome = .done
    }

    /// Brings a report's payload behind its header; the report's length.
    func layDownReport(_ job: UnsafeMutablePointer<ProtectJob>) -> Int {
      let header = Int(job.pointee.headerByteCount)
      let payload = Int(job.pointee.payloadByteCount)
      let target = job.pointee.destination + header
      if job.pointee.payload != UnsafeRawPointer(target) { target.copyMemory(from: job.pointee.payload, byteCount: payload) }
      return header + payload
    }

    @inline(__always)
    func openGCM(_ job: UnsafeMutablePointer<UnprotectJob>, _ session: UnsafeMutablePointer<MultiBufferSession>, _ packet: Received) {
      if job.pointee.isRTCP { return openGCMReport(job, session, packet) }
      let source = job.pointee.source.assumingMemoryBound(to: UInt8.self)
      let target = job.pointee.destination.assumingMemoryBound(to: UInt8.self)
      let (clear, cipher) = (packet.clearByteCount, packet.cipherByteCount)
      if source != UnsafePointer(target) { job.pointee.destination.copyMemory(from: job.pointee.source, byteCount: clear) }
      session.pointee.writeGCMVector(.receiveRTP, ssrc: packet.ssrc, index: packet.index, to: vectors)
      enfilade_imb_gcm_open(
        manager.pointer, session.pointee.isAES256, session.pointee.gcmKey(.receiveRTP), context, target + clear, source + clear,
        UInt64(cipher), vectors.assumingMemoryBound(to: UInt8.self), target, UInt64(clear), tags.assumingMemoryBound(to: UInt8.self))
      guard tagsAreEqual(tags, source + clear + cipher, byteCount: 16) else {
        job.pointee.outcome = .authenticationFailed
        return
      }
      accept(job, session, ssrc: packet.ssrc, index: packet.index, position: packet.position, byteCount: clear + cipher)
    }

    /// RFC 7714 §9.3; §9.2 for a report that is authenticated only: then all of it is associated data.
    private func openGCMReport(
      _ job: UnsafeMutablePointer<UnprotectJob>, _ session: UnsafeMutablePointer<MultiBufferSession>, _ packet: Received
    ) {
      let source = job.pointee.source
      let (clear, cipher) = (packet.clearByteCount, packet.cipherByteCount)
      let associatedCount = packet.isEncrypted ? clear : clear + cipher
      session.pointee.writeGCMVector(.receiveRTCP, ssrc: packet.ssrc, index: packet.index, to: vectors)
      if source != UnsafeRawPointer(job.pointee.destination) { job.pointee.destination.copyMemory(from: source, byteCount: clear + cipher) }
      let target = job.pointee.destination.assumingMemoryBound(to: UInt8.self)
      withUnsafeTemporaryAllocation(byteCount: associatedCount + 4, alignment: 16) { associated in
        associated.baseAddress!.copyMemory(from: source, byteCount: associatedCount)
        (associated.baseAddress! + associatedCount).copyMemory(from: source + clear + cipher + 16, byteCount: 4)
        enfilade_imb_gcm_open(
          manager.pointer, session.pointee.isAES256, session.pointee.gcmKey(.receiveRTCP), context, target + clear,
          source.assumingMemoryBound(to: UInt8.self) + clear, packet.isEncrypted ? UInt64(cipher) : 0,
          vectors.assumingMemoryBound(to: UInt8.self), associated.baseAddress!.assumingMemoryBound(to: UInt8.self),
          UInt64(associatedCount + 4), tags.assumingMemoryBound(to: UInt8.self))
      }
      guard tagsAreEqual(tags, source + clear + cipher, byteCount: 16) else {
        job.pointee.outcome = .authenticationFailed
        return
      }
      accept(job, session, ssrc: packet.ssrc, index: packet.index, position: packet.position, byteCount: clear + cipher)
    }
  }

#endif
