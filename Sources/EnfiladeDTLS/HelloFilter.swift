// What a server lets through to the library before a ClientHello is complete (RFC 6347 §4.1, §4.2.2).

import EnfiladeWire

/// Reads record and handshake headers of what should be the fragments of one ClientHello, and remembers the fragments.
///
/// Until a client has introduced itself nothing is authenticated, and the library treats what it cannot parse as the end of the
/// association. So only records that can be part of a ClientHello reach it, and a fragment that contradicts an earlier one starts
/// the association over: a forged or damaged hello costs one retransmission of the real one.
struct HelloFilter {
  /// What to do with a datagram.
  enum Verdict: Hashable {
    /// Not part of a ClientHello: drop it.
    case drop
    /// Fits what came before.
    case pass
    /// Another ClientHello than the one that came before: forget the one before.
    case startOver
  }

  /// Hellos are a kilobyte or two; sixteen fragments of a datagram each are far more.
  private static let fragmentLimit = 16

  private struct Fragment: Equatable {
    var messageByteCount: UInt32
    var offset: UInt32
    var bytes: [UInt8]
  }

  private var fragments: [Fragment] = []

  init() {}

  /// Judges a datagram and remembers its fragments.
  mutating func judge(_ datagram: RawSpan) -> Verdict {
    guard let arrived = Self.fragments(of: datagram), !arrived.isEmpty else { return .drop }
    let contradicts = arrived.contains { new in
      fragments.contains { old in
        old.messageByteCount != new.messageByteCount || (old.offset == new.offset && old.bytes.count == new.bytes.count && old != new)
      }
    }
    if contradicts { fragments.removeAll() }
    for fragment in arrived where !fragments.contains(fragment) {
      guard fragments.count < Self.fragmentLimit else { return .drop }
      fragments.append(fragment)
    }
    return contradicts ? .startOver : .pass
  }

  /// The ClientHello fragments in a datagram; `nil` when there is anything else in it.
  private static func fragments(of datagram: RawSpan) -> [Fragment]? {
    var reader = ByteReader(datagram)
    var result: [Fragment] = []
    while !reader.isAtEnd {
      // Content type, version, epoch, sequence number, length (RFC 6347 §4.1).
      guard reader.readUInt8() == 22, let version = reader.readUInt16(), version == 0xFEFF || version == 0xFEFD, reader.readUInt16() == 0,
        reader.skip(6), let length = reader.readUInt16(), let record = reader.readBytes(Int(length))
      else { return nil }
      var message = ByteReader(record)
      while !message.isAtEnd {
        // Type, length, message sequence number, fragment offset, fragment length (RFC 6347 §4.2.2). Without cookies a client's
        // hello is its message number zero.
        guard message.readUInt8() == 1, let total = message.readUInt24(), message.readUInt16() == 0, let offset = message.readUInt24(),
          let count = message.readUInt24(), offset + count <= total, let bytes = message.readBytes(Int(count)),
          result.count < fragmentLimit
        else { return nil }
        result.append(Fragment(messageByteCount: total, offset: offset, bytes: bytes.copyToArray()))
      }
    }
    return result
  }
}
