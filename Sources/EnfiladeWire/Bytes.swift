// Cursors over bytes from outside. All length arithmetic on untrusted bytes goes through these two types.

/// Reads big-endian fields from bytes it does not own. Every read checks; a short read gives `nil` and moves nothing.
package struct ByteReader: ~Escapable {
  package let bytes: RawSpan
  package private(set) var offset: Int

  @_lifetime(copy bytes)
  package init(_ bytes: RawSpan) {
    self.bytes = bytes
    offset = 0
  }

  package var remaining: Int { bytes.byteCount - offset }
  package var isAtEnd: Bool { offset == bytes.byteCount }

  @inline(__always)
  private mutating func read<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) -> T? {
    guard remaining >= MemoryLayout<T>.size else { return nil }
    // Sound: the guard above holds the read inside the span, and every bit pattern is an integer.
    let value = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: T.self)
    offset += MemoryLayout<T>.size
    return T(bigEndian: value)
  }

  package mutating func readUInt8() -> UInt8? { read(UInt8.self) }
  package mutating func readUInt16() -> UInt16? { read(UInt16.self) }
  package mutating func readUInt32() -> UInt32? { read(UInt32.self) }
  package mutating func readUInt64() -> UInt64? { read(UInt64.self) }
  /// The next three bytes as a number.
  package mutating func readUInt24() -> UInt32? {
    guard remaining >= 3 else { return nil }
    let high = UInt32(readUInt16()!)
    return high << 8 | UInt32(readUInt8()!)
  }

  /// The next `count` bytes, without copying.
  @_lifetime(copy self)
  package mutating func readBytes(_ count: Int) -> RawSpan? {
    guard count >= 0, remaining >= count else { return nil }
    let slice = bytes.extracting(offset..<offset + count)
    offset += count
    return slice
  }

  /// Everything that is left, without copying.
  @_lifetime(copy self)
  package mutating func readRest() -> RawSpan {
    let slice = bytes.extracting(offset..<bytes.byteCount)
    offset = bytes.byteCount
    return slice
  }

  /// Moves on by `count` bytes; `false`, and no movement, when fewer are left.
  package mutating func skip(_ count: Int) -> Bool {
    guard count >= 0, remaining >= count else { return false }
    offset += count
    return true
  }
}

/// Writes big-endian fields into memory it does not own. A write that does not fit writes nothing and sets ``overflowed``,
/// so a caller checks once, at the end.
package struct ByteWriter: ~Copyable, ~Escapable {
  private var bytes: MutableRawSpan
  package private(set) var count: Int
  package private(set) var overflowed: Bool

  @_lifetime(copy bytes)
  package init(_ bytes: consuming MutableRawSpan) {
    self.bytes = bytes
    count = 0
    overflowed = false
  }

  package var capacity: Int { bytes.byteCount }

  @inline(__always)
  @_lifetime(self: copy self)
  private mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
    guard bytes.byteCount - count >= MemoryLayout<T>.size else {
      overflowed = true
      return
    }
    bytes.storeBytes(of: value.bigEndian, toByteOffset: count, as: T.self)
    count += MemoryLayout<T>.size
  }

  @_lifetime(self: copy self)
  package mutating func writeUInt8(_ value: UInt8) { store(value) }
  @_lifetime(self: copy self)
  package mutating func writeUInt16(_ value: UInt16) { store(value) }
  @_lifetime(self: copy self)
  package mutating func writeUInt32(_ value: UInt32) { store(value) }
  @_lifetime(self: copy self)
  package mutating func writeUInt64(_ value: UInt64) { store(value) }
  /// The low three bytes of `value`.
  @_lifetime(self: copy self)
  package mutating func writeUInt24(_ value: UInt32) {
    guard bytes.byteCount - count >= 3 else {
      overflowed = true
      return
    }
    writeUInt16(UInt16(truncatingIfNeeded: value >> 8))
    writeUInt8(UInt8(truncatingIfNeeded: value))
  }

  @_lifetime(self: copy self)
  package mutating func writeBytes(_ source: RawSpan) {
    guard bytes.byteCount - count >= source.byteCount else {
      overflowed = true
      return
    }
    for index in 0..<source.byteCount {
      bytes.storeBytes(of: source.byte(at: index), toByteOffset: count + index, as: UInt8.self)
    }
    count += source.byteCount
  }

  @_lifetime(self: copy self)
  package mutating func writeZeros(_ length: Int) {
    guard length >= 0, bytes.byteCount - count >= length else {
      overflowed = true
      return
    }
    for index in 0..<length { bytes.storeBytes(of: 0, toByteOffset: count + index, as: UInt8.self) }
    count += length
  }

  /// Overwrites two bytes already written, for lengths that are known last.
  @_lifetime(self: copy self)
  package mutating func patchUInt16(_ value: UInt16, at offset: Int) {
    guard offset >= 0, offset + 2 <= count else {
      overflowed = true
      return
    }
    bytes.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
  }

  /// What has been written so far.
  package var written: RawSpan {
    @_lifetime(borrow self)
    borrowing get { bytes.bytes.extracting(0..<count) }
  }
}

extension RawSpan {
  /// The byte at `index`; traps outside the span, as an array would. For bytes whose presence has been checked.
  @inlinable package func byte(at index: Int) -> UInt8 {
    precondition(index >= 0 && index < byteCount)
    // Sound: checked above.
    return unsafe unsafeLoad(fromByteOffset: index, as: UInt8.self)
  }

  /// A copy of the bytes, for the control plane and for tests.
  package func copyToArray() -> [UInt8] {
    // Sound: every element below `count` is written first.
    unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      for index in 0..<byteCount { unsafe buffer[index] = byte(at: index) }
      count = byteCount
    }
  }

  /// Whether both hold the same bytes. Not in constant time.
  package func hasSameBytes(as other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    for index in 0..<byteCount where byte(at: index) != other.byte(at: index) { return false }
    return true
  }
}

extension [UInt8] {
  /// The array's bytes, borrowed.
  package var rawBytes: RawSpan {
    @_lifetime(borrow self)
    borrowing get {
      // Sound: UInt8 has no padding.
      unsafe span.bytes
    }
  }

  /// Makes an array of at most `capacity` bytes by writing big-endian fields; `nil` when they did not fit. Control plane and tests only.
  package static func writing(capacity: Int, _ body: (inout ByteWriter) -> Void) -> [UInt8]? {
    var storage = [UInt8](repeating: 0, count: capacity)
    var span = storage.mutableSpan
    // Sound: UInt8 has no padding, and every bit pattern is one.
    var writer = unsafe ByteWriter(span.mutableBytes)
    body(&writer)
    let (count, overflowed) = (writer.count, writer.overflowed)
    if overflowed { return nil }
    storage.removeLast(capacity - count)
    return storage
  }
}
