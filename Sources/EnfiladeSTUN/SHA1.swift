// SHA-1 (RFC 3174) and HMAC-SHA1 (RFC 2104), incremental and without allocation. STUN is their only user: SHA-1 is long broken for
// signatures, but MESSAGE-INTEGRITY asks for it by name (RFC 8489 §14.5).

package import EnfiladeWire

/// A SHA-1 value: five words, most significant first.
package struct SHA1Digest: Sendable {
  var h0: UInt32
  var h1: UInt32
  var h2: UInt32
  var h3: UInt32
  var h4: UInt32

  package static let byteCount = 20

  /// The chaining value before the first block (RFC 3174 §6.1).
  static let initial = SHA1Digest(h0: 0x6745_2301, h1: 0xEFCD_AB89, h2: 0x98BA_DCFE, h3: 0x1032_5476, h4: 0xC3D2_E1F0)

  init(h0: UInt32, h1: UInt32, h2: UInt32, h3: UInt32, h4: UInt32) {
    self.h0 = h0
    self.h1 = h1
    self.h2 = h2
    self.h3 = h3
    self.h4 = h4
  }

  /// Reads twenty bytes.
  init?(reading reader: inout ByteReader) {
    guard let h0 = reader.readUInt32(), let h1 = reader.readUInt32(), let h2 = reader.readUInt32(), let h3 = reader.readUInt32(),
      let h4 = reader.readUInt32()
    else { return nil }
    self.init(h0: h0, h1: h1, h2: h2, h3: h3, h4: h4)
  }

  package func write(into writer: inout ByteWriter) {
    writer.writeUInt32(h0)
    writer.writeUInt32(h1)
    writer.writeUInt32(h2)
    writer.writeUInt32(h3)
    writer.writeUInt32(h4)
  }

  /// Compares all bits before it decides, so that the time taken says nothing about where two values part.
  package func isEqualInConstantTime(to other: SHA1Digest) -> Bool {
    (h0 ^ other.h0) | (h1 ^ other.h1) | (h2 ^ other.h2) | (h3 ^ other.h3) | (h4 ^ other.h4) == 0
  }
}

/// SHA-1 over bytes that come piece by piece.
package struct SHA1: Sendable {
  static let blockByteCount = 64

  private var chain: SHA1Digest
  /// The block being filled, as big-endian words.
  private var block: InlineArray<16, UInt32>
  private var totalByteCount: UInt64

  package init() {
    self.init(chain: .initial, blocksDone: 0)
  }

  /// Goes on from a chaining value that stands for `blocksDone` whole blocks.
  init(chain: SHA1Digest, blocksDone: UInt64) {
    self.chain = chain
    block = InlineArray(repeating: 0)
    totalByteCount = blocksDone &* UInt64(Self.blockByteCount)
  }

  package mutating func update(_ bytes: RawSpan) {
    var reader = ByteReader(bytes)
    // Whole words while the block stands at a word's edge, which in STUN is nearly always.
    while totalByteCount & 3 == 0, let word = reader.readUInt32() { update(word: word) }
    while let byte = reader.readUInt8() { update(byte) }
  }

  /// Four bytes at a word's edge.
  fileprivate mutating func update(word: UInt32) {
    let position = Int(totalByteCount & 63)
    block[position >> 2] = word
    totalByteCount &+= 4
    if position == 60 { compress() }
  }

  mutating func update(_ byte: UInt8) {
    let position = Int(totalByteCount & 63)
    // A word collects its four bytes by shifting, so the block needs no clearing in between.
    block[position >> 2] = block[position >> 2] << 8 | UInt32(byte)
    totalByteCount &+= 1
    if position == 63 { compress() }
  }

  /// Pads (RFC 3174 §4) and gives the digest.
  package consuming func finalize() -> SHA1Digest {
    let bitCount = totalByteCount &* 8
    update(0x80)
    while totalByteCount & 63 != 56 { update(0) }
    update(word: UInt32(truncatingIfNeeded: bitCount >> 32))
    update(word: UInt32(truncatingIfNeeded: bitCount))
    return chain
  }

  /// The chaining value at a block boundary.
  var chainAtBlockBoundary: SHA1Digest {
    assert(totalByteCount & 63 == 0)
    return chain
  }

  /// One block, with the message schedule in a ring of sixteen words (RFC 3174 §6.2).
  private mutating func compress() {
    var words = block
    var v = chain
    for t in 0..<16 { v.step((v.h1 & v.h2) | (~v.h1 & v.h3), 0x5A82_7999, words[t]) }
    for t in 16..<20 { v.step((v.h1 & v.h2) | (~v.h1 & v.h3), 0x5A82_7999, Self.expand(&words, t)) }
    for t in 20..<40 { v.step(v.h1 ^ v.h2 ^ v.h3, 0x6ED9_EBA1, Self.expand(&words, t)) }
    for t in 40..<60 { v.step((v.h1 & v.h2) | (v.h1 & v.h3) | (v.h2 & v.h3), 0x8F1B_BCDC, Self.expand(&words, t)) }
    for t in 60..<80 { v.step(v.h1 ^ v.h2 ^ v.h3, 0xCA62_C1D6, Self.expand(&words, t)) }
    chain.h0 &+= v.h0
    chain.h1 &+= v.h1
    chain.h2 &+= v.h2
    chain.h3 &+= v.h3
    chain.h4 &+= v.h4
  }

  /// The schedule's word for step `t`.
  @inline(__always)
  private static func expand(_ words: inout InlineArray<16, UInt32>, _ t: Int) -> UInt32 {
    let x = words[(t &+ 13) & 15] ^ words[(t &+ 8) & 15] ^ words[(t &+ 2) & 15] ^ words[t & 15]
    words[t & 15] = x << 1 | x >> 31
    return words[t & 15]
  }
}

extension SHA1Digest {
  /// One of the eighty steps, on the five words as RFC 3174's A to E.
  @inline(__always)
  fileprivate mutating func step(_ f: UInt32, _ k: UInt32, _ word: UInt32) {
    let next = (h0 << 5 | h0 >> 27) &+ f &+ h4 &+ word &+ k
    (h4, h3, h2, h1, h0) = (h3, h2, h1 << 30 | h1 >> 2, h0, next)
  }
}

/// A password made ready for HMAC-SHA1: the chaining values behind the inner and the outer padded key (RFC 2104 §4), so that
/// each message saves two blocks.
package struct STUNKey: Sendable {
  fileprivate let inner: SHA1Digest
  fileprivate let outer: SHA1Digest

  /// The key of the short-term mechanism is the password's bytes (RFC 8489 §9.1.1); ICE passwords are ASCII, which OpaqueString keeps.
  package init(password: RawSpan) {
    var key = InlineArray<64, UInt8>(repeating: 0)
    if password.byteCount > SHA1.blockByteCount {
      var hash = SHA1()
      hash.update(password)
      let digest = hash.finalize()
      for (word, value) in [digest.h0, digest.h1, digest.h2, digest.h3, digest.h4].enumerated() {
        for index in 0..<4 { key[word * 4 + index] = UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * index)) }
      }
    } else {
      for index in 0..<password.byteCount { key[index] = password.byte(at: index) }
    }
    var (inner, outer) = (SHA1(), SHA1())
    for index in 0..<SHA1.blockByteCount {
      inner.update(key[index] ^ 0x36)
      outer.update(key[index] ^ 0x5C)
    }
    self.inner = inner.chainAtBlockBoundary
    self.outer = outer.chainAtBlockBoundary
  }
}

/// HMAC-SHA1 (RFC 2104) over bytes that come piece by piece.
package struct HMACSHA1: Sendable {
  private var inner: SHA1
  private let outer: SHA1Digest

  package init(_ key: STUNKey) {
    inner = SHA1(chain: key.inner, blocksDone: 1)
    outer = key.outer
  }

  package mutating func update(_ bytes: RawSpan) { inner.update(bytes) }

  mutating func update(_ value: UInt16) {
    inner.update(UInt8(truncatingIfNeeded: value >> 8))
    inner.update(UInt8(truncatingIfNeeded: value))
  }

  package consuming func finalize() -> SHA1Digest {
    let digest = inner.finalize()
    var hash = SHA1(chain: outer, blocksDone: 1)
    hash.update(word: digest.h0)
    hash.update(word: digest.h1)
    hash.update(word: digest.h2)
    hash.update(word: digest.h3)
    hash.update(word: digest.h4)
    return hash.finalize()
  }
}
