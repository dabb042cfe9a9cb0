// A link while it runs.

import EnfiladeWire

/// Serves packets in order of coming, at the rate of the moment; the queue's tail is cut.
struct SimulatedLink {
  let model: LinkModel
  private var random: SeededRandom
  private var lastDeparture = 0.0
  private var lastArrival = 0.0
  private var isBad = false
  /// What waits or is being served: departure and size, oldest first.
  private var queue: [(departure: Double, byteCount: Int)] = []
  private var queueStart = 0
  private var queuedByteCount = 0
  private(set) var droppedCount = 0
  private(set) var lostCount = 0

  init(_ model: LinkModel, seed: UInt64) {
    self.model = model
    random = SeededRandom(seed: seed)
  }

  /// When copies of a packet come out at the far end, in seconds: none, one or two.
  mutating func arrivals(byteCount: Int, at now: Double) -> (first: Double?, second: Double?) {
    guard byteCount <= model.maximumPacketByteCount else {
      droppedCount += 1
      return (nil, nil)
    }
    while queueStart < queue.count, queue[queueStart].departure <= now {
      queuedByteCount -= queue[queueStart].byteCount
      queueStart += 1
    }
    if queueStart > 1024 {
      queue.removeFirst(queueStart)
      queueStart = 0
    }
    let begin = max(now, lastDeparture)
    let isFull: Bool
    switch model.queueLimit {
    case .milliseconds(let limit): isFull = (begin - now) * 1000 > limit
    case .bytes(let limit): isFull = queuedByteCount + byteCount > limit
    case .unlimited: isFull = false
    }
    guard !isFull, let departure = model.capacity.finish(bits: Double(byteCount) * 8, from: begin) else {
      droppedCount += 1
      return (nil, nil)
    }
    lastDeparture = departure
    queue.append((departure, byteCount))
    queuedByteCount += byteCount
    guard !isLost() else {
      lostCount += 1
      return (nil, nil)
    }
    var arrival = departure + model.oneWayDelayMilliseconds / 1000
    if model.jitterDeviationMilliseconds > 0 { arrival += jitter() }
    if model.reordering > 0, random.uniform() < model.reordering {
      arrival += model.reorderingMilliseconds / 1000
    } else {
      arrival = max(arrival, lastArrival)
      lastArrival = arrival
    }
    let isDoubled = model.duplication > 0 && random.uniform() < model.duplication
    return (arrival, isDoubled ? arrival + 0.0005 : nil)
  }

  private mutating func isLost() -> Bool {
    switch model.loss {
    case .none: return false
    case .random(let probability): return random.uniform() < probability
    case .bursty(let toBad, let toGood, let loss):
      if random.uniform() < (isBad ? toGood : toBad) { isBad.toggle() }
      return isBad && random.uniform() < loss
    }
  }

  /// |N(0, σ)| cut at 3σ, in seconds. Twelve uniform numbers make a normal one, near enough.
  private mutating func jitter() -> Double {
    while true {
      var sum = -6.0
      for _ in 0..<12 { sum += random.uniform() }
      if abs(sum) <= 3 { return abs(sum) * model.jitterDeviationMilliseconds / 1000 }
    }
  }
}

extension SeededRandom {
  /// In 0..<1.
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
}
