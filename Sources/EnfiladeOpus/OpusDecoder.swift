// Decoding Opus (RFC 6716) by libopus.

import COpus
package import EnfiladeMixing
import EnfiladeWire

/// One source's decoder.
package final class OpusDecoder: AudioDecoder {
  private let state: OpaquePointer
  private let channelCount: Int

  /// - Parameter channelCount: one or two; a packet of the other kind is mixed down, or said twice.
  package init(channelCount: Int) throws(AudioCodecError) {
    var failure: Int32 = OPUS_OK
    guard let state = opus_decoder_create(Int32(Limits.mixSampleRate), Int32(channelCount), &failure) else { throw .library(failure) }
    self.state = state
    self.channelCount = channelCount
  }

  deinit { opus_decoder_destroy(state) }

  package func sampleCount(of payload: RawSpan) -> Int? {
    let count = payload.withUnsafeBytes { bytes in
      bytes.count == 0
        ? -1
        : opus_packet_get_nb_samples(
          bytes.assumingMemoryBound(to: UInt8.self).baseAddress!, Int32(bytes.count), Int32(Limits.mixSampleRate))
    }
    return count > 0 ? Int(count) : nil
  }

  package func decode(_ payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) -> Int {
    guard payload.byteCount > 0 else { throw .malformedPacket }
    let count = run(payload, into: &samples, recovers: false)
    guard count > 0 else { throw error(count) }
    return Int(count)
  }

  package func recover(before payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) {
    guard payload.byteCount > 0 else { throw .malformedPacket }
    try fill(&samples, count: run(payload, into: &samples, recovers: true))
  }

  package func conceal(into samples: inout MutableSpan<Float>) throws(AudioCodecError) {
    let count = samples.withUnsafeMutableBufferPointer { samples in
      // Made up in steps of 2.5 ms (opus_decoder(3)): what is over stays silent, which below that length nobody hears.
      opus_decode_float(state, nil, 0, samples.baseAddress!, Int32(samples.count / channelCount / 120 * 120), 0)
    }
    try fill(&samples, count: count)
  }

  package func reset() { _ = enfilade_opus_decoder_reset(state) }

  private func run(_ payload: RawSpan, into samples: inout MutableSpan<Float>, recovers: Bool) -> Int32 {
    let capacity = Int32(samples.count / channelCount)
    return payload.withUnsafeBytes { bytes in
      samples.withUnsafeMutableBufferPointer { samples in
        opus_decode_float(
          state, bytes.assumingMemoryBound(to: UInt8.self).baseAddress!, Int32(bytes.count), samples.baseAddress!,
          recovers ? capacity / 120 * 120 : capacity, recovers ? 1 : 0)
      }
    }
  }

  /// What was written covers everything, or the rest is silence.
  private func fill(_ samples: inout MutableSpan<Float>, count: Int32) throws(AudioCodecError) {
    guard count >= 0 else { throw error(count) }
    for index in Int(count) * channelCount..<samples.count { samples[index] = 0 }
  }

  private func error(_ code: Int32) -> AudioCodecError {
    switch code {
    case OPUS_INVALID_PACKET: .malformedPacket
    case OPUS_BUFFER_TOO_SMALL: .noRoom
    default: .library(code)
    }
  }
}
