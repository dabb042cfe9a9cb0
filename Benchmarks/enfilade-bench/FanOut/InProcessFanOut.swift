// `fanout` without sockets: what the engine's own work costs beside the protector's.

import CAllocationCounter
import EnfiladeEngine
import EnfiladeIO
import EnfiladeLoad
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire

/// Measures an engine that is driven by hand, and its floor, in turns.
final class InProcessFanOut {
  private let shape: RoomShape
  private let profile: SRTPProfile
  private let protectorName: String
  private let levelsRuns: Bool
  private var world: InProcessEngine
  private let frames: SealedFrames
  private let floor: Floor
  private(set) var memoryBytesPerSubscriber: Int?

  /// Frames sealed ahead: short enough that what is sealed stays in the cache, long enough that the clock costs nothing.
  private static func fillingFrameCount(_ shape: RoomShape) -> Int { max(1, min(32, 256 / (shape.packetsPerFrame * shape.publishers))) }

  init(_ shape: RoomShape, profile: SRTPProfile, levelsRuns: Bool, seed: UInt64 = 1, makeProtector: () throws -> any PacketProtector) throws
  {
    self.shape = shape
    self.profile = profile
    self.levelsRuns = levelsRuns
    var random = SeededRandom(seed: seed)
    let room = Room(shape, profile: profile, using: &random) { SocketAddress(ipv4: 0x0A00_0000 + UInt32($0), port: 5_000) }
    let peers = try makeProtector()
    let protector = try makeProtector()
    protectorName = protector.name
    frames = try SealedFrames(room, frameLimit: Self.fillingFrameCount(shape), protector: peers)
    let reports = try SubscriberReports(room, protector: peers)
    world = InProcessEngine(room, protector: protector, profile: profile, levelsRuns: levelsRuns, seed: seed)
    world.addPublishers()
    let before = enfilade_live_byte_count()
    world.addSubscribers()
    if enfilade_allocation_counting() != 0 {
      memoryBytesPerSubscriber = Int(enfilade_live_byte_count() - before) / shape.subscribers
    }
    world.start(frames, reports: reports)
    // Now that nobody's section is named any more, packets have their steady size.
    frames.fill(frameCount: 1)
    world.forward(frames)
    floor = try Floor(
      shape, profile: profile, protector: try makeProtector(), sealedByteCount: world.sealedByteCount,
      addresses: room.subscribers.map(\.address))
  }

  /// Lets every table and history reach its final size: two rounds of the history, and every report that is due in two seconds.
  func warmUp() {
    let end = MonotonicClock.now + .seconds(2.5)
    var frameCount = 0
    while MonotonicClock.now < end || frameCount * shape.packetsPerFrame < 2 * Limits.videoHistoryPacketCount {
      frames.fill(frameCount: frames.frameLimit)
      world.forward(frames)
      frameCount += frames.frameLimit
    }
    _ = floor.run(frameCount: 4, socket: nil)
  }

  /// Forwards for `seconds` of processor time.
  func measureEngine(seconds: Double) -> (round: ForwardingRound, mallocs: Int64) {
    world.keepConsent()
    let packetsBefore = world.engine.traffic.packetsOut
    let thread = enfilade_thread_number()
    var time = ProcessorTime.zero
    var mallocs: Int64 = 0
    while time.total.seconds < seconds {
      frames.fill(frameCount: frames.frameLimit)
      let mallocsBefore = enfilade_allocation_count(thread)
      let before = ProcessorTime.ofThisThread
      world.forward(frames)
      time += ProcessorTime.ofThisThread - before
      mallocs += enfilade_allocation_count(thread) - mallocsBefore
    }
    let packets = Int(world.engine.traffic.packetsOut - packetsBefore)
    return (ForwardingRound(packets: packets, time: time), mallocs)
  }

  func measureFloor(seconds: Double) -> ForwardingRound {
    var time = ProcessorTime.zero
    var packets = 0
    while time.total.seconds < seconds {
      let before = ProcessorTime.ofThisThread
      packets += floor.run(frameCount: frames.frameLimit * shape.publishers, socket: nil) / shape.publishers
      time += ProcessorTime.ofThisThread - before
    }
    return ForwardingRound(packets: packets, time: time)
  }

  func measureLatency(packets: Int) -> LatencySummary {
    var latencies = LatencyHistogram()
    while latencies.count < packets {
      frames.fill(frameCount: frames.frameLimit)
      world.forward(frames, recording: &latencies)
    }
    return LatencySummary(latencies)
  }

  /// Forwards this many packets or a few more, after a warm-up by another function: for a profiler that counts one. Both are of
  /// a fixed length, so that two runs differ by what they forward.
  func forwardOnly(packets: Int) -> Int {
    var warmed = 0
    var ignored = LatencyHistogram()
    while warmed < 2 * Limits.videoHistoryPacketCount {
      world.keepConsent()
      frames.fill(frameCount: frames.frameLimit)
      world.forward(frames, recording: &ignored)
      warmed += frames.packets.count
    }
    world.keepConsent()
    let before = world.engine.traffic.packetsOut
    while Int(world.engine.traffic.packetsOut - before) < packets {
      frames.fill(frameCount: frames.frameLimit)
      world.forward(frames)
    }
    return Int(world.engine.traffic.packetsOut - before)
  }

  /// Everything `fanout` says.
  func run(seconds: Double, rounds: Int) -> FanOutReport {
    warmUp()
    var engineRounds: [ForwardingRound] = []
    var floorRounds: [ForwardingRound] = []
    var mallocs: Int64 = 0
    let before = world.engine.traffic
    for _ in 0..<rounds {
      let (round, count) = measureEngine(seconds: seconds)
      engineRounds.append(round)
      mallocs += count
      floorRounds.append(measureFloor(seconds: seconds))
    }
    let packets = world.engine.traffic.packetsOut - before.packetsOut
    let messages = world.engine.traffic.messagesOut - before.messagesOut
    let latency = measureLatency(packets: 200_000)
    let isCounting = enfilade_allocation_counting() != 0
    var report = FanOutReport(
      path: "in-process", protector: protectorName, profile: profile.standardName, shape: shape, levelling: levelsRuns, segmentation: true,
      receivers: "none, nothing is sent", sealedPacketBytes: world.sealedByteCount, packetsPerMessage: Double(packets) / Double(messages),
      engine: engineRounds, floor: floorRounds, packetsPerProcessorSecond: 0, floorPacketsPerProcessorSecond: 0, ratioToFloor: 0,
      systemShare: 0, addedLatency: latency, latencyIs: "from handing a frame in to its packets being ready to send",
      memoryBytesPerSubscriber: memoryBytesPerSubscriber, mallocsPerPacket: isCounting ? Double(mallocs) / Double(packets) : nil,
      mallocs: isCounting ? mallocs : nil)
    report.summarize()
    return report
  }
}
