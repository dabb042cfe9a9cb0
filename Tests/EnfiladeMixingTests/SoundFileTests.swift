// WAV and Ogg Opus files: what is read, what is left out, and what is refused.

import EnfiladeMixing
import EnfiladeWire
import Foundation
import Testing

/// A WAV file of samples in −1…1, channels side by side.
func makeWAV(
  _ samples: [Double], sampleRate: Int = 48_000, channelCount: Int = 1, tag: Int = 1, bitCount: Int = 16, extensible: Bool = false,
  junk: Int? = nil, dataByteCount: Int? = nil
) -> [UInt8] {
  func little(_ value: UInt64, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }
  let byteCount = bitCount / 8
  var data: [UInt8] = []
  for sample in samples {
    switch (tag, bitCount) {
    case (3, 32): data += little(UInt64(Float(sample).bitPattern), 4)
    case (3, 64): data += little(sample.bitPattern, 8)
    default:
      let full = Double(UInt64(1) << UInt64(bitCount - 1))
      data += little(UInt64(bitPattern: Int64(max(-full, min(full - 1, (sample * full).rounded())))), byteCount)
    }
  }
  let block = channelCount * byteCount
  var format = little(extensible ? 0xFFFE : UInt64(tag), 2) + little(UInt64(channelCount), 2) + little(UInt64(sampleRate), 4)
  format += little(UInt64(sampleRate * block), 4) + little(UInt64(block), 2) + little(UInt64(bitCount), 2)
  if extensible {
    format += little(22, 2) + little(UInt64(bitCount), 2) + little(3, 4) + little(UInt64(tag), 2) + [UInt8](repeating: 0x5A, count: 14)
  }
  var body = Array("WAVE".utf8)
  if let junk { body += Array("LIST".utf8) + little(UInt64(junk), 4) + [UInt8](repeating: 0x41, count: junk + junk & 1) }
  body += Array("fmt ".utf8) + little(UInt64(format.count), 4) + format
  body += Array("data".utf8) + little(UInt64(dataByteCount ?? data.count), 4) + data
  return Array("RIFF".utf8) + little(UInt64(body.count), 4) + body
}

/// An Ogg page with a checksum that fits.
func makePage(
  _ packets: [[UInt8]], granule: Int64, number: Int, flags: UInt8 = 0, serial: UInt32 = 7, isOpen: Bool = false
) -> [UInt8] {
  func little(_ value: UInt64, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }
  var segments: [UInt8] = []
  for (index, packet) in packets.enumerated() {
    segments += [UInt8](repeating: 255, count: packet.count / 255)
    if !(isOpen && index == packets.count - 1) { segments.append(UInt8(packet.count % 255)) }
  }
  var page =
    Array("OggS".utf8) + [0, flags] + little(UInt64(bitPattern: granule), 8) + little(UInt64(serial), 4) + little(UInt64(number), 4)
  page += [0, 0, 0, 0, UInt8(segments.count)] + segments + packets.flatMap { $0 }
  // RFC 3533 §6, bit by bit.
  var checksum: UInt32 = 0
  for byte in page {
    checksum ^= UInt32(byte) << 24
    for _ in 0..<8 { checksum = checksum & 0x8000_0000 != 0 ? checksum << 1 ^ 0x04C1_1DB7 : checksum << 1 }
  }
  for index in 0..<4 { page[22 + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * index)) }
  return page
}

func makeHead(channelCount: Int = 1, preSkip: Int = 312, gain: Int = 0, version: UInt8 = 1, family: UInt8 = 0) -> [UInt8] {
  let gain = UInt16(bitPattern: Int16(gain))
  return Array("OpusHead".utf8) + [version, UInt8(channelCount), UInt8(preSkip & 0xFF), UInt8(preSkip >> 8), 0x80, 0xBB, 0, 0]
    + [UInt8(gain & 0xFF), UInt8(gain >> 8), family]
}
let opusTags = Array("OpusTags".utf8) + [0, 0, 0, 0, 0, 0, 0, 0]

@Suite("WAV files")
struct WAVReaderTests {
  private static let sound = (0..<960).map { 0.9 * sin(Double($0) / 7) }

  @Test(
    "Samples of every kind are read back, in one and two channels",
    arguments: [(1, 16, 3e-5), (1, 24, 1.2e-7), (1, 32, 6e-8), (3, 32, 6e-8), (3, 64, 6e-8)], [1, 2])
  func kinds(_ kind: (tag: Int, bitCount: Int, error: Double), channelCount: Int) throws {
    for extensible in [false, true] {
      let file = makeWAV(
        Self.sound, sampleRate: 44_100, channelCount: channelCount, tag: kind.tag, bitCount: kind.bitCount, extensible: extensible, junk: 33
      )
      var reader = WAVReader()
      var samples: [Float] = []
      for start in stride(from: 0, to: file.count, by: 37) { samples += try reader.read(file[start..<min(file.count, start + 37)]) }
      try reader.finish()
      #expect(samples.count == Self.sound.count)
      #expect(zip(samples, Self.sound).allSatisfy { abs(Double($0) - $1) <= kind.error })
      let format = try #require(reader.format)
      #expect(format.channelCount == channelCount)
      #expect(format.sampleRate == 44_100)
      #expect(format.sampleCount == .some(960 / channelCount))
      #expect(reader.isOver)
    }
  }

  @Test("A file that was written as it came plays to its end", arguments: [0, 0xFFFF_FFFF])
  func openEnded(byteCount: Int) throws {
    var reader = WAVReader()
    let samples = try reader.read(makeWAV(Self.sound, dataByteCount: byteCount))
    #expect(samples.count == 960)
    #expect(reader.format?.sampleCount == Int?.none)
  }

  @Test("What is not played is refused with its reason")
  func refusals() {
    func error(_ bytes: [UInt8]) -> SoundFileError? {
      var reader = WAVReader()
      do throws(SoundFileError) {
        _ = try reader.read(bytes)
        try reader.finish()
        return nil
      } catch { return error }
    }
    let six = [Double](repeating: 0, count: 12)
    #expect(error(Array("RIFX0000WAVEfmt ".utf8)) == .some(.unknownFormat))
    #expect(error(makeWAV(six, channelCount: 6)) == .some(.unsupported("6 channels")))
    #expect(error(makeWAV(six, bitCount: 8)) == .some(.unsupported("samples of format 1 with 8 bits")))
    #expect(error(makeWAV(six, tag: 17)) == .some(.unsupported("samples of format 17 with 16 bits")))
    #expect(error(makeWAV(six, sampleRate: 1_000_000)) == .some(.unsupported("1000000 samples in a second")))
    #expect(error(Array(makeWAV(six).prefix(30))) == .some(.truncated))
    var block = makeWAV(six)
    block[32] = 3
    #expect(error(block) == .some(.malformed("a sample of all channels has 3 bytes")))
    let early = Array("RIFF0000WAVEdata".utf8) + [4, 0, 0, 0, 1, 2, 3, 4]
    #expect(error(early) == .some(.malformed("its sound comes before the description of its format")))
  }

  @Test("What is no number in a file is silence, and what is too loud is full scale")
  func wild() throws {
    var reader = WAVReader()
    let samples = try reader.read(makeWAV([.nan, .infinity, -.infinity, 3, -3, 0.5], tag: 3, bitCount: 32))
    #expect(samples == [0, 0, 0, 1, -1, 0.5])
  }

  @Test("Every truncation and every flipped bit is an error or a sound, and never a trap")
  func hostile() {
    let file = makeWAV(Array(Self.sound.prefix(40)), channelCount: 2, bitCount: 24, extensible: true, junk: 5)
    #expect(violation(ofWAV: file) == nil)
    for count in 0..<file.count { #expect(violation(ofWAV: Array(file.prefix(count))) == nil) }
    for bit in 0..<min(file.count, 100) * 8 {
      var changed = file
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(violation(ofWAV: changed) == nil)
    }
  }
}

@Suite("Ogg Opus files")
struct OggOpusReaderTests {
  /// A CELT packet of 20 ms in one channel.
  private static func packet(_ number: Int, count: Int = 40) -> [UInt8] { [0xF8] + [UInt8](repeating: UInt8(number & 0xFF), count: count) }

  private static func file(packets: Int = 10, preSkip: Int = 312, end: Int64? = nil, gain: Int = 0) -> [UInt8] {
    var bytes = makePage([makeHead(preSkip: preSkip, gain: gain)], granule: 0, number: 0, flags: 2)
    bytes += makePage([opusTags], granule: 0, number: 1)
    let half = packets / 2
    bytes += makePage((0..<half).map { packet($0) }, granule: Int64(half * 960), number: 2)
    return bytes
      + makePage((half..<packets).map { packet($0) }, granule: end ?? Int64(packets * 960), number: 3, flags: 4)
  }

  private static func read(_ bytes: [UInt8]) throws -> (packets: [FilePacket], reader: OggOpusReader) {
    var reader = OggOpusReader()
    var packets: [FilePacket] = []
    for start in stride(from: 0, to: bytes.count, by: 61) { packets += try reader.read(bytes[start..<min(bytes.count, start + 61)]) }
    try reader.finish()
    return (packets, reader)
  }

  @Test("Packets come out as they went in, and the head is known")
  func packets() throws {
    let (packets, reader) = try Self.read(Self.file(gain: -1_280))
    #expect(packets.map(\.payload) == (0..<10).map { Self.packet($0) })
    #expect(packets.allSatisfy { $0.sampleCount == 960 })
    let head = try #require(reader.head)
    #expect(head.channelCount == 1 && head.preSkip == 312 && head.outputGain == -1_280)
    #expect(reader.isOver)
  }

  @Test("The pre-skip is left out at the beginning, and what lies behind the last position at the end")
  func trimming() throws {
    let (packets, _) = try Self.read(Self.file(preSkip: 2_000, end: 8_000))
    #expect(packets.map(\.leading) == [960, 960, 80, 0, 0, 0, 0, 0, 0, 0])
    // 10 packets are 9,600 samples: 1,600 too many.
    #expect(packets.map(\.trailing) == [0, 0, 0, 0, 0, 0, 0, 0, 640, 960])
    #expect(packets.map(\.isSilent) == [true, true, false, false, false, false, false, false, false, true])
  }

  @Test("A stream that was cut out of a longer one begins where its first page says, and ends so, too")
  func cutOut() throws {
    var bytes = makePage([makeHead(preSkip: 0)], granule: 0, number: 0, flags: 2) + makePage([opusTags], granule: 0, number: 1)
    bytes += makePage((0..<5).map { Self.packet($0) }, granule: 100_000, number: 2)
    bytes += makePage((5..<10).map { Self.packet($0) }, granule: 100_000 + 4_000, number: 3, flags: 4)
    let (packets, _) = try Self.read(bytes)
    #expect(packets.map(\.trailing) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 800])
  }

  @Test("A packet may go on from page to page, and the tags may be larger than anything else")
  func continued() throws {
    let large = Self.packet(9, count: 1_100)
    let tags = Array("OpusTags".utf8) + [UInt8](repeating: 0x20, count: 99_992)
    var bytes = makePage([makeHead()], granule: 0, number: 0, flags: 2)
    bytes += makePage([Array(tags.prefix(255 * 255))], granule: -1, number: 1, isOpen: true)
    bytes += makePage([Array(tags.dropFirst(255 * 255))], granule: 0, number: 2, flags: 1)
    bytes += makePage([Self.packet(1), Array(large.prefix(510))], granule: 960, number: 3, isOpen: true)
    bytes += makePage([Array(large.dropFirst(510)), Self.packet(3)], granule: 2_880, number: 4, flags: 5)
    let (packets, reader) = try Self.read(bytes)
    #expect(packets.map(\.payload) == [Self.packet(1), large, Self.packet(3)])
    #expect(reader.statistics == .init())
  }

  @Test("A damaged page is left out and counted; what follows is played")
  func damaged() throws {
    var bytes = Self.file()
    let second = makePage([makeHead()], granule: 0, number: 0, flags: 2).count + makePage([opusTags], granule: 0, number: 1).count
    bytes[second + 60] ^= 1
    let (packets, reader) = try Self.read(bytes)
    #expect(packets.map(\.payload) == (5..<10).map { Self.packet($0) })
    #expect(reader.statistics.damagedPages == 1)
  }

  @Test("Other streams of the file are passed over, and what comes behind the end of the first")
  func streams() throws {
    let other = makePage([Array("fishead".utf8) + [0, 0, 0]], granule: 0, number: 0, flags: 2, serial: 99)
    let (packets, _) = try Self.read(other + Self.file() + Self.file())
    #expect(packets.count == 10)
  }

  @Test("What is not played is refused with its reason")
  func refusals() {
    func error(_ bytes: [UInt8]) -> SoundFileError? {
      var reader = OggOpusReader()
      do throws(SoundFileError) {
        _ = try reader.read(bytes)
        try reader.finish()
        return nil
      } catch { return error }
    }
    func head(_ packet: [UInt8]) -> [UInt8] { makePage([packet], granule: 0, number: 0, flags: 2) }
    #expect(error([UInt8](repeating: 0x52, count: 64)) == .some(.unknownFormat))
    #expect(error(head(makeHead(channelCount: 6, family: 1))) == .some(.unsupported("6 channels by the mapping family 1")))
    #expect(error(head(makeHead(version: 0x10))) == .some(.unsupported("version 16 of the mapping")))
    #expect(
      error(head(makeHead()) + makePage([[1, 2, 3]], granule: 0, number: 1)) == .some(.malformed("its second packet is no OpusTags")))
    #expect(
      error(head(Array("\u{1}vorbis0".utf8)) + makePage([[1]], granule: 0, number: 1)) == .some(.unsupported("no stream of it is Opus")))
    #expect(error(head(makeHead())) == .some(.truncated))
  }

  @Test(
    "The samples of a packet are counted by its first bytes (RFC 6716 §3)",
    arguments: [
      ([0x00, 1], 480), ([0x18, 1], 2_880), ([0x68, 1], 960), ([0x80, 1], 120), ([0xF8, 1], 960), ([0xF9, 1, 2], 1_920),
      ([0xFA, 1], 1_920),
      ([0xFB, 6, 1], 5_760), ([0xFB, 7, 1], nil), ([0xFB, 0], nil), ([0xFB], nil), ([0xF9, 1], nil), ([], nil),
    ] as [([UInt8], Int?)])
  func lengths(_ packet: [UInt8], _ count: Int?) { #expect(OpusPacket.sampleCount(of: packet) == count) }

  @Test("What the recorder writes is read back")
  func recorder() throws {
    var writer = OggOpusWriter(channelCount: 2, serial: 5)
    var bytes = writer.head()
    for number in 0..<60 { writer.append(Self.packet(number), timestamp: UInt32(number * 960)) }
    bytes += writer.takePage() ?? []
    bytes += writer.finish()
    let (packets, reader) = try Self.read(bytes)
    #expect(packets.map(\.payload) == (0..<60).map { Self.packet($0) })
    #expect(reader.head?.channelCount == .some(2))
  }

  @Test("Every truncation and every flipped bit is an error or a sound, and never a trap")
  func hostile() {
    let file = Self.file(packets: 4)
    #expect(violation(ofOgg: file) == nil)
    for count in 0..<file.count { #expect(violation(ofOgg: Array(file.prefix(count))) == nil) }
    for bit in 0..<file.count * 8 {
      var changed = file
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(violation(ofOgg: changed) == nil)
    }
  }

  @Test("Every input that the fuzzers have kept holds what must hold")
  func corpus() throws {
    for (name, check) in [("wav", violation(ofWAV:)), ("ogg", violation(ofOgg:))] {
      let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fuzz/Corpus/\(name)").standardized
      let inputs = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      #expect(inputs.count >= 10)
      for input in inputs { #expect(check([UInt8](try Data(contentsOf: input))) == nil, "\(name) \(input.lastPathComponent)") }
    }
  }
}
