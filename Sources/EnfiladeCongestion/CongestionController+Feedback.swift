// Reports, in either of two formats, become packet results; what is done with those does not depend on the format.

package import EnfiladeRTP
package import EnfiladeWire

extension CongestionController {
  /// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
  package mutating func handleFeedback(_ feedback: borrowing TransportFeedback, at now: Instant) {
    let reference = unwrapReferenceTime(feedback.referenceTime) * TransportFeedback.referenceTick.nanoseconds
    let tick = TransportFeedback.tick.nanoseconds
    var intake = Intake()
    var statuses = feedback.statuses()
    var number = peekNumber(feedback.baseSequenceNumber)
    history.passOver(before: number)
    // What was never sent is not looked at: thirty bytes may speak of 65,535 packets.
    while number < history.end, let status = statuses.next() {
      let arrival: Int64
      if !status.isReceived {
        arrival = PacketResult.lost
      } else if let ticks = status.ticks {
        arrival = reference + Int64(ticks) * tick
      } else {
        // Arrived, nobody says when: of no use to delays, and not lost.
        number += 1
        continue
      }
      // Most packets are like the one before and left with it: they are only counted.
      if status.isReceived, intake.hasRoom(for: arrival), history.resolve(number, expected: &intake.expected) {
        intake.packetCount += 1
        intake.run.append(arrivalNanoseconds: arrival, byteCount: intake.run.lastByteCount)
      } else if let result = history.resolve(number, arrivalNanoseconds: arrival) {
        take(result, into: &intake, at: now)
      }
      number += 1
    }
    finish(&intake, at: now)
  }

  /// Feedback by stream (RFC 8888 §3.1). Streams come one after the other; what follows wants packets in the order of sending.
  package mutating func handleFeedback(_ feedback: borrowing CongestionControlFeedback, at now: Instant) {
    let time = unwrapReportTimestamp(feedback.reportTimestamp)
    results.removeAll(keepingCapacity: true)
    var reports = feedback.streams()
    var newest: Int64 = -1
    while let stream = reports.next() {
      var sequence = stream.beginSequenceNumber
      for index in 0..<stream.count {
        let metric = stream[index]
        defer { sequence = SequenceNumber(sequence.rawValue &+ 1) }
        guard let number = streams.number(of: stream.ssrc, sequence) else { continue }
        if metric.isReceived {
          newest = max(newest, number)
          guard let age = metric.age else { continue }
          if let result = history.resolve(number, arrivalNanoseconds: time - age.nanoseconds) { results.append(result) }
        } else if let result = history.resolve(number, arrivalNanoseconds: PacketResult.lost) {
          results.append(result)
        }
      }
    }
    sortResults()
    var intake = Intake()
    for index in results.indices { take(results[index], into: &intake, at: now) }
    finish(&intake, at: now)
    // Streams that send rarely are reported late: leave them a report's time.
    if newest >= 0 { history.passOver(before: newest - 256) }
  }

  /// The peer's own estimate (draft-alvestrand-rmcat-remb-03 §2).
  package mutating func handleReceiverEstimate(_ bitrate: Bitrate, at now: Instant) {
    receiverEstimate = Double(bitrate.bitsPerSecond)
    updateTarget(at: now)
  }

  /// A report block about one of our streams (RFC 3550 §6.4.1), for peers that report no packets.
  package mutating func handleReport(fractionLost: Double, packetCount: Int, roundTrip: TimeDelta?, at now: Instant) {
    guard !hasPacketFeedback else { return }
    if let roundTrip { self.roundTrip = roundTrip }
    reported.handleReport(fractionLost: fractionLost, packetCount: packetCount, roundTrip: self.roundTrip, at: now)
    updateTarget(at: now)
  }

  // MARK: Inside

  /// One report while it is read.
  private struct Intake {
    var report = DelayController.Report()
    var packetCount = 0
    var newestSent = Instant.zero
    /// What has been read and not yet been looked at.
    var run = ArrivalRun.none
    /// Where the segment of throughput begins that the run lies in.
    var segmentStart: Int64 = 0
    /// What is noted of the packet that would be next in the run.
    var expected = SentPacketHistory.Entry.impossible

    /// Whether the run goes on with a packet that arrived then, as far as time is concerned.
    @inline(__always)
    func hasRoom(for arrival: Int64) -> Bool {
      arrival >= run.lastArrival && run.lastArrival - segmentStart < ThroughputEstimator.segmentLength.nanoseconds
    }
  }

  /// Takes a packet of a report, in the order of sending.
  private mutating func take(_ result: PacketResult, into intake: inout Intake, at now: Instant) {
    intake.packetCount += 1
    if result.isReceived, intake.run.isContinued(by: result), intake.hasRoom(for: result.arrivalNanoseconds) {
      intake.run.append(result)
      intake.expected = SentPacketHistory.expected(after: result)
      return
    }
    settleRun(of: &intake, at: now)
    begin(result, in: &intake, at: now)
  }

  private mutating func begin(_ result: PacketResult, in intake: inout Intake, at now: Instant) {
    if !hasPacketFeedback {
      hasPacketFeedback = true
      receiverEstimate = .infinity
      delay.set(Double(target.bitsPerSecond), at: now)
    }
    guard result.isReceived else {
      loss.handle(result)
      intake.report.lostPacketCount += 1
      return
    }
    if result.probe != .none, let found = probeEstimator.handleArrival(result) { intake.report.probe = found }
    intake.segmentStart = throughput.segmentStart(forArrival: result.arrivalNanoseconds)
    intake.run = ArrivalRun(result)
    // Packets of probes are looked at one by one.
    if result.probe == .none { intake.expected = SentPacketHistory.expected(after: result) }
    guard result.wasLost else { return }
    loss.handle(result)
    settleRun(of: &intake, isNew: false, at: now)
  }

  /// Gives what arrived in a row to everything that looks at it.
  ///
  /// - Parameter isNew: nothing has been said of it before; a packet that was called lost is told to the losses by itself.
  private mutating func settleRun(of intake: inout Intake, isNew: Bool = true, at now: Instant) {
    guard intake.run.packetCount > 0 else { return }
    let run = intake.run
    intake.run = .none
    intake.expected = .impossible
    intake.newestSent = max(intake.newestSent, run.sent)
    if isNew { loss.handle(run) }
    throughput.handleArrival(run)
    delay.handleArrival(run, at: now)
  }

  private mutating func finish(_ intake: inout Intake, at now: Instant) {
    guard intake.packetCount > 0 else { return }
    settleRun(of: &intake, at: now)
    var report = intake.report
    let newestSent = intake.newestSent
    if newestSent > .zero {
      roundTrip = now - newestSent
      roundTripLimit.handleFeedback(roundTrip: roundTrip, at: now)
    }
    report.roundTrip = roundTrip
    report.inherentLoss = inherentLoss
    report.inFlightByteCount = history.inFlightByteCount
    delay.endReport(report, throughput: &throughput, at: now)
    let isClear = delay.queue.standing < delay.emptyQueue + DelayController.emptyQueue && delay.mode == .steady
    if profile.trustsClearPath, isClear {
      // About the last hundred reports' worth: 5 s. More than a fifth is never taken for the link's nature.
      let share = Double(report.lostPacketCount) / Double(intake.packetCount)
      inherentLoss = min(0.2, inherentLoss + (share - inherentLoss) * 0.01)
    }
    loss.endReport(
      delayBased: delay.sustainedRate, throughput: applicationLimit.since == nil ? throughput.rate() : nil,
      isPathClear: isClear, maximum: Double(profile.maximum.bitsPerSecond), at: now)
    updateTarget(at: now)
    if delay.wantsSounding(at: now), now >= nextSounding {
      isSoundingDue = true
      nextSounding = now + Self.soundingInterval
    }
    if let found = report.probe, found >= provenByProbe || now - provenTime >= Self.proofValidity {
      provenByProbe = found
      provenTime = now
    }
    if let found = report.probe { probes.handleResult(found, at: now) }
    let context = context(at: now)
    probes.update(context, at: now)
    if nextUpdate != .distantFuture { nextUpdate = now + Self.reportPatience }
  }

  /// The number that a 16-bit one stands for, near the newest sent.
  private mutating func peekNumber(_ number: UInt16) -> Int64 {
    let newest = ExtendedSequenceNumber(max(0, history.end - 1))
    return newest.rawValue + Int64(SequenceNumber(number).distance(from: newest.wire))
  }

  /// No receiver is silent so long and goes on with the same clock: a larger jump is a new clock, or a lie, and neither may add up without end.
  private static var largestClockJump: TimeDelta { .seconds(Int64(600)) }

  /// 24 bits of 64 ms wrap after twelve days.
  private mutating func unwrapReferenceTime(_ time: UInt32) -> Int64 {
    guard let last = lastReferenceTime else {
      lastReferenceTime = Int64(time)
      return Int64(time)
    }
    var difference = (Int64(time) - last) & 0xFF_FFFF
    if difference >= 0x80_0000 { difference -= 0x100_0000 }
    let isJump = abs(difference) > Self.largestClockJump.nanoseconds / TransportFeedback.referenceTick.nanoseconds
    // 2³⁵ times 64 ms are seventy years.
    let updated = isJump || abs(last) > 1 << 35 ? Int64(time) : last + difference
    lastReferenceTime = updated
    return updated
  }

  /// 32 bits of 1/65536 s wrap after eighteen hours; nanoseconds since the first.
  private mutating func unwrapReportTimestamp(_ timestamp: UInt32) -> Int64 {
    let difference = Int64(Int32(bitPattern: timestamp &- lastReportTimestamp))
    let isJump = abs(difference) > Self.largestClockJump.nanoseconds / 1_000_000_000 * 65_536
    let last = reportOrigin ?? 0
    // 2⁴⁷ of them are seventy years.
    let ticks = reportOrigin == nil || isJump || abs(last) > 1 << 47 ? 0 : last + difference
    reportOrigin = ticks
    lastReportTimestamp = timestamp
    return ticks / 65_536 * 1_000_000_000 + ticks % 65_536 * 1_000_000_000 / 65_536
  }

  /// By the order of sending. A heap sort: in place, and no order that a peer may choose makes it slow.
  private mutating func sortResults() {
    let count = results.count
    guard count > 1 else { return }
    var root = count / 2 - 1
    while root >= 0 {
      siftDown(root, count)
      root -= 1
    }
    var end = count - 1
    while end > 0 {
      results.swapAt(0, end)
      siftDown(0, end)
      end -= 1
    }
  }

  private mutating func siftDown(_ start: Int, _ count: Int) {
    var root = start
    while 2 * root + 1 < count {
      var child = 2 * root + 1
      if child + 1 < count, results[child].number < results[child + 1].number { child += 1 }
      guard results[root].number < results[child].number else { return }
      results.swapAt(root, child)
      root = child
    }
  }
}
