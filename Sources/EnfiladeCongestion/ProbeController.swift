// When to try more than is known to be there.

package import EnfiladeWire

/// A stretch of sending at a rate of its own.
package struct Probe: Hashable, Sendable, BitwiseCopyable {
  package var id: ProbeID
  /// In bits per second.
  package var rate: Double
  package var minimumPacketCount: Int
  package var minimumByteCount: Int

  package static let packetCount = 5
  package static let length = TimeDelta.milliseconds(15)
  /// Bursts of a probe are at least this far apart.
  package static let burstInterval = TimeDelta.milliseconds(2)

  /// The size of padding packets.
  package var paddingByteCount = 1200

  /// Packets of a sounding, sent at once. A radio lets go a packet or so in each of its slots: what is smaller than two slots measures none.
  package static let soundingPacketCount = 3
  package static let soundingByteCount = 1100
  package static let soundingRate = 1e9

  /// A few packets back to back, whose spread on arrival tells the link's capacity.
  package static func sounding(_ id: ProbeID) -> Probe {
    var probe = Probe(id: id, rate: soundingRate)
    probe.minimumPacketCount = soundingPacketCount
    probe.minimumByteCount = 0
    probe.paddingByteCount = soundingByteCount
    return probe
  }

  package init(id: ProbeID, rate: Double) {
    self.id = id
    self.rate = rate
    minimumPacketCount = Self.packetCount
    minimumByteCount = Int(rate * Self.length.seconds / 8)
  }
}

/// Decides on probes: at the start, further while they succeed, when more is wanted, and while the application sends too little to
/// find out by itself. A departure: also while it sends all it may, when bursts say that there is room.
package struct ProbeController: Sendable {
  package static let firstFactors = (3.0, 6.0)
  package static let furtherFactor = 2.0
  /// A probe that found this share of its rate is followed by the next.
  package static let furtherThreshold = 0.7
  package static let resultTimeout = TimeDelta.seconds(Int64(1))
  package static let periodicInterval = TimeDelta.seconds(Int64(5))
  /// After failures the interval doubles up to this.
  package static let longestInterval = TimeDelta.seconds(Int64(40))
  /// A drop below this share is remembered, to be taken back by one probe.
  package static let dropThreshold = 0.66
  package static let dropFraction = 0.85
  package static let dropTimeout = TimeDelta.seconds(Int64(5))
  /// Bursts must show this much more than the rate.
  package static let headroom = 1.15
  /// Bursts that show so much more than at the last failure are news.
  package static let news = 1.5
  /// A demand so many times the one before is a new one.
  package static let newDemand = 1.25
  /// And show it for this long: bursts waver on a path with jitter.
  package static let newsTime = TimeDelta.milliseconds(300)

  /// What is known when a decision is due.
  package struct Context: Sendable {
    package var rate = 0.0
    package var isApplicationLimited = false
    /// The delays are steady and the queue is empty.
    package var isPathClear = false
    package var burstCapacity: Double?

    package init() {}
  }

  private let usesBursts: Bool
  private var maximum: Double
  private var waiting: InlineArray<2, Probe?> = InlineArray(repeating: nil)
  package private(set) var waitingCount = 0
  private var nextID: UInt16 = 1
  /// Set while a result is waited for.
  package private(set) var deadline = Instant.distantFuture
  private var furtherAbove = Double.infinity
  private var nextPeriodic = Instant.zero
  private var interval = Self.periodicInterval
  private var probedRate = 0.0
  private var rateBefore = 0.0
  /// What bursts showed when the link was last found full.
  private var knownBurst = 0.0
  private var newsSince: Instant?
  private var lastProbe: Instant?
  private var lastRate = 0.0
  private var demanded: Double?
  private var lastDemand = 0.0
  private var hasNewDemand = false
  private var dropFrom: Double?
  private var dropTime = Instant.zero
  private var wasClear = true
  private var clearSince: Instant?
  /// The first probes are still to be made, from this rate on.
  private var waitingStart: Double?

  package init(usesBursts: Bool, maximum: Double) {
    self.usesBursts = usesBursts
    self.maximum = maximum
  }

  package var isWaiting: Bool { deadline != .distantFuture }

  /// No probe above what anybody has a use for.
  package mutating func setMaximum(_ rate: Double) { maximum = rate }

  /// The link is ready to send: the first two probes.
  package mutating func start(rate: Double, at now: Instant) {
    guard maximum > rate else {
      // Nobody has a use for more yet.
      waitingStart = rate
      return
    }
    waitingStart = nil
    nextPeriodic = now + Self.periodicInterval
    enqueue(Self.firstFactors.0 * rate, from: rate, isFurther: true, now)
    enqueue(Self.firstFactors.1 * rate, from: rate, isFurther: true, now)
  }

  /// Somebody wants `rate` in all, and the estimate is below it. The probe must find all of it for the wish to be granted.
  ///
  /// - Parameter isUrgent: a picture is not shown at all for want of it. Then failures do not make the next try wait longer: what made them
  ///   may be gone, and nobody would know.
  package mutating func handleDemand(_ rate: Double, isUrgent: Bool = false, context: Context, at now: Instant) {
    // Whoever wants clearly more than before need not wait for what was found out about less.
    if rate > Self.newDemand * lastDemand { hasNewDemand = true }
    lastDemand = rate
    guard !isWaiting, waitingCount == 0, context.isPathClear else { return }
    let isUrgentlyDue = isUrgent && lastProbe.map { now - $0 >= Self.periodicInterval } ?? true
    guard now >= nextPeriodic || hasNewDemand || isUrgentlyDue else { return }
    hasNewDemand = false
    // From zero: the estimate may be there already, and only the proof be missing.
    enqueue(min(rate, Self.furtherFactor * max(context.rate, rate / 3)), from: 0, isFurther: true, now)
    rateBefore = context.rate
    demanded = rate
  }

  /// A probe found `rate`.
  package mutating func handleResult(_ found: Double, at now: Instant) {
    guard isWaiting else { return }
    if found > furtherAbove, found < maximum {
      let next = Self.furtherFactor * found
      deadline = .distantFuture
      furtherAbove = .infinity
      enqueue(next, from: found, isFurther: true, now)
    }
    if found > 1.1 * rateBefore { interval = Self.periodicInterval }
  }

  /// Lets time pass, and decides.
  package mutating func update(_ context: Context, at now: Instant) {
    if now >= deadline { finish(context, now) }
    if waitingStart != nil, !isWaiting, maximum > context.rate { start(rate: context.rate, at: now) }
    if context.isPathClear {
      if clearSince == nil { clearSince = now }
    } else {
      clearSince = nil
      newsSince = nil
      // The highest of late, quickly forgotten.
      if let burst = context.burstCapacity { knownBurst = max(burst, 0.9 * knownBurst) }
    }
    if lastRate > 0, context.rate < Self.dropThreshold * lastRate {
      dropFrom = lastRate
      dropTime = now
    }
    lastRate = context.rate
    guard !isWaiting, waitingCount == 0, let clearSince, now - clearSince >= .milliseconds(150) else { return }

    // The reference goes back to what there was before a short drop, once the queue is gone.
    if !usesBursts, let from = dropFrom, context.isApplicationLimited {
      dropFrom = nil
      if now - dropTime < Self.dropTimeout, Self.dropFraction * from * 0.95 > context.rate,
        lastProbe.map({ now - $0 > Self.dropTimeout }) ?? true
      {
        enqueue(Self.dropFraction * from, from: context.rate, isFurther: false, now)
        return
      }
    }
    guard context.rate < maximum else { return }
    // Bursts that show more than the link had when it was last found full are news, and tried at once; that they show more than our rate is
    // none on a shared link, and tried only after a long time without overuse.
    if usesBursts, let burst = context.burstCapacity, burst > Self.headroom * context.rate {
      if burst <= Self.news * knownBurst {
        newsSince = nil
      } else if newsSince == nil {
        newsSince = now
      }
      let isNews = newsSince.map { now - $0 >= Self.newsTime } ?? false
      if isNews || now >= nextPeriodic && now - clearSince >= interval {
        enqueue(min(Self.furtherFactor * context.rate, max(burst, 1.3 * context.rate)), from: context.rate, isFurther: false, now)
        return
      }
    }
    if context.isApplicationLimited, now >= nextPeriodic {
      enqueue(Self.furtherFactor * context.rate, from: context.rate, isFurther: true, now)
    }
  }

  /// The next probe to send.
  package mutating func poll() -> Probe? {
    guard waitingCount > 0 else { return nil }
    let first = waiting[0]
    waiting[0] = waiting[1]
    waiting[1] = nil
    waitingCount -= 1
    return first
  }

  /// A name for a probe that is none of ours.
  package mutating func takeID() -> ProbeID {
    defer { nextID = nextID == .max ? 1 : nextID + 1 }
    return ProbeID(nextID)
  }

  private mutating func enqueue(_ wanted: Double, from rate: Double, isFurther: Bool, _ now: Instant) {
    let target = min(wanted, maximum)
    guard waitingCount < 2, target > rate else { return }
    waiting[waitingCount] = Probe(id: takeID(), rate: target)
    waitingCount += 1
    deadline = now + Self.resultTimeout
    furtherAbove = isFurther && target < maximum ? Self.furtherThreshold * target : .infinity
    probedRate = target
    rateBefore = rate
    lastProbe = now
    nextPeriodic = now + interval
  }

  private mutating func finish(_ context: Context, _ now: Instant) {
    deadline = .distantFuture
    furtherAbove = .infinity
    let isGranted = demanded.map { context.rate >= $0 } ?? false
    demanded = nil
    if isGranted || context.rate > 1.05 * rateBefore {
      interval = Self.periodicInterval
      knownBurst = min(knownBurst, context.rate)
    } else {
      interval = min(interval * 2, Self.longestInterval)
      knownBurst = context.burstCapacity ?? probedRate
    }
    nextPeriodic = now + interval
  }
}
