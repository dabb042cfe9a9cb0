// A source as its mixer knows it before anybody decodes it: where its packets stand in time, and how loud it says it is.

import EnfiladeRTP
package import EnfiladeWire

/// A source of one mixer.
package struct MixSource: Sendable {
  /// What a packet without a level is taken to claim, until it has been decoded.
  private static let undeclaredLevel: Float = -30
  /// A silent Opus packet is no longer than this (RFC 7587 §3.1.3).
  private static let discontinuousByteCount = 2
  /// Claims this far above what is heard, in this many ticks, are lies.
  private static let toleratedClaim: Float = 12
  private static let claimTicks = 5
  /// How fast a lie is forgiven, in decibels a tick: a claim of 60 dB too much is believed again after a minute.
  private static let forgiveness: Float = 0.02

  /// The caller's name for it, and for whoever it belongs to: nobody hears himself.
  package let id: UInt64
  package let owner: UInt64
  /// What a mixed packet names it by (RFC 3550 §5.1).
  package var ssrc = SSRC(0)
  /// Left and right; both one where it stands in the middle.
  package var placement = SIMD2<Float>(1, 1)
  /// Where in ``AudioMixer``'s playouts it is, or −1.
  var playout: Int32 = -1
  /// Nothing is known of its loudness but what its decoder says.
  private(set) var isUndeclared = true
  /// The loudest claim since the last tick.
  private var claim: Float = -127
  private var correction: Float = 0
  private var doubtfulTicks = 0
  private(set) var quietTicks = 0
  /// The source is not asked again before this: it was found silent.
  var ignoredUntil = Instant.zero
  private var timestamps = TimestampUnwrapper()

  package init(id: UInt64, owner: UInt64) {
    self.id = id
    self.owner = owner
  }

  /// A packet's place on the source's line, in samples at 48 kHz.
  mutating func sampleTime(of timestamp: RTPTimestamp, codec: Codec) -> Int64 {
    timestamps.unwrap(timestamp).ticks * Int64(Limits.mixSampleRate / codec.clockRate)
  }

  /// Its packets begin anew.
  mutating func restart() {
    timestamps = TimestampUnwrapper()
    claim = -127
  }

  /// Takes a packet's claim, and gives it in decibels, and what is believed of it.
  mutating func handleClaim(_ level: AudioLevel?, payload: RawSpan, codec: Codec) -> (claimed: Float, believed: Float) {
    var claimed: Float
    if let level {
      claimed = -Float(level.level)
      isUndeclared = false
    } else if codec == .opus {
      claimed = payload.byteCount <= Self.discontinuousByteCount ? -127 : Self.undeclaredLevel
      isUndeclared = true
    } else {
      claimed = G711Level.level(of: payload, law: codec == .pcma ? .a : .mu)
      isUndeclared = false
    }
    claimed = max(-127, claimed)
    claim = max(claim, claimed)
    return (claimed, claimed - correction)
  }

  /// One tick is over.
  ///
  /// - Parameters:
  ///   - heard: how loud it was, where it was decoded.
  ///   - claimed: how loud the packets that were decoded said they were.
  /// - Returns: how loud it is taken to be.
  mutating func tick(heard: Float?, claimed: Float?) -> Float {
    defer { claim = -127 }
    correction = max(0, correction - Self.forgiveness)
    let believed = heard ?? (isUndeclared ? -127 : claim - correction)
    quietTicks = believed > LoudestSelector.silenceLevel - 10 ? 0 : quietTicks + 1
    guard let heard, let claimed, !isUndeclared else { return believed }
    let excess = claimed - heard
    doubtfulTicks = excess > Self.toleratedClaim ? doubtfulTicks + 1 : 0
    if doubtfulTicks >= Self.claimTicks { correction = max(correction, excess) }
    return believed
  }
}

/// How loud G.711 is, without decoding it.
enum G711Level {
  private static let energies: [[Float]] = [G711Law.a, .mu].map { law in
    (0...255).map { byte in
      let sample = Float(law.sample(of: UInt8(byte))) / 32_768
      return sample * sample
    }
  }

  static func level(of payload: RawSpan, law: G711Law) -> Float {
    guard payload.byteCount > 0 else { return -127 }
    let table = energies[law == .a ? 0 : 1]
    var sum: Float = 0
    for index in 0..<payload.byteCount { sum += table[Int(payload.loadUInt8(at: index))] }
    return SampleKernels.level(meanSquare: sum / Float(payload.byteCount))
  }
}
