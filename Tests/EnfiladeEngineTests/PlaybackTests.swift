// What is played into a room, in virtual time: from the media worker over the lanes to forwarded listeners, and into the mixture.

import EnfiladeEngine
import EnfiladeMixing
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

/// Packets that say which of an encoder's they are; what is decoded is as loud as what −35 dB.
private struct NumberingCodecs: AudioCodecFactory {
  func makeDecoder(_ codec: Codec, channelCount: Int) throws(AudioCodecError) -> any AudioDecoder { LoudDecoder() }
  func makeEncoder(_ settings: EncoderSettings) throws(AudioCodecError) -> any AudioEncoder { NumberingEncoder() }
}

private final class LoudDecoder: AudioDecoder {
  /// Packets that begin so are of 60 ms.
  func sampleCount(of payload: RawSpan) -> Int? { payload.loadUInt8(at: 0) == 0xFC ? 2_880 : 960 }
  func decode(_ payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) -> Int {
    let count = sampleCount(of: payload)!
    for index in 0..<count { samples[index] = index % 2 == 0 ? 0.0178 : -0.0178 }
    return count
  }
  func recover(before payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) { try conceal(into: &samples) }
  func conceal(into samples: inout MutableSpan<Float>) throws(AudioCodecError) { for index in 0..<samples.count { samples[index] = 0 } }
  func reset() {}
}

/// Its packets hold the first sample and the last of what they stand for, in thousandths.
private final class NumberingEncoder: AudioEncoder {
  func encode(_ samples: Span<Float>, into payload: inout MutableRawSpan) throws(AudioCodecError) -> Int {
    payload.storeUInt32(UInt32(bitPattern: Int32(samples[0] * 1_000)), at: 0)
    payload.storeUInt32(UInt32(bitPattern: Int32(samples[samples.count - 1] * 1_000)), at: 4)
    return 8
  }
  func setComplexity(_ complexity: Int) {}
  func setIsolated(_ isIsolated: Bool) {}
  func reset() {}
}

@Suite("Playback through the engine")
struct PlaybackTests {
  private static let mix = MixerID(1)

  private struct Stage {
    var world: EngineWorld
    var key: PublicationKey
    var forwarded: [ScriptedPeer]
    var mixed: ScriptedPeer

    var reports: [PlaybackReport] {
      var reports: [PlaybackReport] = []
      while let report = world.workers[0].pollPlayback() { reports.append(report) }
      return reports
    }

    func tell(_ command: PlaybackCommand) { world.perform(MixCommand.playback(key, command)) }
    func packets(_ listener: Int) -> [ReceivedPacket] { forwarded[listener].packets(on: forwarded[listener].slot(.audio)) }
  }

  /// Two forwarded listeners on two shards, and one who hears the mixture.
  private static func stage(seed: UInt64, shards: Int = 2, _ form: Player.Form = .samples(EncoderSettings())) -> Stage {
    let world = EngineWorld(seed: seed, shards: shards)
    world.addWorker(NumberingCodecs())
    let forwarded = (0..<2).map { world.addPeer("forwarded \($0)", receives: [.audio]) }
    let mixed = world.addPeer("mixed", receives: [.audio])
    world.connect()
    let key = PublicationKey(playback: 77, worker: UInt8(shards))
    world.perform(MixCommand.open(mix, .init(speakerCount: 3)))
    world.perform(MixCommand.playback(key, .open(form, capacity: 24_000)))
    world.perform(MixCommand.addSource(key, owner: 1, mix))
    world.perform(MixCommand.addListener(mixed.slot(.audio).key, owner: mixed.link.rawValue, mix))
    world.perform(Command.listen(mixed.slot(.audio).key, worker: UInt8(shards)))
    for peer in forwarded { world.perform(Command.bind(peer.slot(.audio).key, key)) }
    world.run(for: .milliseconds(100))
    return Stage(world: world, key: key, forwarded: forwarded, mixed: mixed)
  }

  /// Samples that say their own number, in thousandths, loud enough to be heard.
  private static func samples(_ range: Range<Int>) -> [Float] { range.map { Float($0 / 96 % 900 + 50) / 1_000 } }

  @Test("Samples reach forwarded listeners on every shard and the mixture, every 20 ms, with their level; then silence", arguments: [1, 2])
  func samples(shards: Int) {
    let stage = Self.stage(seed: 300, shards: shards)
    for piece in 0..<10 {
      stage.tell(.samples(Self.samples(piece * 9_600..<piece * 9_600 + 9_600)))
      // A hundred milliseconds ahead.
      stage.world.run(for: .milliseconds(piece == 0 ? 100 : 200))
    }
    stage.tell(.end)
    stage.world.run(for: .milliseconds(600))
    let reports = stage.reports
    #expect(reports.reduce(0) { $0 + $1.consumed } == 96_000)
    #expect(reports.last?.isOver == .some(true))
    let statistics = reports.last?.statistics ?? .init()
    #expect(statistics.playedSamples == 96_000 && statistics.overflowedSamples == 0 && statistics.skippedSamples == 0)
    for listener in 0..<2 {
      let packets = stage.packets(listener)
      // Two seconds and the silence behind them.
      #expect(packets.count >= 110 && packets.count <= 111, "\(packets.count)")
      #expect(packets.first?.rtp.marker == .some(true))
      for (one, next) in zip(packets, packets.dropFirst()) {
        #expect(next.index - one.index == 1 && next.rtp.timestamp &- one.rtp.timestamp == 960 && !next.rtp.marker)
        #expect(next.at - one.at < .milliseconds(25) && next.at - one.at > .milliseconds(15))
      }
      // Every sample was played, in order.
      for (number, packet) in packets.prefix(100).enumerated() {
        let first = packet.payload[0..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        #expect(abs(Int(first) - (number * 10 % 900 + 50)) <= 1)
      }
      let levels = packets.compactMap { $0.rtp.extensions.first { $0.identifier == 1 }?.data.first }
      #expect(levels.count == packets.count)
      #expect(levels.prefix(20).allSatisfy { $0 & 0x80 != 0 && $0 & 0x7F < 30 })
      #expect(levels.suffix(9).allSatisfy { $0 == 127 })
    }
    let mixture = stage.mixed.packets(on: stage.mixed.slot(.audio))
    #expect(mixture.count > 95, "\(mixture.count)")
    #expect(mixture.contains { $0.rtp.contributors.count == 1 })
    #expect(stage.world.violations.isEmpty && stage.world.refusals.isEmpty)
    stage.tell(.close)
    stage.world.perform(MixCommand.removeSource(stage.key, Self.mix))
    stage.world.run(for: .seconds(Int64(2)))
    #expect(stage.world.workers[0].playbackCount == 0)
    #expect(stage.world.workers[0].nextDeadline == .distantFuture)
  }

  @Test("What runs dry goes on when 40 ms have come, is counted, and costs nothing meanwhile")
  func underrun() {
    let stage = Self.stage(seed: 301)
    stage.tell(.samples(Self.samples(0..<4_800)))
    stage.world.run(for: .seconds(Int64(4)))
    let before = stage.packets(0).count
    // A hundred milliseconds, what was begun of the next, and 200 ms of silence.
    #expect(before >= 15 && before <= 16, "\(before)")
    #expect(stage.reports.last?.statistics.underruns == .some(1))
    #expect(stage.world.workers[0].nextDeadline == .distantFuture)
    stage.world.run(for: .seconds(Int64(5)))
    #expect(stage.packets(0).count == before)
    // Too little to begin with.
    stage.tell(.samples(Self.samples(0..<960)))
    stage.world.run(for: .milliseconds(200))
    #expect(stage.packets(0).count == before)
    stage.tell(.samples(Self.samples(960..<9_600)))
    stage.world.run(for: .seconds(Int64(1)))
    let packets = Array(stage.packets(0).dropFirst(before))
    #expect(packets.count >= 20)
    #expect(packets.first?.rtp.marker == .some(true))
    #expect(packets.first.map { $0.index - stage.packets(0)[before - 1].index == 1 } == true)
    // Time went on meanwhile, and so did the timestamps.
    let gap = packets[0].rtp.timestamp &- stage.packets(0)[before - 1].rtp.timestamp
    #expect(gap > 380_000 && gap < 480_000, "\(gap)")
    #expect(stage.reports.last?.isOver == .some(false))
  }

  @Test("What stops goes silent within a packet, and is over 200 ms later")
  func stop() {
    let stage = Self.stage(seed: 302)
    stage.tell(.samples(Self.samples(0..<24_000)))
    stage.world.run(for: .milliseconds(100))
    let before = stage.packets(0).count
    stage.tell(.stop)
    stage.world.run(for: .milliseconds(400))
    let packets = stage.packets(0).dropFirst(before)
    #expect(packets.count >= 10 && packets.count <= 12, "\(packets.count)")
    let silent = packets.filter { $0.payload == [0, 0, 0, 0, 0, 0, 0, 0] }.count
    #expect(silent >= packets.count - 2)
    let reports = stage.reports
    #expect(reports.last?.isOver == .some(true))
    #expect(reports.reduce(0) { $0 + $1.consumed } == 24_000)
  }

  @Test("Packets of a file are sent as they are, at their own pace, and packets of silence follow")
  func packets() {
    let stage = Self.stage(seed: 303, .packets(channelCount: 1))
    var packets = (0..<20).map { FilePacket(payload: [0xFC, UInt8($0), 1], sampleCount: 2_880) }
    packets[0].leading = 2_880
    packets[1].leading = 100
    packets[19].trailing = 2_880
    for (number, packet) in packets.enumerated() {
      stage.tell(.packets([packet]))
      // The first is left out, so that there is something to begin with only when the second has come.
      if number > 2 { stage.world.run(for: .milliseconds(60)) }
    }
    stage.tell(.end)
    stage.world.run(for: .seconds(Int64(1)))
    for listener in 0..<2 {
      let got = stage.packets(listener)
      #expect(got.prefix(18).map(\.payload) == packets[1..<19].map(\.payload))
      #expect(got.dropFirst(18).map(\.payload) == [[UInt8]](repeating: [0xF8, 0xFF, 0xFE], count: 5))
      for (one, next) in zip(got.prefix(18), got.prefix(18).dropFirst()) { #expect(next.rtp.timestamp &- one.rtp.timestamp == 2_880) }
      // Nobody has decoded them: nobody knows how loud they are.
      #expect(got.prefix(18).allSatisfy { $0.rtp.extensions.allSatisfy { $0.identifier != 1 } })
    }
    let reports = stage.reports
    #expect(reports.last?.isOver == .some(true))
    #expect(reports.last?.statistics.playedSamples == .some(18 * 2_880 - 100))
    #expect(reports.reduce(0) { $0 + $1.consumed } == 20 * 2_880)
    #expect(stage.mixed.packets(on: stage.mixed.slot(.audio)).count > 40)
  }

  @Test("A file that is read too slowly is heard in the mixture all the same, when it comes", arguments: [0xFC, 0xFD] as [UInt8])
  func slowFile(first: UInt8) {
    let stage = Self.stage(seed: 308, .packets(channelCount: 1))
    for number in 0..<20 {
      stage.tell(.packets([FilePacket(payload: [first, UInt8(number), 1], sampleCount: 2_880)]))
      stage.world.run(for: .milliseconds(number < 2 ? 150 : 60))
    }
    stage.world.run(for: .milliseconds(500))
    #expect(stage.reports.last.map { $0.statistics.underruns >= 2 } == true)
    let mixture = stage.mixed.packets(on: stage.mixed.slot(.audio))
    #expect(mixture.count > 40, "\(mixture.count)")
  }

  @Test("What is muted is sent to nobody and goes on; what nobody listens to is not encoded")
  func unheard() {
    let stage = Self.stage(seed: 304)
    stage.tell(.samples(Self.samples(0..<24_000)))
    stage.world.run(for: .milliseconds(100))
    stage.tell(.setMuted(true))
    // What was on its way.
    stage.world.run(for: .milliseconds(30))
    let before = stage.packets(0).count
    let encoded = stage.reports.last?.statistics.packets ?? 0
    stage.world.run(for: .milliseconds(200))
    #expect(stage.packets(0).count == before)
    #expect(stage.reports.last?.statistics.packets == .some(encoded))
    stage.tell(.setMuted(false))
    stage.world.run(for: .milliseconds(150))
    #expect(stage.packets(0).count > before + 4)
    for peer in stage.forwarded { stage.world.perform(Command.bind(peer.slot(.audio).key, nil)) }
    stage.world.perform(MixCommand.removeListener(stage.mixed.slot(.audio).key))
    stage.world.run(for: .milliseconds(40))
    let unheard = stage.reports.last?.statistics.packets ?? 0
    stage.tell(.samples(Self.samples(0..<9_600)))
    stage.world.run(for: .milliseconds(300))
    let last = stage.reports.last?.statistics
    #expect(last?.packets == .some(unheard))
    #expect(last.map { $0.playedSamples > 24_000 } == true)
  }

  @Test("More than may wait is dropped and counted; two of one name, and too many, are refused")
  func bounds() {
    let stage = Self.stage(seed: 305)
    stage.tell(.samples([Float](repeating: 0.5, count: 30_000)))
    #expect(stage.reports.last?.statistics.overflowedSamples == .some(6_000))
    stage.tell(.packets([FilePacket(payload: [UInt8](repeating: 1, count: 3_000), sampleCount: 960)]))
    stage.world.run(for: .milliseconds(100))
    for number in 100..<100 + Limits.playbackCount {
      let key = PublicationKey(playback: UInt64(number), worker: 2)
      stage.world.perform(MixCommand.playback(key, .open(.samples(EncoderSettings()), capacity: 960)))
    }
    let refused = stage.reports.filter(\.isRefused)
    #expect(refused.count == 1)
    #expect(stage.world.workers[0].playbackCount == Limits.playbackCount)
    // Nobody knows what this is.
    stage.world.perform(MixCommand.playback(PublicationKey(playback: 9_999, worker: 2), .stop))
    #expect(stage.world.violations.isEmpty)
  }

  @Test("When the worker halts, what is played is late by that and not cut")
  func halt() {
    let stage = Self.stage(seed: 306)
    stage.tell(.samples(Self.samples(0..<24_000)))
    stage.world.run(for: .milliseconds(100))
    let (worker, now) = (0, stage.world.now + .milliseconds(200))
    stage.world.takeWithoutDraining(until: now)
    stage.world.workers[worker].handleTimeout(at: now)
    stage.tell(.end)
    stage.world.run(for: .seconds(Int64(1)))
    let statistics = stage.reports.last?.statistics
    #expect(statistics?.playedSamples == .some(24_000))
    #expect(statistics.map { $0.skippedSamples >= 7_680 } == true)
  }

  @Test("When it is gone, every slot has come home")
  func home() {
    let stage = Self.stage(seed: 307)
    stage.tell(.samples(Self.samples(0..<24_000)))
    stage.world.run(for: .milliseconds(300))
    stage.tell(.close)
    stage.world.perform(MixCommand.removeSource(stage.key, Self.mix))
    stage.world.perform(MixCommand.removeListener(stage.mixed.slot(.audio).key))
    stage.world.perform(MixCommand.close(Self.mix))
    for peer in stage.world.peers { stage.world.removeLink(of: peer) }
    stage.world.run(for: .seconds(Int64(1)))
    #expect(stage.world.workers[0].leasedCount == 0)
    for shard in stage.world.engines.indices { #expect(stage.world.engines[shard].census == ShardEngine.Census(), "shard \(shard)") }
    #expect(stage.world.violations.isEmpty)
  }
}
