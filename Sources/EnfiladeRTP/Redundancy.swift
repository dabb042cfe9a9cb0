// Redundant audio data (RFC 2198) and retransmission (RFC 4588).

public import EnfiladeWire

/// One block of a redundant payload.
package struct RedundantBlock: Hashable, Sendable {
  package var payloadType: PayloadType
  /// How much earlier than the packet's timestamp; zero for the primary block.
  package var timestampOffset: UInt16
  /// Where the block's data stands in the payload.
  package var offset: UInt16
  package var byteCount: UInt16
  package var isPrimary: Bool

  package init(payloadType: PayloadType, timestampOffset: UInt16, offset: UInt16, byteCount: UInt16, isPrimary: Bool) {
    self.payloadType = payloadType
    self.timestampOffset = timestampOffset
    self.offset = offset
    self.byteCount = byteCount
    self.isPrimary = isPrimary
  }
}

/// The blocks of a redundant payload, oldest first, the primary last (RFC 2198 §3).
package struct RedundantPayload: ~Escapable {
  private let payload: RawSpan
  private var headerOffset = 0
  private var dataOffset: Int
  /// The number of blocks, the primary among them.
  package let blockCount: Int

  /// The most blocks we look at: what a browser sends is two or three.
  package static let maximumBlockCount = 32

  /// `nil` when headers or blocks run past the end.
  @_lifetime(copy payload)
  package init?(_ payload: RawSpan) {
    self.payload = payload
    var offset = 0
    var dataByteCount = 0
    var count = 1
    while true {
      guard offset < payload.byteCount, count <= Self.maximumBlockCount else { return nil }
      guard payload.loadUInt8(at: offset) & 0x80 != 0 else { break }
      guard offset + 4 <= payload.byteCount else { return nil }
      dataByteCount += Int(payload.loadUInt16(at: offset + 2) & 0x3FF)
      offset += 4
      count += 1
    }
    dataOffset = offset + 1
    blockCount = count
    guard dataOffset + dataByteCount <= payload.byteCount, payload.byteCount <= Int(UInt16.max) else { return nil }
  }

  @_lifetime(self: copy self)
  package mutating func next() -> RedundantBlock? {
    guard headerOffset < payload.byteCount else { return nil }
    let first = payload.loadUInt8(at: headerOffset)
    guard first & 0x80 != 0 else {
      headerOffset = payload.byteCount
      return RedundantBlock(
        payloadType: PayloadType(first), timestampOffset: 0, offset: UInt16(truncatingIfNeeded: dataOffset),
        byteCount: UInt16(truncatingIfNeeded: payload.byteCount - dataOffset), isPrimary: true)
    }
    let packed = payload.loadUInt24(at: headerOffset + 1)
    let byteCount = Int(packed & 0x3FF)
    let block = RedundantBlock(
      payloadType: PayloadType(first), timestampOffset: UInt16(truncatingIfNeeded: packed >> 10),
      offset: UInt16(truncatingIfNeeded: dataOffset), byteCount: UInt16(truncatingIfNeeded: byteCount), isPrimary: false)
    headerOffset += 4
    dataOffset += byteCount
    return block
  }

  /// Appends the header of a block that is not the primary one.
  ///
  /// - Returns: `false`, with nothing written, when the offset needs more than 14 bits, the length more than 10, or there is no room.
  @discardableResult @_lifetime(writer: copy writer)
  package static func writeHeader(
    payloadType: PayloadType, timestampOffset: UInt32, byteCount: Int, into writer: inout ByteWriter
  ) -> Bool {
    guard timestampOffset < 1 << 14, byteCount >= 0, byteCount < 1 << 10, writer.capacity - writer.count >= 4 else { return false }
    writer.writeUInt32(0x8000_0000 | UInt32(payloadType.rawValue) << 24 | timestampOffset << 10 | UInt32(byteCount))
    return true
  }

  /// Appends the header of the primary block, which ends the headers.
  @_lifetime(writer: copy writer)
  package static func writePrimaryHeader(payloadType: PayloadType, into writer: inout ByteWriter) {
    writer.writeUInt8(payloadType.rawValue)
  }
}

/// The payload of a retransmission: the original's sequence number, and the original's payload (RFC 4588 §4).
@usableFromInline package enum RetransmissionPayload {
  @usableFromInline package static let headerByteCount = 2

  /// `nil` when there is no room for one: a packet of padding alone, as probes are.
  @inlinable package static func originalSequenceNumber(_ payload: RawSpan) -> SequenceNumber? {
    guard payload.byteCount >= 2 else { return nil }
    return SequenceNumber(payload.loadUInt16(at: 0))
  }

  @inlinable @_lifetime(copy payload)
  package static func originalPayload(_ payload: RawSpan) -> RawSpan? {
    guard payload.byteCount >= 2 else { return nil }
    return payload.extracting(2..<payload.byteCount)
  }

  /// Writes the original's sequence number; `false` when there is no room.
  @inlinable @_lifetime(destination: copy destination)
  package static func write(_ original: SequenceNumber, at offset: Int, in destination: inout MutableRawSpan) -> Bool {
    guard offset >= 0, offset + 2 <= destination.byteCount else { return false }
    destination.storeUInt16(original.rawValue, at: offset)
    return true
  }
}
