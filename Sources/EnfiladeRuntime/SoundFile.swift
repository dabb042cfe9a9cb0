// A sound file on its way into a room: read piece by piece, as it is played, so that its length costs no memory.

package import EnfiladeIO
package import EnfiladeMixing
import EnfiladeOpus
import EnfiladeWire

/// Why something cannot be played, or not to its end.
package enum PlaybackFailure: Error, Hashable, Sendable {
  case unreadable(IOError)
  case format(SoundFileError)
  /// A packet of the file could not be decoded.
  case codec(AudioCodecError)
}

/// Reads one file. Sendable: whoever made it hands it to the task that reads it, and uses it no more.
package final class SoundFile: @unchecked Sendable {
  /// Where the bytes are.
  package enum Bytes: Sendable {
    case path(String)
    case memory([UInt8])
  }

  /// What is to be brought next.
  package enum Piece: Sendable {
    case samples([Float])
    case packets([FilePacket])
  }

  private enum Kind {
    case wav(WAVReader, RateConverter?)
    case ogg(OggOpusReader, (any AudioDecoder)?)
  }

  /// Bytes that are read at a time.
  private static let pieceByteCount = 16_384
  /// Where the sound has not begun after so much, it is not looked for any longer: tags may hold pictures.
  private static let headByteCount = 64 << 20

  private let file: FileReader?
  private var memory: ArraySlice<UInt8>
  private var kind: Kind
  private var isAtEnd = false
  /// What came with the head.
  private var first: Piece?
  package private(set) var channelCount = 1
  /// Samples are brought, not packets.
  package private(set) var isDecoded = true
  /// Samples at 48 kHz for each channel, where the file says how many.
  package private(set) var sampleCount: Int64?

  /// Reads as far as the first sound.
  package init(_ bytes: Bytes) throws(PlaybackFailure) {
    switch bytes {
    case .path(let path):
      do { file = try FileReader(path: path) } catch { throw .unreadable(error) }
      memory = []
    case .memory(let bytes):
      file = nil
      memory = bytes[...]
    }
    kind = .wav(WAVReader(), nil)
    let head = try nextBytes()
    guard head.count >= 4 else { throw .format(.unknownFormat) }
    if head.starts(with: Array("OggS".utf8)) { kind = .ogg(OggOpusReader(), nil) }
    var readCount = head.count
    first = try take(head)
    while !hasBegun {
      guard !isAtEnd else { throw .format(.truncated) }
      guard readCount < Self.headByteCount else { throw .format(.malformed("its sound does not begin")) }
      let more = try nextBytes()
      readCount += more.count
      first = try take(more)
    }
  }

  private var hasBegun: Bool {
    switch kind {
    case .wav(let reader, _): reader.hasBegun
    case .ogg(let reader, _): reader.head != nil
    }
  }

  /// The next piece; `nil` behind the last.
  package func next() throws(PlaybackFailure) -> Piece? {
    if let piece = first {
      first = nil
      return piece
    }
    guard !isAtEnd else { return nil }
    return try take(try nextBytes())
  }

  private func nextBytes() throws(PlaybackFailure) -> [UInt8] {
    guard let file else {
      let piece = Array(memory.prefix(Self.pieceByteCount))
      memory = memory.dropFirst(piece.count)
      isAtEnd = memory.isEmpty
      return piece
    }
    do throws(IOError) {
      let piece = try file.read(upTo: Self.pieceByteCount)
      isAtEnd = piece.isEmpty
      return piece
    } catch {
      throw .unreadable(error)
    }
  }

  private func take(_ bytes: [UInt8]) throws(PlaybackFailure) -> Piece {
    do throws(SoundFileError) {
      switch kind {
      case .wav(var reader, var converter):
        let samples = try reader.read(bytes)
        if converter == nil, reader.hasBegun, let format = reader.format {
          converter = RateConverter(from: format.sampleRate, channelCount: format.channelCount)
          channelCount = format.channelCount
          sampleCount = format.sampleCount.map { Int64($0) * Int64(Limits.mixSampleRate) / Int64(format.sampleRate) }
        }
        if isAtEnd { try reader.finish() }
        var converted = converter?.convert(samples) ?? []
        if isAtEnd { converted += converter?.finish() ?? [] }
        kind = .wav(reader, converter)
        return .samples(converted)
      case .ogg(var reader, let decoder):
        let packets = try reader.read(bytes)
        if isAtEnd { try reader.finish() }
        kind = .ogg(reader, decoder)
        return try takePackets(packets, reader, decoder)
      }
    } catch {
      throw .format(error)
    }
  }

  /// Packets go on as they are, unless the file wants them louder or softer (RFC 7845 §5.1), which only a decoder can do.
  private func takePackets(
    _ packets: [FilePacket], _ reader: OggOpusReader, _ known: (any AudioDecoder)?
  ) throws(SoundFileError) -> Piece {
    guard let head = reader.head else { return .packets([]) }
    channelCount = head.channelCount
    isDecoded = head.outputGain != 0
    guard isDecoded else {
      if let large = packets.first(where: { $0.payload.count > Limits.playbackPayloadByteCount }) {
        throw .unsupported("a packet of \(large.payload.count) bytes")
      }
      return .packets(packets)
    }
    var samples: [Float] = []
    do throws(AudioCodecError) {
      let decoder: any AudioDecoder
      if let known { decoder = known } else { decoder = try OpusDecoder(channelCount: head.channelCount) }
      kind = .ogg(reader, decoder)
      let gain = Self.amplitude(decibels256: head.outputGain)
      for packet in packets { samples += try Self.decode(packet, by: decoder, head.channelCount, gain: gain) }
    } catch {
      throw .malformed("a packet of it cannot be decoded: \(error)")
    }
    return .samples(samples)
  }

  private static func decode(
    _ packet: FilePacket, by decoder: any AudioDecoder, _ channelCount: Int, gain: Float
  ) throws(AudioCodecError) -> [Float] {
    var block = [Float](repeating: 0, count: packet.sampleCount * channelCount)
    var target = block.mutableSpan
    let count = try decoder.decode(packet.payload.span.bytes, into: &target)
    guard packet.leading < count - packet.trailing else { return [] }
    return block[packet.leading * channelCount..<(count - packet.trailing) * channelCount].map { max(-1, min(1, $0 * gain)) }
  }

  /// Ten to the power of so many 5120ths: by squaring, because there is no mathematics library here.
  static func amplitude(decibels256: Int) -> Float {
    // 10^(1/5120).
    var base = 1.000_449_824_791_817_7
    var amplitude = 1.0
    var exponent = abs(decibels256)
    while exponent > 0 {
      if exponent & 1 == 1 { amplitude *= base }
      base *= base
      exponent >>= 1
    }
    return Float(decibels256 < 0 ? 1 / amplitude : amplitude)
  }
}
