// Writes fields that are not bytes, most significant bit first.

import EnfiladeWire

/// A write past the end writes nothing and sets ``overflowed``.
package struct BitWriter: ~Copyable, ~Escapable {
  private var bytes: MutableRawSpan
  package private(set) var bitOffset = 0
  package private(set) var overflowed = false

  @_lifetime(copy bytes)
  package init(_ bytes: consuming MutableRawSpan) { self.bytes = bytes }

  /// Bytes begun.
  package var byteCount: Int { (bitOffset + 7) >> 3 }

  /// The low `count` bits of `value`, at most 32.
  @_lifetime(self: copy self)
  package mutating func writeBits(_ value: UInt32, count: Int) {
    precondition(count >= 0 && count <= 32)
    guard !overflowed, bitOffset + count <= 8 * bytes.byteCount else {
      overflowed = true
      return
    }
    var left = count
    while left > 0 {
      let place = bitOffset >> 3
      let used = bitOffset & 7
      let width = min(8 - used, left)
      let part = UInt8(truncatingIfNeeded: UInt64(value) >> UInt64(left - width)) & UInt8(truncatingIfNeeded: (1 << width) - 1)
      // A byte is begun with zeros behind what is written.
      let old: UInt8 = used == 0 ? 0 : bytes.bytes.loadUInt8(at: place)
      bytes.storeUInt8(old | part << UInt8(8 - used - width), at: place)
      bitOffset += width
      left -= width
    }
  }
}
