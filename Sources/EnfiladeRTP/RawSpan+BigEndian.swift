// Big-endian loads and stores for the packet path, where a caller has already compared offsets with the length.

import EnfiladeWire

extension RawSpan {
  /// Traps outside the span; for fields whose presence has been checked.
  @inlinable package func loadUInt8(at offset: Int) -> UInt8 {
    // Sound: the load is bounds-checked, and every bit pattern is an integer. The same holds for the three below.
    unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
  }
  @inlinable package func loadUInt16(at offset: Int) -> UInt16 {
    UInt16(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
  @inlinable package func loadUInt32(at offset: Int) -> UInt32 {
    UInt32(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
  @inlinable package func loadUInt64(at offset: Int) -> UInt64 {
    UInt64(bigEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
  /// The three bytes at `offset` as a number.
  @inlinable package func loadUInt24(at offset: Int) -> UInt32 {
    UInt32(loadUInt16(at: offset)) << 8 | UInt32(loadUInt8(at: offset + 2))
  }
}

extension MutableRawSpan {
  /// Traps outside the span; for writes whose room has been checked.
  @inlinable @_lifetime(self: copy self)
  package mutating func storeUInt8(_ value: UInt8, at offset: Int) {
    storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
  }
  @inlinable @_lifetime(self: copy self)
  package mutating func storeUInt16(_ value: UInt16, at offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
  }
  @inlinable @_lifetime(self: copy self)
  package mutating func storeUInt32(_ value: UInt32, at offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
  }
  /// The low three bytes of `value`.
  @inlinable @_lifetime(self: copy self)
  package mutating func storeUInt24(_ value: UInt32, at offset: Int) {
    storeUInt16(UInt16(truncatingIfNeeded: value >> 8), at: offset)
    storeUInt8(UInt8(truncatingIfNeeded: value), at: offset + 2)
  }
}
