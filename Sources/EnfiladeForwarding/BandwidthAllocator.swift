// Who gets how much of one subscriber's downlink. A floor for everybody first, then the step that is worth most for its bits, and so on.

package import EnfiladeWire

/// Shares out one downlink. It keeps nothing between two calls but its room; what matters from before comes with the wishes.
package struct BandwidthAllocator: ~Copyable {
  package var policy: AllocationPolicy
  /// In the order of the wishes.
  package private(set) var allocations = UniqueArray<Allocation>()
  private var options = UniqueArray<Int8>()
  private var limits = UniqueArray<Bool>()

  package init(policy: AllocationPolicy = AllocationPolicy()) {
    self.policy = policy
    allocations.reserveCapacity(Limits.allocationSubscriptionCount)
    options.reserveCapacity(Limits.allocationSubscriptionCount)
    limits.reserveCapacity(Limits.allocationSubscriptionCount)
  }

  /// What there is to share out.
  package struct Budget: Hashable, Sendable {
    /// The estimate of the link.
    package var estimate: Bitrate
    /// What traffic or a probe has shown lately; see ``AllocationReason/awaitingProbe``.
    package var proven: Bitrate
    /// Taken off first: audio and repair.
    package var reserved: Bitrate

    package init(estimate: Bitrate, proven: Bitrate, reserved: Bitrate = .zero) {
      self.estimate = estimate
      self.proven = proven
      self.reserved = reserved
    }
  }

  /// What became of it.
  package struct Summary: Hashable, Sendable {
    /// What all video allocations cost.
    package var allocated = Bitrate.zero
    /// What everything that is wanted would cost, ``Budget/reserved`` included.
    package var wanted = Bitrate.zero
    /// The rate that a probe has to show, all included, before the next step up can be made; `nil` when nobody waits for one.
    package var demand: Bitrate?
    /// When a dwell ends and this should be asked again; `nil` when none is on.
    package var revisit: Instant?

    package init() {}
  }

  /// Shares out `budget` among `wishes`, into ``allocations``. Beyond ``Limits/allocationSubscriptionCount`` wishes get nothing.
  ///
  /// Complexity: O(*n*²·*l*) for *n* wishes of *l* options in the worst case; for each change of the estimate, not for each packet.
  package mutating func allocate(_ wishes: Span<SubscriptionWish>, budget: Budget, at now: Instant) -> Summary {
    let count = min(wishes.count, Limits.allocationSubscriptionCount)
    allocations.removeAll(keepingCapacity: true)
    options.removeAll(keepingCapacity: true)
    limits.removeAll(keepingCapacity: true)
    for _ in 0..<count {
      options.append(-1)
      limits.append(false)
    }
    var summary = Summary()
    summary.wanted = budget.reserved
    for index in 0..<count where wishes[index].wanted >= 0 {
      summary.wanted = summary.wanted + wishes[index].options[wishes[index].wanted].bitrate
    }
    guard !policy.isAudioOnly else {
      for index in 0..<count { append(wishes[index], -1, .audioOnly) }
      return summary
    }
    let available = budget.estimate.bitsPerSecond - budget.reserved.bitsPerSecond
    var left = giveFloor(wishes, count, available)
    climb(wishes, count, &left)
    settle(wishes, count, budget, now, &summary)
    return summary
  }

  // MARK: Rounds

  /// Everybody's lowest option, the most important first.
  private mutating func giveFloor(_ wishes: Span<SubscriptionWish>, _ count: Int, _ available: Int64) -> Int64 {
    var left = available
    for role in SubscriptionRole.allCases {
      for index in 0..<count where wishes[index].role == role && wishes[index].options.count > 0 {
        let cost = charge(wishes[index], 0)
        let oversend = role == .screenShare ? policy.screenShareOversend.bitsPerSecond : 0
        guard cost <= left + oversend || policy.neverPausesVideo else { continue }
        options[index] = 0
        left -= cost
      }
    }
    return left
  }

  /// The step up that is worth most for its bits, again and again, until none fits.
  private mutating func climb(_ wishes: Span<SubscriptionWish>, _ count: Int, _ left: inout Int64) {
    // Each round takes one step; there are only so many steps.
    for _ in 0..<count * LayerOptions.capacity {
      var best = -1
      var bestOption = 0
      var bestValue = 0.0
      var bestCost: Int64 = 0
      for index in 0..<count where options[index] >= 0 {
        let wish = wishes[index]
        let from = Int(options[index])
        var option = from + 1
        while option <= wish.wanted {
          let cost = charge(wish, option) - charge(wish, from)
          if cost <= left {
            let gain = wish.role.weight * (Self.quality(wish.options[option]) - Self.quality(wish.options[from]))
            // A better quality that costs nothing more is taken first.
            let value = cost <= 0 ? .infinity : gain / Double(cost)
            if value > bestValue { (best, bestOption, bestValue, bestCost) = (index, option, value, cost) }
          }
          option += 1
        }
      }
      guard best >= 0 else { return }
      options[best] = Int8(bestOption)
      left -= bestCost
    }
  }

  /// Holds back steps up that are not paid for, and says why each is as it is.
  private mutating func settle(
    _ wishes: Span<SubscriptionWish>, _ count: Int, _ budget: Budget, _ now: Instant, _ summary: inout Summary
  ) {
    // What is forwarded already, or less, needs no proof. Steps up are then admitted one by one, the most important first.
    var total = budget.reserved.bitsPerSecond
    for index in 0..<count {
      let kept = min(options[index], wishes[index].current)
      if kept >= 0 { total += wishes[index].options[Int(kept)].bitrate.bitsPerSecond }
    }
    for role in SubscriptionRole.allCases {
      for index in 0..<count where wishes[index].role == role && options[index] > wishes[index].current {
        let wish = wishes[index]
        let kept = wish.current >= 0 ? wish.options[Int(wish.current)].bitrate.bitsPerSecond : 0
        let step = wish.options[Int(options[index])].bitrate.bitsPerSecond - kept
        // A first picture at the lowest quality is let through: there is nothing to wait with.
        let isFirst = wish.current < 0 && options[index] == 0
        if !isFirst, wish.wentDown, now - wish.changed < policy.minimumDwell {
          let end = wish.changed + policy.minimumDwell
          summary.revisit = min(summary.revisit ?? end, end)
          options[index] = wish.current < 0 ? 0 : wish.current
          limits[index] = true
        } else if !isFirst, withHeadroom(total + step) > budget.proven.bitsPerSecond {
          demand(total + step, &summary)
          options[index] = wish.current < 0 ? 0 : wish.current
        } else {
          total += step
          continue
        }
        if wish.current < 0 { total += wish.options[0].bitrate.bitsPerSecond }
      }
    }
    for index in 0..<count {
      let wish = wishes[index]
      // What would be next, for whoever may probe for it.
      if options[index] >= 0, Int(options[index]) < wish.wanted, !limits[index] {
        let next = Int(options[index]) + 1
        let step = wish.options[next].bitrate.bitsPerSecond - wish.options[Int(options[index])].bitrate.bitsPerSecond
        demand(total + step, &summary)
      } else if options[index] < 0, wish.options.count > 0 {
        demand(total + wish.options[0].bitrate.bitsPerSecond, &summary)
      }
      append(wish, Int(options[index]), reason(wish, index, total, budget))
      summary.allocated = summary.allocated + allocations[index].bitrate
    }
  }

  private func demand(_ total: Int64, _ summary: inout Summary) {
    let needed = Bitrate(bitsPerSecond: withHeadroom(total))
    summary.demand = min(summary.demand ?? needed, needed)
  }

  private func reason(_ wish: SubscriptionWish, _ index: Int, _ total: Int64, _ budget: Budget) -> AllocationReason {
    let option = Int(options[index])
    if wish.options.count == 0 { return .limitedByPublication }
    if option < 0 { return .paused }
    if limits[index] { return .dwelling }
    if option == 0, total > budget.estimate.bitsPerSecond {
      if wish.role == .screenShare { return .oversent }
      if policy.neverPausesVideo { return .neverPaused }
    }
    if option >= wish.wanted {
      let isBest = wish.wanted == wish.options.count - 1
      let isConstrained = wish.maximumHeight > 0 && wish.options[option].height < wish.maximumHeight
      return isBest && isConstrained ? .limitedByPublication : .satisfied
    }
    let step = wish.options[option + 1].bitrate.bitsPerSecond - wish.options[option].bitrate.bitsPerSecond
    return withHeadroom(total + step) <= budget.estimate.bitsPerSecond ? .awaitingProbe : .limitedByBandwidth
  }

  private mutating func append(_ wish: SubscriptionWish, _ option: Int, _ reason: AllocationReason) {
    let bitrate = option >= 0 ? wish.options[option].bitrate : .zero
    allocations.append(
      Allocation(
        subscription: wish.subscription, wanted: Int8(wish.wanted), option: Int8(option), bitrate: bitrate, reason: reason))
  }

  // MARK: Arithmetic

  /// What an option counts for: a little less than it costs while it is forwarded, and a little more while it is not.
  private func charge(_ wish: SubscriptionWish, _ option: Int) -> Int64 {
    let cost = wish.options[option].bitrate.bitsPerSecond
    return option <= Int(wish.current) ? cost * 100 / (100 + policy.hysteresisPercent) : withHeadroom(cost)
  }

  private func withHeadroom(_ cost: Int64) -> Int64 { cost * (100 + policy.headroomPercent) / 100 }

  /// Grows by one for each doubling of the pixel rate: the fourth part of the picture is worth more than the last quarter.
  private static func quality(_ option: LayerOption) -> Double {
    let rate = max(option.pixelRate, 1)
    // The binary logarithm, linear between powers of two: monotonic, which is all that is asked.
    return Double(rate.exponent) + rate.significand
  }
}
