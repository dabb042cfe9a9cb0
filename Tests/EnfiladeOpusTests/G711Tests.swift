// G.711's two tables, and its decoder.

import EnfiladeMixing
import EnfiladeRTP
import EnfiladeWire
import Foundation
import Testing

@Suite("G.711")
struct G711Tests {
  @Test(
    "Known bytes have the samples that ITU-T G.711 gives them",
    arguments: [
      (G711Law.a, UInt8(0xD5), Int16(8)), (.a, 0x55, -8), (.a, 0xAA, 32_256), (.a, 0x2A, -32_256),
      (.mu, 0xFF, 0), (.mu, 0x80, 32_124), (.mu, 0x00, -32_124), (.mu, 0xFE, 8),
    ])
  func knownBytes(law: G711Law, byte: UInt8, sample: Int16) {
    #expect(law.sample(of: byte) == sample)
  }

  @Test("Every byte survives the way to a sample and back", arguments: G711Law.allCases)
  func roundTrip(law: G711Law) {
    for byte in UInt8.min...UInt8.max {
      // µ-law has two zeros.
      if law == .mu, byte == 0x7F { continue }
      #expect(law.byte(of: law.sample(of: byte)) == byte, "\(byte)")
    }
  }

  @Test("Every sample comes back within half a step of its segment", arguments: G711Law.allCases)
  func quantization(law: G711Law) {
    for sample in stride(from: Int16.min, through: Int16.max - 7, by: 7) {
      let error = abs(Int(law.sample(of: law.byte(of: sample))) - Int(sample))
      // Sixteen steps in each doubling: half of one is a thirty-second. Beyond the largest code there is clipping.
      #expect(error <= max(16, abs(Int(sample)) / 32 + 16) || abs(Int(sample)) > 32_100, "\(sample)")
    }
  }

  @Test("A tone decodes to 48 kHz with its images 40 dB down")
  func interpolation() throws {
    let decoder = G711Decoder(.a, channelCount: 1)
    var heard: [Float] = []
    for packet in 0..<50 {
      let payload = (0..<160).map { index in
        G711Law.a.byte(of: Int16(10_000 * sin(2 * Double.pi * 1_000 * Double(packet * 160 + index) / 8_000)))
      }
      var samples = [Float](repeating: 0, count: 960)
      var target = samples.mutableSpan
      #expect(try decoder.decode(payload.span.bytes, into: &target) == 960)
      heard += samples
    }
    let level = toneLevel(1_000, in: heard[9_600..<38_400])
    #expect(abs(level - 20 * log10(10_000 / 32_768)) < 0.2)
    for image in [7_000.0, 9_000, 15_000, 17_000] { #expect(toneLevel(image, in: heard[9_600..<38_400]) < level - 40, "\(image)") }
  }

  @Test("What is lost is repeated, and fades to silence within 60 ms")
  func concealment() throws {
    let decoder = G711Decoder(.mu, channelCount: 1)
    var samples = [Float](repeating: 0, count: 960)
    for packet in 0..<10 {
      let payload = (0..<160).map { G711Law.mu.byte(of: Int16(10_000 * sin(2 * Double.pi * 200 * Double(packet * 160 + $0) / 8_000))) }
      var target = samples.mutableSpan
      _ = try decoder.decode(payload.span.bytes, into: &target)
    }
    var levels: [Double] = []
    for _ in 0..<5 {
      var target = samples.mutableSpan
      try decoder.conceal(into: &target)
      levels.append(toneLevel(200, in: samples[...]))
    }
    #expect(levels[0] > -16)
    #expect(levels[1] < levels[0] && levels[2] < levels[1])
    #expect(samples.allSatisfy { abs($0) < 1e-3 })
  }

  @Test("An empty payload, and one longer than 120 ms, are refused")
  func hostile() {
    let decoder = G711Decoder(.a, channelCount: 1)
    #expect(decoder.sampleCount(of: [UInt8]().span.bytes) == nil)
    #expect(decoder.sampleCount(of: [UInt8](repeating: 0, count: 961).span.bytes) == nil)
  }
}

@Suite("G.711 on the way out")
struct G711EncoderTests {
  /// What a decoder makes of what the encoder made of one second of a tone.
  private static func pass(_ frequency: Double, _ law: G711Law) throws -> [Float] {
    let encoder = G711Encoder(law, channelCount: 1)
    let decoder = G711Decoder(law, channelCount: 1)
    let signal = tone(frequency, 0.4)
    var heard: [Float] = []
    for tick in 0..<50 {
      let samples = (0..<960).map { Float(signal(Int64(tick * 960 + $0))) }
      var payload = [UInt8](repeating: 0, count: 160)
      var target = payload.mutableSpan
      var raw = target.mutableBytes
      #expect(try encoder.encode(samples.span, into: &raw) == 160)
      var decoded = [Float](repeating: 0, count: 960)
      var room = decoded.mutableSpan
      #expect(try decoder.decode(payload.span.bytes, into: &room) == 960)
      heard += decoded
    }
    return Array(heard.suffix(38_400))
  }

  @Test("What a telephone carries passes within 1 dB, and what would fold back is 60 dB down", arguments: G711Law.allCases)
  func band(law: G711Law) throws {
    let level = 20 * log10(0.4)
    for frequency in [200.0, 1_000, 2_000, 3_000] {
      let passed = toneLevel(frequency, in: try Self.pass(frequency, law)[...])
      print("G.711 \(law): \(frequency) Hz at \(passed - level) dB")
      #expect(abs(passed - level) < 1)
    }
    for frequency in [4_500.0, 5_000, 7_000, 9_000] {
      let alias = abs(frequency - 8_000)
      let folded = toneLevel(alias, in: try Self.pass(frequency, law)[...])
      print("G.711 \(law): \(frequency) Hz comes as \(alias) Hz at \(folded - level) dB")
      #expect(folded - level < -60)
    }
  }
}
