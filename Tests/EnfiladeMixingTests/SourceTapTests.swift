// One source's sound for the application: all of it, at its time, and nothing of it while it is muted.

import EnfiladeRTP
import EnfiladeWire
import Foundation
import Testing

@testable import EnfiladeMixing

/// Packets that carry their number, and decode to 20 ms of one tone that goes on from packet to packet.
private struct NumberedCodecs: AudioCodecFactory {
  static let frequency = 440.0
  static let amplitude = 0.2

  func makeDecoder(_ codec: Codec, channelCount: Int) throws(AudioCodecError) -> any AudioDecoder {
    guard codec != .pcma else { throw .unsupportedCodec(codec) }
    return NumberedDecoder(channelCount: channelCount)
  }
  func makeEncoder(_ settings: EncoderSettings) throws(AudioCodecError) -> any AudioEncoder { throw .unsupportedCodec(settings.codec) }
}

private final class NumberedDecoder: AudioDecoder {
  private let channelCount: Int
  init(channelCount: Int) { self.channelCount = channelCount }

  func sampleCount(of payload: RawSpan) -> Int? { payload.byteCount == 8 ? 960 : nil }
  func decode(_ payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) -> Int {
    let number = Int(truncatingIfNeeded: payload.loadUInt64(at: 0))
    for index in 0..<960 {
      let phase = 2 * Double.pi * NumberedCodecs.frequency * Double(number * 960 + index) / 48_000
      for channel in 0..<channelCount { samples[index * channelCount + channel] = Float(NumberedCodecs.amplitude * sin(phase)) }
    }
    return 960
  }
  func recover(before payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) { try conceal(into: &samples) }
  func conceal(into samples: inout MutableSpan<Float>) throws(AudioCodecError) {
    for index in 0..<samples.count { samples[index] = 0 }
  }
  func reset() {}
}

/// A tap, a clock in samples, and a source that sends a packet every 20 ms.
private struct TapWorld: ~Copyable {
  var tap: SourceTap
  var now: Int64 = 0
  var random: SeededRandom
  private var flights: [(at: Int64, number: Int64)] = []
  private var next: Int64 = 0
  var isSending = true
  /// Packets are delayed by up to this many samples.
  var jitter: Int64 = 0
  var blocks: [(time: Int64, samples: [Float], level: Float)] = []

  init(seed: UInt64, channelCount: Int = 1) {
    tap = SourceTap(channelCount: channelCount, codecs: NumberedCodecs())
    random = SeededRandom(seed: seed)
  }

  mutating func run(milliseconds: Int64) {
    let end = now + milliseconds * 48
    while now < end {
      if now % 960 == 0 {
        if isSending { flights.append((now + (jitter > 0 ? Int64.random(in: 0...jitter, using: &random) : 0), next)) }
        next += 1
      }
      for flight in flights where flight.at <= now { send(flight.number) }
      flights.removeAll { $0.at <= now }
      while let due = tap.nextTime, due <= now {
        guard let time = tap.handleTimeout(at: now) else { continue }
        var samples: [Float] = []
        for index in 0..<tap.samples.count { samples.append(tap.samples[index]) }
        blocks.append((time, samples, tap.level))
      }
      now += 48
    }
  }

  mutating func send(_ number: Int64, codec: Codec = .opus) {
    let payload = (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * Int64($0))) }
    tap.handlePacket(
      payload.span.bytes, codec: codec, sequence: ExtendedSequenceNumber(number), timestamp: RTPTimestamp(UInt32(number * 960)),
      isRedundant: false, at: now)
  }
}

@Suite("A tap on one source")
struct SourceTapTests {
  @Test("All that a source says is given once and without a seam, whatever its packets' delays", arguments: [Int64(0), 1_440], [1, 2])
  func whole(jitter: Int64, channelCount: Int) {
    var world = TapWorld(seed: 1, channelCount: channelCount)
    world.jitter = jitter
    world.run(milliseconds: 4_000)
    let tail = world.blocks.suffix(100)
    #expect(world.blocks.count > 180)
    for (one, next) in zip(world.blocks, world.blocks.dropFirst()) { #expect(next.time - one.time == 960) }
    let samples = tail.flatMap(\.samples)
    #expect(samples.count == 100 * 960 * channelCount)
    let first = Swift.stride(from: 0, to: samples.count, by: channelCount).map { samples[$0] }
    let step = zip(first, first.dropFirst()).map { abs($1 - $0) }.max() ?? 1
    let own = Float(NumberedCodecs.amplitude * 2 * Double.pi * NumberedCodecs.frequency / 48_000)
    let power = 10 * log10(first.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(first.count))
    print("tap: jitter \(jitter / 48) ms, \(channelCount) channels: \(power) dB, largest step \(step) of \(own)")
    #expect(step < own * 1.1)
    #expect(abs(power - -16.99) < 0.1)
    #expect(tail.allSatisfy { abs($0.level - -16.99) < 1 })
  }

  @Test("While nothing comes nothing is given and no time is wanted; afterwards it goes on at the right time")
  func pause() {
    var world = TapWorld(seed: 2)
    #expect(world.tap.nextTime == nil)
    world.run(milliseconds: 1_000)
    let before = world.blocks.last?.time ?? 0
    world.isSending = false
    world.run(milliseconds: 3_000)
    #expect(world.tap.nextTime == nil)
    let silent = world.blocks.count
    world.isSending = true
    let resumed = world.now
    world.run(milliseconds: 1_000)
    let first = world.blocks[silent].time
    print("tap: paused for \((first - before) / 48) ms, and on \((first - resumed) / 48) ms after the first packet")
    #expect(first >= resumed && first < resumed + 100 * 48)
    for (one, next) in zip(world.blocks, world.blocks.dropFirst()) { #expect(next.time > one.time && (next.time - one.time) % 960 == 0) }
  }

  @Test("What came before it was muted, and what comes meanwhile, is never given")
  func muted() {
    var world = TapWorld(seed: 3)
    world.run(milliseconds: 1_000)
    world.tap.setMuted(true)
    let count = world.blocks.count
    world.run(milliseconds: 500)
    #expect(world.blocks.count == count)
    #expect(world.tap.nextTime == nil)
    world.tap.setMuted(false)
    let unmuted = world.now
    world.run(milliseconds: 500)
    #expect(world.blocks.count > count + 15)
    #expect(world.blocks.dropFirst(count).allSatisfy { $0.time + 960 > unmuted })
  }

  @Test("What nothing here can decode is counted")
  func unsupported() {
    var world = TapWorld(seed: 4)
    world.send(0, codec: .pcma)
    world.send(1, codec: .vp8)
    #expect(world.tap.unsupportedCount == 2)
    #expect(world.tap.nextTime == nil)
  }
}
