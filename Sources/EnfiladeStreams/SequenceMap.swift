// Which source packet went out under which number: how a NACK of ours is led back to the history.

public import EnfiladeWire

/// A ring of the last sent packets of one outgoing stream, by outgoing number. Beside what the forwarder remembers, an entry is two bytes.
@usableFromInline
package struct SequenceMap<Source: BitwiseCopyable>: ~Copyable {
  @usableFromInline package let capacity: Int
  @usableFromInline let shift: Int64
  /// By place: the outgoing number above the bits that are the place; 0 is no packet.
  @usableFromInline package var rounds: UniqueArray<UInt16>
  @usableFromInline package var sources: UniqueArray<Source>
  @usableFromInline var newest: ExtendedSequenceNumber?

  /// - Parameters:
  ///   - capacity: packets remembered, a power of two of at least 16, so that rounds repeat later than sequence numbers.
  ///   - placeholder: any value, for places with no packet.
  @inlinable package init(capacity: Int = Limits.sentPacketCount, placeholder: Source) {
    precondition(capacity >= 16 && capacity <= 65_536 && capacity & (capacity - 1) == 0, "a map's capacity is a power of two")
    self.capacity = capacity
    shift = Int64(capacity.trailingZeroBitCount)
    rounds = UniqueArray(repeating: 0, count: capacity)
    sources = UniqueArray(repeating: placeholder, count: capacity)
  }

  /// Bytes of an entry, for the memory budget.
  @usableFromInline package static var entryByteCount: Int { MemoryLayout<UInt16>.stride + MemoryLayout<Source>.stride }

  /// The newest number sent.
  @inlinable package var newestSent: ExtendedSequenceNumber? { newest }

  /// A packet from `source` was sent as `outgoing`, which is not negative.
  @inlinable package mutating func insert(_ outgoing: ExtendedSequenceNumber, from source: Source) {
    if let newest {
      if newest - outgoing >= capacity { return }
      if outgoing > newest { self.newest = outgoing }
    } else {
      newest = outgoing
    }
    rounds[place(of: outgoing)] = round(of: outgoing)
    sources[place(of: outgoing)] = source
  }

  /// Where the packet sent as `outgoing` came from, or `nil` when it was never sent or is forgotten.
  @inlinable package func find(_ outgoing: ExtendedSequenceNumber) -> Source? {
    // A NACK may name a number from before the first; our numbers start at zero or above.
    guard let newest, outgoing.rawValue >= 0, outgoing <= newest, newest - outgoing < capacity else { return nil }
    return rounds[place(of: outgoing)] == round(of: outgoing) ? sources[place(of: outgoing)] : nil
  }

  /// The outgoing number that a NACK's 16 bits name: the newest sent that has them. `nil` when there was none.
  @inlinable package func widen(_ number: SequenceNumber) -> ExtendedSequenceNumber? {
    guard let newest else { return nil }
    let wide = newest - Int(newest.wire.rawValue &- number.rawValue)
    return wide.rawValue >= 0 ? wide : nil
  }

  @inlinable func place(of outgoing: ExtendedSequenceNumber) -> Int {
    Int(truncatingIfNeeded: outgoing.rawValue) & (capacity &- 1)
  }

  @inlinable func round(of outgoing: ExtendedSequenceNumber) -> UInt16 {
    // 1…65,535, so that an empty place never fits.
    UInt16(truncatingIfNeeded: (outgoing.rawValue &>> shift) % 65_535 &+ 1)
  }
}
