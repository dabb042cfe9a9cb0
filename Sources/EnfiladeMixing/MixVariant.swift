// One of a room's mixtures: for all who are silent, for one who speaks, or for one who set volumes of his own.

import EnfiladeRTP
import EnfiladeWire

/// A mixture with its limiter and its encoder.
struct MixVariant: ~Copyable {
  enum Audience: Hashable {
    /// Everybody is in it.
    case everybody
    /// Everybody but what belongs to this owner.
    case without(UInt64)
    /// As this listener set it, without himself.
    case personal(listener: UInt64, owner: UInt64)
  }

  /// `nil` while nobody listens: it waits to be used again.
  var audience: Audience?
  var listenerCount = 0
  /// What its listeners take.
  let codec: Codec
  let encoder: any AudioEncoder
  var limiter: Limiter
  var samples: UniqueArray<Float>
  var payload: UniqueArray<UInt8>
  var payloadByteCount = 0
  /// Somebody begins to listen with the next packet.
  var isEntered = true
  var wasIsolated = false
  /// How much comfort noise the last tick ended with.
  var noiseGain: Float = 0
  /// The volumes of a personal mixture at the end of the last tick, by playout.
  var lastGains = InlineArray<24, Float>(repeating: 1)

  init(codec: Codec, encoder: any AudioEncoder, channelCount: Int) {
    self.codec = codec
    self.encoder = encoder
    limiter = Limiter(channelCount: channelCount)
    samples = UniqueArray(repeating: 0, count: Limits.mixTickSampleCount * channelCount)
    // RFC 6716 §3.4: a frame is at most 1275 bytes, and 20 ms are one frame and a byte.
    payload = UniqueArray(repeating: 0, count: 1_276)
  }
}
