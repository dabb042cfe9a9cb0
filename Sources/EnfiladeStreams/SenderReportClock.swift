// How an outgoing sender report finds its media time, so that the streams of one publisher stay in step (RFC 3550 §6.4.1).
//
// A publisher's reports tie each of its streams to its own wall clock. We restate that tie against ours: first by one offset for all
// streams of the publisher (``PublisherClock``), then by one line for each stream (``SenderReportClock``). Audio and video of one publisher
// go through the same offset, so whatever its error, they stay in step.

package import EnfiladeWire

/// The distance from one publisher's wall clock to ours, common to all its streams.
///
/// Each sender report gives one sample: its arrival less its NTP timestamp, which is the offset plus the delay of the path. The smallest
/// sample of the last 20 to 40 s is the best guess; the offset moves towards it slowly, so that no report makes a jump.
package struct PublisherClock: Sendable {
  /// Half the time that a smallest sample counts.
  private static let window = TimeDelta.seconds(Int64(20))
  /// The most that one report moves the offset: below what an ear or eye notices.
  private static let slew = TimeDelta.milliseconds(1)
  /// Beyond this the publisher's clock was set, and the offset follows at once.
  private static let step = TimeDelta.seconds(Int64(1))

  /// Our NTP time less the publisher's; `nil` before its first report.
  package private(set) var offset: TimeDelta?
  private var smallest = TimeDelta.zero
  private var smallestBefore = TimeDelta.zero
  private var windowStart = Instant.zero

  package init() {}

  /// A sender report of any of the publisher's streams came. `local` is our NTP time at `now`.
  package mutating func handleSenderReport(ntp: NTPTimestamp, local: NTPTimestamp, at now: Instant) {
    let sample = local - ntp
    guard let offset, abs((sample - offset).nanoseconds) < Self.step.nanoseconds else {
      offset = sample
      smallest = sample
      smallestBefore = sample
      windowStart = now
      return
    }
    if now - windowStart >= Self.window {
      smallestBefore = smallest
      smallest = sample
      windowStart = now
    }
    smallest = min(smallest, sample)
    let target = min(smallest, smallestBefore)
    let move = max(0 - Self.slew.nanoseconds, min(Self.slew.nanoseconds, (target - offset).nanoseconds))
    self.offset = offset + TimeDelta(nanoseconds: move)
  }

  /// The publisher's NTP time when ours is `local`.
  package func publisherTime(at local: NTPTimestamp) -> NTPTimestamp? { offset.map { local + -$0 } }
}

/// The line that ties one source's RTP timestamps to its publisher's wall clock.
package struct SenderReportClock: Sendable {
  /// How long after the first packet a source without reports is given a line made of arrival times instead.
  private static let grace = TimeDelta.seconds(Int64(3))

  private let clockRate: Int64
  private var report: (ntp: NTPTimestamp, timestamp: RTPTimestamp)?
  private var firstPacketAt: Instant?
  private var newest: (timestamp: RTPTimestamp, at: Instant)?

  /// - Parameter clockRate: ticks per second of the source's RTP clock.
  package init(clockRate: Int) {
    precondition(clockRate > 0)
    self.clockRate = Int64(clockRate)
  }

  /// Whether the source's own reports are known, so that it can be aligned with others.
  package var isAligned: Bool { report != nil }

  /// A packet of the source; only the newest matters.
  package mutating func handlePacket(timestamp: RTPTimestamp, at now: Instant) {
    if firstPacketAt == nil { firstPacketAt = now }
    if let newest, timestamp.distance(from: newest.timestamp) <= 0 { return }
    newest = (timestamp, now)
  }

  /// The source's sender report. One that is older than what is known changes nothing.
  package mutating func handleSenderReport(ntp: NTPTimestamp, timestamp: RTPTimestamp) {
    if let report {
      let elapsed = ntp - report.ntp
      // An old report that was overtaken; a clock that was set back by more than a minute is believed.
      if elapsed.nanoseconds <= 0, elapsed > TimeDelta.seconds(Int64(-60)) { return }
    }
    report = (ntp, timestamp)
  }

  /// The source restarted its timestamps: forget the line.
  package mutating func reset() {
    report = nil
    newest = nil
    firstPacketAt = nil
  }

  /// The publisher's NTP time of a source timestamp, for aligning the encodings of one source.
  package func ntp(of timestamp: RTPTimestamp) -> NTPTimestamp? {
    guard let report else { return nil }
    return report.ntp + duration(ticks: Int64(timestamp.distance(from: report.timestamp)))
  }

  /// The source timestamp at the publisher's NTP time `ntp`.
  package func timestamp(at ntp: NTPTimestamp) -> RTPTimestamp? {
    guard let report else { return nil }
    return report.timestamp + ticks(in: ntp - report.ntp)
  }

  /// The source timestamp that belongs to this moment, for a sender report of ours: through the publisher's clock when its reports
  /// are known, through arrival times when none came for a while, otherwise `nil`: no report is better than one that puts lips and voice apart.
  package func timestamp(now: Instant, local: NTPTimestamp, publisher: PublisherClock) -> RTPTimestamp? {
    if report != nil, let theirs = publisher.publisherTime(at: local) { return timestamp(at: theirs) }
    guard let newest, let firstPacketAt, now - firstPacketAt >= Self.grace else { return nil }
    return newest.timestamp + ticks(in: now - newest.at)
  }

  private func ticks(in time: TimeDelta) -> Int {
    // Split at the second, so that the product fits for any span of NTP time.
    let seconds = time.nanoseconds / 1_000_000_000
    let rest = time.nanoseconds % 1_000_000_000
    // Rounded to the nearest tick, so that a timestamp survives the way to NTP time and back.
    let ticks = (rest * clockRate + (rest < 0 ? -500_000_000 : 500_000_000)) / 1_000_000_000
    return Int(truncatingIfNeeded: seconds &* clockRate &+ ticks)
  }

  private func duration(ticks: Int64) -> TimeDelta {
    let seconds = ticks / clockRate
    return TimeDelta(nanoseconds: seconds &* 1_000_000_000 &+ (ticks % clockRate) * 1_000_000_000 / clockRate)
  }
}
