// Where decoding can begin, asked of any codec in one place.

import EnfiladeWire

package enum Keyframe {
  /// Whether this packet is the first of something that decodes without what came before.
  ///
  /// For H.264 that is a packet with a sequence parameter set, which browsers send before every IDR picture: beginning with the picture
  /// itself would leave a decoder without parameters. ``H264Payload/contents(_:)`` tells them apart. For AV1 it is the first packet of a
  /// coded video sequence. Every packet of an audio codec is one.
  ///
  /// - Parameter payload: without padding, and without the two bytes of a retransmission.
  package static func isStart(_ codec: Codec, payload: RawSpan) -> Bool {
    switch codec {
    case .opus, .red, .pcmu, .pcma, .g722, .telephoneEvent, .comfortNoise:
      return payload.byteCount > 0
    case .vp8:
      return VP8Descriptor(payload)?.isKeyframe ?? false
    case .vp9:
      return VP9Descriptor(payload)?.startsKeyframe ?? false
    case .h264:
      return H264Payload.contents(payload)?.contains(.sequenceParameterSet) ?? false
    case .av1:
      return AV1AggregationHeader(payload)?.startsCodedVideoSequence ?? false
    case .rtx:
      return false
    }
  }
}
