// The receiving side's estimate of what its path carries, for senders that take nothing better ("REMB",
// draft-alvestrand-rmcat-remb-03).

package import EnfiladeRTP
package import EnfiladeWire

/// Estimates from when packets left and when they came, as a sender does from reports, only without its probes.
///
/// Its words concern nobody but the sender whose clock it reads: a clock that lies misleads its owner.
package struct ReceiverEstimator: ~Copyable {
  /// What comes within this is looked at together, as one report would bring it to a sender.
  package static let step = TimeDelta.milliseconds(50)
  /// The estimate is told this often while packets come (ibid. §2.2 leaves it to the receiver).
  package static let interval = TimeDelta.seconds(Int64(1))
  /// One that fell to less than ``notable`` of what was told last is told at once, but no more often than this.
  package static let shortestInterval = TimeDelta.milliseconds(200)
  package static let notable = 0.97
  /// Clocks further apart than this are not one clock any more: it was set anew.
  static let clockJump = TimeDelta.seconds(Int64(60))

  private let profile: CongestionProfile
  private var delay: DelayController
  private var throughput = ThroughputEstimator()
  private var report = DelayController.Report()
  /// The newest time of sending, and where it lies on a line that does not wrap.
  private var newest: (time: AbsoluteSendTime, sent: Instant)?
  private var number: Int64 = 0
  private var stepEnd = Instant.distantFuture
  private var told: (at: Instant, rate: Double)?
  /// When ``pollEstimate(at:)`` has something to tell.
  package private(set) var nextDeadline = Instant.distantFuture

  /// - Parameter maximum: what is told at most.
  package init(maximum: Bitrate) {
    var profile = CongestionProfile()
    profile.maximum = maximum
    // Nothing is paid out by this start: the sender has one of its own, and grows from there.
    profile.start = min(.megabitsPerSecond(1), maximum)
    self.profile = profile
    delay = DelayController(profile: profile)
    delay.set(Double(profile.start.bitsPerSecond), at: .zero)
  }

  /// An authentic packet came.
  ///
  /// - Parameters:
  ///   - sendTime: when it left, as it says itself.
  ///   - byteCount: on the wire, without IP and UDP.
  ///   - roundTrip: of the path, as far as it is known.
  package mutating func handlePacket(sendTime: AbsoluteSendTime, byteCount: Int, roundTrip: TimeDelta, at now: Instant) {
    if now >= stepEnd { endStep(roundTrip: roundTrip, at: now) }
    if stepEnd == .distantFuture { stepEnd = now + Self.step }
    if nextDeadline == .distantFuture { nextDeadline = now + Self.interval }
    number += 1
    guard let sent = advance(to: sendTime, at: now) else {
      // Overtaken by later ones: it counts as arrived, and says nothing of delay.
      return throughput.handleArrival(run(sent: newest?.sent ?? now, byteCount, now))
    }
    let run = run(sent: sent, byteCount, now)
    throughput.handleArrival(run)
    delay.handleArrival(run, at: now)
  }

  private func run(sent: Instant, _ byteCount: Int, _ now: Instant) -> ArrivalRun {
    ArrivalRun(number: number, sent: sent, arrivalNanoseconds: now.nanoseconds, byteCount: byteCount)
  }

  /// Where `time` lies on the line; `nil` when it is older than what was seen.
  private mutating func advance(to time: AbsoluteSendTime, at now: Instant) -> Instant? {
    guard let newest else {
      self.newest = (time, now)
      return now
    }
    let distance = time - newest.time
    guard distance >= .zero else { return nil }
    var sent = newest.sent + distance
    if sent - now > Self.clockJump || now - sent > Self.clockJump {
      let rate = delay.rate
      delay = DelayController(profile: profile)
      delay.set(rate, at: now)
      sent = now
    }
    self.newest = (time, sent)
    return sent
  }

  private mutating func endStep(roundTrip: TimeDelta, at now: Instant) {
    report.roundTrip = roundTrip
    if let newest, let rate = throughput.rate() {
      // What is under way is not known here; the publisher is taken to go on as it did.
      report.inFlightByteCount = Int(rate / 8 * max(0, (now - newest.sent).seconds))
    }
    delay.endReport(report, throughput: &throughput, at: now)
    stepEnd = .distantFuture
    guard let told else { return }
    let isNotable = delay.rate < Self.notable * told.rate
    nextDeadline = isNotable ? max(now, told.at + Self.shortestInterval) : told.at + Self.interval
  }

  /// The estimate, when it is time to tell it.
  package mutating func pollEstimate(at now: Instant) -> Bitrate? {
    guard now >= nextDeadline else { return nil }
    // Packets set the next time: nothing is told of a path that nothing comes by.
    nextDeadline = .distantFuture
    told = (now, delay.rate)
    return .bitsPerSecond(Int64(min(delay.rate, Double(profile.maximum.bitsPerSecond))))
  }
}
