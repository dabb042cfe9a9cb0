// The codecs of this machine: Opus by libopus, and G.711, which is a table.

package import EnfiladeMixing
package import EnfiladeRTP

/// Makes decoders for what participants and telephones send, and encoders for Opus.
package struct OpusCodecs: AudioCodecFactory {
  package init() {}

  package func makeDecoder(_ codec: Codec, channelCount: Int) throws(AudioCodecError) -> any AudioDecoder {
    switch codec {
    case .opus: try OpusDecoder(channelCount: channelCount)
    case .pcma: G711Decoder(.a, channelCount: channelCount)
    case .pcmu: G711Decoder(.mu, channelCount: channelCount)
    default: throw .unsupportedCodec(codec)
    }
  }

  package func makeEncoder(_ settings: EncoderSettings) throws(AudioCodecError) -> any AudioEncoder {
    switch settings.codec {
    case .opus: try OpusEncoder(settings)
    case .pcma: G711Encoder(.a, channelCount: settings.channelCount)
    case .pcmu: G711Encoder(.mu, channelCount: settings.channelCount)
    default: throw .unsupportedCodec(settings.codec)
    }
  }
}
