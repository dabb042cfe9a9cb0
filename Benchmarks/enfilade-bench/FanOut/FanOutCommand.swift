// `enfilade-bench fanout`: what forwarding costs, against what it cannot cost less than.

import ArgumentParser
import EnfiladeCongestion
import Foundation

struct FanOutCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fanout",
    abstract: "Forwards frames to many subscribers and compares with the floor: header copy, encryption and sending alone.",
    discussion: """
      Packets per CPU-second are counted on the thread that does the work, by the scheduler's clock. On loopback the receivers' path through the \
      kernel is charged to whoever sends, for engine and floor alike. A frame reaches the shard whole, as one message.

      With --congestion, what counts is the whole cost with control over the cost without it. A peer that has negotiated transport-wide feedback \
      sends its reports whether they are used or not, so the cost without it but with the same reports, unread, stands beside it: what lies between \
      that and the first is the price of receiving, and what lies above is that of estimation and pacing.
      """)

  @OptionGroup var options: FanOutOptions
  @Flag(help: "Drive the engine by hand and send nothing.") var inProcess = false
  @Option(help: "What subscribers' sockets do: coalescing, draining or idle.") var receivers = "coalescing"
  @Flag(inversion: .prefixedNo, help: "Let the kernel cut runs (UDP_SEGMENT).") var gso = true
  @Option(help: "Frames of each publisher on their way at once; the floor's turns are of one.") var window = 1
  @Option(help: "Shards that the subscribers sit on in turn.") var shards = 1
  @Flag(help: "Tie the shard's thread to the first processor.") var pin = false
  @Option(help: "The share of the measured rate at which latency is taken; 0 takes none.") var latencyLoad = 0.5
  @Flag(help: "Fail when anything is allocated in the steady state.") var forbidMallocs = false
  @Flag(help: "Compare with and without congestion control, with subscribers that report, at 30 frames a second.") var congestion = false
  @Option(help: .hidden) var forwardOnly: Int?
  @Option(help: .hidden) var congestionSide = "on"

  func validate() throws {
    guard ReceiverMode(rawValue: receivers) != nil else { throw ValidationError("no such mode of receivers: \(receivers)") }
    guard window >= 1, window <= 64 else { throw ValidationError("--window must be 1 to 64") }
    guard shards >= 1, shards <= 64, !inProcess || shards == 1 else {
      throw ValidationError("--shards must be 1 to 64, and 1 with --in-process")
    }
    guard latencyLoad >= 0, latencyLoad < 1 else { throw ValidationError("--latency-load must be at least 0 and below 1") }
  }

  func run() throws {
    if congestion { return try compareCongestion() }
    let report: FanOutReport
    if inProcess {
      let bench = try InProcessFanOut(options.shape, profile: options.srtpProfile(), levelsRuns: options.levelling) {
        try options.makePacketProtector()
      }
      if let forwardOnly { return print(bench.forwardOnly(packets: forwardOnly)) }
      report = bench.run(seconds: options.seconds, rounds: options.rounds)
    } else {
      let settings = SocketSettings(
        receivers: ReceiverMode(rawValue: receivers)!, segmentsSend: gso, pinsShard: pin, windowFrameCount: window, shardCount: shards)
      let bench = try SocketFanOut(options.shape, profile: options.srtpProfile(), levelsRuns: options.levelling, settings: settings) {
        try options.makePacketProtector()
      }
      defer { bench.stop() }
      report = try bench.run(seconds: options.seconds, rounds: options.rounds, latencyLoad: latencyLoad)
    }
    if options.json { try printJSON(report) } else { print(report.text) }
    if forbidMallocs { try Self.check(report) }
  }

  private func compareCongestion() throws {
    guard inProcess else { return try comparePaced() }
    let bench = try CongestionFanOut(options.shape, profile: options.srtpProfile(), levelsRuns: options.levelling) {
      try options.makePacketProtector()
    }
    if let forwardOnly {
      guard let side = CongestionFanOut.SideName(rawValue: congestionSide) else { throw ValidationError("no such side: \(congestionSide)") }
      return print(bench.forwardOnly(side, packets: forwardOnly))
    }
    let report = bench.run(seconds: options.seconds, rounds: options.rounds)
    if options.json { try printJSON(report) } else { print(report.text) }
    let mallocs = report.on.map(\.mallocs).reduce(0, +)
    guard forbidMallocs, mallocs > 0 else { return }
    FileHandle.standardError.write(Data("\(mallocs) allocations in the steady state; there may be none\n".utf8))
    throw ExitCode.failure
  }

  /// Over loopback, at the rate and with the reports of a call.
  private func comparePaced() throws {
    let shape = options.shape
    let make = { (congestion: CongestionProfile?, sendsReports: Bool) in
      try SocketFanOut(
        shape, profile: options.srtpProfile(), levelsRuns: options.levelling,
        settings: SocketSettings(
          segmentsSend: gso, pinsShard: pin, congestion: congestion, sendsReports: sendsReports, napMicroseconds: 1_000, watchedCount: 1)
      ) { try options.makePacketProtector() }
    }
    let report = try PacedComparison.run(make, shape: shape, seconds: options.seconds, rounds: options.rounds)
    if options.json { try printJSON(report) } else { print(report.text) }
  }

  private static func check(_ report: FanOutReport) throws {
    guard let mallocs = report.mallocs else { throw ValidationError("allocations are not counted in this build") }
    guard mallocs == 0 else {
      FileHandle.standardError.write(Data("\(mallocs) allocations in the steady state; there may be none\n".utf8))
      throw ExitCode.failure
    }
  }
}
