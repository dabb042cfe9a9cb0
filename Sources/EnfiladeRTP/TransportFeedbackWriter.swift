// Builds transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

public import EnfiladeWire

/// One packet that arrived, by its unwrapped transport-wide number.
@usableFromInline package struct TransportArrival: Hashable, Sendable {
  @usableFromInline package var sequenceNumber: ExtendedSequenceNumber
  @usableFromInline package var arrival: Instant

  @inlinable package init(sequenceNumber: ExtendedSequenceNumber, arrival: Instant) {
    self.sequenceNumber = sequenceNumber
    self.arrival = arrival
  }
}

extension RTCPWriter {
  /// Appends one feedback packet about as many `arrivals` as it can say: limited by the room, by a delta of more than 8 s between two
  /// packets, and by a span of 2^15 numbers.
  ///
  /// Chunks are chosen to cover the most packets with the one after them: within a tenth of the fewest possible.
  ///
  /// - Parameters:
  ///   - base: the first number reported on, not after the first arrival's; what lies between is said to be lost.
  ///   - arrivals: in ascending order of their numbers, which differ.
  /// - Returns: how many of `arrivals` the packet covers; zero, with nothing written, when not even the first fits.
  @_lifetime(writer: copy writer)
  package static func transportFeedback(
    senderSSRC: SSRC, mediaSSRC: SSRC, feedbackCount: UInt8, base: ExtendedSequenceNumber, arrivals: Span<TransportArrival>,
    maximumByteCount: Int = .max, into writer: inout ByteWriter
  ) -> Int {
    let room = min(writer.capacity - writer.count, maximumByteCount, 4 * 0x1_0000) & ~3
    guard !arrivals.isEmpty, arrivals[0].sequenceNumber >= base else { return 0 }
    let reference = FeedbackTicks.reference(of: arrivals[0].arrival)

    // What fits into deltas and span, before sizes are compared.
    var count = 0
    var previous = reference * 256
    while count < arrivals.count, arrivals[count].sequenceNumber - base < 0x8000 {
      let ticks = FeedbackTicks.ticks(of: arrivals[count].arrival)
      guard Int16(exactly: ticks - previous) != nil else { break }
      previous = ticks
      count += 1
    }
    // Then the largest prefix whose size fits; sizes grow with the prefix, so halve the interval.
    if count > 0, FeedbackTicks.byteCount(base, arrivals, count, reference) > room {
      var fits = 0
      var fails = count
      while fails - fits > 1 {
        let middle = (fits + fails) / 2
        if FeedbackTicks.byteCount(base, arrivals, middle, reference) <= room { fits = middle } else { fails = middle }
      }
      count = fits
    }
    guard count > 0 else { return 0 }

    let unpadded = FeedbackTicks.unpaddedByteCount(base, arrivals, count, reference)
    let padding = -unpadded & 3
    guard
      begin(
        RTCPNumber.transportLayerFeedback, Int(RTCPNumber.transportWideFeedback), bodyByteCount: unpadded + padding - 4,
        isPadded: padding != 0, into: &writer)
    else { return 0 }
    writer.writeUInt32(senderSSRC.rawValue)
    writer.writeUInt32(mediaSSRC.rawValue)
    writer.writeUInt16(base.wire.rawValue)
    writer.writeUInt16(UInt16(truncatingIfNeeded: arrivals[count - 1].sequenceNumber - base + 1))
    writer.writeUInt24(UInt32(truncatingIfNeeded: reference))
    writer.writeUInt8(feedbackCount)
    var cursor = SymbolCursor(base, arrivals, count, reference)
    while let chunk = cursor.nextChunk() { writer.writeUInt16(chunk) }
    previous = reference * 256
    for index in 0..<count {
      let ticks = FeedbackTicks.ticks(of: arrivals[index].arrival)
      let delta = ticks - previous
      previous = ticks
      if delta >= 0, delta <= 255 {
        writer.writeUInt8(UInt8(truncatingIfNeeded: delta))
      } else {
        writer.writeUInt16(UInt16(truncatingIfNeeded: delta))
      }
    }
    if padding > 0 {
      writer.writeZeros(padding - 1)
      writer.writeUInt8(UInt8(truncatingIfNeeded: padding))
    }
    return count
  }
}

/// Arrival times in the feedback's units. Each is rounded down on its own, so that errors do not add up along a packet.
enum FeedbackTicks {
  static func ticks(of instant: Instant) -> Int64 { floorDivide(instant.nanoseconds, TransportFeedback.tick.nanoseconds) }
  static func reference(of instant: Instant) -> Int64 { floorDivide(instant.nanoseconds, TransportFeedback.referenceTick.nanoseconds) }

  private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }

  static func byteCount(
    _ base: ExtendedSequenceNumber, _ arrivals: Span<TransportArrival>, _ count: Int, _ reference: Int64
  ) -> Int {
    (unpaddedByteCount(base, arrivals, count, reference) + 3) & ~3
  }

  static func unpaddedByteCount(
    _ base: ExtendedSequenceNumber, _ arrivals: Span<TransportArrival>, _ count: Int, _ reference: Int64
  ) -> Int {
    var cursor = SymbolCursor(base, arrivals, count, reference)
    var byteCount = TransportFeedback.headerByteCount
    while cursor.nextChunk() != nil { byteCount += 2 }
    var previous = reference * 256
    for index in 0..<count {
      let ticks = ticks(of: arrivals[index].arrival)
      byteCount += ticks - previous >= 0 && ticks - previous <= 255 ? 1 : 2
      previous = ticks
    }
    return byteCount
  }
}

/// Walks the status symbols of a feedback to be, and cuts them into chunks.
struct SymbolCursor: ~Escapable {
  private let arrivals: Span<TransportArrival>
  private let count: Int
  private var index = 0
  private var position: ExtendedSequenceNumber
  private var previousTicks: Int64

  @_lifetime(copy arrivals)
  init(_ base: ExtendedSequenceNumber, _ arrivals: Span<TransportArrival>, _ count: Int, _ reference: Int64) {
    self.arrivals = arrivals
    self.count = count
    position = base
    previousTicks = reference * 256
  }

  /// How many packets in a row were not received, up to the next arrival.
  private var gap: Int { index < count ? arrivals[index].sequenceNumber - position : 0 }

  @_lifetime(self: copy self)
  private mutating func nextSymbol() -> UInt16? {
    guard index < count else { return nil }
    if arrivals[index].sequenceNumber > position {
      position = position + 1
      return 0
    }
    let ticks = FeedbackTicks.ticks(of: arrivals[index].arrival)
    let delta = ticks - previousTicks
    previousTicks = ticks
    position = position + 1
    index += 1
    return delta >= 0 && delta <= 255 ? 1 : 2
  }

  /// Consumes the next chunk: the one that, together with the best one after it, covers most.
  @_lifetime(self: copy self)
  mutating func nextChunk() -> UInt16? {
    let options = options()
    guard var best = options.run else { return nil }
    // A run at least as long as any vector is taken as it is; else look one chunk ahead.
    if best.length < 14 {
      var bestReach = reach(best)
      if let option = options.singleBits { prefer(option, over: &best, &bestReach) }
      if let option = options.pairs { prefer(option, over: &best, &bestReach) }
    }
    consume(best.length)
    return best.word
  }

  private struct Chunk {
    var word: UInt16
    var length: Int
  }

  private func prefer(_ option: Chunk, over best: inout Chunk, _ bestReach: inout Int) {
    let reach = reach(option)
    if reach > bestReach || reach == bestReach && option.length > best.length { (best, bestReach) = (option, reach) }
  }

  /// How many symbols `chunk` and the longest one after it cover.
  private func reach(_ chunk: Chunk) -> Int {
    var after = copy self
    after.consume(chunk.length)
    let next = after.options()
    return chunk.length + max(next.run?.length ?? 0, next.singleBits?.length ?? 0, next.pairs?.length ?? 0)
  }

  /// The chunks that can stand here; no vectors where the run is as long as they could be.
  private func options() -> (run: Chunk?, singleBits: Chunk?, pairs: Chunk?) {
    guard index < count else { return (nil, nil, nil) }
    // A run of losses is as long as the gap: no need to walk it.
    if gap >= 14 {
      let length = min(gap, 0x1FFF)
      return (Chunk(word: UInt16(truncatingIfNeeded: length), length: length), nil, nil)
    }

    // The symbols that a vector could cover, two bits each from the upper end.
    var ahead = copy self
    var symbols: UInt32 = 0
    var seen = 0
    var runLength = 0
    var smallLength = 0
    var first: UInt16 = 0
    while seen < 14, let symbol = ahead.nextSymbol() {
      if seen == 0 { first = symbol }
      if runLength == seen, symbol == first { runLength += 1 }
      if smallLength == seen, symbol < 2 { smallLength += 1 }
      symbols |= UInt32(symbol) << UInt32(30 - 2 * seen)
      seen += 1
    }
    if runLength == seen {
      while runLength < 0x1FFF, ahead.nextSymbol() == first { runLength += 1 }
    }
    let run = Chunk(word: first << 13 | UInt16(truncatingIfNeeded: runLength), length: runLength)
    guard runLength < seen else { return (run, nil, nil) }

    // A vector has as many symbols as it has places, or as many as are left.
    var singleBits: Chunk?
    if smallLength == seen {
      var word: UInt16 = 0x8000
      for place in 0..<seen where symbols >> UInt32(30 - 2 * place) & 3 == 1 { word |= 0x2000 >> UInt16(place) }
      singleBits = Chunk(word: word, length: seen)
    }
    let pairs = Chunk(word: 0xC000 | UInt16(truncatingIfNeeded: symbols >> 18) & 0x3FFF, length: min(seen, 7))
    return (run, singleBits, pairs)
  }

  @_lifetime(self: copy self)
  private mutating func consume(_ symbolCount: Int) {
    if gap >= symbolCount {
      position = position + symbolCount
      return
    }
    for _ in 0..<symbolCount { _ = nextSymbol() }
  }
}
