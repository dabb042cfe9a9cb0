// `enfilade-bench fanout`: what forwarding costs, against what it cannot cost less than.

import ArgumentParser
import Foundation

struct FanOutCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fanout",
    abstract: "Forwards frames to many subscribers and compares with the floor: header copy, encryption and sending alone.",
    discussion: """
      Packets per CPU-second are counted on the thread that does the work, by the scheduler's clock. On loopback the receivers' path through the \
      kernel is charged to whoever sends, for engine and floor alike.
      """)

  @OptionGroup var options: FanOutOptions
  @Flag(help: "Drive the engine by hand and send nothing.") var inProcess = false
  @Flag(help: "Fail when anything is allocated in the steady state.") var forbidMallocs = false
  @Option(help: .hidden) var forwardOnly: Int?

  mutating func run() throws {
    let options = self.options
    let profile = try options.srtpProfile()
    let bench = try InProcessFanOut(options.shape, profile: profile, levelsRuns: options.levelling) { try options.makePacketProtector() }
    if let forwardOnly {
      print(bench.forwardOnly(packets: forwardOnly))
      return
    }
    let report = bench.run(seconds: options.seconds, rounds: options.rounds)
    if options.json { try printJSON(report) } else { print(report.text) }
    if forbidMallocs { try Self.check(report) }
  }

  private static func check(_ report: FanOutReport) throws {
    guard let mallocs = report.mallocs else { throw ValidationError("allocations are not counted in this build") }
    guard mallocs == 0 else {
      FileHandle.standardError.write(Data("\(mallocs) allocations in the steady state; there may be none\n".utf8))
      throw ExitCode.failure
    }
  }
}
