// What a downlink carries is shared out among its pictures: a few times a second, and at once when it becomes less.

import EnfiladeCongestion
import EnfiladeForwarding
import EnfiladeWire

extension ShardEngine {
  /// How often layers are shared out while something is bound.
  private static var allocationInterval: TimeDelta { .milliseconds(250) }

  /// Pictures are paused only when the link has been too narrow for so long: a queue is drained by then, and a picture that comes back after a
  /// moment was better left.
  private static var pausePatience: TimeDelta { .seconds(Int64(3)) }

  /// Has a link's layers shared out as soon as time is looked at.
  mutating func wantAllocation(_ link: Int, at now: Instant) {
    guard links[link].downlink >= 0 else { return }
    downlinks[Int(links[link].downlink)].setAllocation(at: now)
    if canSend(to: link) { deadlines.advance(now, for: link) }
  }

  /// A stream shows something else now: it begins with the least, until it has its share.
  mutating func beginAllocation(of stream: Int, at now: Instant) {
    let link = outbound[stream].link
    guard links[link].downlink >= 0, outbound[stream].kind == .video else { return }
    outbound[stream].allocation = StreamAllocation()
    outbound[stream].allocation.allotment = .least
    outbound[stream].forwarder.setAllotment(.least)
    wantAllocation(link, at: now)
  }

  /// Shares a link's downlink out among its pictures.
  mutating func allocate(_ link: Int, at now: Instant) {
    let downlink = Int(links[link].downlink)
    downlinks[downlink].measureReserved(at: now)
    wishes.removeAll(keepingCapacity: true)
    for position in 0..<links[link].outbound.count {
      let stream = Int(links[link].outbound[position])
      guard outbound[stream].kind == .video, outbound[stream].publication >= 0, wishes.count < Limits.allocationSubscriptionCount
      else { continue }
      gatherLayers(of: Int(outbound[stream].publication), at: now)
      Self.appendWish(of: stream, outbound, from: catalog, to: &wishes)
    }
    if wishes.isEmpty {
      downlinks[downlink].setAllocation(at: .distantFuture)
    } else {
      downlinks[downlink].setAllocation(after: now + Self.allocationInterval)
    }
    let budget = Self.budget(of: &downlinks[downlink], at: now)
    downlinks[downlink].sharedOut = budget.estimate
    allocator.policy = downlinks[downlink].policy
    var summary = Self.share(budget, among: wishes, &allocator, at: now)
    if !wouldPause {
      downlinks[downlink].shortSince = nil
    } else if !allocator.policy.isAudioOnly {
      let since = downlinks[downlink].shortSince ?? now
      downlinks[downlink].shortSince = since
      if now - since < Self.pausePatience {
        allocator.policy.neverPausesVideo = true
        summary = Self.share(budget, among: wishes, &allocator, at: now)
      }
    }
    downlinks[downlink].summary = summary
    for index in 0..<wishes.count { apply(index, at: now) }
    // A little more than all that is wanted, so that noise does not limit it.
    downlinks[downlink].controller.setUsefulMaximum(.bitsPerSecond(summary.wanted.bitsPerSecond * 6 / 5))
    if let demand = summary.demand { downlinks[downlink].controller.handleDemand(demand, isUrgent: isShort, at: now) }
    if let revisit = summary.revisit, revisit > now {
      if revisit < downlinks[downlink].nextAllocation { downlinks[downlink].setAllocation(at: revisit) }
    }
    drainController(link, at: now)
  }

  /// Whether a picture that could be sent is not, for want of room.
  private var isShort: Bool {
    if allocator.policy.isAudioOnly { return false }
    for index in 0..<wishes.count where wishes[index].options.count > 0 && allocator.allocations[index].option < 0 { return true }
    return false
  }

  /// Whether a picture that is sent now would be no more.
  private var wouldPause: Bool {
    for index in 0..<wishes.count where wishes[index].current >= 0 {
      if allocator.allocations[index].option < 0 { return true }
    }
    return false
  }

  private static func share(
    _ budget: BandwidthAllocator.Budget, among wishes: borrowing UniqueArray<SubscriptionWish>, _ allocator: inout BandwidthAllocator,
    at now: Instant
  ) -> BandwidthAllocator.Summary {
    allocator.allocate(wishes.span, budget: budget, at: now)
  }

  private static func budget(of downlink: inout LinkCongestion, at now: Instant) -> BandwidthAllocator.Budget {
    let estimate = downlink.controller.sustainedTarget
    // Nothing proves anything where no packet is reported.
    let proven = downlink.isUnreported(at: now) ? estimate : downlink.controller.provenRate(at: now)
    return BandwidthAllocator.Budget(estimate: estimate, proven: proven, reserved: downlink.reserved)
  }

  private static func appendWish(
    of stream: Int, _ outbound: borrowing Pool<OutboundStream>, from catalog: borrowing LayerCatalog,
    to wishes: inout UniqueArray<SubscriptionWish>
  ) {
    var options = LayerOptions()
    outbound[stream].forwarder.makeOptions(from: catalog, into: &options)
    let allocation = outbound[stream].allocation
    wishes.append(
      SubscriptionWish(
        subscription: Int32(stream), role: outbound[stream].forwarder.target.role, options: options,
        current: Int8(options.index(of: allocation.allotment)), changed: allocation.changed, wentDown: allocation.wentDown))
  }

  /// Gives a subscription what was decided.
  private mutating func apply(_ index: Int, at now: Instant) {
    let decided = allocator.allocations[index]
    let stream = Int(decided.subscription)
    let current = wishes[index].current
    var allotment = LayerAllotment.nothing
    if decided.option >= 0 {
      outbound[stream].allocation.option = wishes[index].options[Int(decided.option)]
      allotment = outbound[stream].allocation.option.allotment
    } else {
      outbound[stream].allocation.option.bitrate = .zero
      if wishes[index].options.count == 0 { allotment = .least }
    }
    if decided.wanted >= 0 { outbound[stream].allocation.wanted = wishes[index].options[Int(decided.wanted)] }
    outbound[stream].allocation.reason = decided.reason
    if allotment != outbound[stream].allocation.allotment {
      outbound[stream].allocation.allotment = allotment
      outbound[stream].allocation.wentDown = decided.option < current
      outbound[stream].allocation.changed = now
      outbound[stream].forwarder.setAllotment(allotment)
      chooseLayer(for: stream, at: now)
    }
    if outbound[stream].allocation.takeNews(at: now) {
      events.append(.allocationChanged(outbound[stream].key, outbound[stream].allocation.shown))
    }
  }
}
