// Links without protection beside links with it: RTP and RTCP as they are (RFC 3550), behind the same seam.

package import EnfiladeTransport
import EnfiladeWire

/// Takes sessions of the profile ``SRTPProfile/clear`` upon itself, and leaves all others to the protector behind it. Packets are copied, and
/// duplicates and what is older than the window are refused as they are with SRTP, so that the stages behind see no difference.
package final class ClearProtector: PacketProtector {
  private let backend: any PacketProtector
  /// What is received of each source, by sessions whose names are the complements of what the engine is told: the backend knows no negative one.
  private var sessions = SessionTable<SourceTable>()
  private var openCount = 0

  package var name: String { backend.name }

  package init(_ backend: any PacketProtector) { self.backend = backend }

  deinit { sessions.forEach { $0.pointee.deallocate() } }

  package func openSession(_ keys: SRTPKeyingMaterial) throws(ProtectorError) -> ProtectorSession {
    guard keys.profile == .clear else { return try backend.openSession(keys) }
    guard let name = sessions.insert(SourceTable()) else { throw .tooManySessions }
    openCount += 1
    return ProtectorSession(index: ~name.index)
  }

  package func closeSession(_ session: ProtectorSession) {
    guard session.index < 0 else { return backend.closeSession(session) }
    guard var sources = sessions.remove(ProtectorSession(index: ~session.index)) else { return }
    openCount -= 1
    sources.deallocate()
  }

  package func protect(_ jobs: UnsafeMutableBufferPointer<ProtectJob>) {
    backend.protect(jobs)
    guard openCount > 0, let base = jobs.baseAddress else { return }
    let open = sessions.lookup
    for position in 0..<jobs.count where base[position].session.index < 0 {
      let job = base + position
      guard open[ProtectorSession(index: ~job.pointee.session.index)] != nil else { continue }
      let target = job.pointee.destination + Int(job.pointee.headerByteCount)
      let byteCount = Int(job.pointee.payloadByteCount)
      if job.pointee.payload != UnsafeRawPointer(target) { target.copyMemory(from: job.pointee.payload, byteCount: byteCount) }
      job.pointee.resultByteCount = job.pointee.headerByteCount + job.pointee.payloadByteCount
      job.pointee.outcome = .done
    }
  }

  package func unprotect(_ jobs: UnsafeMutableBufferPointer<UnprotectJob>) {
    backend.unprotect(jobs)
    guard openCount > 0, let base = jobs.baseAddress else { return }
    let open = sessions.lookup
    for position in 0..<jobs.count where base[position].session.index < 0 {
      let job = base + position
      guard let sources = open[ProtectorSession(index: ~job.pointee.session.index)] else { continue }
      take(job, &sources.pointee)
    }
  }

  private func take(_ job: UnsafeMutablePointer<UnprotectJob>, _ sources: inout SourceTable) {
    let byteCount = Int(job.pointee.sourceByteCount)
    let smallest = job.pointee.isRTCP ? PacketShape.rtcpClearByteCount : PacketShape.rtpFixedHeaderByteCount
    guard byteCount >= smallest, byteCount <= Int(job.pointee.capacity) else {
      job.pointee.outcome = .malformed
      return
    }
    if !job.pointee.isRTCP {
      let ssrc = PacketShape.loadUInt32(job.pointee.source, at: 8)
      let position = sources.find(ssrc)
      let index = sources.estimateIndex(PacketShape.loadUInt16(job.pointee.source, at: 2), at: position)
      switch sources.check(index, at: position) {
      case .fresh: break
      case .replayed:
        job.pointee.outcome = .replayed
        return
      case .tooOld:
        job.pointee.outcome = .tooOld
        return
      }
      guard sources.accept(index, ssrc: ssrc, at: position) else {
        job.pointee.outcome = .noKey
        return
      }
      job.pointee.index = ExtendedSequenceNumber(index)
    }
    if job.pointee.source != UnsafeRawPointer(job.pointee.destination) {
      job.pointee.destination.copyMemory(from: job.pointee.source, byteCount: byteCount)
    }
    job.pointee.resultByteCount = job.pointee.sourceByteCount
    job.pointee.outcome = .done
  }
}
