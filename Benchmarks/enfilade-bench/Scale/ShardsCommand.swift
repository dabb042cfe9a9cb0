// `enfilade-bench shards`: what a room gains when its subscribers sit on several shards.

import ArgumentParser
import EnfiladeWire
import Foundation

struct ShardsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shards",
    abstract: "One room on one shard and on several, both kept busy, in turn.",
    discussion: """
      What n shards carry is n times what they forward in a second of processor time, summed over their threads; the feeder and the receivers \
      are not counted. So the figure is the same on a machine with too few processors to run all of them at once.
      """)

  @OptionGroup var options: FanOutOptions
  @Option(help: "How many shards are compared with one.") var shards = 2
  @Option(help: "What subscribers' sockets do: coalescing, draining or idle.") var receivers = "coalescing"
  @Option(help: "Frames on their way at once: enough that no shard waits for the feeder.") var window = 2

  func validate() throws {
    guard shards >= 2, shards <= 64 else { throw ValidationError("--shards must be 2 to 64") }
    guard window >= 1, window <= 64 else { throw ValidationError("--window must be 1 to 64") }
    guard ReceiverMode(rawValue: receivers) != nil else { throw ValidationError("no such mode of receivers: \(receivers)") }
    guard options.publishers == 1 else { throw ValidationError("one publisher is enough here") }
  }

  struct Report: Codable {
    var shards: Int
    var shape: RoomShape
    var profile: String
    var one: [ForwardingRound]
    var several: [ForwardingRound]
    /// How many times what one shard carries, in each pair of measurements.
    var gains: [Double] { zip(several, one).map { Double(shards) * $0.packetsPerProcessorSecond / $1.packetsPerProcessorSecond } }
  }

  func run() throws {
    func bench(_ count: Int) throws -> SocketFanOut {
      let settings = SocketSettings(receivers: ReceiverMode(rawValue: receivers)!, windowFrameCount: window, shardCount: count)
      return try SocketFanOut(options.shape, profile: options.srtpProfile(), levelsRuns: options.levelling, settings: settings) {
        try options.makePacketProtector()
      }
    }
    let (one, several) = (try bench(1), try bench(shards))
    defer {
      one.stop()
      several.stop()
    }
    one.warmUp()
    several.warmUp()
    var report = Report(shards: shards, shape: options.shape, profile: options.profile, one: [], several: [])
    for _ in 0..<options.rounds {
      report.one.append(try one.measureEngine(seconds: options.seconds).round)
      report.several.append(try several.measureEngine(seconds: options.seconds).round)
    }
    if options.json { return try printJSON(report) }
    let shape = options.shape
    print(
      "shards: \(shape.subscribers) subscribers, \(shape.packetsPerFrame) packets of \(shape.packetBytes) bytes a frame, \(options.profile)"
    )
    print(String(format: "  one shard      %9.0f packets per CPU-second", median(report.one.map(\.packetsPerProcessorSecond))))
    print(String(format: "  %d shards       %9.0f packets per CPU-second", shards, median(report.several.map(\.packetsPerProcessorSecond))))
    print(
      String(format: "  carry          %9.2f times as much  (median of %d: ", median(report.gains), options.rounds)
        + report.gains.map { String(format: "%.2f", $0) }.joined(separator: " ") + ")")
  }
}
