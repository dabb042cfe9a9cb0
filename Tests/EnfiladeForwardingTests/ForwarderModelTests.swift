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
  static let seedCount = UInt64(ProcessInfo.processInfo.environment["ENFILADE_SEEDS"] ?? "") ?? 2

  struct Case: Sendable, CustomTestStringConvertible {
    var description: Description
    var mode: ScalabilityMode
    var encodingCount: Int
    var testDescription: String { "\(description) \(mode.testDescription) x\(encodingCount)" }
  }

  static let cases: [Case] =
    ScalabilityMode.temporalOnly.flatMap { mode in
      [Description.vp8, .h264Dependency, .h264FrameMarking, .av1Dependency, .vp9Flexible, .vp9Group].map {
        Case(description: $0, mode: mode, encodingCount: 3)
      }
    } + [Case(description: .h264, mode: ScalabilityMode.temporalOnly[0], encodingCount: 3)]
    + ScalabilityMode.all.flatMap { mode in
      [Description.vp9Flexible, .vp9Group, .vp9Dependency, .av1Dependency].map { Case(description: $0, mode: mode, encodingCount: 1) }
    }

  private static func run(_ options: WorldOptions) {
    var world = ForwardingWorld(options)
    world.run()
    for problem in world.problems.prefix(3) { Issue.record("seed \(options.seed): \(problem)") }
    for index in 0..<world.subscribers.count {
      var decoder = ModelDecoder(lostForEver: world.lostForEver, cutOff: world.cutOff, description: options.description)
      decoder.read(world.subscribers[index].copies)
      for problem in decoder.problems.prefix(3) { Issue.record("seed \(options.seed), subscriber \(index): \(problem)") }
      #expect(decoder.decodedFrameCount > 0, "seed \(options.seed), subscriber \(index)")
    }
  }

  @Test("Loss that is repaired, reordering, switches, pauses, restarts and wraps leave one continuous stream", arguments: cases)
  func continuous(_ sample: Case) {
    for seed in 0..<Self.seedCount {
      Self.run(WorldOptions(description: sample.description, mode: sample.mode, encodingCount: sample.encodingCount, seed: seed))
    }
  }

  @Test("Loss that is never repaired leaves holes of that loss and breaks no reference that arrived", arguments: cases)
  func lossy(_ sample: Case) {
    for seed in 0..<Self.seedCount {
      var options = WorldOptions(
        description: sample.description, mode: sample.mode, encodingCount: sample.encodingCount, seed: seed &+ 10_000)
      options.unrepairedPercent = 30
      options.lossPercent = 2
      Self.run(options)
    }
  }
}
