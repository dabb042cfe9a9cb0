// The names that encodings and media sections carry in header extensions (RFC 8852 §3, RFC 9143 §15).

import EnfiladeWire

/// A RID, a repaired RID, or a MID, as bytes without a heap.
package struct StreamIdentifier: Hashable, Sendable {
  /// The longest that is read: what browsers send has one to three characters.
  package static let maximumByteCount = 16

  private var storage: SIMD16<UInt8> = .zero
  package let byteCount: Int

  /// `nil` when it is empty, too long, or has a character that no identifier has (RFC 8852 §3.1: letters and digits; older drafts also
  /// `-` and `_`, which MIDs may have).
  package init?(_ data: RawSpan) {
    guard data.byteCount >= 1, data.byteCount <= Self.maximumByteCount else { return nil }
    for index in 0..<data.byteCount {
      let byte = data.loadUInt8(at: index)
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7B...0x7E: break
      default: return nil
      }
      storage[index] = byte
    }
    byteCount = data.byteCount
  }

  package init?(_ text: [UInt8]) { self.init(text.rawBytes) }

  package subscript(index: Int) -> UInt8 {
    precondition(index >= 0 && index < byteCount, "no such character")
    return storage[index]
  }
}
