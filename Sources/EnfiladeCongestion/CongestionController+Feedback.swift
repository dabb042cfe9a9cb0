// Reports, in either of two formats, become packet results; what is done with those does not depend on the format.

package import EnfiladeRTP
package import EnfiladeWire

extension CongestionController {
  /// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
  package mutating func handleFeedback(_ feedback: borrowing TransportFeedback, at now: Instant) {
    let reference = unwrapReferenceTime(feedback.referenceTime) * TransportFeedback.referenceTick.nanoseconds
    let tick = TransportFeedback.tick.nanoseconds
    results.removeAll(keepingCapacity: true)
    var statuses = feedback.statuses()
    var number = peekNumber(feedback.baseSequenceNumber)
    history.passOver(before: number)
    while let status = statuses.next() {
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
      if let result = history.resolve(number, arrivalNanoseconds: arrival) { results.append(result) }
      number += 1
    }
    handleResults(at: now)
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
    handleResults(at: now)
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

  private mutating func handleResults(at now: Instant) {
    guard !results.isEmpty else { return }
    if !hasPacketFeedback {
      hasPacketFeedback = true
      delay.set(Double(target.bitsPerSecond), at: now)
    }
    var report = DelayController.Report()
    var newestSent = Instant.zero
    for index in results.indices {
      let result = results[index]
      loss.handle(result)
      guard result.isReceived else {
        report.lostPacketCount += 1
        continue
      }
      newestSent = max(newestSent, result.sent)
      throughput.handleArrival(sent: result.sent, arrivalNanoseconds: result.arrivalNanoseconds, byteCount: Int(result.byteCount))
      delay.handleArrival(result, at: now)
      if let found = probeEstimator.handleArrival(result) { report.probe = found }
    }
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
      let share = Double(report.lostPacketCount) / Double(results.count)
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
    probes.update(context(at: now), at: now)
  }

  /// The number that a 16-bit one stands for, near the newest sent.
  private func peekNumber(_ number: UInt16) -> Int64 {
    let newest = ExtendedSequenceNumber(max(0, history.end - 1))
    return newest.rawValue + Int64(SequenceNumber(number).distance(from: newest.wire))
  }

  /// 24 bits of 64 ms wrap after twelve days.
  private mutating func unwrapReferenceTime(_ time: UInt32) -> Int64 {
    guard let last = lastReferenceTime else {
      lastReferenceTime = Int64(time)
      return Int64(time)
    }
    var difference = (Int64(time) - last) & 0xFF_FFFF
    if difference >= 0x80_0000 { difference -= 0x100_0000 }
    lastReferenceTime = last + difference
    return last + difference
  }

  /// 32 bits of 1/65536 s wrap after eighteen hours; nanoseconds since the first.
  private mutating func unwrapReportTimestamp(_ timestamp: UInt32) -> Int64 {
    let difference = Int64(Int32(bitPattern: timestamp &- lastReportTimestamp))
    let ticks = (reportOrigin ?? 0) + (reportOrigin == nil ? 0 : difference)
    reportOrigin = ticks
    lastReportTimestamp = timestamp
    return ticks * 1_000_000_000 / 65_536
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
