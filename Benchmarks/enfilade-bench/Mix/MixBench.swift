// One room's mixture, driven as fast as it goes: packets in, ticks, packets out, and nothing else.

import CAllocationCounter
import EnfiladeIO
import EnfiladeMixing
import EnfiladeOpus
import EnfiladeRTP
import EnfiladeWire
import Foundation

/// One row of the table.
struct MixCost: Codable {
  var speakers: Int
  var listeners: Int
  var microsecondsPerTick: Double
  /// Of one processor, at fifty ticks a second.
  var shareOfCore: Double
  /// Such rooms that one processor mixes.
  var roomsPerCore: Double
  var encodesPerTick: Double
  var mallocsPerTick: Double
}

/// Makes voices once, and measures rooms with them.
struct MixBench {
  /// Two seconds of voice, which repeat.
  static let packetCount = 100

  private let configuration: AudioMixer.Configuration
  /// Two voices' packets, in turns.
  private let packets: [[[UInt8]]]

  init(_ configuration: AudioMixer.Configuration) throws {
    self.configuration = configuration
    packets = try [110.0, 190].map(Self.voice)
  }

  /// Something like a voice: a rich tone whose pitch and loudness move.
  static func voice(_ pitch: Double) throws -> [[UInt8]] {
    let encoder = try OpusEncoder(EncoderSettings(bitrate: 32_000))
    var phase = 0.0
    return try (0..<packetCount).map { packet in
      let samples = (0..<960).map { index in
        let time = Double(packet * 960 + index) / 48_000
        phase += 2 * Double.pi * pitch * (1 + 0.1 * sin(2 * Double.pi * 1.5 * time)) / 48_000
        let loudness = 0.6 - 0.4 * cos(2 * Double.pi * 4 * time)
        return Float(0.1 * loudness * (1...12).reduce(0.0) { $0 + sin(phase * Double($1)) / Double($1) })
      }
      var bytes = [UInt8](repeating: 0, count: 1_276)
      var span = bytes.mutableSpan
      var target = span.mutableBytes
      let count = try encoder.encode(samples.span, into: &target)
      return Array(bytes.prefix(count))
    }
  }

  func measure(speakers: Int, listeners: Int, seconds: Int) throws -> MixCost {
    var mixer = AudioMixer(configuration, codecs: OpusCodecs(), epoch: .zero)
    let sources = (0..<speakers).compactMap { mixer.addSource(UInt64($0), owner: UInt64($0)) }
    for listener in 0..<speakers + listeners { _ = mixer.addListener(UInt64(listener), owner: UInt64(listener)) }
    // A second to get under way: decoders, encoders, who is heard.
    var packet = run(&mixer, sources, ticks: 50, from: 0)
    let before = (
      encodes: mixer.statistics.encodes, mallocs: enfilade_allocation_count(enfilade_thread_number()),
      time: MonotonicClock.threadProcessorTime
    )
    let ticks = seconds * 50
    packet = run(&mixer, sources, ticks: ticks, from: packet)
    let time = MonotonicClock.threadProcessorTime - before.time
    let mallocs = enfilade_allocation_count(enfilade_thread_number()) - before.mallocs
    let microseconds = Double(time.nanoseconds) / 1_000 / Double(ticks)
    return MixCost(
      speakers: speakers, listeners: listeners, microsecondsPerTick: microseconds, shareOfCore: microseconds / 20_000,
      roomsPerCore: 20_000 / max(0.001, microseconds),
      encodesPerTick: Double(mixer.statistics.encodes - before.encodes) / Double(ticks), mallocsPerTick: Double(mallocs) / Double(ticks))
  }

  /// Gives the number of the packet that comes next.
  private func run(_ mixer: inout AudioMixer, _ sources: [Int32], ticks: Int, from first: Int) -> Int {
    for number in first..<first + ticks {
      let now = Instant.zero + Limits.mixTick * Int64(number + 1)
      for (position, source) in sources.enumerated() {
        let payload = packets[position % 2][number % Self.packetCount]
        mixer.handlePacket(
          of: source, payload: payload.span.bytes, codec: .opus,
          sequence: ExtendedSequenceNumber(Int64(number)), timestamp: RTPTimestamp(UInt32(truncatingIfNeeded: number * 960)),
          level: AudioLevel(level: UInt8(20 + position % 40), hasVoice: true), at: now)
      }
      mixer.handleTimeout(at: now)
      while mixer.pollMove() != nil {}
      while mixer.pollAttention() != nil {}
      while mixer.pollOutput() != nil {}
    }
    return first + ticks
  }
}
