// SipHash-1-3 (Aumasson and Bernstein, 2012) over a few words: a stranger who can choose addresses but does not know the key cannot
// make them fall into one place.

/// The key of a table's hash. The runtime draws it at start; a simulation gives a constant.
package struct HashSeed: Hashable, Sendable {
  fileprivate let k0: UInt64
  fileprivate let k1: UInt64

  package init(_ k0: UInt64, _ k1: UInt64) {
    self.k0 = k0
    self.k1 = k1
  }

  package init(using random: inout some RandomNumberGenerator) {
    k0 = random.next()
    k1 = random.next()
  }
}

/// The hash's state while words come in. Every key of one table feeds the same number of words, so the length is not hashed.
struct KeyedHash {
  private var v0: UInt64
  private var v1: UInt64
  private var v2: UInt64
  private var v3: UInt64

  init(_ seed: HashSeed) {
    v0 = seed.k0 ^ 0x736F_6D65_7073_6575
    v1 = seed.k1 ^ 0x646F_7261_6E64_6F6D
    v2 = seed.k0 ^ 0x6C79_6765_6E65_7261
    v3 = seed.k1 ^ 0x7465_6462_7974_6573
  }

  @inline(__always)
  private mutating func round() {
    v0 = v0 &+ v1
    v1 = (v1 << 13 | v1 >> 51) ^ v0
    v0 = v0 << 32 | v0 >> 32
    v2 = v2 &+ v3
    v3 = (v3 << 16 | v3 >> 48) ^ v2
    v0 = v0 &+ v3
    v3 = (v3 << 21 | v3 >> 43) ^ v0
    v2 = v2 &+ v1
    v1 = (v1 << 17 | v1 >> 47) ^ v2
    v2 = v2 << 32 | v2 >> 32
  }

  mutating func combine(_ word: UInt64) {
    v3 ^= word
    round()
    v0 ^= word
  }

  consuming func finalize() -> UInt64 {
    v2 ^= 0xFF
    round()
    round()
    round()
    return v0 ^ v1 ^ v2 ^ v3
  }
}
