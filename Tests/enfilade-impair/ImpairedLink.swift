// What one direction of a bad link does to datagrams: a decision each, from a seed, without a clock or a socket.

package import EnfiladeWire

/// How bad a direction is.
package struct ImpairmentSettings: Hashable, Sendable {
  /// The share of datagrams lost one by one.
  package var loss = 0.0
  /// The share of datagrams lost in bursts (Gilbert's model: a state in which everything is lost).
  package var burstLoss = 0.0
  /// The mean length of such a burst, in datagrams.
  package var burstDatagramCount = 5.0
  package var delay = TimeDelta.zero
  /// Up to this much more delay, evenly distributed; it never changes the order.
  package var jitter = TimeDelta.zero
  /// The share of datagrams that others overtake.
  package var reorder = 0.0
  /// How long an overtaken datagram is held back.
  package var reorderDelay = TimeDelta.milliseconds(20)
  /// The link's rate; `nil` for as fast as it comes.
  package var rate: Bitrate?
  /// How much the queue before the link holds, as the time it takes to send it.
  package var queue = TimeDelta.milliseconds(200)

  package init() {}

  /// Why these settings make no sense; `nil` when they do.
  package var problem: String? {
    for (name, share) in [("loss", loss), ("burst-loss", burstLoss), ("reorder", reorder)] where !(0...1).contains(share) {
      return "\(name) must be between 0 and 1"
    }
    if burstLoss == 1 { return "burst-loss must be below 1" }
    if burstDatagramCount < 1 { return "burst-length must be at least 1" }
    if delay < .zero || jitter < .zero || reorderDelay < .zero || queue < .zero { return "times must not be negative" }
    if let rate, rate <= .zero { return "rate-kbps must be positive" }
    return nil
  }
}

/// What became of the datagrams of one direction.
package struct ImpairmentCounters: Hashable, Sendable, Codable {
  package var received = 0
  package var receivedBytes = 0
  package var forwarded = 0
  package var lost = 0
  package var lostInBursts = 0
  /// The queue before the link was full.
  package var droppedByQueue = 0
  package var reordered = 0
  /// More was delayed at once than this program holds, or the system refused to send.
  package var droppedByUs = 0

  package init() {}
}

/// One direction of a link.
package struct ImpairedLink {
  /// The rate may change while it runs.
  package var settings: ImpairmentSettings
  package var counters = ImpairmentCounters()
  private var random: SeededRandom
  private var isInBurst = false
  private var linkIsFreeAt = Instant(nanoseconds: .min)
  private var lastRelease = Instant(nanoseconds: .min)

  package init(_ settings: ImpairmentSettings, seed: UInt64) {
    self.settings = settings
    random = SeededRandom(seed: seed)
  }

  /// Decides about a datagram that arrives now: when it leaves, or `nil` when it does not.
  package mutating func admit(byteCount: Int, at now: Instant) -> Instant? {
    counters.received += 1
    counters.receivedBytes += byteCount
    if moveBurst() {
      counters.lostInBursts += 1
      return nil
    }
    if happens(settings.loss) {
      counters.lost += 1
      return nil
    }
    guard let sent = transmit(byteCount: byteCount, at: now) else {
      counters.droppedByQueue += 1
      return nil
    }
    var release = sent + settings.delay
    if settings.jitter > .zero { release += .nanoseconds(Int64.random(in: 0...settings.jitter.nanoseconds, using: &random)) }
    release = max(release, lastRelease)
    lastRelease = release
    if happens(settings.reorder) {
      counters.reordered += 1
      return release + settings.reorderDelay
    }
    return release
  }

  /// Enters or leaves the lossy state so that the share of datagrams lost in it is `burstLoss`.
  private mutating func moveBurst() -> Bool {
    guard settings.burstLoss > 0 else { return false }
    let leave = 1 / settings.burstDatagramCount
    let enter = min(1, leave * settings.burstLoss / (1 - settings.burstLoss))
    isInBurst = isInBurst ? !happens(leave) : happens(enter)
    return isInBurst
  }

  /// The instant the last bit is on the link; `nil` when the queue has no room.
  private mutating func transmit(byteCount: Int, at now: Instant) -> Instant? {
    guard let rate = settings.rate else { return now }
    let begin = max(now, linkIsFreeAt)
    guard begin - now <= settings.queue else { return nil }
    linkIsFreeAt = begin + .seconds(Double(byteCount) * 8 / Double(rate.bitsPerSecond))
    return linkIsFreeAt
  }

  private mutating func happens(_ share: Double) -> Bool {
    share > 0 && Double.random(in: 0..<1, using: &random) < share
  }
}

/// Datagrams that wait for their instant; the earliest first, and those of one instant in the order they came.
package struct DelayQueue<Element> {
  private struct Entry {
    var release: Instant
    var order: UInt64
    var element: Element

    func precedes(_ other: Entry) -> Bool { (release, order) < (other.release, other.order) }
  }

  /// What waits at most.
  package let limit: Int
  private var heap: [Entry] = []
  private var order: UInt64 = 0

  package init(limit: Int) { self.limit = limit }

  package var count: Int { heap.count }
  package var nextRelease: Instant? { heap.first?.release }

  /// `false` when too many wait.
  package mutating func push(_ element: Element, release: Instant) -> Bool {
    guard heap.count < limit else { return false }
    heap.append(Entry(release: release, order: order, element: element))
    order += 1
    var child = heap.count - 1
    while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
    return true
  }

  /// The earliest element if its instant has come.
  package mutating func pop(at now: Instant) -> Element? {
    guard let first = heap.first, first.release <= now else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].precedes(heap[least]) { least = child }
      if least == parent { break }
      heap.swapAt(parent, least)
      parent = least
    }
    return first.element
  }
}
