// Which layer a subscriber should get, and why.

package import EnfiladeWire

/// Why a forwarder sends what it sends.
package enum LayerReason: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
  /// The best there is.
  case best
  /// The subscriber wants no more pixels or frames.
  case constraint
  /// The budget allows no more.
  case budget
  /// More is affordable, but not for long enough yet.
  case patience
  /// A better picture begins with a key frame, which is awaited.
  case waitingForKeyframe
  case paused
  /// No layer is sent.
  case senderStopped
  /// The subscriber takes no codec of the publication.
  case codec
  /// A frame that others need was left out or never came: a key frame mends it.
  case brokenReference
}

extension LayerSelector.Choice {
  /// Whether something larger is missed.
  fileprivate func missesMore(than candidate: LayerCatalog.Candidate, in catalog: borrowing LayerCatalog) -> Bool {
    for index in 0..<catalog.dormantCount where missedEncodings >> catalog.dormant(index).encoding & 1 != 0 {
      if catalog.dormant(index).pixelCount > candidate.pixelCount { return true }
    }
    return false
  }
}

/// The policy of one subscription: down at once, up when it lasts, frames before pixels.
package struct LayerSelector: Sendable {
  /// What was chosen, or `nil` for nothing at all.
  package struct Choice: Hashable, Sendable {
    package var candidate: LayerCatalog.Candidate?
    package var reason: LayerReason
    /// Encodings that are small enough and affordable, one bit each: good to begin with while the chosen one's key frame is awaited.
    package var acceptableEncodings: UInt8
    /// Encodings that are not sent now, of which one would be chosen if it were; one bit each.
    package var missedEncodings: UInt8 = 0
  }

  package var target: LayerTarget {
    didSet {
      // Who changes his wish gets it at once; patience is for budgets.
      if target.maximumPixelCount != oldValue.maximumPixelCount || target.maximumFrameRate != oldValue.maximumFrameRate
        || target.isPaused != oldValue.isPaused
      {
        isImmediate = true
      }
    }
  }
  /// The subscriber's formats include the publication's.
  package var isCodecAccepted = true
  private var isImmediate = true
  /// Since when something better than what is sent has been affordable.
  private var affordableSince: Instant?
  private var chosen: LayerCatalog.Candidate?

  package init(target: LayerTarget = LayerTarget()) { self.target = target }

  /// Chooses among what there is. Complexity: O(``LayerCatalog/count``).
  package mutating func choose(from catalog: borrowing LayerCatalog, at now: Instant) -> Choice {
    if target.isPaused { return none(.paused) }
    if !isCodecAccepted { return none(.codec) }
    if target.allotment == .nothing { return none(.budget) }
    guard catalog.count > 0 else {
      var choice = none(.senderStopped)
      choice.missedEncodings = missed(in: catalog, chosen: nil)
      return choice
    }

    let wished = best(in: catalog, budget: .bitsPerSecond(.max))
    var affordable = target.allotment == .open ? best(in: catalog, budget: target.budget) : min(allotted(in: catalog), wished)
    let acceptable = acceptableEncodings(in: catalog, upTo: affordable)
    var reason: LayerReason = wished < catalog.count - 1 ? .constraint : .best
    if affordable < wished { reason = .budget }

    // Where what is sent now stands today: its rank among the candidates may have moved.
    let current = rank(of: chosen, in: catalog)
    if let current, affordable > current, !isImmediate, target.allotment == .open {
      let cost = catalog[affordable].layer.bitrate.bitsPerSecond
      let isRoomy = cost <= target.budget.bitsPerSecond / 100 * (100 - Limits.layerUpgradeHeadroomPercent)
      let isLimited = target.budget.bitsPerSecond != .max
      if isLimited {
        if !isRoomy { affordableSince = nil } else if affordableSince == nil { affordableSince = now }
        let isLasting = affordableSince.map { now - $0 >= Limits.layerUpgradeDwell } ?? false
        if !isLasting {
          affordable = current
          reason = .patience
        }
      }
    } else {
      affordableSince = nil
    }
    if reason != .patience { affordableSince = nil }
    isImmediate = false
    chosen = catalog[affordable]
    var choice = Choice(candidate: chosen, reason: reason, acceptableEncodings: acceptable)
    choice.missedEncodings = missed(in: catalog, chosen: chosen)
    // What there is already costs more than may be sent; nothing larger would be if it came.
    if affordable < wished, choice.missesMore(than: catalog[affordable], in: catalog) { choice.missedEncodings = 0 }
    return choice
  }

  // MARK: An allocator's share

  /// What an allocator may choose from: what is within the wish and the budget, the least first, what could be asked for among it. Beyond
  /// ``LayerOptions/capacity`` frame rates in between are left out.
  package func makeOptions(from catalog: borrowing LayerCatalog, into options: inout LayerOptions) {
    options.removeAll()
    guard !target.isPaused, isCodecAccepted else { return }
    let isCrowded = catalog.count + catalog.dormantCount > LayerOptions.capacity
    var dormant = nextDormant(in: catalog, above: -1)
    for index in 0..<catalog.count {
      let candidate = catalog[index]
      while let place = dormant, catalog.dormant(place).pixelCount < candidate.pixelCount {
        append(catalog.dormant(place), to: &options)
        dormant = nextDormant(in: catalog, above: catalog.dormant(place).pixelCount)
      }
      let cost = Self.cost(of: candidate.layer.bitrate, candidate.pixelCount)
      guard isUseful(candidate, in: catalog), cost <= target.budget || options.count == 0 else { continue }
      let isTop = isTopOfItsSize(candidate, in: catalog)
      if isCrowded, !isTop, candidate.layer.temporalID > 0 { continue }
      let rate = candidate.layer.framesPerSecond
      var option = LayerOption(
        spatial: candidate.layer.spatialID, temporal: isTop ? LayerAllotment.topTemporalID : candidate.layer.temporalID, bitrate: cost,
        width: candidate.layer.width, height: candidate.layer.height,
        framesPerSecond: rate > 0 && rate < 255 ? UInt8(rate.rounded()) : 30, encoding: candidate.encoding)
      option.pixelCount = Int32(clamping: candidate.pixelCount)
      options.append(option)
    }
    while let place = dormant {
      append(catalog.dormant(place), to: &options)
      dormant = nextDormant(in: catalog, above: catalog.dormant(place).pixelCount)
    }
  }

  private func append(_ dormant: LayerCatalog.Dormant, to options: inout LayerOptions) {
    // Of its cheapest layer: all of it takes half as much again.
    let cost = Self.cost(of: .bitsPerSecond(dormant.bitrate.bitsPerSecond * 3 / 2), dormant.pixelCount)
    guard dormant.pixelCount <= target.maximumPixelCount || options.count == 0, cost <= target.budget || options.count == 0 else { return }
    var option = LayerOption(
      spatial: 0, temporal: LayerAllotment.topTemporalID, bitrate: cost, width: 0, height: 0, framesPerSecond: 30,
      encoding: dormant.encoding)
    option.pixelCount = Int32(clamping: dormant.pixelCount)
    options.append(option)
  }

  /// The smallest of those that are not sent and larger than this; what was never seen has no price, and may not even exist.
  private func nextDormant(in catalog: borrowing LayerCatalog, above pixelCount: Int) -> Int? {
    var found: Int?
    for index in 0..<catalog.dormantCount {
      let dormant = catalog.dormant(index)
      guard dormant.pixelCount > pixelCount, dormant.bitrate > .zero else { continue }
      if let known = found, catalog.dormant(known).pixelCount <= dormant.pixelCount { continue }
      found = index
    }
    return found
  }

  /// What it costs, or a guess as long as nobody knows: so many bits a second for each pixel as pictures of people take.
  private static func cost(of bitrate: Bitrate, _ pixelCount: Int) -> Bitrate {
    bitrate > .zero ? bitrate : .bitsPerSecond(Int64(pixelCount) * 5 / 2)
  }

  /// Within the wish, and no slide show of a picture that can be had with more frames.
  private func isUseful(_ candidate: LayerCatalog.Candidate, in catalog: borrowing LayerCatalog) -> Bool {
    guard isWished(candidate, smallest: catalog[0].pixelCount) else { return false }
    let rate = candidate.layer.framesPerSecond
    guard rate > 0, rate < target.minimumFrameRate else { return true }
    return !hasFasterSibling(of: candidate, in: catalog)
  }

  private func isTopOfItsSize(_ candidate: LayerCatalog.Candidate, in catalog: borrowing LayerCatalog) -> Bool {
    for index in 0..<catalog.count {
      let other = catalog[index]
      if other.encoding == candidate.encoding, other.layer.spatialID == candidate.layer.spatialID,
        other.layer.temporalID > candidate.layer.temporalID
      {
        return false
      }
    }
    return true
  }

  /// The rank of what was allotted. Where that is not sent: of the best that is smaller, because it is paid for, too; or what was sent before.
  private func allotted(in catalog: borrowing LayerCatalog) -> Int {
    guard case .layer(let encoding, let spatialID, let temporalID) = target.allotment else { return cheapest(in: catalog) }
    var index = catalog.count - 1
    while index >= 0 {
      let layer = catalog[index].layer
      let isFast = layer.temporalID == temporalID || temporalID == LayerAllotment.topTemporalID
      if catalog[index].encoding == encoding, layer.spatialID == spatialID, isFast { return index }
      index -= 1
    }
    for place in 0..<catalog.dormantCount where catalog.dormant(place).encoding == encoding {
      index = catalog.count - 1
      while index > 0, catalog[index].pixelCount > catalog.dormant(place).pixelCount { index -= 1 }
      return index
    }
    if let before = rank(of: chosen, in: catalog) { return before }
    return cheapest(in: catalog)
  }

  /// What is missed of an allotment: the encoding that was allotted, and those below it that are not sent either. Where the best that was ever
  /// seen is allotted, also what nobody has seen yet: only when it comes does it have a price.
  private func missedAllotment(in catalog: borrowing LayerCatalog) -> UInt8 {
    var limit = -1
    switch target.allotment {
    case .open, .nothing: return 0
    case .least: if catalog.count == 0 { limit = nextDormant(in: catalog, above: -1) ?? -1 }
    case .layer(let encoding, _, _):
      for place in 0..<catalog.dormantCount where catalog.dormant(place).encoding == encoding { limit = place }
    }
    var limitPixelCount = limit >= 0 ? catalog.dormant(limit).pixelCount : -1
    let sent = catalog.count > 0 ? catalog[allotted(in: catalog)].pixelCount : 0
    if case .layer = target.allotment, isBestSeen(max(limitPixelCount, sent), in: catalog) {
      limitPixelCount = target.maximumPixelCount
    }
    var mask: UInt8 = 0
    for place in 0..<catalog.dormantCount where catalog.dormant(place).pixelCount <= limitPixelCount {
      mask |= 1 << catalog.dormant(place).encoding
    }
    return mask
  }

  /// Whether nothing larger that is wished was ever seen.
  private func isBestSeen(_ pixelCount: Int, in catalog: borrowing LayerCatalog) -> Bool {
    for index in 0..<catalog.count where catalog[index].pixelCount > pixelCount {
      if isUseful(catalog[index], in: catalog) { return false }
    }
    guard let next = nextDormant(in: catalog, above: pixelCount) else { return true }
    return catalog.dormant(next).pixelCount > target.maximumPixelCount
  }

  // MARK: -

  /// The encodings that are asked for though they are not sent: the largest that is wished and was affordable when last seen, or the smallest
  /// where everything is larger than wished; and those below it, because a publisher's own estimate grows from one to the next, and does not
  /// reach the largest from nothing.
  private func missed(in catalog: borrowing LayerCatalog, chosen: LayerCatalog.Candidate?) -> UInt8 {
    guard target.allotment == .open else { return missedAllotment(in: catalog) }
    var largest = chosen.flatMap { $0.pixelCount <= target.maximumPixelCount ? $0.pixelCount : nil }
    var smallest = chosen?.pixelCount ?? .max
    var fitting: Int?
    var tooLarge: Int?
    for index in 0..<catalog.dormantCount {
      let dormant = catalog.dormant(index)
      if dormant.pixelCount <= target.maximumPixelCount {
        guard isAffordable(dormant), dormant.pixelCount > largest ?? 0 else { continue }
        (largest, fitting) = (dormant.pixelCount, dormant.pixelCount)
      } else if dormant.pixelCount < smallest {
        (smallest, tooLarge) = (dormant.pixelCount, dormant.pixelCount)
      }
    }
    guard let wished = fitting ?? (largest == nil ? tooLarge : nil) else { return 0 }
    var mask: UInt8 = 0
    for index in 0..<catalog.dormantCount where catalog.dormant(index).pixelCount <= wished { mask |= 1 << catalog.dormant(index).encoding }
    return mask
  }

  private func isAffordable(_ dormant: LayerCatalog.Dormant) -> Bool {
    let budget = target.budget.bitsPerSecond
    return budget == .max || dormant.bitrate.bitsPerSecond <= budget / 100 * (100 - Limits.layerUpgradeHeadroomPercent)
  }

  private mutating func none(_ reason: LayerReason) -> Choice {
    chosen = nil
    affordableSince = nil
    isImmediate = true
    return Choice(candidate: nil, reason: reason, acceptableEncodings: 0)
  }

  /// The best candidate within the wish and `budget`; the smallest when none is: a small picture beats none.
  private func best(in catalog: borrowing LayerCatalog, budget: Bitrate) -> Int {
    var best: Int?
    var slow: Int?
    for index in 0..<catalog.count {
      let candidate = catalog[index]
      guard candidate.layer.bitrate <= budget, isWished(candidate, smallest: catalog[0].pixelCount) else { continue }
      let rate = candidate.layer.framesPerSecond
      // Few frames of a large picture are a slide show: kept for when nothing else fits.
      var isSlow = rate > 0 && rate < target.minimumFrameRate
      if isSlow { isSlow = hasFasterSibling(of: candidate, in: catalog) }
      if isSlow { slow = slow ?? index } else { best = index }
    }
    if let found = best ?? slow { return found }
    return cheapest(in: catalog)
  }

  private func isWished(_ candidate: LayerCatalog.Candidate, smallest: Int) -> Bool {
    // A little more than asked for passes: 30 frames a second are 29.97 or 30.2 when measured.
    let isSlowEnough = candidate.layer.framesPerSecond <= target.maximumFrameRate * 1.15 || candidate.layer.temporalID == 0
    guard isSlowEnough else { return false }
    if candidate.pixelCount <= target.maximumPixelCount { return true }
    // The smallest size there is, if all are too large.
    return candidate.pixelCount == smallest
  }

  /// Whether the same picture is sent with more frames, so that its slowness is a matter of layers and not of its source.
  private func hasFasterSibling(of candidate: LayerCatalog.Candidate, in catalog: borrowing LayerCatalog) -> Bool {
    for index in 0..<catalog.count {
      let other = catalog[index]
      guard other.encoding == candidate.encoding, other.layer.spatialID == candidate.layer.spatialID else { continue }
      if other.layer.framesPerSecond >= target.minimumFrameRate { return true }
    }
    return false
  }

  private func cheapest(in catalog: borrowing LayerCatalog) -> Int {
    var cheapest = 0
    for index in 0..<catalog.count {
      let rate = catalog[index].layer.bitrate
      if rate < catalog[cheapest].layer.bitrate { cheapest = index }
    }
    return cheapest
  }

  private func acceptableEncodings(in catalog: borrowing LayerCatalog, upTo limit: Int) -> UInt8 {
    var mask: UInt8 = 0
    for index in 0...limit { mask |= 1 << catalog[index].encoding }
    return mask
  }

  private func rank(of candidate: LayerCatalog.Candidate?, in catalog: borrowing LayerCatalog) -> Int? {
    guard let candidate else { return nil }
    for index in 0..<catalog.count {
      let other = catalog[index]
      guard other.encoding == candidate.encoding, other.layer.spatialID == candidate.layer.spatialID,
        other.layer.temporalID == candidate.layer.temporalID
      else { continue }
      return index
    }
    return nil
  }
}
