// Builds transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

package import EnfiladeWire

/// One packet that arrived, by its unwrapped transport-wide number.
package struct TransportArrival: Hashable, Sendable {
  package var sequenceNumber: ExtendedSequenceNumber
  package var arrival: Instant

  @inlinable package init(sequenceNumber: ExtendedSequenceNumber, arrival: Instant) {
    self.sequenceNumber = sequenceNumber
    self.arrival = arrival
  }
}

extension RTCPWriter {
  /// Appends one feedback packet about as many `arrivals` as it can say: limited by the room, by a delta of more than 8 s between two
  /// packets, and by a span of 2^15 numbers.
  ///
  /// Chunks are chosen greedily, each the form that covers the most packets.
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

  /// Consumes what the best next chunk covers.
  @_lifetime(self: copy self)
  mutating func nextChunk() -> UInt16? {
    guard index < count else { return nil }
    // A run of losses is as long as the gap: no need to walk it.
    let losses = min(gap, 0x1FFF)
    if losses >= 14 {
      position = position + losses
      return UInt16(truncatingIfNeeded: losses)
    }

    // Look at what a vector of 14 could cover.
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
    let isEnd = ahead.index == count
    if runLength == seen {
      // The run may go on.
      while runLength < 0x1FFF {
        var probe = copy ahead
        guard probe.nextSymbol() == first else { break }
        ahead = probe
        runLength += 1
      }
      self = ahead
      return first << 13 | UInt16(truncatingIfNeeded: runLength)
    }
    // A vector says as many symbols as it has places, or as many as are left.
    let singleBits = smallLength == seen && (seen == 14 || isEnd) ? seen : 0
    let twoBits = min(seen, 7)
    if runLength >= max(singleBits, twoBits) {
      consume(runLength)
      return first << 13 | UInt16(truncatingIfNeeded: runLength)
    }
    if singleBits > 0 {
      var word: UInt16 = 0x8000
      for place in 0..<seen where symbols >> UInt32(30 - 2 * place) & 3 == 1 { word |= 0x2000 >> UInt16(place) }
      consume(seen)
      return word
    }
    consume(twoBits)
    return 0xC000 | UInt16(truncatingIfNeeded: symbols >> 18) & 0x3FFF
  }

  @_lifetime(self: copy self)
  private mutating func consume(_ symbolCount: Int) {
    for _ in 0..<symbolCount { _ = nextSymbol() }
  }
}
