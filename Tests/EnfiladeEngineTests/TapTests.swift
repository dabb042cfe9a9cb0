// Taps on single sources through the engine, in virtual time: shards, a media worker and the lanes between them.

import EnfiladeEngine
import EnfiladeMixing
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

/// A codec whose packets are as loud as they are long: so it is seen whose they are.
private struct SizedCodecs: AudioCodecFactory {
  static func amplitude(_ byteCount: Int) -> Float { Float(byteCount) / 10_000 }
  func makeDecoder(_ codec: Codec, channelCount: Int) throws(AudioCodecError) -> any AudioDecoder { SizedDecoder() }
  func makeEncoder(_ settings: EncoderSettings) throws(AudioCodecError) -> any AudioEncoder { CountingEncoder() }
}

private final class SizedDecoder: AudioDecoder {
  func sampleCount(of payload: RawSpan) -> Int? { 960 }
  func decode(_ payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) -> Int {
    for index in 0..<960 { samples[index] = SizedCodecs.amplitude(payload.byteCount) }
    return 960
  }
  func recover(before payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) { try conceal(into: &samples) }
  func conceal(into samples: inout MutableSpan<Float>) throws(AudioCodecError) {
    for index in 0..<samples.count { samples[index] = 0 }
  }
  func reset() {}
}

@Suite("Taps through the engine")
struct TapTests {
  private static let mix = MixerID(1)
  private static let tap = RecorderID(70)

  /// Three who speak, and a fourth who says of himself that he is silent; his packets are the smallest.
  private static func room(seed: UInt64, shards: Int, listeners: Int) -> (world: EngineWorld, speakers: [ScriptedPeer]) {
    let world = EngineWorld(seed: seed, shards: shards)
    world.addWorker(SizedCodecs())
    let speakers = (0..<4).map { world.addPeer("speaker \($0)", publishes: [.audio]) }
    let listeners = (0..<listeners).map { world.addPeer("listener \($0)", receives: [.audio]) }
    world.connect()
    world.perform(MixCommand.open(mix, .init(speakerCount: 2)))
    for (number, speaker) in speakers.enumerated() {
      speaker.stream(.audio).payloadByteCount = number < 3 ? 100 + 10 * number : 60
      speaker.stream(.audio).audioLevel = number < 3 ? 40 : 127
      world.perform(MixCommand.addSource(speaker.stream(.audio).publication, owner: speaker.link.rawValue, mix))
    }
    for peer in listeners {
      world.perform(MixCommand.addListener(peer.slot(.audio).key, owner: peer.link.rawValue, mix))
      world.perform(Command.listen(peer.slot(.audio).key, worker: UInt8(world.engines.count)))
    }
    return (world, speakers)
  }

  private static func recorded(_ world: EngineWorld) -> [RecordedPacket] {
    var packets: [RecordedPacket] = []
    while let packet = world.workers[0].pollRecorded() { packets.append(packet) }
    return packets
  }

  private struct Case: Sendable {
    var shards: Int
    var listeners: Int
  }

  @Test(
    "A source that is not among the loudest, and says it is silent, is tapped in full, whether or not anybody hears the mixture",
    arguments: [Case(shards: 1, listeners: 0), Case(shards: 3, listeners: 0), Case(shards: 1, listeners: 2), Case(shards: 3, listeners: 2)])
  private func quiet(_ setting: Case) {
    let (world, speakers) = Self.room(seed: 300, shards: setting.shards, listeners: setting.listeners)
    world.run(for: .seconds(Int64(1)))
    let quiet = speakers[3].stream(.audio)
    world.perform(MixCommand.addTap(Self.tap, quiet.publication, Self.mix))
    world.run(for: .seconds(Int64(3)))
    let blocks = Self.recorded(world)
    #expect(blocks.count >= 145 && blocks.count <= 151, "\(blocks.count)")
    #expect(blocks.allSatisfy { $0.recorder == Self.tap && $0.samples.count == 960 && $0.payload.isEmpty })
    for (one, next) in zip(blocks, blocks.dropFirst()) { #expect(next.time - one.time == 960) }
    // His own sound and nobody else's, which is loud enough to be a voice.
    let own = SizedCodecs.amplitude(61)
    for block in blocks.dropFirst(5) { #expect(block.samples.allSatisfy { abs($0 - own) < 1e-5 }) }
    #expect(blocks.dropFirst(5).allSatisfy { $0.speakers == [quiet.publication] })
    let statistics = world.workers[0].statistics
    print("tap: \(blocks.count) blocks in 3 s; \(statistics)")
    if setting.listeners == 0 {
      // The others are not lent for, and there is no mixture.
      #expect(statistics.ticks == 0 && statistics.encodes == 0)
      #expect(statistics.packetsIn <= 151)
    }
    world.perform(MixCommand.removeRecorder(Self.tap))
    world.run(for: .milliseconds(100))
    let before = world.workers[0].statistics.packetsIn
    for speaker in speakers.prefix(3) { speaker.stream(.audio).isPaused = true }
    _ = Self.recorded(world)
    world.run(for: .seconds(Int64(1)))
    // His packets say that they are silent: without a tap nobody brings them.
    #expect(world.workers[0].statistics.packetsIn <= before + 10)
    #expect(Self.recorded(world).isEmpty)
    #expect(world.workers[0].tapCount == 0)
    #expect(world.violations.isEmpty, "\(world.violations)")
  }

  @Test("Two taps on one source do not disturb each other, and neither does the mixture's")
  func several() {
    let (world, speakers) = Self.room(seed: 301, shards: 2, listeners: 0)
    let (first, second, all) = (RecorderID(1), RecorderID(2), RecorderID(3))
    let loud = speakers[2].stream(.audio).publication
    world.perform(MixCommand.addTap(first, loud, Self.mix))
    world.perform(MixCommand.addRecorder(all, Self.mix, .samples))
    world.run(for: .seconds(Int64(1)))
    world.perform(MixCommand.addTap(second, loud, Self.mix))
    world.run(for: .seconds(Int64(1)))
    world.perform(MixCommand.removeRecorder(first))
    world.run(for: .seconds(Int64(1)))
    world.perform(MixCommand.removeRecorder(all))
    world.run(for: .seconds(Int64(1)))
    let blocks = Self.recorded(world)
    let counts = [first, second, all].map { name in blocks.count { $0.recorder == name } }
    print("tap: \(counts) blocks of two taps and the mixture, after 2, 3 and 3 s")
    #expect(counts[0] >= 95 && counts[0] <= 101)
    #expect(counts[1] >= 145 && counts[1] <= 151)
    #expect(counts[2] >= 140 && counts[2] <= 151)
    // On one line of time: where both taps have the same moment they have the same sound.
    let times = Dictionary(uniqueKeysWithValues: blocks.filter { $0.recorder == first }.map { ($0.time, $0.samples[500]) })
    let shared = blocks.filter { $0.recorder == second && times[$0.time] != nil }
    #expect(shared.count > 40)
    #expect(shared.dropFirst(5).allSatisfy { abs($0.samples[500] - times[$0.time]!) < 1e-5 })
    #expect(world.violations.isEmpty)
  }

  @Test("A tap of what is in no mixture, and more than the limit, are not taken")
  func refusals() {
    let (world, speakers) = Self.room(seed: 303, shards: 1, listeners: 0)
    world.perform(MixCommand.addTap(Self.tap, speakers[0].stream(.audio).publication, MixerID(9)))
    world.perform(MixCommand.addTap(Self.tap, PublicationKey(number: 999, shard: 0), Self.mix))
    #expect(world.workers[0].tapCount == 0)
    for number in 0..<Limits.tapCount + 5 {
      world.perform(MixCommand.addTap(RecorderID(UInt64(number)), speakers[0].stream(.audio).publication, Self.mix))
    }
    #expect(world.workers[0].tapCount == Limits.tapCount)
  }
}
