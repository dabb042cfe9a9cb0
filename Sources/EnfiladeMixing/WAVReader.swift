// Sound from WAV files (RIFF, Multimedia Programming Interface and Data Specifications 1.0, §3; RFC 2361), piece by piece as the bytes come.
//
//     RIFF ── WAVE ── chunks that are passed over ── fmt ── … ── data ── everything behind it is passed over

/// Reads linear PCM of 16, 24 and 32 bits and floating point of 32 and 64, in one or two channels. Keeps no more than one unfinished sample.
package struct WAVReader: Sendable {
  /// How a file's samples are written.
  package enum Encoding: Hashable, Sendable {
    case integer(byteCount: Int)
    case float(byteCount: Int)
  }

  /// What a file's header says.
  package struct Format: Hashable, Sendable {
    package var encoding: Encoding
    package var channelCount: Int
    package var sampleRate: Int
    /// Samples for each channel; `nil` where the file does not say, because it was written as it came.
    package var sampleCount: Int?
  }

  private enum State: Hashable {
    case riff
    case chunkHeader
    case format(byteCount: Int)
    /// Bytes that are left of what is not read.
    case skipping(Int)
    /// Bytes that are left of the sound; `nil` for all that come.
    case data(Int?)
    case over
  }

  /// Rates that are played: from half a telephone's to eight times our own.
  package static let sampleRates = 4_000...384_000
  /// A description of the format longer than this is none.
  private static let longestFormat = 4_096

  private var state = State.riff
  /// What was not enough to be read.
  private var pending: [UInt8] = []
  private var encoding: Encoding?
  private var frameByteCount = 0
  /// As far as it is known.
  package private(set) var format: Format?

  package init() {}

  /// The sound has begun: all that the header says is known.
  package var hasBegun: Bool {
    switch state {
    case .data, .over: true
    default: false
    }
  }
  /// The sound is over; what comes is passed over.
  package var isOver: Bool { state == .over }

  /// Takes the next bytes of the file, and gives the samples in them: in −1…1, channels side by side.
  package mutating func read(_ bytes: some Collection<UInt8>) throws(SoundFileError) -> [Float] {
    var samples: [Float] = []
    pending += bytes
    var position = 0
    while try step(&position, into: &samples) {}
    pending.removeFirst(min(position, pending.count))
    return samples
  }

  /// The file is over. - Throws: where it ended before its sound began.
  package func finish() throws(SoundFileError) { if !hasBegun { throw .truncated } }

  /// Takes the next part of the file, if there is enough of it.
  private mutating func step(_ position: inout Int, into samples: inout [Float]) throws(SoundFileError) -> Bool {
    let available = pending.count - position
    switch state {
    case .riff:
      guard available >= 12 else { return false }
      guard text(at: position) == "RIFF", text(at: position + 8) == "WAVE" else { throw .unknownFormat }
      position += 12
      state = .chunkHeader
    case .chunkHeader:
      guard available >= 8 else { return false }
      try beginChunk(text(at: position), byteCount: Int(number(at: position + 4, byteCount: 4)))
      position += 8
    case .format(let byteCount):
      guard available >= byteCount else { return false }
      try readFormat(at: position, byteCount: byteCount)
      position += byteCount
      // RIFF §2: a chunk of an odd length has one more byte.
      state = byteCount & 1 == 1 ? .skipping(1) : .chunkHeader
    case .skipping(let count):
      let taken = min(count, available)
      position += taken
      state = taken == count ? .chunkHeader : .skipping(count - taken)
      return taken == count
    case .data(let count):
      let taken = min(count ?? available, available) / frameByteCount * frameByteCount
      decode(position..<position + taken, into: &samples)
      position += taken
      guard let count else { return false }
      // A last piece shorter than a frame is none.
      state = count - taken < frameByteCount ? .over : .data(count - taken)
      return state == .over
    case .over:
      position += available
      return false
    }
    return true
  }

  private mutating func beginChunk(_ name: String, byteCount: Int) throws(SoundFileError) {
    switch name {
    case "fmt ":
      guard encoding == nil else { throw .malformed("it describes its format twice") }
      guard (16...Self.longestFormat).contains(byteCount) else { throw .malformed("the description of its format has \(byteCount) bytes") }
      state = .format(byteCount: byteCount)
    case "data":
      guard encoding != nil, format != nil else { throw .malformed("its sound comes before the description of its format") }
      // Writers that cannot go back leave zero, or all ones.
      let isOpenEnded = byteCount == 0 || byteCount == 0xFFFF_FFFF
      format?.sampleCount = isOpenEnded ? nil : byteCount / frameByteCount
      state = isOpenEnded ? .data(nil) : byteCount < frameByteCount ? .over : .data(byteCount)
    default: state = .skipping(byteCount + byteCount & 1)
    }
  }

  private mutating func readFormat(at position: Int, byteCount: Int) throws(SoundFileError) {
    var tag = number(at: position, byteCount: 2)
    let channelCount = Int(number(at: position + 2, byteCount: 2))
    let sampleRate = Int(number(at: position + 4, byteCount: 4))
    let blockByteCount = Int(number(at: position + 12, byteCount: 2))
    let bitCount = Int(number(at: position + 14, byteCount: 2))
    // WAVEFORMATEXTENSIBLE: the tag stands at the beginning of a GUID.
    if tag == 0xFFFE, byteCount >= 40 { tag = number(at: position + 24, byteCount: 2) }
    let encoding: Encoding
    switch (tag, bitCount) {
    case (1, 16), (1, 24), (1, 32): encoding = .integer(byteCount: bitCount / 8)
    case (3, 32), (3, 64): encoding = .float(byteCount: bitCount / 8)
    default: throw .unsupported("samples of format \(tag) with \(bitCount) bits")
    }
    guard 1...2 ~= channelCount else { throw .unsupported("\(channelCount) channels") }
    guard Self.sampleRates.contains(sampleRate) else { throw .unsupported("\(sampleRate) samples in a second") }
    guard blockByteCount == channelCount * bitCount / 8 else { throw .malformed("a sample of all channels has \(blockByteCount) bytes") }
    self.encoding = encoding
    frameByteCount = blockByteCount
    format = Format(encoding: encoding, channelCount: channelCount, sampleRate: sampleRate)
  }

  private func decode(_ range: Range<Int>, into samples: inout [Float]) {
    guard let encoding else { return }
    switch encoding {
    case .integer(let byteCount):
      let scale = 1 / Float(UInt64(1) << UInt64(8 * byteCount - 1))
      samples.reserveCapacity(samples.count + range.count / byteCount)
      for start in stride(from: range.lowerBound, to: range.upperBound, by: byteCount) {
        let shift = UInt64(64 - 8 * byteCount)
        let value = Int64(bitPattern: number(at: start, byteCount: byteCount) << shift) >> Int64(shift)
        samples.append(Float(value) * scale)
      }
    case .float(let byteCount):
      samples.reserveCapacity(samples.count + range.count / byteCount)
      for start in stride(from: range.lowerBound, to: range.upperBound, by: byteCount) {
        let bits = number(at: start, byteCount: byteCount)
        let value = byteCount == 4 ? Float(bitPattern: UInt32(bits)) : Float(Double(bitPattern: bits))
        samples.append(value.isFinite ? max(-1, min(1, value)) : 0)
      }
    }
  }

  /// A number, the least significant byte first.
  private func number(at position: Int, byteCount: Int) -> UInt64 {
    var number: UInt64 = 0
    for index in 0..<byteCount { number |= UInt64(pending[position + index]) << UInt64(8 * index) }
    return number
  }

  private func text(at position: Int) -> String { String(decoding: pending[position..<position + 4], as: UTF8.self) }
}
