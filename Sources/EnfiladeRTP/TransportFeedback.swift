// Transport-wide congestion control feedback, receiving side of the sender (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

package import EnfiladeWire

/// What one feedback says of one packet.
@usableFromInline
package struct TransportFeedbackStatus: Hashable, Sendable {
  @usableFromInline package var sequenceNumber: UInt16
  @usableFromInline package var isReceived: Bool
  /// Ticks of 250 µs since the packet's reference time, summed over all before; `nil` for what was not received, and in feedback
  /// without times.
  @usableFromInline package var ticks: Int32?

  @inlinable package init(sequenceNumber: UInt16, isReceived: Bool, ticks: Int32?) {
    self.sequenceNumber = sequenceNumber
    self.isReceived = isReceived
    self.ticks = ticks
  }
}

/// The draft's diagram and every implementation say payload type 205; its text says 206. Symbol 3 is reserved in the draft's §3.1.1 and
/// refused here, as libwebrtc refuses it.
@usableFromInline
package struct TransportFeedback: ~Escapable {
  package let senderSSRC: SSRC
  package let mediaSSRC: SSRC
  package let baseSequenceNumber: UInt16
  package let statusCount: Int
  /// 24 bits, in steps of 64 ms on the receiver's clock. Read as unsigned, and wrapping, as senders in use write it.
  package let referenceTime: UInt32
  /// Counts feedback packets, wrapping.
  package let feedbackCount: UInt8
  /// Whether the received packets have arrival times.
  package let hasTimes: Bool
  private let chunks: RawSpan
  private let deltas: RawSpan

  /// The unit of the deltas.
  package static let tick = TimeDelta.microseconds(250)
  /// The unit of the reference time: 256 ticks.
  package static let referenceTick = TimeDelta.milliseconds(64)
  /// Everything before the chunks, the RTCP header included.
  package static let headerByteCount = 20

  @_lifetime(copy body)
  init?(body: RawSpan) {
    guard body.byteCount >= 18 else { return nil }
    senderSSRC = SSRC(body.loadUInt32(at: 0))
    mediaSSRC = SSRC(body.loadUInt32(at: 4))
    baseSequenceNumber = body.loadUInt16(at: 8)
    statusCount = Int(body.loadUInt16(at: 10))
    referenceTime = body.loadUInt24(at: 12)
    feedbackCount = body.loadUInt8(at: 15)
    guard statusCount > 0 else { return nil }

    var offset = 16
    var left = statusCount
    var deltaByteCount = 0
    while left > 0 {
      guard offset + 2 <= body.byteCount else { return nil }
      let chunk = StatusChunk(body.loadUInt16(at: offset), limit: left)
      offset += 2
      left -= chunk.count
      guard let bytes = chunk.deltaByteCount() else { return nil }
      deltaByteCount += bytes
    }
    let rest = body.byteCount - offset
    // The second version of the extension can leave out all times: nothing but padding to the word follows the chunks.
    hasTimes = deltaByteCount <= rest
    guard hasTimes || rest < 4 else { return nil }
    chunks = body.extracting(16..<offset)
    deltas = body.extracting(offset..<offset + (hasTimes ? deltaByteCount : 0))
  }

  @_lifetime(copy self)
  package func statuses() -> Statuses {
    Statuses(chunks: chunks, deltas: deltas, base: baseSequenceNumber, count: statusCount, hasTimes: hasTimes)
  }

  /// Walks the packets in order of their transport-wide numbers.
  @usableFromInline
  package struct Statuses: ~Escapable {
    @usableFromInline let chunks: RawSpan
    @usableFromInline let deltas: RawSpan
    @usableFromInline let hasTimes: Bool
    @usableFromInline var chunkOffset = 0
    @usableFromInline var deltaOffset = 0
    @usableFromInline var chunk = StatusChunk(0, limit: 0)
    @usableFromInline var sequenceNumber: UInt16
    @usableFromInline var left: Int
    @usableFromInline var ticks: Int32 = 0

    @_lifetime(copy chunks, copy deltas)
    init(chunks: RawSpan, deltas: RawSpan, base: UInt16, count: Int, hasTimes: Bool) {
      self.chunks = chunks
      self.deltas = deltas
      self.hasTimes = hasTimes
      sequenceNumber = base
      left = count
    }

    @_lifetime(self: copy self)
    @inlinable @inline(__always)
    package mutating func next() -> TransportFeedbackStatus? {
      guard left > 0 else { return nil }
      if chunk.count == 0 {
        guard chunkOffset + 2 <= chunks.byteCount else { return nil }
        chunk = StatusChunk(chunks.loadUInt16(at: chunkOffset), limit: left)
        chunkOffset += 2
      }
      let symbol = chunk.next()
      let number = sequenceNumber
      sequenceNumber &+= 1
      left -= 1
      guard symbol != 0 else { return TransportFeedbackStatus(sequenceNumber: number, isReceived: false, ticks: nil) }
      guard hasTimes else { return TransportFeedbackStatus(sequenceNumber: number, isReceived: true, ticks: nil) }
      if symbol == 1 {
        guard deltaOffset < deltas.byteCount else { return nil }
        ticks &+= Int32(deltas.loadUInt8(at: deltaOffset))
        deltaOffset += 1
      } else {
        guard deltaOffset + 2 <= deltas.byteCount else { return nil }
        ticks &+= Int32(Int16(bitPattern: deltas.loadUInt16(at: deltaOffset)))
        deltaOffset += 2
      }
      return TransportFeedbackStatus(sequenceNumber: number, isReceived: true, ticks: ticks)
    }
  }
}

/// One packet chunk (§3.1.3, §3.1.4): 0 is not received, 1 a delta of one byte, 2 of two. In a vector of single bits, 1 is received with
/// a small delta, as the draft's example has it, though its prose says the opposite.
@usableFromInline
struct StatusChunk {
  @usableFromInline let word: UInt16
  /// The symbols of a vector, consumed from the upper end.
  @usableFromInline var vector: UInt16
  /// How many symbols are left.
  @usableFromInline var count: Int

  /// - Parameter limit: how many symbols the packet still has; the rest of a chunk means nothing.
  @inlinable init(_ word: UInt16, limit: Int) {
    self.word = word
    vector = word << 2
    count = min(limit, word & 0x8000 == 0 ? Int(word & 0x1FFF) : word & 0x4000 == 0 ? 14 : 7)
  }

  @inlinable @inline(__always)
  mutating func next() -> UInt8 {
    count -= 1
    if word & 0x8000 == 0 { return UInt8(truncatingIfNeeded: word >> 13 & 3) }
    let width: UInt16 = word & 0x4000 == 0 ? 1 : 2
    let symbol = UInt8(truncatingIfNeeded: vector >> (16 - width))
    vector <<= width
    return symbol
  }

  /// What the deltas of all symbols take, or `nil` when one is reserved.
  func deltaByteCount() -> Int? {
    guard count > 0 else { return 0 }
    if word & 0x8000 == 0 {
      let symbol = Int(word >> 13 & 3)
      return symbol == 3 ? nil : symbol * count
    }
    if word & 0x4000 == 0 { return (vector >> UInt16(16 - count)).nonzeroBitCount }
    let symbols = vector >> UInt16(16 - 2 * count)
    let small = symbols & 0x5555
    let large = symbols >> 1 & 0x5555
    return small & large == 0 ? small.nonzeroBitCount + 2 * large.nonzeroBitCount : nil
  }
}
