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
  private var retransmissions = PacerQueue()
  private var video = PacerQueue()
  private var probe: Probe?
  private var probeStart = Instant.zero
  private var probeSentByteCount = 0
  private var probeSentPacketCount = 0
  private var nextProbeBurst = Instant.zero
  private var following: Probe?
  /// A long queue stands in the network: not faster than the target, whatever waits here.
  private var isRestrained = false
  private var wasRetransmission = false
  private var isBursting = false
  package private(set) var expiredCount: UInt64 = 0
  package private(set) var refusedCount: UInt64 = 0

  // What every packet asks about comes last, and together.

  /// In bytes; below zero after a packet that was larger than what was left.
  private var credit: Double
  private var updated = Instant.zero
  /// What the bucket holds, in bytes, and what fills it as long as nothing waits, in bytes per nanosecond.
  private var capacity = 0.0
  private var inflow = 0.0
  /// Nothing waits, and no probe sets the pace.
  package private(set) var isFree = true
  /// Packets that left at once, and packets that waited.
  package private(set) var immediateCount: UInt64 = 0
  package private(set) var delayedCount: UInt64 = 0

  package init(target: Bitrate, factor: Double = 2.5) {
    self.target = Double(target.bitsPerSecond)
    self.factor = factor
    credit = 0
    setInflow()
    credit = capacity
  }

  // MARK: Look

  package var queuedByteCount: Int { retransmissions.byteCount + video.byteCount }
  package var queuedPacketCount: Int { retransmissions.count + video.count }
  /// What it takes of memory beside itself, in bytes; what waits is held by whoever gave it its name.
  package var heldByteCount: Int { retransmissions.heldByteCount + video.heldByteCount }
  /// Whether retransmissions that wait take as long at the target as anybody waits for one.
  package var hasEnoughRepair: Bool { Double(retransmissions.byteCount) * 8 > target * Limits.pacerRepairTime.seconds }
  /// How long the queue takes at the target.
  package var queueTime: TimeDelta { .seconds(target > 0 ? Double(queuedByteCount) * 8 / target : 0) }
  /// Whether more is to be sent than the link takes: something waits, or what waits in the network is to drain first.
  package var isBehind: Bool { isRestrained || queuedByteCount > 0 }
  package var isProbing: Bool { probe != nil }

  /// When ``poll(at:)`` has something to give.
  package var nextDeadline: Instant {
    mutating get { isFree ? .distantFuture : busyDeadline() }
  }

  private mutating func busyDeadline() -> Instant {
    var deadline = Instant.distantFuture
    if probe != nil { deadline = nextProbeBurst }
    if queuedByteCount > 0 {
      let missing = burstByteCount - credit
      deadline = min(deadline, missing <= 0 ? updated : updated + .seconds(missing * 8 / rate) + .nanoseconds(1))
    }
    return deadline
  }

  /// What fills the bucket: a multiple of the target, and more when the queue could not be sent in time.
  private var rate: Double {
    if isRestrained { return max(target, 1000) }
    let usual = max(factor * target, 1000)
    guard !isFree else { return usual }
    let queued = queuedByteCount
    return queued > 0 ? max(usual, Double(queued) * 8 / Limits.pacerQueueTime.seconds) : usual
  }
  private var burstByteCount: Double { min(rate * Self.burstLength.seconds / 8, capacity) }

  // MARK: Verbs

  /// How many bytes may leave now without a look at each packet; zero when nothing may: something waits, a probe sets the pace, or the bucket
  /// is empty. What then leaves is told together, by ``handleImmediate(packetCount:byteCount:)``.
  package mutating func openByteCount(at now: Instant) -> Int {
    guard isFree else { return 0 }
    if now > updated {
      credit = min(capacity, credit + inflow * Double((now - updated).nanoseconds))
      updated = now
    }
    return max(0, Int(credit.rounded(.up)))
  }

  /// Packets left while the pacer was open, or left without being asked for.
  package mutating func handleImmediate(packetCount: Int, byteCount: Int) {
    immediateCount &+= UInt64(packetCount)
    credit = max(credit - Double(byteCount), -capacity)
  }

  /// Takes a waiting packet out without sending it, whichever is first; `nil` when none waits. A probe under way is given up.
  package mutating func removeWaiting() -> Packet? {
    probe = nil
    following = nil
    defer { lookAround() }
    return retransmissions.popFirst()?.packet ?? video.popFirst()?.packet
  }

  package mutating func setTarget(_ bitrate: Bitrate, at now: Instant) {
    refill(now)
    target = Double(bitrate.bitsPerSecond)
    setInflow()
    credit = min(credit, capacity)
  }

  /// Whether a long queue stands in the network. A departure: what leaves faster than the target then waits there instead of here, with the
  /// sound behind it.
  /// What has gathered by then does not follow at once: the restraint ends when nothing waits.
  package mutating func setRestrained(_ isOverfull: Bool, at now: Instant) {
    let isRestrained = isOverfull || self.isRestrained && queuedByteCount > 0
    guard isRestrained != self.isRestrained else { return }
    refill(now)
    self.isRestrained = isRestrained
    setInflow()
    credit = min(credit, capacity)
  }

  /// Begins a probe, or puts it behind the one under way; a third replaces the second.
  package mutating func begin(_ next: Probe, at now: Instant) {
    if probe == nil { start(next, now) } else { following = next }
    isFree = false
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
    isFree = false
    return .queued
  }

  /// What leaves now; call until `nil`.
  package mutating func poll(at now: Instant) -> Departure? {
    guard !isFree else { return nil }
    let departure = next(now)
    lookAround()
    return departure
  }

  private mutating func next(_ now: Instant) -> Departure? {
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

  // MARK: Inside

  private mutating func setInflow() {
    capacity = max(Self.bucketFloorByteCount, target * Self.bucketLength.seconds / 8)
    inflow = max(isRestrained ? target : factor * target, 1000) / 8e9
  }

  private mutating func lookAround() { isFree = probe == nil && retransmissions.isEmpty && video.isEmpty }

  private func hasNothingBefore(_ purpose: PacketPurpose) -> Bool {
    purpose == .retransmission ? retransmissions.isEmpty : retransmissions.isEmpty && video.isEmpty
  }

  private mutating func popWaiting(_ now: Instant) -> Departure? {
    let purpose: PacketPurpose
    let waiting: PacerQueue.Waiting
    // While the link is too small for both, what is new is not kept waiting for what is mended.
    let isTurnOfVideo = isRestrained && wasRetransmission && !video.isEmpty
    if !isTurnOfVideo, let first = retransmissions.popFirst() {
      (purpose, waiting) = (.retransmission, first)
    } else if let first = video.popFirst() {
      (purpose, waiting) = (.video, first)
    } else {
      return nil
    }
    wasRetransmission = purpose == .retransmission
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
      } else {
        lookAround()
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
