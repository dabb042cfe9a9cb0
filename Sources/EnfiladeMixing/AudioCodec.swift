// The seam to codecs: a mixer knows sound as samples, and asks for them here. The doors to the libraries stand above the double line.

package import EnfiladeRTP

/// Why a codec did not do what was asked.
package enum AudioCodecError: Error, Hashable, Sendable {
  /// The bytes are not of this codec (RFC 6716 §3.4).
  case malformedPacket
  /// The result does not fit where it should go.
  case noRoom
  /// The library cannot do this: its name for the reason.
  case library(Int32)
  /// There is no decoder or encoder for this codec here.
  case unsupportedCodec(Codec)
}

/// Turns the packets of one source into samples: 48 kHz, in −1…1, channels side by side. One source after another, never two at a time.
package protocol AudioDecoder: AnyObject {
  /// How many samples for each channel a packet stands for; `nil` when it is malformed.
  func sampleCount(of payload: RawSpan) -> Int?
  /// Decodes a packet.
  ///
  /// - Returns: how many samples for each channel were written to `samples`.
  func decode(_ payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) -> Int
  /// Makes up for what was lost right before `payload`, from what that carries of it (RFC 6716 §2.1.7), and from nothing where it carries none.
  /// Fills `samples`.
  func recover(before payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError)
  /// Makes up for what was lost, or was not sent, from what came before. Fills `samples`.
  func conceal(into samples: inout MutableSpan<Float>) throws(AudioCodecError)
  /// Forgets what came before.
  func reset()
}

/// Turns samples, as a decoder gives them, into packets of 20 ms.
package protocol AudioEncoder: AnyObject {
  /// - Returns: how many bytes were written to `payload`.
  func encode(_ samples: Span<Float>, into payload: inout MutableRawSpan) throws(AudioCodecError) -> Int
  /// The effort, 0…10.
  func setComplexity(_ complexity: Int)
  /// Whether the next packets are to be decodable without those before, as far as the codec can: where a receiver comes over from another encoder.
  func setIsolated(_ isIsolated: Bool)
  /// Forgets what came before.
  func reset()
}

/// How the mixture is encoded (RFC 7587 §6.1).
package struct EncoderSettings: Hashable, Sendable {
  /// Opus, or one of the two of G.711, for which the other settings mean nothing.
  package var codec = Codec.opus
  /// Bits per second.
  package var bitrate: Int
  /// The effort, 0…10.
  package var complexity: Int
  /// In-band forward error correction for this share of loss, in percent; zero for none.
  package var expectedLossPercent: Int
  /// Next to nothing is sent for what the encoder takes for background noise. While nobody speaks nothing is sent anyway.
  package var usesDiscontinuousTransmission: Bool
  package var channelCount: Int
  /// It may be anything, not voices alone (RFC 6716 §2.1.1): what is played into a room.
  package var isGeneral: Bool

  package init(
    bitrate: Int = 32_000, complexity: Int = 5, expectedLossPercent: Int = 10, usesDiscontinuousTransmission: Bool = false,
    channelCount: Int = 1, isGeneral: Bool = false
  ) {
    self.bitrate = bitrate
    self.complexity = complexity
    self.expectedLossPercent = expectedLossPercent
    self.usesDiscontinuousTransmission = usesDiscontinuousTransmission
    self.channelCount = channelCount
    self.isGeneral = isGeneral
  }
}

/// Makes codecs. The third seam of the engine, beside protection and handshake.
package protocol AudioCodecFactory: Sendable {
  func makeDecoder(_ codec: Codec, channelCount: Int) throws(AudioCodecError) -> any AudioDecoder
  func makeEncoder(_ settings: EncoderSettings) throws(AudioCodecError) -> any AudioEncoder
}
