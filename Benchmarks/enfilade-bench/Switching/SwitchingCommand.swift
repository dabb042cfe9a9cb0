// `enfilade-bench switching`: what a forwarded packet costs while layers are switched, beside the same packets while they are not.

import ArgumentParser
import CAllocationCounter
import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeIO
import EnfiladeTransport
import EnfiladeWire
import Foundation

struct SwitchingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "switching",
    abstract: "Cost per forwarded packet while every subscriber changes between two encodings, in process.",
    discussion: """
      One publisher sends two encodings with packets of one size, 30 frames a second in the engine's time, and a key frame of each every half \
      second. In turns every subscriber keeps the larger, changes its target once a second, and changes it ten times a second. What changing \
      a target costs is counted with the packets.
      """)

  @OptionGroup var options: FanOutOptions

  func validate() throws {
    try options.validate()
    guard options.publishers == 1 else { throw ValidationError("--publishers must be 1") }
  }

  func run() throws {
    let bench = try SwitchingFanOut(options)
    let report = bench.run(seconds: options.seconds, rounds: options.rounds)
    if options.json { try printJSON(report) } else { print(report.text) }
  }
}

/// A room whose subscribers change what they want.
final class SwitchingFanOut {
  /// One way of changing, in one measurement.
  struct Round: Codable {
    var packets: Int
    var nanoseconds: Double
    var switches: Int
    var mallocs: Int64
    var perPacket: Double { nanoseconds / Double(packets) }
  }

  struct Report: Codable {
    var shape: RoomShape
    /// By the number of frames between two changes; zero for none.
    var rounds: [Int: [Round]]

    var text: String {
      let fixed = rounds[0] ?? []
      var lines = [
        "switching: \(shape.subscribers) subscribers, \(shape.packetsPerFrame) packets of \(shape.packetBytes) bytes a frame, two encodings"
      ]
      for (spacing, measured) in rounds.sorted(by: { ($0.key == 0 ? .max : $0.key) > ($1.key == 0 ? .max : $1.key) }) {
        let pairs = zip(measured, fixed).map { $0.perPacket / $1.perPacket }
        let packets = measured.reduce(0) { $0 + $1.packets }
        let switches = measured.reduce(0) { $0 + $1.switches }
        let mallocs = measured.reduce(0) { $0 + $1.mallocs }
        let name = spacing == 0 ? "one layer all the time" : "targets change every \(spacing * 1000 / 30) ms"
        lines.append(
          String(
            format: "  %@%7.1f ns a packet (× %.3f), %d packets, %d switches, %d mallocs",
            name.padding(toLength: 32, withPad: " ", startingAt: 0) as NSString,
            median(measured.map(\.perPacket)), median(pairs), packets, switches, mallocs)
            + (spacing == 0 ? "" : "; pairs " + pairs.map { String(format: "%.2f", $0) }.joined(separator: " ")))
      }
      return lines.joined(separator: "\n")
    }
  }

  private static let frameInterval = TimeDelta.microseconds(33_333)
  private static let framesPerFilling = 2
  /// No change; once a second; ten times a second.
  private static let spacings = [0, 30, 3]
  private let shape: RoomShape
  private var world: InProcessEngine
  private let frames: SealedFrames
  private var frame = 0

  init(_ options: FanOutOptions) throws {
    var shape = options.shape
    shape.encodings = 2
    shape.keyframeSpacing = 15
    self.shape = shape
    let profile = try options.srtpProfile()
    var random = SeededRandom(seed: 1)
    let room = Room(shape, profile: profile, using: &random) { SocketAddress(ipv4: 0x0A00_0000 + UInt32($0), port: 5_000) }
    let peers = try options.makePacketProtector()
    frames = try SealedFrames(room, frameLimit: Self.framesPerFilling, protector: peers)
    world = InProcessEngine(
      room, protector: try options.makePacketProtector(), profile: profile, levelsRuns: options.levelling, seed: 1,
      frameInterval: Self.frameInterval)
    world.addPublishers()
    world.addSubscribers()
    world.start(frames, reports: try SubscriberReports(room, protector: peers))
  }

  private static func target(isLarge: Bool) -> LayerTarget {
    isLarge ? LayerTarget() : LayerTarget(maximumWidth: 640, maximumHeight: 360)
  }

  /// Forwards for `seconds` of processor time; every subscriber changes its target every `spacing` frames, each at a time of its own.
  private func measure(spacing: Int, seconds: Double) -> Round {
    for subscriber in 0..<shape.subscribers { world.setTarget(Self.target(isLarge: true), of: subscriber) }
    // Until everybody is back at the larger.
    for _ in 0..<30 {
      frames.fill(frameCount: Self.framesPerFilling)
      world.forward(frames)
    }
    _ = world.takeSwitchCount()
    let thread = enfilade_thread_number()
    let before = world.engine.traffic.packetsOut
    var time = ProcessorTime.zero
    var round = Round(packets: 0, nanoseconds: 0, switches: 0, mallocs: 0)
    while time.total.seconds < seconds {
      world.keepConsent()
      frames.fill(frameCount: Self.framesPerFilling)
      let mallocs = enfilade_allocation_count(thread)
      let start = ProcessorTime.ofThisThread
      if spacing > 0 {
        for offset in 0..<Self.framesPerFilling {
          for subscriber in 0..<shape.subscribers where (frame + offset + subscriber) % spacing == 0 {
            world.setTarget(Self.target(isLarge: (frame + offset + subscriber) / spacing % 2 == 0), of: subscriber)
          }
        }
      }
      world.forward(frames)
      time += ProcessorTime.ofThisThread - start
      round.mallocs += enfilade_allocation_count(thread) - mallocs
      round.switches += world.takeSwitchCount()
      frame += Self.framesPerFilling
    }
    round.packets = Int(world.engine.traffic.packetsOut - before)
    round.nanoseconds = time.total.seconds * 1e9
    return round
  }

  func run(seconds: Double, rounds: Int) -> Report {
    _ = measure(spacing: 30, seconds: 1)
    var report = Report(shape: shape, rounds: [:])
    for _ in 0..<rounds {
      for spacing in Self.spacings { report.rounds[spacing, default: []].append(measure(spacing: spacing, seconds: seconds)) }
    }
    return report
  }
}
