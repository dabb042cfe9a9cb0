// How a participant hears a room, and how its mixture is made.

import EnfiladeMixing
import EnfiladeWire

/// How a participant hears the others.
public enum AudioMode: String, Sendable, Hashable, Codable {
  /// Every voice as a stream of its own, as it was sent.
  case forwarded
  /// One stream of everybody but itself (RFC 7667 §3.6): for telephones, recorders, and thin links.
  case mixed
}

/// How a room's mixture is made.
public struct MixConfiguration: Sendable, Hashable {
  /// How many voices are heard at the same time, the loudest; 1…15.
  public var speakers: Int
  /// Bits per second of each mixture, 6000…510000 (RFC 7587 §6.1).
  public var bitrate: Int
  /// The encoder's effort, 0…10.
  public var complexity: Int
  /// In-band forward error correction for this share of lost packets, in percent; zero for none.
  public var expectedLossPercent: Int
  /// Whether next to nothing is sent for what the encoder takes for background noise. While nobody speaks nothing is sent anyway. Without effect
  /// where there is comfort noise.
  public var usesDiscontinuousTransmission: Bool
  /// Whether there is a left and a right.
  public var isStereo: Bool
  /// How loud the white noise is that somebody hears while nobody speaks to him, in dBov, −90…−30 (RFC 3389 §3): so that a telephone does not seem
  /// dead. `nil` for none. It is sent like every sound, by an encode every 20 ms for all who hear nobody, so a silent room is no longer idle while
  /// somebody listens to its mixture; and what is recorded or tapped of the mixture has it, too.
  public var comfortNoiseLevel: Int?

  /// A configuration; every value has a default that serves a conversation.
  public init(
    speakers: Int = 3, bitrate: Int = 32_000, complexity: Int = 5, expectedLossPercent: Int = 10,
    usesDiscontinuousTransmission: Bool = false, isStereo: Bool = false,
    comfortNoiseLevel: Int? = nil
  ) {
    self.speakers = speakers
    self.bitrate = bitrate
    self.complexity = complexity
    self.expectedLossPercent = expectedLossPercent
    self.usesDiscontinuousTransmission = usesDiscontinuousTransmission
    self.isStereo = isStereo
    self.comfortNoiseLevel = comfortNoiseLevel
  }
}

extension AudioMixer.Configuration {
  init(_ configuration: MixConfiguration) {
    self.init(
      speakerCount: configuration.speakers,
      encoder: EncoderSettings(
        bitrate: max(6_000, min(510_000, configuration.bitrate)), complexity: max(0, min(10, configuration.complexity)),
        expectedLossPercent: max(0, min(100, configuration.expectedLossPercent)),
        usesDiscontinuousTransmission: configuration.usesDiscontinuousTransmission, channelCount: configuration.isStereo ? 2 : 1),
      comfortNoiseLevel: configuration.comfortNoiseLevel.map { max(-90, min(-30, $0)) })
  }
}
