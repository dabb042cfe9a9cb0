// Serial numbers: narrow on the wire, wide inside, converted here and nowhere else.

/// An RTP sequence number as on the wire (RFC 3550 §5.1): 16 bits that wrap.
@usableFromInline
package struct SequenceNumber: Hashable, Sendable {
  @usableFromInline package var rawValue: UInt16

  @inlinable package init(_ rawValue: UInt16) { self.rawValue = rawValue }

  /// The signed distance on the circle, in −32768…32767 (RFC 1982 with the ambiguous half counted as older).
  @inlinable package func distance(from other: SequenceNumber) -> Int {
    Int(Int16(bitPattern: rawValue &- other.rawValue))
  }
}

/// A sequence number that never wraps in practice: 64 bits, of which the lowest 16 are on the wire and the next 32 are the
/// rollover counter of RFC 3711 §3.3.1.
@usableFromInline
package struct ExtendedSequenceNumber: Hashable, Comparable, Sendable {
  @usableFromInline package var rawValue: Int64

  @inlinable package init(_ rawValue: Int64) { self.rawValue = rawValue }

  @inlinable package var wire: SequenceNumber { SequenceNumber(UInt16(truncatingIfNeeded: rawValue)) }
  /// The rollover counter of RFC 3711 §3.3.1.
  @inlinable package var rolloverCounter: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 16) }

  @inlinable package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  @inlinable package static func + (a: Self, b: Int) -> Self { Self(a.rawValue &+ Int64(b)) }
  @inlinable package static func - (a: Self, b: Int) -> Self { Self(a.rawValue &- Int64(b)) }
  @inlinable package static func - (a: Self, b: Self) -> Int { Int(a.rawValue &- b.rawValue) }
}

/// Widens the sequence numbers of one stream. The newest number seen is the point of reference.
@usableFromInline
package struct SequenceUnwrapper: Sendable {
  @usableFromInline package var newest: ExtendedSequenceNumber?

  @inlinable package init() { newest = nil }

  /// What `number` would unwrap to; does not move the reference, so it is safe before authentication.
  @inlinable package func peek(_ number: SequenceNumber) -> ExtendedSequenceNumber {
    guard let newest else { return ExtendedSequenceNumber(Int64(number.rawValue)) }
    let candidate = newest + number.distance(from: newest.wire)
    // Nothing is older than the first number of the first round: the rollover counter starts at zero (RFC 3711 §3.3.1).
    return candidate.rawValue < 0 ? ExtendedSequenceNumber(candidate.rawValue &+ 65_536) : candidate
  }

  /// Widens `number` and, if it is the newest, makes it the reference.
  @inlinable package mutating func unwrap(_ number: SequenceNumber) -> ExtendedSequenceNumber {
    let wide = peek(number)
    if newest == nil || wide > newest! { newest = wide }
    return wide
  }
}

/// An RTP timestamp as on the wire: 32 bits of the payload type's clock, that wrap.
@usableFromInline
package struct RTPTimestamp: Hashable, Sendable {
  @usableFromInline package var rawValue: UInt32

  @inlinable package init(_ rawValue: UInt32) { self.rawValue = rawValue }
  @inlinable package func distance(from other: RTPTimestamp) -> Int { Int(Int32(bitPattern: rawValue &- other.rawValue)) }
  @inlinable package static func + (a: Self, b: Int) -> Self { Self(a.rawValue &+ UInt32(truncatingIfNeeded: b)) }
}

/// An RTP timestamp that never wraps: ticks of the stream's clock, 64 bits.
@usableFromInline
package struct MediaTime: Hashable, Comparable, Sendable {
  @usableFromInline package var ticks: Int64

  @inlinable package init(ticks: Int64) { self.ticks = ticks }
  @inlinable package var wire: RTPTimestamp { RTPTimestamp(UInt32(truncatingIfNeeded: ticks)) }
  @inlinable package static func < (a: Self, b: Self) -> Bool { a.ticks < b.ticks }
}

/// Widens the timestamps of one stream.
@usableFromInline
package struct TimestampUnwrapper: Sendable {
  @usableFromInline package var newest: MediaTime?

  @inlinable package init() { newest = nil }

  @inlinable package mutating func unwrap(_ timestamp: RTPTimestamp) -> MediaTime {
    guard let newest else {
      let first = MediaTime(ticks: Int64(timestamp.rawValue))
      self.newest = first
      return first
    }
    let wide = MediaTime(ticks: newest.ticks &+ Int64(timestamp.distance(from: newest.wire)))
    if wide > newest { self.newest = wide }
    return wide
  }
}
