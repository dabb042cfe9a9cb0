// What the mixer's tests are made of: sources whose every sample is known, and a room that hears them through a bad network.

import EnfiladeMixing
import EnfiladeOpus
import EnfiladeRTP
import EnfiladeWire
import Foundation

/// A codec that carries no sound but says which sound it stands for: the source's number and its sample time. So what a mixer makes can be compared
/// with what it should make, sample by sample.
struct KnownCodecs: AudioCodecFactory {
  /// The sample of a source at a time, in samples at 48 kHz.
  let sound: @Sendable (_ source: Int, _ time: Int64) -> Float

  func makeDecoder(_ codec: Codec, channelCount: Int) throws(AudioCodecError) -> any AudioDecoder {
    KnownDecoder(sound: sound, channelCount: channelCount)
  }

  func makeEncoder(_ settings: EncoderSettings) throws(AudioCodecError) -> any AudioEncoder { KnownEncoder() }

  /// A packet of 20 ms.
  static func payload(source: Int, time: Int64) -> [UInt8] {
    [UInt8(source)] + (0..<8).map { UInt8(truncatingIfNeeded: time >> (56 - 8 * Int64($0))) }
  }
}

final class KnownDecoder: AudioDecoder {
  private let sound: @Sendable (Int, Int64) -> Float
  private let channelCount: Int
  private var last: (source: Int, time: Int64) = (0, 0)
  private var concealedCount = 0

  init(sound: @escaping @Sendable (Int, Int64) -> Float, channelCount: Int) {
    self.sound = sound
    self.channelCount = channelCount
  }

  func sampleCount(of payload: RawSpan) -> Int? { payload.byteCount == 9 ? 960 : nil }

  func decode(_ payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) -> Int {
    guard payload.byteCount == 9 else { throw .malformedPacket }
    let source = Int(payload.loadUInt8(at: 0))
    let time = Int64(bitPattern: payload.loadUInt64(at: 1))
    for index in 0..<960 {
      for channel in 0..<channelCount { samples[index * channelCount + channel] = sound(source, time + Int64(index)) }
    }
    last = (source, time + 960)
    concealedCount = 0
    return 960
  }

  func recover(before payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) { try conceal(into: &samples) }

  func conceal(into samples: inout MutableSpan<Float>) throws(AudioCodecError) {
    // Goes on as it was, and fades within 10 ms.
    for index in 0..<samples.count / channelCount {
      let fade = max(0, 1 - Float(concealedCount) / 480)
      let sample = fade == 0 ? 0 : sound(last.source, last.time + Int64(concealedCount)) * fade
      for channel in 0..<channelCount { samples[index * channelCount + channel] = sample }
      concealedCount += 1
    }
  }

  func reset() { concealedCount = 1_000 }
}

final class KnownEncoder: AudioEncoder {
  func encode(_ samples: Span<Float>, into payload: inout MutableRawSpan) throws(AudioCodecError) -> Int {
    payload.storeUInt8(0, at: 0)
    return 1
  }
  func setComplexity(_ complexity: Int) {}
  func setIsolated(_ isIsolated: Bool) {}
  func reset() {}
}

/// One participant's sound: 20 ms packets on a clock of its own, through a network that delays and loses.
struct TestSource {
  let number: Int
  let owner: UInt64
  var index: Int32 = -1
  /// In −1…1, at a sample time of its own.
  var sound: (Int64) -> Double
  /// How much faster its clock runs than ours, in millionths.
  var drift = 0.0
  /// What it says of its loudness in each packet; `nil` says the truth.
  var claim: UInt8?
  /// How loud each packet is, where that need not be measured.
  var level: ((Int64) -> UInt8)?
  var declares = true
  var lossPercent = 0.0
  /// Packets are delayed by up to this, evenly.
  var jitter = TimeDelta.zero
  var codec = Codec.opus
  var speaks: (Instant) -> Bool = { _ in true }
  /// How much longer its packets take from some moment on.
  var detour: (Instant) -> TimeDelta = { _ in .zero }
}

/// A mixer with sources, listeners and a virtual clock.
struct MixWorld: ~Copyable {
  var mixer: AudioMixer
  var now = Instant.zero
  var random: SeededRandom
  private var sources: [TestSource] = []
  private var encoders: [OpusEncoder?] = []
  private var nextPacket: [Int64] = []
  private struct Flight {
    var at: Instant
    var source: Int
    var number: Int64
    var payload: [UInt8]
    var level: UInt8
  }
  private var flights: [Flight] = []
  private let usesOpus: Bool
  /// What each listener heard: the variant's samples, or what his decoder made of the packets.
  var heard: [UInt64: [Float]] = [:]
  var variantOf: [UInt64: Int] = [:]
  var outputs: [AudioMixer.Output] = []
  private var decoders: [UInt64: OpusDecoder] = [:]
  var decodesOutput = false
  var encodeCounts: [Int] = []
  var stepBound: Float = 0
  /// The machine halts: nothing is taken and no tick is made, until it goes on.
  var isHalted: (Instant) -> Bool = { _ in false }

  init(
    seed: UInt64 = 1, configuration: AudioMixer.Configuration = .init(), sound: (@Sendable (Int, Int64) -> Float)? = nil
  ) {
    random = SeededRandom(seed: seed)
    usesOpus = sound == nil
    let codecs: any AudioCodecFactory = sound.map { KnownCodecs(sound: $0) as any AudioCodecFactory } ?? OpusCodecs()
    mixer = AudioMixer(configuration, codecs: codecs, epoch: .zero)
  }

  mutating func add(_ source: TestSource) throws -> Int {
    var source = source
    source.index = mixer.addSource(UInt64(source.number), owner: source.owner) ?? -1
    mixer.restartSource(source.index, ssrc: SSRC(UInt32(1_000 + source.number)))
    sources.append(source)
    encoders.append(
      usesOpus && source.codec == .opus
        ? try OpusEncoder(EncoderSettings(bitrate: 32_000, usesDiscontinuousTransmission: false)) : nil)
    nextPacket.append(0)
    return sources.count - 1
  }

  mutating func listen(_ id: UInt64, owner: UInt64) {
    _ = mixer.addListener(id, owner: owner)
    while let move = mixer.pollMove() { variantOf[move.listener] = move.variant }
    heard[id] = []
  }

  func source(_ number: Int) -> TestSource { sources[number] }
  mutating func change(_ number: Int, _ body: (inout TestSource) -> Void) { body(&sources[number]) }

  /// Runs until `end`, in steps of a millisecond.
  mutating func run(until end: Instant) throws {
    while now < end {
      for number in sources.indices { try send(number) }
      if isHalted(now) {
        now += .milliseconds(1)
        continue
      }
      deliver()
      if mixer.nextDeadline <= now {
        mixer.handleTimeout(at: now)
        try collect()
      }
      now += .milliseconds(1)
    }
  }

  private mutating func send(_ number: Int) throws {
    let source = sources[number]
    // The end of packet n on the source's own clock.
    let period = 20_000_000.0 / (1 + source.drift * 1e-6)
    while Double(nextPacket[number] + 1) * period <= Double(now.nanoseconds) {
      let packet = nextPacket[number]
      nextPacket[number] += 1
      guard source.speaks(now) else { continue }
      let time = packet * 960
      if usesOpus == false, let level = source.level {
        dispatch(KnownCodecs.payload(source: source.number, time: time), of: number, packet: packet, level: level(packet))
        continue
      }
      let samples = (0..<960).map { Float(source.sound(time + Int64($0))) }
      var payload = KnownCodecs.payload(source: source.number, time: time)
      if source.codec != .opus {
        let law = source.codec == .pcma ? G711Law.a : .mu
        payload = (0..<160).map { law.byte(of: Int16(max(-1, min(1, samples[$0 * 6])) * 32_767)) }
      } else if let encoder = encoders[number] {
        var bytes = [UInt8](repeating: 0, count: 1_276)
        var target = bytes.mutableSpan
        var raw = unsafe target.mutableBytes
        let count = try encoder.encode(samples.span, into: &raw)
        payload = Array(bytes.prefix(count))
      }
      let power = samples.reduce(0) { $0 + Double($1) * Double($1) } / 960
      let truth = power > 1e-13 ? UInt8(max(0, min(127, -10 * log10(power)))) : 127
      dispatch(payload, of: number, packet: packet, level: source.claim ?? truth)
    }
  }

  /// Puts a packet on its way, unless it is lost.
  private mutating func dispatch(_ payload: [UInt8], of number: Int, packet: Int64, level: UInt8) {
    let source = sources[number]
    guard Double.random(in: 0..<100, using: &random) >= source.lossPercent else { return }
    let delay = source.jitter > .zero ? TimeDelta(nanoseconds: Int64.random(in: 0...source.jitter.nanoseconds, using: &random)) : .zero
    flights.append(Flight(at: now + delay + source.detour(now), source: number, number: packet, payload: payload, level: level))
  }

  private mutating func deliver() {
    var position = 0
    while position < flights.count {
      guard flights[position].at <= now else {
        position += 1
        continue
      }
      let flight = flights.remove(at: position)
      let source = sources[flight.source]
      mixer.handlePacket(
        of: source.index, payload: flight.payload.span.bytes, codec: source.codec, sequence: ExtendedSequenceNumber(flight.number),
        timestamp: RTPTimestamp(UInt32(truncatingIfNeeded: flight.number * (source.codec == .opus ? 960 : 160))),
        level: source.declares && source.codec == .opus ? AudioLevel(level: flight.level, hasVoice: true) : nil, at: now)
    }
  }

  private static func copy(_ samples: Span<Float>) -> [Float] {
    var copy: [Float] = []
    copy.reserveCapacity(samples.count)
    for index in 0..<samples.count { copy.append(samples[index]) }
    return copy
  }

  private mutating func collect() throws {
    while let move = mixer.pollMove() { variantOf[move.listener] = move.variant }
    var count = 0
    while let output = mixer.pollOutput() {
      count += 1
      outputs.append(output)
      for (listener, variant) in variantOf where variant == output.variant && heard[listener] != nil {
        if decodesOutput {
          if decoders[listener] == nil { decoders[listener] = try OpusDecoder(channelCount: mixer.configuration.encoder.channelCount) }
          var samples = [Float](repeating: 0, count: 960 * mixer.configuration.encoder.channelCount)
          var target = samples.mutableSpan
          _ = try decoders[listener]!.decode(mixer.payload(of: variant), into: &target)
          heard[listener]! += samples
        } else {
          let copy = Self.copy(mixer.samples(of: variant))
          heard[listener]?.append(contentsOf: copy)
        }
      }
    }
    encodeCounts.append(count)
  }
}

/// The power of one frequency in a stretch of samples, in decibels of a full sine (Goertzel).
func toneLevel(_ frequency: Double, in samples: ArraySlice<Float>) -> Double {
  let coefficient = 2 * cos(2 * Double.pi * frequency / 48_000)
  var first = 0.0
  var second = 0.0
  var weight = 0.0
  for (position, sample) in samples.enumerated() {
    // Hann's window, so that a neighbour does not leak in.
    let window = 0.5 - 0.5 * cos(2 * Double.pi * Double(position) / Double(samples.count - 1))
    weight += window
    let next = Double(sample) * window + coefficient * first - second
    second = first
    first = next
  }
  let power = first * first + second * second - coefficient * first * second
  return 10 * log10(max(1e-20, power * 4 / (weight * weight)))
}

/// A sine at a frequency and amplitude.
func tone(_ frequency: Double, _ amplitude: Double = 0.2) -> @Sendable (Int64) -> Double {
  { amplitude * sin(2 * Double.pi * frequency * Double($0) / 48_000) }
}
