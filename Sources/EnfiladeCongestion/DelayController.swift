// What the delays allow.
//
//            overuse                      queue empty, or time is up
//   steady ───────────▶ draining ──────────────────────────────────▶ steady
//                          │  the queue stands, and the link is shared
//                          ▼
//                      competing ───────── the queue was empty ────▶ steady

package import EnfiladeWire

/// The delay-based rate: trend, queue and bursts in, bits per second out.
package struct DelayController: Sendable {
  package enum Mode: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    case steady
    case draining
    case competing
  }

  /// A queue this short is none: the spread of a frame and the receiver's clock.
  package static let emptyQueue = TimeDelta.milliseconds(10)
  /// The rate does not grow while a queue longer than this stands.
  package static let pressureQueue = TimeDelta.milliseconds(12)
  /// A queue that stood this long for ``standingTime`` is overuse whatever the trend says: slow growth has no trend.
  package static let standingQueue = TimeDelta.milliseconds(20)
  package static let standingTime = TimeDelta.milliseconds(150)
  /// A whole report above this is overuse at once.
  package static let suddenQueue = TimeDelta.milliseconds(50)
  /// How far apart frames usually are, in seconds.
  package static let frameInterval = 1.0 / 30
  /// A queue that stays above this although we yield is kept up by somebody else.
  package static let foreignQueue = TimeDelta.milliseconds(70)
  /// A queue that is worth giving up a layer for.
  package static let longQueue = TimeDelta.milliseconds(150)
  /// A queue is drained in about this time.
  package static let drainTime = TimeDelta.milliseconds(500)
  /// While draining, this share of the capacity is still used.
  package static let drainFloor = 0.25
  /// And so much of our share, where others do not yield as we do.
  package static let drainFloorShared = 0.5
  /// What is kept after overuse of a link that is ours alone: its capacity is known exactly, so little is enough.
  package static let backoffAlone = 0.95
  /// What is kept on a shared link: `full` by the smallest, less by `slope` times the share of the others. Who has more gives more, so that
  /// shares become equal sooner, and a small flow among bursts is not ground down.
  package static let backoffShared = (full: 0.90, slope: 0.3)
  /// From this share of the narrowest link on it is ours alone.
  package static let aloneShare = 0.85
  /// One reduction leaves at least this share of the rate.
  package static let largestStep = 0.2
  /// The rate grows by this share of the narrowest link each second: the same for all who share it, whatever their round trips.
  package static let increaseShared = 0.04
  /// Up to so many times that, after a time without overuse.
  package static let largestHurry = 3.0
  /// And more slowly by whoever has nearly all of it: nothing is to be won there.
  package static let increaseAlone = 0.02
  /// The rate grows to this many times what arrives, and no further: growth that no traffic has tested is a promise that breaks when the
  /// application takes it at its word.
  package static let growthLimit = 1.25
  /// A queue that still stands so long after we yielded is looked into.
  package static let settlingTime = TimeDelta.milliseconds(500)
  /// How long one competes before looking whether it is still necessary.
  package static let competingPeriod = TimeDelta.seconds(Int64(8))
  package static let competingBackoff = 0.7

  package private(set) var mode = Mode.steady
  package private(set) var aimd: AIMDRateControl
  package private(set) var queue = QueueEstimator()
  package private(set) var bursts = BurstCapacity()
  private let profile: CongestionProfile
  private var interArrival = InterArrival()
  private var trendline = TrendlineEstimator()
  private var lastReport: Instant?
  private var sawOveruse = false

  /// What others' frames in front of ours may look like. Two senders with the same frame rate keep their phase: the one behind finds the
  /// other's frame in the queue each time, and would yield for ever if it took that for a standing queue.
  private var slack = TimeDelta.zero
  /// A queue this short is none.
  package private(set) var emptyQueue = Self.emptyQueue
  private var pressureQueue: TimeDelta { Self.pressureQueue + slack }

  // On the receiver's clock: arrivals before this found an empty queue.
  private var busySince = Int64.min
  private var newestArrival = Int64.min

  // Draining.
  private var capacity = 0.0
  private var drainSince = Instant.zero
  private var drainFloor = Self.drainFloor
  private var drainPeak = TimeDelta.zero
  private var drainPeakTime = Instant.zero
  private var nextReduction = Instant.zero
  // Competing.
  private var competingRate = 0.0
  private var competingUpdate = Instant.zero
  private var competingSince = Instant.zero
  private var lastYield = Instant.zero
  private var lastCompeted: Instant?

  package init(profile: CongestionProfile) {
    self.profile = profile
    aimd = AIMDRateControl(
      start: Double(profile.start.bitsPerSecond), maximum: Double(profile.maximum.bitsPerSecond))
  }

  /// The usage that the trend shows, as of the last report.
  package var usage: BandwidthUsage { trendline.usage }

  /// Bits per second.
  package var rate: Double { publishedRate }
  private var publishedRate = 0.0

  /// What the path is believed to carry once the queue is gone: what a choice that is costly to change should be made by. A queue that takes
  /// long to drain is none of those.
  package var sustainedRate: Double {
    mode == .draining && queue.standing < Self.longQueue ? max(aimd.rate, publishedRate) : publishedRate
  }

  /// Takes packets that arrived, in order of sending.
  package mutating func handleArrival(_ run: ArrivalRun, at now: Instant) {
    if let lastReport, now - lastReport > .seconds(Int64(2)) {
      // After two seconds of silence what was learnt of the trend is worth nothing.
      interArrival = InterArrival()
      trendline = TrendlineEstimator()
    }
    lastReport = now
    newestArrival = max(newestArrival, run.lastArrival)
    queue.handleArrival(run)
    if profile.usesBursts { bursts.handleArrival(run) }
    if let delta = interArrival.handleArrival(run, reportedAt: now) {
      trendline.handle(delta, arrivalNanoseconds: run.firstArrival)
      if trendline.usage == .overusing { sawOveruse = true }
    }
  }

  /// What one report amounted to.
  package struct Report: Sendable {
    package var inFlightByteCount = 0
    package var lostPacketCount = 0
    package var roundTrip = TimeDelta.milliseconds(100)
    /// The share that is lost while the queue is empty: what arrives is that much less than what the link took.
    package var inherentLoss = 0.0
    /// What a probe found, if one did.
    package var probe: Double?

    package init() {}
  }

  /// Ends one report.
  package mutating func endReport(_ report: Report, throughput: inout ThroughputEstimator, at now: Instant) {
    queue.endReport(at: now)
    aimd.roundTrip = report.roundTrip
    if profile.usesQueue {
      steer(report, &throughput, now)
    } else {
      steerByTrend(report, &throughput, now)
    }
    sawOveruse = false
  }

  /// Sets the rate outright.
  package mutating func set(_ rate: Double, at now: Instant) {
    aimd.set(rate, at: now)
    publishedRate = aimd.rate
    mode = .steady
  }

  /// The path has changed: nothing that was learnt holds.
  package mutating func handlePathChange(at now: Instant) {
    let profile = profile
    self = DelayController(profile: profile)
    publishedRate = aimd.rate
  }

  // MARK: The reference

  private mutating func steerByTrend(_ report: Report, _ throughput: inout ThroughputEstimator, _ now: Instant) {
    let acknowledged = throughput.rate()
    if sawOveruse || trendline.usage == .overusing {
      if aimd.canReduceFurther(acknowledged, at: now) { aimd.handle(.overusing, throughput: acknowledged, at: now) }
    } else if let probe = report.probe {
      aimd.handleProbe(probe, at: now)
    } else {
      aimd.handle(trendline.usage, throughput: acknowledged, at: now)
    }
    publishedRate = aimd.rate
  }

  // MARK: With the queue

  private mutating func steer(_ report: Report, _ throughput: inout ThroughputEstimator, _ now: Instant) {
    if let throughput = throughput.rate(), let share = share(of: throughput) {
      slack = share < Self.aloneShare ? .seconds((1 - share) * Self.frameInterval) : .zero
      emptyQueue = Self.emptyQueue + slack
    }
    if queue.standing < emptyQueue { busySince = newestArrival }
    switch mode {
    case .steady:
      if isOverusing(now), now >= nextReduction {
        reduce(to: lately(throughput, report) ?? throughput.rate(), longView: throughput.rate(), now, report.roundTrip)
      } else if let probe = report.probe, probe > aimd.rate, queue.standing < Self.suddenQueue + slack {
        aimd.handleProbe(probe, at: now)
      } else if queue.standing > pressureQueue {
        aimd.handle(.underusing, throughput: throughput.rate(), at: now)
      } else {
        let growth = increase(now)
        aimd.handle(.normal, throughput: throughput.rate(), leastIncrease: growth, growthLimit: Self.growthLimit, at: now)
      }
    case .draining: drain(report, lately(throughput, report), now)
    case .competing: compete(report, throughput.rate(), now)
    }
    publish(report, now)
  }

  /// What the path delivered in the last moment, what is lost by its nature included; looked up only where somebody asks.
  private func lately(_ throughput: borrowing ThroughputEstimator, _ report: Report) -> Double? {
    throughput.recentRate(over: .milliseconds(300), since: busySince).map { $0 / (1 - report.inherentLoss) }
  }

  /// The least additive increase, in bits per second each second.
  private mutating func increase(_ now: Instant) -> Double {
    // Where nothing measures the link, it is taken for three times what is used.
    let link = min(bursts.estimate ?? 3 * aimd.rate, 4 * aimd.rate)
    if aimd.rate > Self.aloneShare * link { return Self.increaseAlone * link }
    // The longer nothing happens, the more there is to be had; all who share the link saw the same last overuse, and hurry alike.
    let calm = aimd.lastDecrease.map { (now - $0).seconds } ?? 0
    return Self.increaseShared * link * min(max(calm / 2, 1), Self.largestHurry)
  }

  // Mutating, so that nothing is copied for the call.
  private mutating func isOverusing(_ now: Instant) -> Bool {
    if queue.standing > Self.suddenQueue + slack { return true }
    if queue.standing(over: Self.standingTime, at: now) > Self.standingQueue + slack { return true }
    return sawOveruse && queue.standing > emptyQueue
  }

  /// How much of the narrowest link our throughput is; `nil` when bursts say nothing.
  private mutating func share(of rate: Double) -> Double? { bursts.estimate.map { rate / $0 } }

  private mutating func reduce(to measured: Double?, longView throughput: Double?, _ now: Instant, _ roundTrip: TimeDelta) {
    guard let measured else {
      aimd.handle(.overusing, throughput: nil, at: now)
      return
    }
    var backoff = AIMDRateControl.backoff
    let share = share(of: measured)
    // What arrives in a moment is little when others' bursts stand between: then the longer view counts as well.
    let longView = share.map { $0 < Self.aloneShare } == true ? 0.7 * (throughput ?? 0) : 0
    // Alone, a burst shows the link even when the queue was empty for a part of the moment: after one key frame, say.
    let bursty = share.map { $0 >= Self.aloneShare } == true ? 0.95 * min(bursts.estimate ?? 0, aimd.rate) : 0
    let delivered = max(measured, longView, bursty, Self.largestStep * aimd.rate)
    if let share { backoff = share > Self.aloneShare ? Self.backoffAlone : Self.backoffShared.full - Self.backoffShared.slope * share }
    aimd.handle(.overusing, throughput: delivered, backoff: backoff, at: now)
    capacity = delivered
    if mode != .draining {
      mode = .draining
      drainFloor = share.map { $0 < Self.aloneShare } == true ? Self.drainFloorShared : Self.drainFloor
      // From here on only what was measured with this queue counts.
      bursts.forget()
      drainSince = now
      drainPeak = .zero
    }
    nextReduction = now + min(roundTrip, .milliseconds(200)) + .milliseconds(50)
  }

  /// Whether others fill the queue that we try to empty: on a link of our own, a standing queue is served to us alone.
  private mutating func isShared(_ delivered: Double?) -> Bool {
    guard let delivered, let share = share(of: delivered) else { return false }
    return share < Self.aloneShare
  }

  /// Whether a few packets back to back would help: the queue does not drain, and media comes too thin to measure the link.
  package mutating func wantsSounding(at now: Instant) -> Bool {
    profile.competes && mode == .draining && now - drainSince > Self.settlingTime && queue.standing > Self.standingQueue + slack
      && bursts.estimate == nil
  }

  private mutating func drain(_ report: Report, _ delivered: Double?, _ now: Instant) {
    if queue.newestDelay > drainPeak {
      drainPeak = queue.newestDelay
      drainPeakTime = now
    }
    let predicted = queue.predicted(inFlightByteCount: report.inFlightByteCount, capacity: capacity, at: now)
    if queue.standing < emptyQueue || predicted < emptyQueue && queue.standing < pressureQueue {
      mode = .steady
      return
    }
    let isShared = isShared(delivered)
    if let delivered, !isShared {
      // Alone, what arrives while the queue stands is the capacity, whichever way it has gone meanwhile.
      if delivered < 0.9 * capacity, queue.newestDelay >= drainPeak, now >= nextReduction {
        reduce(to: delivered, longView: nil, now, report.roundTrip)
      } else if delivered > 1.1 * capacity, share(of: delivered) != nil {
        capacity = delivered
        if Self.backoffAlone * delivered > aimd.rate { aimd.set(Self.backoffAlone * delivered, at: now) }
      }
    }
    let patience = lastCompeted.map { now - $0 < .seconds(Int64(20)) } == true ? TimeDelta.milliseconds(1000) : .milliseconds(2000)
    if profile.competes, isShared, now - drainSince > patience, queue.standing > Self.foreignQueue,
      queue.standing.nanoseconds > drainPeak.nanoseconds / 2
    {
      mode = .competing
      let isSameAsBefore = lastCompeted.map { now - $0 < .seconds(Int64(3)) } ?? false
      competingRate = max(aimd.rate, delivered ?? 0, isSameAsBefore ? 0.9 * competingRate : 0)
      competingUpdate = now
      competingSince = now
      lastYield = now
      return
    }
    if now - drainPeakTime > .seconds(Int64(4)) { mode = .steady }
  }

  private mutating func compete(_ report: Report, _ throughput: Double?, _ now: Instant) {
    lastCompeted = now
    if queue.standing < emptyQueue {
      mode = .steady
      aimd.set(competingRate, at: now)
      return
    }
    if now - competingSince > Self.competingPeriod {
      // Looks whether there is anybody left to compete with, or ever was: yields, and sees whether the queue goes.
      let measured = throughput ?? competingRate
      lastCompeted = now
      mode = .draining
      bursts.forget()
      aimd.set(measured * Self.competingBackoff, at: now)
      capacity = measured
      drainFloor = Self.drainFloorShared
      drainSince = now
      drainPeak = .zero
      return
    }
    let roundTrip = max(report.roundTrip.seconds, 0.05)
    if report.lostPacketCount > 0, now - lastYield > report.roundTrip {
      competingRate *= Self.competingBackoff
      lastYield = now
    } else {
      // One packet more in each round trip, as everybody else on such a link (RFC 5681 §3.1).
      competingRate += 9600 / (roundTrip * roundTrip) * (now - competingUpdate).seconds
    }
    competingUpdate = now
    if let throughput { competingRate = min(competingRate, 1.5 * throughput + 50_000) }
  }

  private mutating func publish(_ report: Report, _ now: Instant) {
    switch mode {
    case .steady: publishedRate = aimd.rate
    case .competing: publishedRate = competingRate
    case .draining:
      let predicted = queue.predicted(inFlightByteCount: report.inFlightByteCount, capacity: capacity, at: now)
      let relief = capacity * predicted.seconds / Self.drainTime.seconds
      publishedRate = min(aimd.rate, max(drainFloor * capacity, aimd.rate - relief))
    }
  }
}
