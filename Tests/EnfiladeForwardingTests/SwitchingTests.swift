// How soon a subscriber sees what it wants, what that costs the publisher, and what it is told about it.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire
import Testing

@Suite("Forwarder: switching")
struct SwitchingTests {
  private static func world(_ description: Description, _ mode: ScalabilityMode, encodings: Int, subscribers: Int = 1, seed: UInt64 = 1)
    -> ForwardingWorld
  {
    var options = WorldOptions(description: description, mode: mode, encodingCount: encodings, seed: seed)
    options.subscriberCount = subscribers
    options.lossPercent = 0
    options.reorderPercent = 0
    options.duplicatePercent = 0
    options.changesTargets = false
    options.pauses = false
    options.restarts = false
    return ForwardingWorld(options)
  }

  /// Runs for a while longer, without anything of chance.
  private static func run(_ world: inout ForwardingWorld, until milliseconds: Int) {
    while world.now < milliseconds {
      if world.now % 33 == 0 { world.capture() }
      if world.now % 1000 == 0 { world.report() }
      world.deliver()
      if world.now % 100 == 0 { world.choose() }
      world.ask()
      world.now += 1
    }
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var description: Description
    var mode: ScalabilityMode
    var encodings: Int
    var testDescription: String { "\(description) \(mode.testDescription) x\(encodings)" }
  }

  static let cases = [
    Case(description: .vp8, mode: ScalabilityMode(spatial: 1, temporal: 3, between: .full), encodings: 3),
    Case(description: .vp8Dependency, mode: ScalabilityMode(spatial: 1, temporal: 3, between: .full), encodings: 3),
    Case(description: .h264, mode: ScalabilityMode(spatial: 1, temporal: 1, between: .full), encodings: 3),
    Case(description: .av1Dependency, mode: ScalabilityMode(spatial: 1, temporal: 3, between: .full), encodings: 3),
    Case(description: .vp9Flexible, mode: ScalabilityMode(spatial: 3, temporal: 3, between: .full), encodings: 1),
    Case(description: .vp9Group, mode: ScalabilityMode(spatial: 3, temporal: 3, between: .keyOnly), encodings: 1),
    Case(description: .av1Dependency, mode: ScalabilityMode(spatial: 3, temporal: 3, between: .keyOnly), encodings: 1),
    Case(description: .av1Dependency, mode: ScalabilityMode(spatial: 3, temporal: 1, between: .none), encodings: 1),
  ]

  @Test("The picture follows the wish within a second, up and down, for one key frame each way up", arguments: cases)
  func follows(_ sample: Case) throws {
    var world = Self.world(sample.description, sample.mode, encodings: sample.encodings)
    Self.run(&world, until: 2000)
    let heights: [UInt16] = [180, 720, 360, 180, 360, 720]
    for (index, height) in heights.enumerated() {
      let before = world.subscribers[0].keyframeWishes
      world.subscribers[0].forwarder.setTarget(LayerTarget(maximumWidth: height / 9 * 16, maximumHeight: height))
      world.choose()
      Self.run(&world, until: 3000 + 1000 * index)
      let found = world.subscribers[0].forwarder.point
      let point = try #require(found)
      let rank = Int(world.subscribers[0].forwarder.encoding) + Int(point.spatialID)
      #expect(rank == [180: 0, 360: 1, 720: 2][height], "\(height) lines")
      #expect(world.subscribers[0].keyframeWishes - before <= 1, "\(height) lines")
    }
    var decoder = ModelDecoder(lostForEver: [], cutOff: [], description: sample.description)
    decoder.read(world.subscribers[0].copies)
    for problem in decoder.problems.prefix(3) { Issue.record("\(problem)") }
    // Nothing froze: a picture of every fourth capture at least.
    let times = decoder.shown.map { Int($0.captureMilliseconds) }
    for (earlier, later) in zip(times, times.dropFirst()) { #expect(later - earlier <= 150, "nothing between \(earlier) and \(later) ms") }
  }

  @Test("Fewer frames are sent at once without a key frame, and all of them again as soon as the layers allow", arguments: cases)
  func frameRate(_ sample: Case) throws {
    guard sample.mode.temporal == 3 else { return }
    var world = Self.world(sample.description, sample.mode, encodings: sample.encodings)
    Self.run(&world, until: 2000)
    let wishes = world.subscribers[0].keyframeWishes
    world.subscribers[0].forwarder.setTarget(LayerTarget(maximumFrameRate: 8))
    world.choose()
    Self.run(&world, until: 3000)
    #expect(world.subscribers[0].forwarder.point?.temporalID == 0)
    #expect(world.subscribers[0].forwarder.reason == .constraint)
    world.subscribers[0].forwarder.setTarget(LayerTarget())
    world.choose()
    Self.run(&world, until: 4000)
    #expect(world.subscribers[0].forwarder.point?.temporalID == 2)
    #expect(world.subscribers[0].keyframeWishes == wishes)
  }

  @Test("Fifty subscribers that join within a second share the few key frames that the requester lets through")
  func joiners() {
    var world = Self.world(
      .vp8, ScalabilityMode(spatial: 1, temporal: 1, between: .full), encodings: 3, subscribers: 50)
    for index in 0..<50 { world.subscribers[index].forwarder.setTarget(LayerTarget(isPaused: true)) }
    Self.run(&world, until: 1000)
    let before = (0..<3).map { world.encodings[$0].keyAt.count }
    for index in 0..<50 {
      world.subscribers[index].forwarder.setTarget(LayerTarget())
      world.choose()
      Self.run(&world, until: 1000 + 20 * (index + 1))
    }
    Self.run(&world, until: 3000)
    // One in 200 ms at most, without a replay from the history, which would spare all but the first.
    for index in 0..<3 { #expect(world.encodings[index].keyAt.count - before[index] <= 6) }
    for index in 0..<50 { #expect(!world.subscribers[index].copies.isEmpty) }
  }

  @Test("What was decided can be read afterwards, with the reason, and only so much of it is kept")
  func reasons() throws {
    var world = Self.world(.vp8, ScalabilityMode(spatial: 1, temporal: 3, between: .full), encodings: 3)
    Self.run(&world, until: 1000)
    world.subscribers[0].forwarder.setTarget(LayerTarget(isPaused: true))
    world.choose()
    #expect(world.subscribers[0].forwarder.log.last?.reason == .paused)
    #expect(world.subscribers[0].forwarder.point == nil)
    for index in 0..<40 {
      world.subscribers[0].forwarder.setTarget(LayerTarget(isPaused: index % 2 == 1))
      world.choose()
    }
    let log = world.subscribers[0].forwarder.log
    #expect(log.count == DecisionLog.capacity)
    #expect(log.totalCount > UInt64(DecisionLog.capacity))
    for index in 1..<log.count { #expect(log[index - 1].at <= log[index].at) }
  }
}

extension SwitchingTests {
  @Test("Frames whose fields are at random are decided, and never trap", arguments: 0..<40)
  func hostile(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var forwarder = Forwarder(firstSequence: 0, firstTimestamp: 0)
    var encodings = UniqueArray<Encoding>()
    let codecs: [Codec] = [.vp8, .vp9, .h264, .av1, .opus]
    for (index, codec) in codecs.prefix(4).enumerated() {
      encodings.append(Encoding(serial: UInt32(index + 1), index: UInt8(index), codec: codec))
    }
    var now = Instant.zero
    var catalog = LayerCatalog()
    for round in 0..<400 {
      now = now + .milliseconds(Int64(random.next() % 50))
      let index = Int(random.next() % 4)
      var bytes = [UInt8]([0x90, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0x00, 0, 9, 3, 30])
      bytes += (0..<34).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      bytes += (0..<Int(1 + random.next() % 30)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      guard case .success(let view) = RTPPacketView.parse(bytes.rawBytes), view.payloadByteCount > 0 else { continue }
      let extensions = RTPExtensions(view, in: bytes.rawBytes, map: random.next() & 1 == 0 ? MediaSource.extensions : ExtensionMap())
      let sequence = ExtendedSequenceNumber(Int64(round) + Int64(random.next() % 80) * (random.next() & 7 == 0 ? 1000 : 1))
      let timestamp = RTPTimestamp(UInt32(truncatingIfNeeded: random.next()))
      let result = encodings[index].handlePacket(
        payload: view.payload(in: bytes.rawBytes), extensions: extensions, in: bytes.rawBytes, sequence: sequence, timestamp: timestamp,
        at: now)
      if round % 20 == 0 {
        catalog.removeAll()
        Self.gather(encodings, into: &catalog, at: now)
        forwarder.setTarget(
          LayerTarget(maximumHeight: UInt16(truncatingIfNeeded: random.next()), budget: .kilobitsPerSecond(Int64(random.next() % 3000))))
        forwarder.choose(from: catalog, at: now)
      }
      guard case .success(let frame) = result else { continue }
      let packet = ForwardPacket(
        frame: frame, sequence: sequence, timestamp: timestamp, marker: random.next() & 1 == 0, isEmpty: random.next() & 31 == 0)
      Self.decide(packet, encodings, index, &forwarder, bytes, extensions, view, at: now)
    }
  }

  private static func gather(_ encodings: borrowing UniqueArray<Encoding>, into catalog: inout LayerCatalog, at now: Instant) {
    for index in 0..<encodings.count { catalog.add(encodings[index], at: now) }
  }

  private static func decide(
    _ packet: ForwardPacket, _ encodings: borrowing UniqueArray<Encoding>, _ index: Int, _ forwarder: inout Forwarder, _ bytes: [UInt8],
    _ extensions: RTPExtensions, _ view: RTPPacketView, at now: Instant
  ) {
    var sent = SentPacket.placeholder
    let output: ExtendedSequenceNumber
    switch forwarder.decide(packet, of: encodings[index], at: now, into: &sent) {
    case .forward(let number), .begin(let number): output = number
    case .fill, .drop: return
    }
    let stored = StoredPacket(
      bytes: bytes, view: view, extensions: extensions, sequence: packet.sequence,
      truth: FrameTruth(
        source: 0, frame: 0, captureMilliseconds: 0, spatialID: 0, temporalID: 0, isKeyPicture: false, packetIndex: 0, packetCount: 0,
        references: []), frame: packet.frame)
    _ = OutgoingCopy(
      of: stored, sent: sent, output: output, codec: encodings[index].codec, structure: encodings[index].details.reader.structureBits)
  }
}
