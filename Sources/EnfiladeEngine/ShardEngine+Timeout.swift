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
  case retransmissionRequest
  case keyframeRequest
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
      if links[link].handshakeDeadline <= now {
        links[link].handshake.handleTimeout(at: now)
        drainHandshake(link, at: now)
      }
      if canSend(to: link), links[link].nextReplay <= now { pollReplays(of: link, at: now) }
      if canSend(to: link), mediaDeadline(of: link).at <= now { oweRTCP(link) }
      reschedule(link, at: now)
    }
    publishLanes()
  }

  /// The earliest deadline of a link, with its reason.
  package func deadline(of link: Int) -> (at: Instant, reason: DeadlineReason) {
    var next = (at: links[link].ice.nextDeadline, reason: DeadlineReason.connectivity)
    if links[link].handshakeDeadline < next.at { next = (links[link].handshakeDeadline, .handshake) }
    guard canSend(to: link) else { return next }
    let media = mediaDeadline(of: link)
    return media.at < next.at ? media : next
  }

  /// Whether there are keys and a path.
  func canSend(to link: Int) -> Bool { links[link].session != nil && links[link].ice.selectedAddress != nil }

  private func mediaDeadline(of link: Int) -> (at: Instant, reason: DeadlineReason) {
    var next = (at: links[link].nextReport, reason: DeadlineReason.report)
    if links[link].nextReplay < next.at { next = (links[link].nextReplay, .replay) }
    if let deadline = links[link].recorder?.nextDeadline, deadline < next.at { next = (deadline, .transportFeedback) }
    for position in 0..<links[link].sources.count where !links[link].sources[position].isRetransmission {
      let stream = Int(links[link].sources[position].inbound)
      if inbound[stream].nack.nextDeadline < next.at { next = (inbound[stream].nack.nextDeadline, .retransmissionRequest) }
      if inbound[stream].keyframes.nextDeadline < next.at { next = (inbound[stream].keyframes.nextDeadline, .keyframeRequest) }
    }
    return next
  }

  /// Sets the link's deadline anew. What is owed already is not due again.
  mutating func reschedule(_ link: Int, at now: Instant) {
    let next = deadline(of: link).at
    deadlines.set(links[link].owesRTCP && next <= now ? .distantFuture : next, for: link)
  }
}
