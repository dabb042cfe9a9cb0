// Encoding Opus (RFC 6716, RFC 7587) by libopus.

import COpus
package import EnfiladeMixing
import EnfiladeWire

/// One mixture's encoder.
package final class OpusEncoder: AudioEncoder {
  private let state: OpaquePointer
  private let channelCount: Int

  package init(_ settings: EncoderSettings) throws(AudioCodecError) {
    var failure: Int32 = OPUS_OK
    let application = settings.isGeneral ? OPUS_APPLICATION_AUDIO : OPUS_APPLICATION_VOIP
    guard let state = opus_encoder_create(Int32(Limits.mixSampleRate), Int32(settings.channelCount), application, &failure) else {
      throw .library(failure)
    }
    self.state = state
    channelCount = settings.channelCount
    let controls: [(Int32, Int)] = [
      (OPUS_SET_BITRATE_REQUEST, settings.bitrate), (OPUS_SET_COMPLEXITY_REQUEST, settings.complexity),
      (OPUS_SET_INBAND_FEC_REQUEST, settings.expectedLossPercent > 0 ? 1 : 0),
      (OPUS_SET_PACKET_LOSS_PERC_REQUEST, settings.expectedLossPercent),
      (OPUS_SET_DTX_REQUEST, settings.usesDiscontinuousTransmission ? 1 : 0),
    ]
    for (request, value) in controls {
      let result = enfilade_opus_encoder_set(state, request, Int32(clamping: value))
      // The initializer has not ended, so the state is given back here.
      guard result == OPUS_OK else {
        opus_encoder_destroy(state)
        throw .library(result)
      }
    }
  }

  deinit { opus_encoder_destroy(state) }

  package func encode(_ samples: Span<Float>, into payload: inout MutableRawSpan) throws(AudioCodecError) -> Int {
    let count = samples.withUnsafeBufferPointer { samples in
      payload.withUnsafeMutableBytes { payload in
        opus_encode_float(
          state, samples.baseAddress!, Int32(samples.count / channelCount), payload.assumingMemoryBound(to: UInt8.self).baseAddress!,
          Int32(payload.count))
      }
    }
    guard count > 0 else { throw .library(count) }
    return Int(count)
  }

  package func setComplexity(_ complexity: Int) {
    let result = enfilade_opus_encoder_set(state, OPUS_SET_COMPLEXITY_REQUEST, Int32(max(0, min(10, complexity))))
    assert(result == OPUS_OK, "libopus takes every complexity from 0 to 10")
  }

  package func setIsolated(_ isIsolated: Bool) {
    let result = enfilade_opus_encoder_set(state, OPUS_SET_PREDICTION_DISABLED_REQUEST, isIsolated ? 1 : 0)
    assert(result == OPUS_OK, "libopus can do without prediction")
  }

  package func reset() {
    let result = enfilade_opus_encoder_reset(state)
    assert(result == OPUS_OK, "an encoder can always begin anew")
  }
}
