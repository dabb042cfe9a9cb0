// What a link carries: which links are controlled, what their peers report, and what follows from it.

import EnfiladeCongestion
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire

extension ShardEngine {
  // MARK: Which links

  /// Turns a link's congestion control on or off, as its sections were negotiated.
  mutating func configureCongestion(_ link: Int, _ sections: [SendSection], at now: Instant) {
    guard let profile = configuration.congestion, let feedback = FeedbackKind(sections) else { return endCongestion(of: link) }
    if links[link].downlink >= 0 {
      guard downlinks[Int(links[link].downlink)].feedback != feedback else { return }
      endCongestion(of: link)
    }
    guard let downlink = downlinks.insert(LinkCongestion(feedback: feedback, profile: profile)) else { return }
    links[link].downlink = Int32(downlink)
    links[link].isReportedByStream = feedback == .byStream
    wantAllocation(link, at: now)
  }

  /// From now on the link is sent whatever is chosen, at once.
  mutating func endCongestion(of link: Int) {
    guard links[link].downlink >= 0 else { return }
    discardWaiting(of: link)
    _ = downlinks.remove(at: Int(links[link].downlink))
    links[link].downlink = -1
    links[link].isReportedByStream = false
    links[link].owesDepartures = false
    for position in 0..<links[link].outbound.count {
      let stream = Int(links[link].outbound[position])
      outbound[stream].forwarder.setAllotment(.open)
      outbound[stream].allocation = StreamAllocation()
    }
  }

  /// The extensions that a section's packets carry: transport-wide numbers only where somebody counts by them.
  func writtenExtensions(of section: SendSection, link: Int) -> ExtensionMap {
    var map = section.extensions
    let downlink = Int(links[link].downlink)
    if downlink < 0 || downlinks[downlink].feedback != .transportWide { map[.transportSequenceNumber] = nil }
    return map
  }

  // MARK: Reports

  mutating func handleTransportFeedback(_ feedback: borrowing TransportFeedback, link: Int, at now: Instant) {
    let downlink = Int(links[link].downlink)
    guard downlink >= 0, downlinks[downlink].feedback == .transportWide else { return }
    guard downlinks[downlink].admitReport(at: now) else { return drops.count(.feedbackTooOften) }
    downlinks[downlink].controller.handleFeedback(feedback, at: now)
    handleNews(of: link, at: now)
  }

  mutating func handleStreamFeedback(_ feedback: borrowing CongestionControlFeedback, link: Int, at now: Instant) {
    let downlink = Int(links[link].downlink)
    guard downlink >= 0, downlinks[downlink].feedback == .byStream else { return }
    guard downlinks[downlink].admitReport(at: now) else { return drops.count(.feedbackTooOften) }
    downlinks[downlink].controller.handleFeedback(feedback, at: now)
    handleNews(of: link, at: now)
  }

  /// The peer's own estimate, which counts where it says nothing better.
  mutating func handleReceiverEstimate(_ bitrate: Bitrate, link: Int, at now: Instant) {
    let downlink = Int(links[link].downlink)
    guard downlink >= 0, !downlinks[downlink].reportsPackets else { return }
    downlinks[downlink].controller.handleReceiverEstimate(bitrate, at: now)
    handleNews(of: link, at: now)
  }

  /// A report block about one of our streams. Must be told before the stream's statistics are, which remember the one before.
  mutating func handleReportedLoss(_ block: ReportBlock, stream: Int, link: Int, at now: Instant) {
    let downlink = Int(links[link].downlink)
    guard downlink >= 0, !downlinks[downlink].reportsPackets, let last = outbound[stream].statistics.lastReport else { return }
    let sent = block.extendedHighestSequenceNumber &- last.extendedHighestSequenceNumber
    guard sent > 0, sent < 1 << 16 else { return }
    let lost = Double(block.fractionLost) / 256
    downlinks[downlink].reportedLoss += (lost - downlinks[downlink].reportedLoss) / 4
    downlinks[downlink].controller.handleReport(
      fractionLost: lost, packetCount: Int(sent), roundTrip: outbound[stream].statistics.roundTripTime, at: now)
    handleNews(of: link, at: now)
  }

  // MARK: What follows

  /// A share of the last sharing out so much smaller is acted on at once; what is more waits for the next turn.
  private static var sudden: Double { 0.95 }

  private mutating func handleNews(of link: Int, at now: Instant) {
    let downlink = Int(links[link].downlink)
    drainController(link, at: now)
    let sustained = downlinks[downlink].controller.sustainedTarget.bitsPerSecond
    if Double(sustained) < Self.sudden * Double(downlinks[downlink].sharedOut.bitsPerSecond) || downlinks[downlink].nextAllocation <= now {
      allocate(link, at: now)
    }
    deadlines.move(downlinks[downlink].nextDeadline, for: link)
  }

  /// Takes the controller's target and its probes to the pacer.
  mutating func drainController(_ link: Int, at now: Instant) {
    let downlink = Int(links[link].downlink)
    if let target = downlinks[downlink].controller.pollTarget() { downlinks[downlink].pacer.setTarget(target, at: now) }
    downlinks[downlink].pacer.setRestrained(downlinks[downlink].controller.isOverfull, at: now)
    while let probe = downlinks[downlink].controller.pollProbe() {
      // Who reports no packets cannot tell what became of a probe.
      guard downlinks[downlink].feedback != .estimate else { continue }
      downlinks[downlink].pacer.begin(probe, at: now)
    }
  }

  /// Does what is due for a controlled link.
  mutating func handleDownlinkTimeout(_ link: Int, at now: Instant) {
    let downlink = Int(links[link].downlink)
    if min(downlinks[downlink].controller.nextUpdate, downlinks[downlink].controller.probes.deadline) <= now {
      downlinks[downlink].controller.handleTimeout(at: now)
    }
    if downlinks[downlink].allocationDeadline <= now { allocate(link, at: now) }
    drainController(link, at: now)
    guard downlinks[downlink].pacer.nextDeadline <= now else { return }
    links[link].owesDepartures = true
    markDirty(link)
  }

  /// The peer sends from another address now: nothing is known of the way there.
  mutating func handlePathChange(_ link: Int, at now: Instant) {
    guard links[link].downlink >= 0, links[link].session != nil else { return }
    downlinks[Int(links[link].downlink)].controller.handlePathChange(at: now)
    drainController(link, at: now)
    wantAllocation(link, at: now)
  }

  // MARK: Look

  /// What a link's congestion control says of itself; `nil` for a link that is not there or is not controlled.
  package mutating func downlinkReport(of id: LinkID) -> DownlinkReport? {
    guard let link = linkIndices[id], links[link].downlink >= 0 else { return nil }
    let downlink = Int(links[link].downlink)
    var slots: [(slot: SlotKey, allocation: SlotAllocation)] = []
    for position in 0..<links[link].outbound.count {
      let stream = Int(links[link].outbound[position])
      guard outbound[stream].kind == .video, outbound[stream].publication >= 0 else { continue }
      slots.append((outbound[stream].key, outbound[stream].allocation.shown))
    }
    let statistics = downlinks[downlink].controller.statistics()
    return DownlinkReport(
      feedback: downlinks[downlink].feedback, congestion: statistics,
      fractionLost: downlinks[downlink].reportsPackets ? statistics.loss : downlinks[downlink].reportedLoss,
      queueTime: downlinks[downlink].pacer.queueTime, queuedPacketCount: downlinks[downlink].pacer.queuedPacketCount,
      expiredCount: downlinks[downlink].pacer.expiredCount, refusedCount: downlinks[downlink].pacer.refusedCount,
      reserved: downlinks[downlink].reserved, allocated: downlinks[downlink].summary.allocated,
      wanted: downlinks[downlink].summary.wanted, memoryByteCount: downlinks[downlink].memoryByteCount, slots: slots)
  }
}

extension FeedbackKind {
  /// The best that the sections of a link agreed on; `nil` when the peer says nothing that a rate could follow.
  init?(_ sections: [SendSection]) {
    func has(_ capability: FeedbackCapabilities, _ section: SendSection) -> Bool {
      section.formats.contains { $0.feedback.contains(capability) }
    }
    if sections.contains(where: { $0.extensions[.transportSequenceNumber] != nil && has(.transportWide, $0) }) {
      self = .transportWide
    } else if sections.contains(where: { has(.congestionControl, $0) }) {
      self = .byStream
    } else if sections.contains(where: { has(.receiverEstimatedMaximumBitrate, $0) }) {
      self = .estimate
    } else {
      return nil
    }
  }
}
