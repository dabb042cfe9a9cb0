// AES_CM_128_HMAC_SHA1_80 and _32 (RFC 3711 §4.1.1, §4.2.1, §5.2), many packets in flight.

#if ENFILADE_IPSEC_MB

  import CIPsecMB
  import EnfiladeTransport
  import EnfiladeWire

  extension MultiBufferProtector {
    /// Behind RTCP, whatever the profile has behind RTP (RFC 3711 §5.2).
    private static var reportTagByteCount: Int { 10 }

    /// Takes a packet in. The rollover counter, or SRTCP's index, stands behind the ciphertext while it is hashed (RFC 3711 §4.2); the
    /// counter's place is the tag's afterwards.
    @inline(__always)
    func submitSeal(
      _ job: UnsafeMutablePointer<ProtectJob>, _ position: Int, _ session: UnsafeMutablePointer<MultiBufferSession>, _ index: UInt64
    ) {
      let slot = flightCount
      let vector = vectors + 16 * slot
      let target = job.pointee.destination
      var work = enfilade_imb_cm_work()
      let total: Int
      if job.pointee.isRTCP {
        let clear = PacketShape.rtcpClearByteCount
        total = layDownReport(job)
        target.storeBytes(of: (0x8000_0000 | UInt32(index)).bigEndian, toByteOffset: total, as: UInt32.self)
        session.pointee.writeCMVector(.sendRTCP, ssrc: PacketShape.loadUInt32(target, at: 4), index: index, to: vector)
        work.key = UnsafePointer(session.pointee.cmKey(.sendRTCP))
        work.from = UnsafePointer((target + clear).assumingMemoryBound(to: UInt8.self))
        work.to = (target + clear).assumingMemoryBound(to: UInt8.self)
        work.byte_count = UInt64(total - clear)
        job.pointee.resultByteCount = UInt16(total + 4 + Self.reportTagByteCount)
      } else {
        let header = Int(job.pointee.headerByteCount)
        total = header + Int(job.pointee.payloadByteCount)
        target.storeBytes(of: UInt32(truncatingIfNeeded: index >> 16).bigEndian, toByteOffset: total, as: UInt32.self)
        session.pointee.writeCMVector(.sendRTP, ssrc: job.pointee.ssrc.rawValue, index: index, to: vector)
        work.key = UnsafePointer(session.pointee.cmKey(.sendRTP))
        work.from = job.pointee.payload.assumingMemoryBound(to: UInt8.self)
        work.to = (target + header).assumingMemoryBound(to: UInt8.self)
        work.byte_count = UInt64(job.pointee.payloadByteCount)
        job.pointee.resultByteCount = UInt16(total + session.pointee.rtpTagByteCount)
      }
      work.iv = UnsafePointer(vector.assumingMemoryBound(to: UInt8.self))
      work.hash_from = UnsafePointer(target.assumingMemoryBound(to: UInt8.self))
      work.hash_byte_count = UInt64(total + 4)
      work.tag = (tags + Int(ENFILADE_IMB_TAG_STRIDE) * slot).assumingMemoryBound(to: UInt8.self)
      work.status = statuses + slot
      work.encrypts = 1
      flight[slot] = position
      tagLengths[slot] = UInt8(job.pointee.isRTCP ? Self.reportTagByteCount : session.pointee.rtpTagByteCount)
      flightCount += 1
      enfilade_imb_cm_submit(manager.pointer, &work)
    }

    /// Collects the packets in flight and puts their tags in place.
    func landSealed(_ jobs: UnsafeMutablePointer<ProtectJob>) {
      enfilade_imb_cm_flush(manager.pointer)
      for slot in 0..<flightCount {
        let job = jobs + flight[slot]
        guard Int(statuses[slot]) == Int(ENFILADE_IMB_COMPLETED) else {
          job.pointee.resultByteCount = 0
          job.pointee.outcome = .malformed
          continue
        }
        let tagByteCount = Int(tagLengths[slot])
        let end = job.pointee.destination + Int(job.pointee.resultByteCount) - tagByteCount
        end.copyMemory(from: tags + Int(ENFILADE_IMB_TAG_STRIDE) * slot, byteCount: tagByteCount)
        job.pointee.outcome = .done
      }
      flightCount = 0
    }

    /// Takes a received packet in. It is opened at its destination, because the rollover counter must stand behind what is hashed.
    @inline(__always)
    func submitOpen(
      _ job: UnsafeMutablePointer<UnprotectJob>, _ position: Int, _ session: UnsafeMutablePointer<MultiBufferSession>, _ packet: Received
    ) {
      let slot = flightCount
      let vector = vectors + 16 * slot
      let target = job.pointee.destination
      let end = packet.clearByteCount + packet.cipherByteCount
      // SRTCP carries the hashed word itself; SRTP's is the rollover counter.
      let tagOffset = job.pointee.isRTCP ? end + 4 : end
      let tagByteCount = job.pointee.isRTCP ? Self.reportTagByteCount : session.pointee.rtpTagByteCount
      tagLengths[slot] = UInt8(tagByteCount)
      (receivedTags + 16 * slot).copyMemory(from: job.pointee.source + tagOffset, byteCount: tagByteCount)
      if job.pointee.source != UnsafeRawPointer(target) { target.copyMemory(from: job.pointee.source, byteCount: tagOffset) }
      var work = enfilade_imb_cm_work()
      if job.pointee.isRTCP {
        session.pointee.writeCMVector(.receiveRTCP, ssrc: packet.ssrc, index: packet.index, to: vector)
        work.key = UnsafePointer(session.pointee.cmKey(.receiveRTCP))
      } else {
        target.storeBytes(of: UInt32(truncatingIfNeeded: packet.index >> 16).bigEndian, toByteOffset: end, as: UInt32.self)
        session.pointee.writeCMVector(.receiveRTP, ssrc: packet.ssrc, index: packet.index, to: vector)
        work.key = UnsafePointer(session.pointee.cmKey(.receiveRTP))
      }
      work.iv = UnsafePointer(vector.assumingMemoryBound(to: UInt8.self))
      work.from = UnsafePointer((target + packet.clearByteCount).assumingMemoryBound(to: UInt8.self))
      work.to = (target + packet.clearByteCount).assumingMemoryBound(to: UInt8.self)
      work.byte_count = packet.isEncrypted ? UInt64(packet.cipherByteCount) : 0
      work.hash_from = UnsafePointer(target.assumingMemoryBound(to: UInt8.self))
      work.hash_byte_count = UInt64(end + 4)
      work.tag = (tags + Int(ENFILADE_IMB_TAG_STRIDE) * slot).assumingMemoryBound(to: UInt8.self)
      work.status = statuses + slot
      work.encrypts = 0
      flight[slot] = position
      // Kept for the landing: what the packet says of itself no longer stands where it stood.
      job.pointee.index = ExtendedSequenceNumber(Int64(packet.index))
      job.pointee.resultByteCount = UInt16(end)
      flightCount += 1
      enfilade_imb_cm_submit(manager.pointer, &work)
    }

    /// Collects the packets in flight in the order they came, so that of two copies the first is the one that counts.
    func landOpened(_ jobs: UnsafeMutablePointer<UnprotectJob>, _ open: SessionTable<MultiBufferSession>.Lookup) {
      guard flightCount > 0 else { return }
      enfilade_imb_cm_flush(manager.pointer)
      for slot in 0..<flightCount {
        let job = jobs + flight[slot]
        let byteCount = Int(job.pointee.resultByteCount)
        let index = job.pointee.index.rawValue
        job.pointee.resultByteCount = 0
        job.pointee.index = ExtendedSequenceNumber(0)
        guard Int(statuses[slot]) == Int(ENFILADE_IMB_COMPLETED), let session = open[job.pointee.session] else {
          job.pointee.outcome = .malformed
          continue
        }
        let fits = tagsAreEqual(tags + Int(ENFILADE_IMB_TAG_STRIDE) * slot, receivedTags + 16 * slot, byteCount: Int(tagLengths[slot]))
        land(job, session, index: index, byteCount: byteCount, tagFits: fits)
      }
      flightCount = 0
    }

    /// The replay window is asked again, and before the tag, as it would be without a flight: another copy may have landed just now.
    @inline(__always)
    private func land(
      _ job: UnsafeMutablePointer<UnprotectJob>, _ session: UnsafeMutablePointer<MultiBufferSession>, index: Int64, byteCount: Int,
      tagFits: Bool
    ) {
      let ssrc = PacketShape.loadUInt32(job.pointee.destination, at: job.pointee.isRTCP ? 4 : 8)
      let position: Int
      let verdict: SourceTable.Verdict
      if job.pointee.isRTCP {
        position = session.pointee.receivedRTCP.find(ssrc)
        verdict = session.pointee.receivedRTCP.check(index, at: position)
      } else {
        position = session.pointee.received.find(ssrc)
        verdict = session.pointee.received.check(index, at: position)
      }
      switch verdict {
      case .replayed:
        job.pointee.outcome = .replayed
      case .tooOld:
        job.pointee.outcome = .tooOld
      case .fresh where !tagFits:
        job.pointee.outcome = .authenticationFailed
      case .fresh:
        accept(job, session, ssrc: ssrc, index: UInt64(index), position: position, byteCount: byteCount)
      }
    }
  }

#endif
