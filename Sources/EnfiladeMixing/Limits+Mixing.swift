// How much a mixer keeps, and how far it goes.

package import EnfiladeWire

extension Limits {
  /// Samples per second inside a mixer, and ticks per second of its streams (RFC 7587 §4.1).
  package static let mixSampleRate = 48_000
  /// Samples of one tick for each channel: 20 ms.
  package static let mixTickSampleCount = 960
  package static let mixTick = TimeDelta.milliseconds(20)

  /// Packets of one source that wait to be played: 640 ms of 20 ms, more than any conversation bears.
  package static let jitterPacketCount = 32
  /// The largest payload that is kept: a datagram.
  package static let audioPayloadByteCount = 1_500
  /// The longest that a source may be delayed to even out its arrivals, in samples: half a second.
  package static let maximumPlayoutDelay = 24_000
  /// The longest packet: 120 ms (RFC 6716 §2.1.4).
  package static let audioPacketSampleCount = 5_760

  /// Sources that are kept ready beside those that are mixed, so that who begins to speak is heard from his first packet.
  package static let spareCandidateCount = 3
  /// The most sources in one mixture, as RFC 3550 §5.1 counts contributors.
  package static let mixSourceCount = 15
  /// Mixtures of one room at the same time: one for all who are silent, one for each who speaks, the rest for those who set volumes of their own.
  package static let mixVariantCount = 64
  /// Sources that one mixer hears of.
  package static let mixPublicationCount = 8_192
  /// Listeners of one mixer.
  package static let mixListenerCount = 65_536

  /// What may wait to be played into a room, in samples for each channel: two seconds.
  package static let playbackSampleCount = 96_000
  /// The largest packet that is played as it is: what fits beside its headers in a datagram, and the largest of 20 ms (RFC 6716 §3.4).
  package static let playbackPayloadByteCount = 1_276
  /// What one media worker plays at the same time.
  package static let playbackCount = 256
  /// Sources that the application takes one by one, for each media worker: each is decoded by itself.
  package static let tapCount = 64
}
