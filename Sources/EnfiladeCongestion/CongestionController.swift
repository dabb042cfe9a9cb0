// How much one subscriber's link carries: everything that is known of it, in one value.

import EnfiladeRTP
package import EnfiladeWire

/// Sans-IO: it is told of packets sent and reports come, and asked for the target and the next probe. Cost per packet is a store when it is
/// sent and some arithmetic when it is reported; everything that loops does so once for a report.
package struct CongestionController: ~Copyable {
  // What each packet that is sent touches comes first, and together.
  package var history = SentPacketHistory()
  var applicationLimit: ApplicationLimitDetector
  var lastSent = Instant.zero
  /// When the estimate wants to be looked at though nothing was reported.
  package internal(set) var nextUpdate = Instant.distantFuture
  private var hasStarted = false
  package internal(set) var target: Bitrate
  private var publishedTarget: Bitrate?

  package let profile: CongestionProfile
  package internal(set) var delay: DelayController
  package internal(set) var loss: LossEstimator
  package internal(set) var reported: ReportedLossController
  package internal(set) var probes: ProbeController
  package internal(set) var throughput = ThroughputEstimator()
  var probeEstimator = ProbeEstimator()
  var streams = FeedbackStreamIndex()

  /// What the peer says it can take ("REMB"), in bits per second.
  var receiverEstimate = Double.infinity
  /// A report of packets has come. Until one does, the peer's estimate and its shares of loss are what there is, whatever was promised.
  package internal(set) var hasPacketFeedback = false
  var roundTripLimit = RoundTripLimit()

  /// One report by stream, to be put in order; made when the first comes.
  var results = UniqueArray<PacketResult>()
  var lastReferenceTime: Int64?
  var reportOrigin: Int64?
  var lastReportTimestamp: UInt32 = 0

  /// The share of packets lost while the queue was empty.
  package internal(set) var inherentLoss = 0.0
  package internal(set) var roundTrip = Limits.assumedRoundTripTime
  /// What layers should be chosen by: the target without the short dips that drain a queue.
  package internal(set) var sustainedTarget: Bitrate

  var provenByProbe = 0.0
  var provenTime = Instant.zero
  /// What a probe found so long ago has to be found again.
  package static let proofValidity = TimeDelta.seconds(Int64(15))
  var isSoundingDue = false
  var nextSounding = Instant.zero
  /// Soundings are at least this far apart.
  package static let soundingInterval = TimeDelta.milliseconds(400)

  /// Between two looks at the clock while packets are under way.
  package static let updateInterval = TimeDelta.milliseconds(100)
  /// And after a report, which was a look by itself.
  static let reportPatience = TimeDelta.milliseconds(200)

  package init(profile: CongestionProfile = CongestionProfile()) {
    self.profile = profile
    let start = Double(profile.start.bitsPerSecond)
    delay = DelayController(profile: profile)
    loss = LossEstimator(trustsClearPath: profile.trustsClearPath)
    reported = ReportedLossController(start: start)
    probes = ProbeController(usesBursts: profile.usesBursts, maximum: Double(profile.maximum.bitsPerSecond))
    applicationLimit = ApplicationLimitDetector(target: start)
    target = profile.start
    sustainedTarget = profile.start
    delay.set(start, at: .zero)
    updateTarget(at: .zero)
  }

  // MARK: Look

  /// When ``handleTimeout(at:)`` wants to be called.
  package var nextDeadline: Instant { min(nextUpdate, probes.deadline) }
  /// Bytes sent of which nothing has been heard.
  package var inFlightByteCount: Int { history.inFlightByteCount }
  /// What it takes of memory beside itself, in bytes.
  package var heldByteCount: Int {
    history.heldByteCount + throughput.heldByteCount + streams.heldByteCount + results.capacity * MemoryLayout<PacketResult>.stride
  }
  /// Whether more stands in the network than a key frame or a probe leaves there, and is to drain.
  package var isOverfull: Bool { profile.usesQueue && delay.mode == .draining && delay.queue.standing > Self.overfullQueue }
  private static var overfullQueue: TimeDelta { .milliseconds(250) }
  package var isApplicationLimited: Bool { applicationLimit.since != nil }

  /// What traffic or a probe has shown lately to be there, and what is above it only hope.
  package mutating func provenRate(at now: Instant) -> Bitrate {
    var proven = throughput.rate() ?? 0
    if now - provenTime < Self.proofValidity { proven = max(proven, provenByProbe) }
    return Bitrate(bitsPerSecond: Int64(min(proven, Double(target.bitsPerSecond))))
  }

  // MARK: Told

  /// A packet was sent.
  ///
  /// - Parameters:
  ///   - number: its transport-wide number, unwrapped; for peers with feedback by stream, any number that counts packets up.
  ///   - byteCount: on the wire, without IP and UDP.
  package mutating func handleSent(
    _ number: ExtendedSequenceNumber, byteCount: Int, purpose: PacketPurpose, probe: ProbeID = .none, at now: Instant
  ) {
    history.handleSent(number.rawValue, byteCount: byteCount, purpose: purpose, probe: probe, at: now)
    noteSending(mediaByteCount: purpose == .padding ? 0 : byteCount, at: now)
  }

  /// Packets were sent at one instant, under consecutive numbers from `first` on.
  package mutating func handleSent(_ first: ExtendedSequenceNumber, _ runs: Span<SentRun>, probe: ProbeID = .none, at now: Instant) {
    guard runs.count > 0 else { return }
    noteSending(mediaByteCount: history.handleSent(first.rawValue, runs, probe: probe, at: now), at: now)
  }

  /// Packets were sent of which no report will speak.
  package mutating func handleUnreportedSending(byteCount: Int, at now: Instant) { noteSending(mediaByteCount: byteCount, at: now) }

  private mutating func noteSending(mediaByteCount: Int, at now: Instant) {
    if mediaByteCount > 0 { applicationLimit.handleSent(byteCount: mediaByteCount, at: now) }
    lastSent = now
    if nextUpdate == .distantFuture { nextUpdate = now + Self.updateInterval }
    if !hasStarted { begin(at: now) }
  }

  /// The first packet leaves.
  private mutating func begin(at now: Instant) {
    hasStarted = true
    roundTripLimit.handleFeedback(roundTrip: roundTrip, at: now)
    probes.start(rate: Double(profile.start.bitsPerSecond), at: now)
  }

  /// The same for a peer that gives feedback by stream (RFC 8888).
  package mutating func handleSent(_ ssrc: SSRC, _ sequence: SequenceNumber, number: ExtendedSequenceNumber) {
    streams.handleSent(ssrc, sequence, number: number.rawValue)
  }

  /// Somebody could use `rate` in all, if it were there.
  package mutating func handleDemand(_ rate: Bitrate, isUrgent: Bool = false, at now: Instant) {
    let context = context(at: now)
    probes.handleDemand(Double(rate.bitsPerSecond), isUrgent: isUrgent, context: context, at: now)
  }

  /// No more than this is of any use: nothing is probed above it.
  package mutating func setUsefulMaximum(_ rate: Bitrate) {
    probes.setMaximum(min(Double(rate.bitsPerSecond), Double(profile.maximum.bitsPerSecond)))
  }

  /// The path has changed: another candidate, another network.
  package mutating func handlePathChange(at now: Instant) {
    history.removeAll()
    throughput.removeAll()
    delay.handlePathChange(at: now)
    loss = LossEstimator(trustsClearPath: profile.trustsClearPath)
    reported.set(Double(profile.start.bitsPerSecond))
    roundTripLimit = RoundTripLimit()
    roundTripLimit.handleFeedback(roundTrip: Limits.assumedRoundTripTime, at: now)
    delay.set(Double(profile.start.bitsPerSecond), at: now)
    probes.start(rate: Double(profile.start.bitsPerSecond), at: now)
    updateTarget(at: now)
  }

  /// Time has come.
  package mutating func handleTimeout(at now: Instant) {
    if now >= nextUpdate {
      // Nothing under way, nothing to look after.
      let isIdle = now - lastSent > .seconds(Int64(10))
      nextUpdate = isIdle ? .distantFuture : now + Self.updateInterval
      if !hasPacketFeedback { reported.update(roundTrip: roundTrip, at: now) }
      if hasPacketFeedback,
        let limited = roundTripLimit.update(
          rate: Double(target.bitsPerSecond), lastSent: lastSent, minimum: Double(profile.minimum.bitsPerSecond), at: now)
      {
        delay.set(limited, at: now)
        loss.set(limited)
      }
    }
    let context = context(at: now)
    probes.update(context, at: now)
    updateTarget(at: now)
  }

  // MARK: Asked

  /// The target, when it has changed since it was asked for last.
  package mutating func pollTarget() -> Bitrate? {
    guard target != publishedTarget else { return nil }
    publishedTarget = target
    return target
  }

  /// The next probe to send, if one is due.
  package mutating func pollProbe() -> Probe? {
    if isSoundingDue {
      isSoundingDue = false
      return Probe.sounding(probes.takeID())
    }
    guard let probe = probes.poll() else { return nil }
    probeEstimator.begin(probe.id, rate: probe.rate, minimumPacketCount: probe.minimumPacketCount, minimumByteCount: probe.minimumByteCount)
    return probe
  }

  // MARK: Inside

  // Mutating, so that the controller is lent and not copied.
  mutating func context(at now: Instant) -> ProbeController.Context {
    var context = ProbeController.Context()
    context.rate = Double(target.bitsPerSecond)
    context.isApplicationLimited = applicationLimit.since != nil
    context.isPathClear =
      profile.usesQueue
      ? delay.mode == .steady && delay.queue.standing < delay.emptyQueue : delay.usage == .normal
    context.burstCapacity = delay.bursts.estimate
    return context
  }

  /// The least of what delays, losses and the peer allow.
  private mutating func bounded(_ delayBased: Double) -> Double {
    var rate = hasPacketFeedback ? delayBased : reported.rate
    if hasPacketFeedback, let allowed = loss.estimate { rate = min(rate, allowed) }
    rate = min(rate, receiverEstimate, Double(profile.maximum.bitsPerSecond))
    return max(rate, Double(profile.minimum.bitsPerSecond))
  }

  mutating func updateTarget(at now: Instant) {
    let sustained = bounded(delay.sustainedRate)
    sustainedTarget = Bitrate(bitsPerSecond: Int64(sustained))
    let rate = bounded(delay.rate)
    let updated = Bitrate(bitsPerSecond: Int64(rate))
    guard updated != target else { return }
    target = updated
    applicationLimit.setTarget(rate)
  }
}
