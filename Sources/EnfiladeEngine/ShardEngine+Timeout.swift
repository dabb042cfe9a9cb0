// Time: what each link wants to be called for, and what it does then.

import EnfiladeCongestion
import EnfiladeStreams
import EnfiladeTransport
package import EnfiladeWire

/// What a link's next deadline is for.
package enum DeadlineReason: UInt8, Sendable, CaseIterable {
  case connectivity
  case handshake
  case report
  case transportFeedback
  case receiverEstimate
  case retransmissionRequest
  case keyframeRequest
  /// The congestion control of the link: time for its estimate, its pacer, or its layers.
  case congestion
  case replay
}

extension ShardEngine {
  /// Does everything that is due.
  package mutating func handleTimeout(at now: Instant) {
    advanceClock(to: now)
    while let link = deadlines.popDue(at: now) {
      guard links.contains(link) else { continue }
      while links[link].ice.nextDeadline <= now {
        let actions = links[link].ice.handleTimeout(at: now)
        carryOut(actions, link: link, at: now)
      }
      if links[link].plain != nil { handlePlainTimeout(link, at: now) }
      if links[link].handshakeDeadline <= now {
        links[link].handshake.handleTimeout(at: now)
        drainHandshake(link, at: now)
      }
      if canSend(to: link), links[link].nextReplay <= now { pollReplays(of: link, at: now) }
      if canSend(to: link) {
        if reportDeadline(of: link).at <= now { oweRTCP(link) }
        if links[link].downlink >= 0 { handleDownlinkTimeout(link, at: now) }
      }
      reschedule(link, at: now)
    }
    publishLanes()
  }

  /// The earliest deadline of a link, with its reason.
  // The engine is lent to the functions below, and not copied: hence they are mutating.

  package mutating func deadline(of link: Int) -> (at: Instant, reason: DeadlineReason) {
    var next = (at: links[link].pathDeadline, reason: DeadlineReason.connectivity)
    if links[link].handshakeDeadline < next.at { next = (links[link].handshakeDeadline, .handshake) }
    guard canSend(to: link) else { return next }
    let report = reportDeadline(of: link)
    if report.at < next.at { next = report }
    let congestion = congestionDeadline(of: link)
    return congestion < next.at ? (congestion, .congestion) : next
  }

  private mutating func congestionDeadline(of link: Int) -> Instant {
    links[link].downlink < 0 ? .distantFuture : downlinks[Int(links[link].downlink)].nextDeadline
  }

  /// Whether there are keys and a path.
  @inline(__always)
  func canSend(to link: Int) -> Bool { links[link].session != nil && links[link].selectedAddress != nil }

  private mutating func reportDeadline(of link: Int) -> (at: Instant, reason: DeadlineReason) {
    var next = (at: links[link].nextReport, reason: DeadlineReason.report)
    if links[link].nextReplay < next.at { next = (links[link].nextReplay, .replay) }
    if let deadline = links[link].recorder?.nextDeadline, deadline < next.at { next = (deadline, .transportFeedback) }
    if let deadline = estimateDeadline(of: link), deadline < next.at { next = (deadline, .receiverEstimate) }
    for position in 0..<links[link].sources.count where !links[link].sources[position].isRetransmission {
      let stream = Int(links[link].sources[position].inbound)
      if inbound[stream].nack.nextDeadline < next.at { next = (inbound[stream].nack.nextDeadline, .retransmissionRequest) }
      if inbound[stream].keyframes.nextDeadline < next.at { next = (inbound[stream].keyframes.nextDeadline, .keyframeRequest) }
    }
    return next
  }

  /// Sets the link's deadline anew. What is owed already is not due again.
  mutating func reschedule(_ link: Int, at now: Instant) {
    var movable = Instant.distantFuture
    var next = links[link].pathDeadline
    next = min(next, links[link].handshakeDeadline)
    if canSend(to: link) {
      let report = reportDeadline(of: link).at
      if !links[link].owesRTCP || report > now { next = min(next, report) }
      let congestion = congestionDeadline(of: link)
      if !links[link].owesDepartures || congestion > now { movable = congestion }
    }
    deadlines.set(next, movable: movable, for: link)
  }
}
