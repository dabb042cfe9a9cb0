// Packets of one size through one protector, out of place, as egress and ingress have them.

import EnfiladeIO
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire

/// Seals batches spread over many sessions, and opens what was sealed.
final class ProtectionBench {
  private static let headerByteCount = 12

  let protector: any PacketProtector
  private let peer: any PacketProtector
  private let packetBytes: Int
  private let batchCount: Int
  private var sessions: [ProtectorSession] = []
  private var peerSessions: [ProtectorSession] = []
  private var indices: [Int64]
  private let clear: UnsafeMutableRawPointer
  private let sealed: UnsafeMutableRawPointer
  private let opened: UnsafeMutableRawPointer
  private let jobs: UnsafeMutableBufferPointer<ProtectJob>
  private let openJobs: UnsafeMutableBufferPointer<UnprotectJob>

  init(_ backend: ProtectorBackend, profile: SRTPProfile, packetBytes: Int, sessionCount: Int, batchCount: Int) throws {
    guard let protector = makeProtector(backend), let peer = makeProtector(.auto) else { throw ProtectorError.unsupportedProfile }
    self.protector = protector
    self.peer = peer
    self.packetBytes = packetBytes
    self.batchCount = batchCount
    indices = [Int64](repeating: 1, count: sessionCount)
    let byteCount = batchCount * Limits.slotByteCount
    clear = .allocate(byteCount: byteCount, alignment: 64)
    sealed = .allocate(byteCount: byteCount, alignment: 64)
    opened = .allocate(byteCount: byteCount, alignment: 64)
    for memory in [clear, sealed, opened] { memory.initializeMemory(as: UInt8.self, repeating: 0x5A, count: byteCount) }
    jobs = .allocate(capacity: batchCount)
    openJobs = .allocate(capacity: batchCount)
    for number in 0..<sessionCount {
      let keys = ReadyKeys.make(for: UInt64(number), profile: profile)
      sessions.append(try protector.openSession(keys))
      peerSessions.append(try peer.openSession(ReadyKeys.mirrored(keys)))
    }
  }

  deinit {
    clear.deallocate()
    sealed.deallocate()
    opened.deallocate()
    jobs.deallocate()
    openJobs.deallocate()
  }

  /// Nanoseconds of processor time for one packet sealed.
  func measureSeal(seconds: Double) -> Double {
    measure(seconds: seconds) {
      laySeal(sessions)
      let before = MonotonicClock.threadProcessorTime
      protector.protect(jobs)
      return MonotonicClock.threadProcessorTime - before
    }
  }

  /// Nanoseconds of processor time for one packet opened. Another protector seals them in between.
  func measureOpen(seconds: Double) -> Double {
    measure(seconds: seconds) {
      laySeal(peerSessions)
      peer.protect(jobs)
      for position in 0..<batchCount {
        let job = UnprotectJob(
          session: sessions[position % sessions.count], isRTCP: false, source: sealed + position * Limits.slotByteCount,
          sourceByteCount: Int(jobs[position].resultByteCount), destination: opened + position * Limits.slotByteCount,
          capacity: Limits.slotByteCount)
        (openJobs.baseAddress! + position).initialize(to: job)
      }
      let before = MonotonicClock.threadProcessorTime
      protector.unprotect(openJobs)
      let time = MonotonicClock.threadProcessorTime - before
      precondition(openJobs.allSatisfy { $0.outcome == .done }, "a packet did not open")
      return time
    }
  }

  private func measure(seconds: Double, _ batch: () -> TimeDelta) -> Double {
    _ = batch()
    var time = TimeDelta.zero
    var count = 0
    while time.seconds < seconds {
      time = time + batch()
      count += batchCount
    }
    return Double(time.nanoseconds) / Double(count)
  }

  private func laySeal(_ sessions: [ProtectorSession]) {
    for position in 0..<batchCount {
      let session = position % sessions.count
      let place = sealed + position * Limits.slotByteCount
      var writer = ByteWriter(MutableRawSpan(_unsafeStart: place, byteCount: Self.headerByteCount))
      writer.writeUInt16(0x8060)
      writer.writeUInt16(UInt16(truncatingIfNeeded: indices[session]))
      writer.writeUInt32(0)
      writer.writeUInt32(7)
      let job = ProtectJob(
        session: sessions[session], isRTCP: false, headerByteCount: Self.headerByteCount,
        payloadByteCount: packetBytes - Self.headerByteCount, ssrc: SSRC(7), index: ExtendedSequenceNumber(indices[session]),
        payload: clear + position * Limits.slotByteCount, destination: place)
      (jobs.baseAddress! + position).initialize(to: job)
      indices[session] += 1
    }
  }
}
