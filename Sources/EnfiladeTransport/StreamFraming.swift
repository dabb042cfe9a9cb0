// Datagrams on a stream of bytes: each behind its length (RFC 4571 §2, RFC 6544 §3).

import EnfiladeWire

/// How datagrams are cut out of a stream.
package enum StreamFraming {
  /// The length in front of each datagram, big-endian (RFC 4571 §2).
  package static let headerByteCount = 2

  /// What stands at a place of the stream.
  package enum Step: Hashable, Sendable {
    /// A whole datagram, which may be empty; the next frame begins at its end.
    case frame(Range<Int>)
    /// The frame's end, or its length, has not come yet.
    case incomplete
    /// The frame says that it is longer than any datagram we take. Nothing behind it can be trusted.
    case tooLong(byteCount: Int)
  }

  /// Reads the frame that begins at `offset`.
  package static func next(in bytes: RawSpan, at offset: Int) -> Step {
    let left = bytes.byteCount - offset
    guard offset >= 0, left >= headerByteCount else { return .incomplete }
    let count = Int(bytes.byte(at: offset)) << 8 | Int(bytes.byte(at: offset + 1))
    guard count <= Limits.datagramByteCount else { return .tooLong(byteCount: count) }
    guard left - headerByteCount >= count else { return .incomplete }
    let start = offset + headerByteCount
    return .frame(start..<start + count)
  }
}
