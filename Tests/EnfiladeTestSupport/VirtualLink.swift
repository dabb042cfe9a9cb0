// The way of datagrams between a peer and the engine, in virtual time and from a seed.

package import EnfiladeWire

/// What one direction of a path does to datagrams.
package struct VirtualLink: Sendable {
  package var delay: TimeDelta
  /// Each datagram takes up to this much longer; more than the distance between two packets reorders them.
  package var jitter: TimeDelta
  /// Of a thousand datagrams so many are lost, and so many come twice.
  package var lossPerMille: UInt64
  package var duplicationPerMille: UInt64
  /// What it carries, behind a queue that drops what would wait longer; `nil` for as much as comes.
  package var rate: Bitrate?
  package var queue: TimeDelta
  /// When the last datagram that was taken is through.
  private var freeAt = Instant.zero
  package private(set) var droppedCount = 0

  package init(
    delay: TimeDelta = .milliseconds(10), jitter: TimeDelta = .zero, lossPerMille: UInt64 = 0, duplicationPerMille: UInt64 = 0,
    rate: Bitrate? = nil, queue: TimeDelta = .milliseconds(300)
  ) {
    self.delay = delay
    self.jitter = jitter
    self.lossPerMille = lossPerMille
    self.duplicationPerMille = duplicationPerMille
    self.rate = rate
    self.queue = queue
  }

  /// How long a datagram sent now would wait.
  package func waiting(at now: Instant) -> TimeDelta { rate == nil ? .zero : max(.zero, freeAt - now) }

  /// When copies of a datagram sent `now` arrive: none, one or two.
  package mutating func arrivals(of byteCount: Int, at now: Instant, using random: inout SeededRandom) -> [Instant] {
    guard let waited = transmit(byteCount, at: now) else { return [] }
    if lossPerMille > 0, random.next() % 1000 < lossPerMille { return [] }
    var copies = 1
    if duplicationPerMille > 0, random.next() % 1000 < duplicationPerMille { copies = 2 }
    return (0..<copies).map { _ in
      let extra = jitter > .zero ? Int64(random.next() % UInt64(jitter.nanoseconds)) : 0
      return now + waited + delay + TimeDelta(nanoseconds: extra)
    }
  }

  /// How long it takes until the last bit is on the link; `nil` when the queue has no room.
  private mutating func transmit(_ byteCount: Int, at now: Instant) -> TimeDelta? {
    guard let rate else { return .zero }
    let begin = max(now, freeAt)
    guard begin - now <= queue else {
      droppedCount += 1
      return nil
    }
    // With IPv4 and UDP headers.
    freeAt = begin + .seconds(Double(byteCount + 28) * 8 / Double(rate.bitsPerSecond))
    return freeAt - now
  }
}

/// A datagram under way.
package struct Flight: Sendable {
  package var arrival: Instant
  /// Tells apart what arrives together.
  package var serial: Int
  package var bytes: [UInt8]
  /// Its sender's address on the way to the engine, its destination on the way back.
  package var address: SocketAddress
  package var isForEngine: Bool
  /// The transport-wide number it carries, if any.
  package var transportNumber: UInt16?
}

/// Flights in the order of arrival.
package struct FlightQueue: Sendable {
  private var heap: [Flight] = []
  private var nextSerial = 0

  package init() {}

  package var nextArrival: Instant { heap.first?.arrival ?? .distantFuture }
  package var count: Int { heap.count }

  package mutating func insert(
    _ bytes: [UInt8], arriving arrival: Instant, address: SocketAddress, isForEngine: Bool, transportNumber: UInt16? = nil
  ) {
    nextSerial += 1
    heap.append(
      Flight(
        arrival: arrival, serial: nextSerial, bytes: bytes, address: address, isForEngine: isForEngine, transportNumber: transportNumber))
    var child = heap.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// The next flight that has arrived.
  package mutating func popArrived(at now: Instant) -> Flight? {
    guard let first = heap.first, first.arrival <= now else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, smallest) { smallest = child }
      if smallest == parent { return first }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool { (heap[a].arrival, heap[a].serial) < (heap[b].arrival, heap[b].serial) }
}
