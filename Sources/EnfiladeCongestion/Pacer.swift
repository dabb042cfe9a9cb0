// When a packet leaves. Most leave at once; what would overrun the link waits here, where it can still be put in order.

package import EnfiladeWire

/// One subscriber's pacer. Packets are names to it: what they stand for is kept elsewhere.
///
/// A bucket of bytes fills at a multiple of the target. As long as it is not empty a packet passes undelayed, so a forwarded frame
/// leaves as it came, in one run. Key frames, retransmissions and probes run it dry; then packets wait in the order of
/// ``PacketPurpose``, and leave in bursts of a few milliseconds' worth, so that they can still be joined into messages.
package struct Pacer: ~Copyable {
  /// Its owner's name for a packet.
  package typealias Packet = Int32

  /// What became of a packet that wants to leave.
  package enum Admission: Hashable, Sendable {
    /// It leaves now, and counts for the probe under way, if any.
    case now(ProbeID)
    case queued
    /// There is no room: it is dropped.
    case full
  }

  /// What leaves now.
  package enum Departure: Sendable {
    case packet(Packet, byteCount: Int, purpose: PacketPurpose, probe: ProbeID)
    /// As much padding as this, made by whoever asks; retransmissions of what was sent lately carry it best.
    case padding(byteCount: Int, probe: ProbeID)
    /// The packet waited too long and is of no use.
    case expired(Packet, purpose: PacketPurpose)
  }

  /// The bucket holds this long of the target: a frame of 30 a second, and half as much again.
  package static var bucketLength: TimeDelta { .milliseconds(50) }
  /// But never less than a small key frame, so that slow links keep frames whole.
  package static var bucketFloorByteCount: Double { 6000 }
  /// Waiting packets leave in bursts of at least this long of the pacing rate.
  package static var burstLength: TimeDelta { .milliseconds(5) }

  private let factor: Double
  /// Bits per second.
  private var target: Double
  /// In bytes; below zero after a packet that was larger than what was left.
  private var credit: Double
  private var updated = Instant.zero
  private var audio = PacerQueue()
  private var retransmissions = PacerQueue()
  private var video = PacerQueue()
  private var probe: Probe?
  private var probeStart = Instant.zero
  private var probeSentByteCount = 0
  private var probeSentPacketCount = 0
  private var nextProbeBurst = Instant.zero
  private var following: Probe?
  package private(set) var expiredCount: UInt64 = 0
  package private(set) var refusedCount: UInt64 = 0
  /// Packets that left at once, and packets that waited.
  package private(set) var immediateCount: UInt64 = 0
  package private(set) var delayedCount: UInt64 = 0

  package init(target: Bitrate, factor: Double = 2.5) {
    self.target = Double(target.bitsPerSecond)
    self.factor = factor
    credit = 0
    credit = capacity
  }

  // MARK: Look

  package var queuedByteCount: Int { audio.byteCount + retransmissions.byteCount + video.byteCount }
  package var queuedPacketCount: Int { audio.count + retransmissions.count + video.count }
  /// How long the queue takes at the target.
  package var queueTime: TimeDelta { .seconds(target > 0 ? Double(queuedByteCount) * 8 / target : 0) }
  package var isProbing: Bool { probe != nil }

  /// When ``poll(at:)`` has something to give.
  package var nextDeadline: Instant {
    var deadline = Instant.distantFuture
    if probe != nil { deadline = nextProbeBurst }
    if queuedByteCount > 0 {
      let missing = burstByteCount - credit
      deadline = min(deadline, missing <= 0 ? updated : updated + .seconds(missing * 8 / rate) + .nanoseconds(1))
    }
    return deadline
  }

  private var capacity: Double { max(Self.bucketFloorByteCount, target * Self.bucketLength.seconds / 8) }
  /// What fills the bucket: a multiple of the target, and more when the queue could not be sent in time.
  private var rate: Double {
    let usual = max(factor * target, 1000)
    let queued = queuedByteCount
    return queued > 0 ? max(usual, Double(queued) * 8 / Limits.pacerQueueTime.seconds) : usual
  }
  private var burstByteCount: Double { min(rate * Self.burstLength.seconds / 8, capacity) }

  // MARK: Verbs

  package mutating func setTarget(_ bitrate: Bitrate, at now: Instant) {
    refill(now)
    target = Double(bitrate.bitsPerSecond)
    credit = min(credit, capacity)
  }

  /// Begins a probe, or puts it behind the one under way; a third replaces the second.
  package mutating func begin(_ next: Probe, at now: Instant) {
    if probe == nil { start(next, now) } else { following = next }
  }

  /// Asks whether a packet may leave.
  package mutating func admit(_ packet: Packet, byteCount: Int, purpose: PacketPurpose, at now: Instant) -> Admission {
    refill(now)
    // Audio is never held back: it is small, and counts all the same.
    // While a probe is on, everything else goes at the probe's pace: a frame in one burst would not measure what the probe is for.
    if purpose == .audio || credit > 0 && probe == nil && hasNothingBefore(purpose) {
      immediateCount &+= 1
      return .now(spend(byteCount, now))
    }
    let isTaken =
      purpose == .retransmission
      ? retransmissions.append(packet, byteCount: byteCount, at: now) : video.append(packet, byteCount: byteCount, at: now)
    guard isTaken else {
      refusedCount &+= 1
      return .full
    }
    delayedCount &+= 1
    return .queued
  }

  /// What leaves now; call until `nil`.
  package mutating func poll(at now: Instant) -> Departure? {
    refill(now)
    if let current = probe, now >= nextProbeBurst {
      if let departure = popWaiting(now) { return departure }
      let id = spend(current.paddingByteCount, now)
      return .padding(byteCount: current.paddingByteCount, probe: id)
    }
    guard queuedByteCount > 0 else { return nil }
    // A burst begins with enough for a few packets, and ends with nothing.
    if isBursting ? credit <= 0 : credit < burstByteCount {
      isBursting = false
      return nil
    }
    isBursting = true
    return popWaiting(now)
  }
  private var isBursting = false

  // MARK: Inside

  private func hasNothingBefore(_ purpose: PacketPurpose) -> Bool {
    purpose == .retransmission ? retransmissions.isEmpty : retransmissions.isEmpty && video.isEmpty
  }

  private mutating func popWaiting(_ now: Instant) -> Departure? {
    let purpose: PacketPurpose
    let waiting: PacerQueue.Waiting
    if let first = retransmissions.popFirst() {
      (purpose, waiting) = (.retransmission, first)
    } else if let first = video.popFirst() {
      (purpose, waiting) = (.video, first)
    } else {
      return nil
    }
    if now.nanoseconds - waiting.since > Limits.pacerPacketAge.nanoseconds {
      expiredCount &+= 1
      return .expired(waiting.packet, purpose: purpose)
    }
    let id = spend(Int(waiting.byteCount), now)
    return .packet(waiting.packet, byteCount: Int(waiting.byteCount), purpose: purpose, probe: id)
  }

  private mutating func refill(_ now: Instant) {
    guard now > updated else { return }
    credit = min(capacity, credit + rate * (now - updated).seconds / 8)
    updated = now
  }

  private mutating func spend(_ byteCount: Int, _ now: Instant) -> ProbeID {
    // A debt beyond one bucket is forgiven: a probe must not silence what follows it.
    credit = max(credit - Double(byteCount), -capacity)
    guard let current = probe else { return .none }
    if probeSentPacketCount == 0 { probeStart = now }
    probeSentByteCount += byteCount
    probeSentPacketCount += 1
    let due = probeStart + .seconds(Double(probeSentByteCount) * 8 / current.rate)
    nextProbeBurst = due > now + Probe.burstInterval || due > nextProbeBurst + Probe.burstInterval ? due : nextProbeBurst
    if probeSentPacketCount >= current.minimumPacketCount, probeSentByteCount >= current.minimumByteCount {
      probe = nil
      if let next = following {
        following = nil
        start(next, due)
      }
    }
    return current.id
  }

  private mutating func start(_ next: Probe, _ now: Instant) {
    probe = next
    probeStart = now
    nextProbeBurst = now
    probeSentByteCount = 0
    probeSentPacketCount = 0
  }
}
