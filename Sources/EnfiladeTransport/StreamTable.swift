// The TCP connections of one shard, without a socket (RFC 6544 passive candidates, RFC 4571 framing): who may stay, what is cut out of what
// came, what waits to go, and what is dropped when a peer takes too little. It is told (`handle…`), it is asked (`poll…`, `nextDeadline`).
//
// - A connection is nobody's until a check with a password of ours came over it. Until then it may hold one frame, wait for a few seconds and
//   be one of a few; what is sent to it is never more than what it sent (a refusal is not longer than its request).
// - The engine knows a connection by its address, which has a number of its own: what a connection proved does not pass to the next one from
//   the same port.
// - Of what waits for a peer that takes too little, video is dropped by bytes and by age; what is urgent only when there is no room at all.

package import EnfiladeWire

/// The connections of one shard.
@safe package struct StreamTable: ~Copyable {
  /// Why a connection must be closed.
  package enum Ending: UInt8, Hashable, Sendable, CaseIterable {
    case evicted
    case unproved
    case stalled
    case malformed
    case orphaned
    case hungUp
  }

  /// What became of a connection that came.
  package enum Admission: Hashable, Sendable {
    /// It has this number; first close the other one, which has to make room.
    case taken(Int, evicting: Int?)
    case refused
  }

  package let limits: StreamLimits
  package private(set) var counters = StreamCounters()
  private var connections: Pool<StreamConnection>
  private var generation: UInt32 = 0
  /// Those that have not proved themselves, the oldest first.
  private var unproved = UniqueArray<Int32>()
  private var pending = UniqueArray<Int32>()
  private var nextSweep = Instant.distantFuture
  private var sweepPosition = Int.max
  // The read that is being taken apart.
  private let scratch: UnsafeMutableRawPointer
  private let scratchByteCount: Int
  private var reading = -1
  private var readCount = 0
  private var readOffset = 0

  package init(limits: StreamLimits = StreamLimits()) {
    self.limits = limits
    connections = Pool(capacity: min(1 << 16, max(1, limits.connectionCount)))
    scratchByteCount = StreamFraming.headerByteCount + Limits.datagramByteCount + limits.receiveByteCount
    // Sound: allocated once, freed in deinit.
    unsafe scratch = .allocate(byteCount: scratchByteCount, alignment: 64)
  }

  deinit { unsafe scratch.deallocate() }

  // MARK: Look

  package var count: Int { connections.count }
  package var unprovedCount: Int { unproved.count }
  package var isEmpty: Bool { connections.count == 0 }
  package func contains(_ number: Int) -> Bool { connections.contains(number) }
  /// The far end of a connection, by which the engine knows it.
  package func address(of number: Int) -> SocketAddress { connections[number].address }
  package func isProved(_ number: Int) -> Bool { connections[number].isProved }
  package func isBroken(_ number: Int) -> Bool { connections[number].isBroken }
  /// Bytes that wait for a connection.
  package func pendingByteCount(of number: Int) -> Int { connections[number].output.count }
  /// When ``handleTimeout(at:isKnown:)`` wants to be called.
  package var nextDeadline: Instant { isEmpty ? .distantFuture : nextSweep }

  /// The connection of an address, if it is still that one.
  private func find(_ address: SocketAddress) -> Int? {
    let number = Int(address.scope & 0xFFFF)
    guard address.isTCP, connections.contains(number), connections[number].address == address else { return nil }
    return number
  }

  // MARK: Connections

  /// A connection came.
  package mutating func handleConnection(from source: SocketAddress, at now: Instant) -> Admission {
    var sameAddressCount = 0
    for position in 0..<unproved.count {
      let other = connections[Int(unproved[position])].address
      if other.high == source.high, other.low == source.low, other.isIPv6 == source.isIPv6 { sameAddressCount += 1 }
    }
    guard sameAddressCount < limits.unprovedCountPerAddress else {
      counters.refusedPerAddress &+= 1
      return .refused
    }
    var evicted: Int?
    if unproved.count >= limits.unprovedCount || connections.isFull || connections.count >= limits.connectionCount {
      guard !unproved.isEmpty else {
        counters.refusedFull &+= 1
        return .refused
      }
      evicted = Int(unproved[0])
      remove(unproved: 0)
    }
    generation = generation &+ 1 & 0xFFFF
    // The number is a part of the address: it is known when there is a place.
    guard let number = connections.insert(StreamConnection(address: source, limits: limits, at: now)) else {
      counters.refusedFull &+= 1
      return .refused
    }
    _ = connections.remove(at: number)
    let address = source.overTCP(connection: generation << 16 | UInt32(number))
    let again = connections.insert(StreamConnection(address: address, limits: limits, at: now))
    precondition(again == number, "a place that was free is free")
    counters.accepted &+= 1
    unproved.append(Int32(number))
    if nextSweep == .distantFuture { nextSweep = now + limits.sweepInterval }
    return .taken(number, evicting: evicted)
  }

  private mutating func remove(unproved position: Int) {
    let number = Int(unproved.remove(at: position))
    counters.evicted &+= 1
    forget(number)
  }

  /// A connection has shown a password: the engine knows its address.
  package mutating func prove(_ number: Int) {
    guard !connections[number].isProved else { return }
    connections[number].isProved = true
    removeFromUnproved(number)
  }

  private mutating func removeFromUnproved(_ number: Int) {
    for position in 0..<unproved.count where Int(unproved[position]) == number {
      unproved.remove(at: position)
      return
    }
  }

  /// A connection is over: whoever holds its socket closes it.
  package mutating func end(_ number: Int, _ ending: Ending) {
    guard connections.contains(number) else { return }
    switch ending {
    case .evicted: counters.evicted &+= 1
    case .unproved: counters.unproved &+= 1
    case .stalled: counters.stalled &+= 1
    case .malformed: counters.malformed &+= 1
    case .orphaned: counters.orphaned &+= 1
    case .hungUp: counters.hungUp &+= 1
    }
    removeFromUnproved(number)
    forget(number)
  }

  private mutating func forget(_ number: Int) {
    if reading == number { reading = -1 }
    if connections[number].isListed {
      for position in 0..<pending.count where Int(pending[position]) == number {
        pending.remove(at: position)
        break
      }
    }
    _ = connections.remove(at: number)
    guard connections.count == 0 else { return }
    nextSweep = .distantFuture
    sweepPosition = .max
  }

  // MARK: Time

  /// Looks at every connection, and gives one that must be closed; call it until it gives none. It has been ended then.
  ///
  /// - Parameter isKnown: whether the engine leads a proved connection's address to a link.
  package mutating func handleTimeout(at now: Instant, isKnown: (SocketAddress) -> Bool) -> Int? {
    guard now >= nextDeadline else { return nil }
    if sweepPosition == .max { sweepPosition = 0 }
    while sweepPosition < connections.bound {
      let number = sweepPosition
      sweepPosition += 1
      guard connections.contains(number), let ending = ending(of: number, at: now, isKnown: isKnown) else { continue }
      end(number, ending)
      return number
    }
    sweepPosition = .max
    nextSweep = isEmpty ? .distantFuture : now + limits.sweepInterval
    return nil
  }

  private func ending(of number: Int, at now: Instant, isKnown: (SocketAddress) -> Bool) -> Ending? {
    guard connections[number].isProved else { return now - connections[number].acceptedAt >= limits.proofTimeout ? .unproved : nil }
    if connections[number].output.count > 0, now - connections[number].progressedAt >= limits.stallTimeout { return .stalled }
    return isKnown(connections[number].address) ? nil : .orphaned
  }

  // MARK: In

  /// Where the next bytes of a connection go: behind what its last read left over. Then ``handleReceived(_:byteCount:)``.
  @unsafe package mutating func beginReceive(_ number: Int) -> UnsafeMutableRawBufferPointer {
    let rest = connections[number].rest.count
    unsafe connections[number].rest.bytes.withUnsafeBytes { bytes in
      // Sound: what is left over is shorter than a frame, and the scratch begins with room for one.
      if let base = bytes.baseAddress { unsafe scratch.copyMemory(from: base, byteCount: bytes.count) }
    }
    return unsafe UnsafeMutableRawBufferPointer(start: scratch + rest, count: limits.receiveByteCount)
  }

  /// Bytes came; ``pollReceived()`` gives the datagrams in them.
  package mutating func handleReceived(_ number: Int, byteCount: Int) {
    precondition(byteCount >= 0 && byteCount <= limits.receiveByteCount, "more than there was room for")
    reading = number
    readCount = connections[number].rest.count + byteCount
    readOffset = 0
    connections[number].rest.removeFirst(connections[number].rest.count)
  }

  /// The next datagram of the last read, or `nil` when the rest waits for more, or the connection has become ``isBroken(_:)``. Its bytes stay
  /// until the next read.
  package mutating func pollReceived() -> ReceivedDatagram? {
    guard reading >= 0 else { return nil }
    while true {
      // Sound: `readCount` bytes of the scratch were written.
      let bytes = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(scratch), byteCount: readCount)
      switch StreamFraming.next(in: bytes, at: readOffset) {
      case .frame(let range):
        readOffset = range.upperBound
        guard !range.isEmpty else { continue }
        counters.datagramsIn &+= 1
        return unsafe ReceivedDatagram(base: scratch + range.lowerBound, byteCount: range.count, address: connections[reading].address)
      case .incomplete:
        let isKept = connections[reading].rest.append(bytes.extracting(readOffset..<readCount))
        assert(isKept, "less than a frame is left")
        reading = -1
        return nil
      case .tooLong:
        connections[reading].isBroken = true
        reading = -1
        return nil
      }
    }
  }

  // MARK: Out

  /// Puts a datagram, or each of a run, where it waits for its connection.
  package mutating func send(_ datagram: OutgoingDatagram, at now: Instant) {
    guard let number = find(datagram.address) else {
      counters.undeliverable &+= UInt64(datagram.segmentCount)
      return
    }
    let total = Int(datagram.byteCount)
    let segment = datagram.segmentByteCount == 0 ? total : Int(datagram.segmentByteCount)
    var offset = 0
    while offset < total {
      let count = min(segment, total - offset)
      // Sound: within the datagram's bytes, which stay until the engine is asked again.
      let bytes = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(datagram.base) + offset, byteCount: count)
      offset += count
      if mayWait(count + StreamFraming.headerByteCount, isUrgent: datagram.isUrgent, for: number, at: now),
        connections[number].append(bytes, at: now)
      {
        counters.datagramsOut &+= 1
      } else if datagram.isUrgent {
        counters.droppedUrgent &+= 1
      } else {
        counters.droppedVideo &+= 1
      }
    }
    markPending(number)
  }

  /// Has ``pollPending()`` give the connection, if something waits for it: the network has room again.
  package mutating func markPending(_ number: Int) {
    guard connections[number].output.count > 0, !connections[number].isListed else { return }
    connections[number].isListed = true
    pending.append(Int32(number))
  }

  private func mayWait(_ byteCount: Int, isUrgent: Bool, for number: Int, at now: Instant) -> Bool {
    let waiting = connections[number].output.count + byteCount
    guard connections[number].isProved else { return waiting <= limits.unprovedByteCount }
    if isUrgent { return waiting <= limits.outputByteCount }
    return waiting <= limits.videoByteCount && connections[number].delay(at: now) < limits.videoDelay
  }

  /// A connection that has something to send since it was last asked, or `nil`.
  package mutating func pollPending() -> Int? {
    guard !pending.isEmpty else { return nil }
    let number = Int(pending.removeLast())
    connections[number].isListed = false
    return number
  }

  /// What waits for a connection, in one piece.
  package func withPendingBytes<Result>(of number: Int, _ body: (RawSpan) -> Result) -> Result { body(connections[number].output.bytes) }

  /// The network took so many bytes of a connection.
  package mutating func handleSent(_ number: Int, byteCount: Int, at now: Instant) { connections[number].handleSent(byteCount, at: now) }
}

extension StreamTable: @unchecked Sendable {
  // Sendable: the only owner of its memory, changed only when held exclusively.
}
