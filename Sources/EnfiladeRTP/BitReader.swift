// Reads fields that are not bytes, most significant bit first, as AV1's extensions are written.

import EnfiladeWire

/// A read past the end gives zero and sets ``overran``, so that a parser checks once for each group of fields.
package struct BitReader: ~Escapable {
  private let bytes: RawSpan
  package private(set) var bitOffset = 0
  package private(set) var overran = false

  @_lifetime(copy bytes)
  package init(_ bytes: RawSpan) { self.bytes = bytes }

  package var remainingBitCount: Int { 8 * bytes.byteCount - bitOffset }

  @_lifetime(self: copy self)
  package mutating func readBit() -> Bool { readBits(1) != 0 }

  /// `count` bits, at most 32.
  @_lifetime(self: copy self)
  package mutating func readBits(_ count: Int) -> UInt32 {
    precondition(count >= 0 && count <= 32)
    guard !overran, count <= remainingBitCount else {
      overran = true
      return 0
    }
    var value: UInt64 = 0
    var taken = 0
    while taken < count {
      let bit = bitOffset & 7
      let width = min(8 - bit, count - taken)
      let byte = UInt64(bytes.loadUInt8(at: bitOffset >> 3))
      value = value << UInt64(width) | (byte >> UInt64(8 - bit - width)) & (1 << UInt64(width) - 1)
      bitOffset += width
      taken += width
    }
    return UInt32(truncatingIfNeeded: value)
  }

  /// Goes past `count` bits without looking at them.
  @_lifetime(self: copy self)
  package mutating func skip(_ count: Int) {
    precondition(count >= 0)
    guard !overran, count <= remainingBitCount else {
      overran = true
      return
    }
    bitOffset += count
  }

  /// `ue(v)` of ITU-T H.264 §9.1, at most 31 bits; more counts as the end.
  @_lifetime(self: copy self)
  package mutating func readExponentialGolomb() -> UInt32 {
    var zeros = 0
    while !overran, !readBit() {
      zeros += 1
      guard zeros < 32 else {
        overran = true
        return 0
      }
    }
    guard !overran else { return 0 }
    return UInt32(truncatingIfNeeded: UInt64(1) << UInt64(zeros) - 1) &+ readBits(zeros)
  }

  /// One of `limit` values in the fewest bits: `ns(n)` of the AV1 specification, §4.10.7. `limit` is at least 1.
  @_lifetime(self: copy self)
  package mutating func readNonSymmetric(_ limit: UInt32) -> UInt32 {
    precondition(limit >= 1)
    let width = 32 - limit.leadingZeroBitCount
    let short = UInt32(truncatingIfNeeded: UInt64(1) << UInt64(width) - UInt64(limit))
    let value = readBits(width - 1)
    if value < short { return value }
    return value << 1 &- short &+ readBits(1)
  }
}
