// The last room: headers are written, payloads are encrypted straight from their slots into the arena, and equal neighbours leave as one
// message. What the stage is handed are records; what it gives are datagrams.

package import EnfiladeForwarding
package import EnfiladeTransport
package import EnfiladeWire

/// One packet for one subscriber, decided and not yet written.
package struct EgressRecord {
  /// The next record of the same link, or −1.
  package var next: Int32 = -1
  /// Which outgoing stream.
  package var stream: Int32
  /// Which packet of the current batch.
  package var packet: Int32
  package var payloadType: PayloadType
  package var isRetransmission: Bool
  /// Of the packet's payload without padding; filled in when the record is taken.
  package var payloadByteCount: UInt16 = 0
  package var sequence: ExtendedSequenceNumber
  /// The numbers that are this subscriber's own.
  package var sent: SentPacket

  /// A packet that is still to be decided.
  package init(stream: Int32, packet: Int32) {
    self.stream = stream
    self.packet = packet
    payloadType = PayloadType(0)
    isRetransmission = false
    sequence = ExtendedSequenceNumber(0)
    sent = .placeholder
  }
}

/// Packets that leave in one message.
@safe package struct Run {
  package var base: UnsafeMutableRawPointer
  package var byteCount: Int
  /// The size of each packet but the last; zero when there is one.
  package var segmentByteCount: Int
  package var link: Int32
  /// Not to be dropped as long as there is video to drop.
  package var isUrgent: Bool
}

/// Memory and bookkeeping of one turn of sending. All of it is allocated at the start.
@safe package struct EgressStage: ~Copyable {
  /// Bytes written between two system calls: about as much as a second-level cache holds beside everything else.
  package static let arenaByteCount = 1 << 20
  /// Jobs in one batch for the protector.
  package static let jobCapacity = 1024

  private let arena: UnsafeMutableRawPointer
  private let jobs: UnsafeMutablePointer<ProtectJob>
  /// Which link each job is for, twice, and one more when it is urgent: a run crosses neither links nor urgency.
  private let jobTags: UnsafeMutablePointer<Int32>
  package private(set) var jobCount = 0
  private var used = 0
  /// Bytes of the packets taken so far, protection included.
  package var usedByteCount: Int { used }
  private var nextJob = 0
  private var refusedCount = 0

  package init() {
    // Sound: allocated once, freed in deinit; jobs are trivial.
    unsafe arena = .allocate(byteCount: Self.arenaByteCount, alignment: 64)
    unsafe jobs = .allocate(capacity: Self.jobCapacity)
    unsafe jobTags = .allocate(capacity: Self.jobCapacity)
  }

  deinit {
    unsafe arena.deallocate()
    unsafe jobs.deallocate()
    unsafe jobTags.deallocate()
  }

  /// Whether one more packet of the largest size fits.
  package var hasRoom: Bool { jobCount < Self.jobCapacity && used + Limits.slotByteCount <= Self.arenaByteCount }

  /// Where the next packet's header goes: ``Limits/slotByteCount`` bytes.
  @unsafe package var next: UnsafeMutableRawPointer { unsafe arena + used }

  /// Takes what has been written at ``next`` as a job.
  /// - Parameter overheadByteCount: what protection will add, so that the next packet can follow without a gap.
  package mutating func append(_ job: ProtectJob, link: Int32, isUrgent: Bool, overheadByteCount: Int) {
    // Sound: `hasRoom` held before the caller wrote.
    unsafe (jobs + jobCount).initialize(to: job)
    unsafe (jobTags + jobCount).initialize(to: link << 1 | (isUrgent ? 1 : 0))
    jobCount += 1
    used += Int(job.headerByteCount) + Int(job.payloadByteCount) + overheadByteCount
  }

  /// Encrypts everything that was taken; then ``nextRun()`` gives the datagrams.
  package mutating func protect(with protector: any PacketProtector) {
    // Sound: `jobCount` jobs are initialized.
    unsafe protector.protect(UnsafeMutableBufferPointer(start: jobs, count: jobCount))
    nextJob = 0
    refusedCount = 0
  }

  /// The next message: as many packets as follow one another to the same link with one size, the last of which may be smaller.
  package mutating func nextRun() -> Run? {
    while nextJob < jobCount {
      // Sound, here and below: indices below `jobCount`.
      let first = unsafe jobs[nextJob]
      let tag = unsafe jobTags[nextJob]
      nextJob += 1
      guard first.outcome == .done else {
        refusedCount += 1
        continue
      }
      let segment = Int(first.resultByteCount)
      var total = segment
      var segments = 1
      while nextJob < jobCount, segments < OutgoingDatagram.segmentLimit {
        let following = unsafe jobs[nextJob]
        let size = Int(following.resultByteCount)
        guard unsafe jobTags[nextJob] == tag, following.outcome == .done, size <= segment, total + size <= OutgoingDatagram.byteLimit,
          unsafe UnsafeRawPointer(following.destination) == UnsafeRawPointer(first.destination) + total
        else { break }
        total += size
        segments += 1
        nextJob += 1
        if size < segment { break }
      }
      return unsafe Run(
        base: first.destination, byteCount: total, segmentByteCount: segments > 1 ? segment : 0, link: tag >> 1,
        isUrgent: tag & 1 != 0)
    }
    return nil
  }

  /// Makes the stage empty again; the bytes of its runs stay until the next packet is written.
  /// - Returns: how many jobs the protector refused.
  package mutating func endFlush() -> Int {
    jobCount = 0
    used = 0
    return refusedCount
  }
}
