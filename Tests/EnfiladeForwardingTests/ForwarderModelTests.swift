// Generated streams of every scalability mode through a bad network and a restless subscriber, read by the model decoder.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeWire
import Foundation
import Testing

@Suite("Forwarder against the model decoder")
struct ForwarderModelTests {
  /// How many seeds each stream is run with. For thousands, in a quarter of an hour:
  /// `ENFILADE_SEEDS=1000 swift test -c release --filter ForwarderModelTests`.
  static let seedCount = UInt64(ProcessInfo.processInfo.environment["ENFILADE_SEEDS"] ?? "") ?? 1
  /// The first of them: other seeds than the usual ones find other things.
  static let firstSeed = UInt64(ProcessInfo.processInfo.environment["ENFILADE_FIRST_SEED"] ?? "") ?? 0

  struct Case: Sendable, CustomTestStringConvertible {
    var description: Description
    var mode: ScalabilityMode
    var encodingCount: Int
    var testDescription: String { "\(description) \(mode.testDescription) x\(encodingCount)" }
  }

  static let cases: [Case] =
    ScalabilityMode.temporalOnly.flatMap { mode in
      [Description.vp8, .vp8Dependency, .h264Dependency, .h264FrameMarking, .av1Dependency, .vp9Flexible, .vp9Group].map {
        Case(description: $0, mode: mode, encodingCount: 3)
      }
    } + [Case(description: .h264, mode: ScalabilityMode.temporalOnly[0], encodingCount: 3)]
    + ScalabilityMode.all.flatMap { mode in
      [Description.vp9Flexible, .vp9Group, .vp9Dependency, .av1Dependency].map { Case(description: $0, mode: mode, encodingCount: 1) }
    }

  @discardableResult
  private static func run(_ options: WorldOptions) -> Int {
    var world = ForwardingWorld(options)
    world.run()
    var replays = 0
    for problem in world.problems.prefix(3) { Issue.record("seed \(options.seed): \(problem)") }
    for index in 0..<world.subscribers.count {
      var decoder = ModelDecoder(lostForEver: world.lostForEver, cutOff: world.cutOff, description: options.description)
      decoder.read(world.subscribers[index].copies)
      for problem in decoder.problems.prefix(3) { Issue.record("seed \(options.seed), subscriber \(index): \(problem)") }
      #expect(decoder.decodedFrameCount > 0, "seed \(options.seed), subscriber \(index)")
      replays += world.subscribers[index].replayCount
    }
    return replays
  }

  @Test("Loss that is repaired, reordering, switches, pauses, restarts and wraps leave one continuous stream", arguments: cases)
  func continuous(_ sample: Case) {
    for seed in Self.firstSeed..<Self.firstSeed + Self.seedCount {
      Self.run(WorldOptions(description: sample.description, mode: sample.mode, encodingCount: sample.encodingCount, seed: seed))
    }
  }

  @Test("Loss that is never repaired leaves holes of that loss and breaks no reference that arrived", arguments: cases)
  func lossy(_ sample: Case) {
    for seed in Self.firstSeed..<Self.firstSeed + Self.seedCount {
      var options = WorldOptions(
        description: sample.description, mode: sample.mode, encodingCount: sample.encodingCount, seed: seed &+ 10_000)
      options.unrepairedPercent = 30
      options.lossPercent = 2
      Self.run(options)
    }
  }

  /// Seeds that once failed, for ever.
  @Test("A stream that gives way to another in the midst of a replay keeps its time", arguments: cases.filter { $0.encodingCount > 1 })
  func interruptedReplay(_ sample: Case) {
    for (seed, isLossy) in [(25_008, false), (35_009, true)] as [(UInt64, Bool)] {
      var options = WorldOptions(description: sample.description, mode: sample.mode, encodingCount: sample.encodingCount, seed: seed)
      (options.milliseconds, options.subscriberCount, options.replays) = (5000, 4, true)
      if isLossy { (options.unrepairedPercent, options.lossPercent) = (30, 2) }
      Self.run(options)
    }
  }

  @Test(
    "A structure, and what is sent of it, are told with frames that come late, too",
    arguments: cases.filter(\.description.usesDependencyDescriptor))
  func lateAnnouncement(_ sample: Case) {
    Self.run(WorldOptions(description: sample.description, mode: sample.mode, encodingCount: sample.encodingCount, seed: 5_006))
    var options = WorldOptions(description: sample.description, mode: sample.mode, encodingCount: sample.encodingCount, seed: 25_000)
    (options.milliseconds, options.subscriberCount, options.replays) = (5000, 4, true)
    Self.run(options)
  }

  @Test("Who joins, or waits for a key picture, is served out of the history, and has one continuous stream all the same", arguments: cases)
  func replayed(_ sample: Case) {
    var replays = 0
    for seed in Self.firstSeed..<Self.firstSeed + Self.seedCount {
      var options = WorldOptions(
        description: sample.description, mode: sample.mode, encodingCount: sample.encodingCount, seed: seed &+ 20_000)
      options.replays = true
      options.subscriberCount = 4
      options.milliseconds = 5000
      replays += Self.run(options)
      options.seed &+= 10_000
      options.unrepairedPercent = 30
      options.lossPercent = 2
      replays += Self.run(options)
    }
    #expect(replays > 0)
  }
}
