// A room's mixture through the engine, in virtual time: shards, a media worker and the lanes between them, with codecs that only count.

import EnfiladeEngine
import EnfiladeMixing
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

/// A codec whose packets are all as loud as those of ``PublishedStream`` claim to be, or silent where they are short, and say nothing.
private struct CountingCodecs: AudioCodecFactory {
  func makeDecoder(_ codec: Codec, channelCount: Int) throws(AudioCodecError) -> any AudioDecoder { CountingDecoder() }
  func makeEncoder(_ settings: EncoderSettings) throws(AudioCodecError) -> any AudioEncoder { CountingEncoder() }
}

private final class CountingDecoder: AudioDecoder {
  func sampleCount(of payload: RawSpan) -> Int? { 960 }
  func decode(_ payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) -> Int {
    // −35 dB.
    let amplitude: Float = payload.byteCount < 60 ? 0 : 0.0178
    for index in 0..<960 { samples[index] = index % 2 == 0 ? amplitude : -amplitude }
    return 960
  }
  func recover(before payload: RawSpan, into samples: inout MutableSpan<Float>) throws(AudioCodecError) { try conceal(into: &samples) }
  func conceal(into samples: inout MutableSpan<Float>) throws(AudioCodecError) {
    for index in 0..<samples.count { samples[index] = 0 }
  }
  func reset() {}
}

final class CountingEncoder: AudioEncoder {
  private var count: UInt32 = 0
  func encode(_ samples: Span<Float>, into payload: inout MutableRawSpan) throws(AudioCodecError) -> Int {
    count += 1
    payload.storeUInt32(count, at: 0)
    return 4
  }
  func setComplexity(_ complexity: Int) {}
  func setIsolated(_ isIsolated: Bool) {}
  func reset() {}
}

/// Speakers who take turns at being heard: a few at a time, each for a while.
private final class SeededTurns {
  private var random: SeededRandom
  private let speakers: [ScriptedPeer]
  private var remaining: [Int]

  init(seed: UInt64, speakers: [ScriptedPeer]) {
    random = SeededRandom(seed: seed)
    self.speakers = speakers
    remaining = speakers.map { _ in 0 }
    for speaker in speakers { Self.set(speaker, isLoud: false) }
  }

  private static func set(_ speaker: ScriptedPeer, isLoud: Bool) {
    speaker.stream(.audio).audioLevel = isLoud ? 35 : 127
    speaker.stream(.audio).payloadByteCount = isLoud ? 80 : 40
  }

  /// One tick of the world.
  func run(_ world: EngineWorld) {
    for index in speakers.indices where remaining[index] > 0 {
      remaining[index] -= 1
      if remaining[index] == 0 { Self.set(speakers[index], isLoud: false) }
    }
    while remaining.count(where: { $0 > 0 }) < 5 {
      let index = Int(random.next() % UInt64(speakers.count))
      guard remaining[index] == 0 else { continue }
      remaining[index] = 10 + Int(random.next() % 8)
      Self.set(speakers[index], isLoud: true)
    }
    world.run(for: .milliseconds(20))
  }
}

@Suite("Mixtures through the engine")
struct MixWorkerTests {
  private static let mix = MixerID(1)

  /// Speakers who publish and listen, and listeners who only listen, on that many shards; everybody hears the mixture.
  private static func room(
    seed: UInt64, shards: Int, speakers: Int, listeners: Int
  ) -> (world: EngineWorld, speakers: [ScriptedPeer], listeners: [ScriptedPeer]) {
    let world = EngineWorld(seed: seed, shards: shards)
    world.addWorker(CountingCodecs())
    let speakers = (0..<speakers).map { world.addPeer("speaker \($0)", publishes: [.audio], receives: [.audio]) }
    let listeners = (0..<listeners).map { world.addPeer("listener \($0)", receives: [.audio]) }
    world.connect()
    world.perform(MixCommand.open(mix, .init(speakerCount: 3)))
    for speaker in speakers {
      world.perform(MixCommand.addSource(speaker.stream(.audio).publication, owner: speaker.link.rawValue, mix))
    }
    for peer in speakers + listeners { listen(peer, world) }
    return (world, speakers, listeners)
  }

  private static func listen(_ peer: ScriptedPeer, _ world: EngineWorld) {
    world.perform(MixCommand.addListener(peer.slot(.audio).key, owner: peer.link.rawValue, mix))
    world.perform(Command.listen(peer.slot(.audio).key, worker: UInt8(world.engines.count)))
  }

  private func expectContinuous(_ packets: [ReceivedPacket], _ who: String) {
    for (one, next) in zip(packets, packets.dropFirst()) {
      #expect(next.index - one.index == 1, "\(who)")
      let step = Int32(bitPattern: next.rtp.timestamp &- one.rtp.timestamp)
      #expect(step > 0 && step % 960 == 0, "\(who): \(step)")
    }
  }

  @Test("Everybody hears one stream without gaps, whose contributors are the others", arguments: [1, 3])
  func everybody(shards: Int) {
    let (world, speakers, listeners) = Self.room(seed: 200, shards: shards, speakers: 3, listeners: 4)
    world.run(for: .seconds(Int64(3)))
    let names = speakers.map { $0.stream(.audio).ssrc.rawValue }
    for listener in listeners {
      let packets = listener.packets(on: listener.slot(.audio))
      #expect(packets.count > 130, "\(packets.count)")
      expectContinuous(packets, listener.name)
      #expect(Set(packets.last?.rtp.contributors ?? []) == Set(names))
    }
    for (index, speaker) in speakers.enumerated() {
      let packets = speaker.packets(on: speaker.slot(.audio))
      #expect(packets.count > 130, "\(packets.count)")
      expectContinuous(packets, speaker.name)
      for packet in packets { #expect(!packet.rtp.contributors.contains(names[index]), "\(speaker.name) is in his own mixture") }
      #expect(packets.last?.rtp.contributors.count ?? 0 == 2)
    }
    #expect(world.violations.isEmpty, "\(world.violations)")
    #expect(world.refusals.isEmpty)
  }

  @Test("A silent room of listeners makes no tick, and its publishers are not lent for")
  func idle() {
    let (world, speakers, _) = Self.room(seed: 201, shards: 2, speakers: 3, listeners: 2)
    for speaker in speakers { speaker.stream(.audio).audioLevel = 127 }
    world.run(for: .seconds(Int64(5)))
    let before = world.workers[0].statistics
    world.run(for: .seconds(Int64(5)))
    #expect(world.workers[0].statistics == before)
    #expect(before.ticks == 0 && before.packetsIn == 0)
    #expect(world.workers[0].nextDeadline == .distantFuture)
    speakers[0].stream(.audio).audioLevel = 35
    world.run(for: .seconds(Int64(1)))
    #expect(world.workers[0].statistics.ticks > 40)
  }

  @Test("Where comfort noise is configured a silent room's listeners have their packets in time, and as long as they listen")
  func comfortNoise() {
    let world = EngineWorld(seed: 207, shards: 2)
    world.addWorker(CountingCodecs())
    let listeners = (0..<2).map { world.addPeer("listener \($0)", receives: [.audio]) }
    world.connect()
    world.perform(MixCommand.open(Self.mix, .init(comfortNoiseLevel: -60)))
    world.run(for: .seconds(Int64(2)))
    #expect(world.workers[0].nextDeadline == .distantFuture)
    for listener in listeners { Self.listen(listener, world) }
    world.run(for: .seconds(Int64(2)))
    for listener in listeners {
      let packets = listener.packets(on: listener.slot(.audio))
      #expect((98...101).contains(packets.count), "\(packets.count)")
      expectContinuous(packets, listener.name)
      #expect(packets.allSatisfy { $0.rtp.contributors.isEmpty })
    }
    // One for both, and none of them late.
    let statistics = world.workers[0].statistics
    #expect(statistics.encodes <= 101 && statistics.lateTicks == 0 && statistics.skippedTicks == 0, "\(statistics)")
    for listener in listeners { world.perform(MixCommand.removeListener(listener.slot(.audio).key)) }
    world.run(for: .seconds(Int64(1)))
    #expect(world.workers[0].nextDeadline == .distantFuture)
    #expect(world.violations.isEmpty)
  }

  @Test("From forwarded to mixed and back, the stream goes on without a gap of more than 60 ms")
  func switching() {
    let (world, speakers, listeners) = Self.room(seed: 202, shards: 2, speakers: 2, listeners: 1)
    let listener = listeners[0]
    world.run(for: .seconds(Int64(2)))
    var changes: [Instant] = []
    for round in 0..<6 {
      changes.append(world.now)
      if round % 2 == 0 {
        world.perform(MixCommand.removeListener(listener.slot(.audio).key))
        world.perform(Command.bind(listener.slot(.audio).key, speakers[round % 2].stream(.audio).publication))
      } else {
        Self.listen(listener, world)
      }
      world.run(for: .milliseconds(1_300))
    }
    let packets = listener.packets(on: listener.slot(.audio)).filter { $0.at > changes[0] - .milliseconds(100) }
    var ahead = 0
    for (one, next) in zip(packets, packets.dropFirst()) {
      #expect(next.index - one.index == 1)
      #expect(next.at - one.at <= .milliseconds(60), "\((next.at - one.at).milliseconds) ms")
      let step = Int(Int32(bitPattern: next.rtp.timestamp &- one.rtp.timestamp))
      #expect(step > 0 && step <= 2_880, "\(step)")
      ahead += step - Int((next.at - one.at).nanoseconds * 48 / 1_000_000)
    }
    print("switching: the timestamps gained \(ahead / 48) ms on the clock over six changes")
    #expect(world.violations.isEmpty)
  }

  @Test("When everybody has left, every slot has come home")
  func home() {
    let (world, speakers, listeners) = Self.room(seed: 203, shards: 3, speakers: 3, listeners: 3)
    world.run(for: .seconds(Int64(2)))
    for peer in speakers {
      world.perform(MixCommand.removeSource(peer.stream(.audio).publication, Self.mix))
      world.perform(MixCommand.removeListener(peer.slot(.audio).key))
    }
    for peer in listeners { world.perform(MixCommand.removeListener(peer.slot(.audio).key)) }
    world.perform(MixCommand.close(Self.mix))
    for peer in world.peers { world.removeLink(of: peer) }
    world.run(for: .seconds(Int64(1)))
    #expect(world.workers[0].leasedCount == 0)
    for shard in world.engines.indices {
      let census = world.engines[shard].census
      #expect(census == ShardEngine.Census(), "shard \(shard)")
    }
    #expect(world.violations.isEmpty)
  }

  @Test("What is still under way of a source that was taken out is heard in no other room")
  func takenOut() {
    let world = EngineWorld(seed: 205, shards: 2)
    world.addWorker(CountingCodecs())
    // The worker looks at the first shard's lane first.
    let other = world.addPeer("other", publishes: [.audio])
    let speaker = world.addPeer("speaker", publishes: [.audio])
    let (listener, stranger) = (world.addPeer("listener", receives: [.audio]), world.addPeer("stranger", receives: [.audio]))
    world.connect()
    other.stream(.audio).audioLevel = 127
    let strange = MixerID(2)
    world.perform(MixCommand.open(Self.mix, .init(speakerCount: 3)))
    world.perform(MixCommand.open(strange, .init(speakerCount: 3)))
    world.perform(MixCommand.addSource(speaker.stream(.audio).publication, owner: speaker.link.rawValue, Self.mix))
    Self.listen(listener, world)
    world.perform(MixCommand.addListener(stranger.slot(.audio).key, owner: stranger.link.rawValue, strange))
    world.perform(Command.listen(stranger.slot(.audio).key, worker: UInt8(world.engines.count)))
    world.run(for: .seconds(Int64(1)))
    #expect(listener.packets(on: listener.slot(.audio)).count > 30)
    world.takeWithoutDraining(until: world.now + .milliseconds(100))
    world.workers[0].perform(.removeSource(speaker.stream(.audio).publication, Self.mix), at: world.now)
    world.workers[0].perform(.addSource(other.stream(.audio).publication, owner: other.link.rawValue, strange), at: world.now)
    let isFull = world.engines[0].takeRelayed(at: world.now)
    #expect(!isFull)
    world.run(for: .seconds(Int64(1)))
    #expect(world.workers[0].statistics.strays > 0)
    #expect(stranger.packets(on: stranger.slot(.audio)).isEmpty)
  }

  @Test("A recorder is given the mixture of everybody")
  func recorder() {
    let (world, _, _) = Self.room(seed: 204, shards: 1, speakers: 2, listeners: 0)
    world.perform(MixCommand.addRecorder(RecorderID(9), Self.mix, .packets))
    world.perform(MixCommand.addRecorder(RecorderID(10), Self.mix, .samples))
    world.run(for: .seconds(Int64(2)))
    var packets: [RecordedPacket] = []
    var samples: [RecordedPacket] = []
    while let packet = world.workers[0].pollRecorded() {
      if packet.recorder == RecorderID(9) { packets.append(packet) } else { samples.append(packet) }
    }
    #expect(packets.count > 80 && samples.count == packets.count)
    #expect(packets.allSatisfy { $0.payload.count == 4 && $0.samples.isEmpty })
    #expect(samples.allSatisfy { $0.payload.isEmpty && $0.samples.count == 960 })
    // Two sources of −35 dB, in step.
    #expect(samples.last.map { abs(abs($0.samples[500]) - 2 * 0.0178) < 1e-4 } == true)
    for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.timestamp &- one.timestamp == 960) }
    world.perform(MixCommand.removeRecorder(RecorderID(9)))
    world.perform(MixCommand.removeRecorder(RecorderID(10)))
    world.run(for: .seconds(Int64(1)))
    #expect(world.workers[0].pollRecorded() == nil)
  }

  @Test(
    "A tap is given all that one source says, whoever is louder and whether or not anybody listens; nothing is lent after it",
    arguments: [1, 2])
  func tap(shards: Int) {
    let (world, speakers, _) = Self.room(seed: 206, shards: shards, speakers: 5, listeners: 0)
    for speaker in speakers { world.perform(MixCommand.removeListener(speaker.slot(.audio).key)) }
    world.run(for: .seconds(Int64(1)))
    let before = world.workers[0].statistics.packetsIn
    world.run(for: .seconds(Int64(1)))
    #expect(world.workers[0].statistics.packetsIn == before, "nobody listens")
    #expect(world.workers[0].nextDeadline == .distantFuture)

    let key = speakers[4].stream(.audio).publication
    let (one, other) = (RecorderID(11), RecorderID(12))
    for recorder in [one, other] { world.perform(MixCommand.addTap(recorder, key, Self.mix)) }
    #expect(world.workers[0].tapCount == 2)
    func take() -> [RecorderID: [RecordedPacket]] {
      var taken: [RecorderID: [RecordedPacket]] = [:]
      while let packet = world.workers[0].pollRecorded() { taken[packet.recorder, default: []].append(packet) }
      return taken
    }
    world.run(for: .seconds(Int64(2)))
    var heard = take()
    for recorder in [one, other] {
      let blocks = heard[recorder] ?? []
      #expect((90...102).contains(blocks.count))
      #expect(blocks.allSatisfy { $0.samples.count == 960 && $0.payload.isEmpty })
      #expect(blocks.suffix(50).allSatisfy { $0.speakers == [key] && abs(abs($0.samples[500]) - 0.0178) < 1e-4 })
      for (one, next) in zip(blocks, blocks.dropFirst()) { #expect(next.time - one.time == 960) }
    }
    // Its packets and no other's: fifty a second.
    #expect((95...105).contains(Int(world.workers[0].statistics.packetsIn - before)))

    world.perform(MixCommand.setTapMuted(one, true))
    world.run(for: .seconds(Int64(1)))
    heard = take()
    #expect(heard[one] == nil && (heard[other] ?? []).count >= 49)
    world.perform(MixCommand.setTapMuted(one, false))
    world.run(for: .seconds(Int64(1)))
    #expect((take()[one] ?? []).count > 40)

    // One goes, the other stays; both go, and nothing is lent any more.
    world.perform(MixCommand.removeRecorder(one))
    world.run(for: .seconds(Int64(1)))
    heard = take()
    #expect(heard[one] == nil && (heard[other] ?? []).count >= 49)
    world.perform(MixCommand.removeRecorder(other))
    world.run(for: .milliseconds(100))
    let after = world.workers[0].statistics.packetsIn
    world.run(for: .seconds(Int64(1)))
    #expect(world.workers[0].statistics.packetsIn == after && take().isEmpty)
    #expect(world.workers[0].nextDeadline == .distantFuture)

    // The source goes while it is tapped.
    world.perform(MixCommand.addTap(one, key, Self.mix))
    world.run(for: .milliseconds(500))
    world.perform(MixCommand.removeSource(key, Self.mix))
    #expect(world.workers[0].tapCount == 0)
    world.run(for: .seconds(Int64(1)))
    #expect(world.violations.isEmpty)
  }

  @Test("Where twenty take turns at speaking and at being heard, everybody is sent every tick", arguments: [1, 2])
  func crowd(shards: Int) {
    let (world, speakers, _) = Self.room(seed: 208, shards: shards, speakers: 20, listeners: 0)
    // Five of them at a time, each for 200 to 340 ms: so in most ticks somebody comes or goes.
    let turns = SeededTurns(seed: 208, speakers: speakers)
    for _ in 0..<150 { turns.run(world) }
    let before = speakers.map { $0.packets(on: $0.slot(.audio)).count }
    for _ in 0..<250 { turns.run(world) }
    var fewest = Int.max
    var longest = TimeDelta.zero
    var heard: Set<UInt32> = []
    for (number, speaker) in speakers.enumerated() {
      let packets = Array(speaker.packets(on: speaker.slot(.audio)).dropFirst(before[number]))
      expectContinuous(packets, "speaker \(number)")
      for (one, next) in zip(packets, packets.dropFirst()) { longest = max(longest, next.at - one.at) }
      for packet in packets { heard.formUnion(packet.rtp.contributors) }
      fewest = min(fewest, packets.count)
    }
    print(
      "crowd on \(shards) shards: at least \(fewest) of 250 packets, the longest gap \(longest.milliseconds) ms, \(heard.count) were heard")
    // Whoever was heard has been moved to a mixture of his own, and back.
    #expect(heard.count >= 15)
    #expect(fewest >= 245)
    #expect(longest <= .milliseconds(60))
  }

  @Test("Ticks that come late make it do less, and say so; ticks in time make it do more again")
  func overload() {
    let (world, _, _) = Self.room(seed: 205, shards: 1, speakers: 3, listeners: 1)
    world.run(for: .seconds(Int64(1)))
    var now = world.now
    for _ in 0..<60 {
      now = max(now, world.workers[0].nextDeadline + .milliseconds(25))
      world.workers[0].handleTimeout(at: now)
    }
    #expect(world.workers[0].effortStep >= 2)
    var steps: [Int] = []
    while let event = world.workers[0].pollEvent() { if case .effortChanged(let step) = event { steps.append(step) } }
    #expect(steps.first == 1 && steps.count >= 2)
    world.run(for: .seconds(Int64(60)))
    #expect(world.workers[0].effortStep == 0)
  }
}
