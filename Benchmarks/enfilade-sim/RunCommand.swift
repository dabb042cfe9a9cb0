// One scenario, or all, with a plot of each.

import ArgumentParser
import EnfiladeSimulation
import Foundation

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "run", abstract: "Runs a scenario by name, or a trace from a file.")

  @Argument(help: "The scenario's name; 'all' for all; 'list' for the names.") var name = "list"
  @Option(help: "The seed.") var seed: UInt64 = 1
  @Option(help: "A folder for plots, one SVG for each scenario.") var plots: String?
  @Option(help: "A trace in Mahimahi's format to run instead.") var mahimahi: String?
  @Option(help: "A trace of seconds and kilobits per second to run instead.") var trace: String?
  @Option(help: "How long a trace runs, in seconds.") var seconds = 120.0
  @Option(help: "What a trace's source can use at most, in kilobits per second.") var maximum = 10_000.0
  @Flag(help: "Under the rules of the reference.") var reference = false
  @Flag(help: "Subscribers report as RFC 8888 has it.") var byStream = false
  @Option(help: "Print every so many samples of 0.1 s; zero for none.") var every = 0

  func run() throws {
    if name == "list", mahimahi == nil, trace == nil {
      for scenario in Scenario.all { print("\(scenario.name)\t\(scenario.title)") }
      return
    }
    for scenario in try chosen() {
      var scenario = scenario
      if reference { scenario = scenario.controlled(by: .reference) }
      if byStream { scenario = scenario.reporting(.byStream) }
      let result = scenario.run(seed: seed)
      report(result)
      if let plots {
        try FileManager.default.createDirectory(atPath: plots, withIntermediateDirectories: true)
        let path = "\(plots)/\(scenario.name)\(reference ? "-reference" : "").svg"
        try Plot(result).svg.write(toFile: path, atomically: true, encoding: .utf8)
        print("  \(path)")
      }
    }
  }

  private func chosen() throws -> [Scenario] {
    if let mahimahi {
      let schedule = try CapacitySchedule(mahimahi: String(contentsOfFile: mahimahi, encoding: .utf8))
      return [.traced(label(mahimahi), capacity: schedule, durationSeconds: seconds, maximumKilobits: maximum)]
    }
    if let trace {
      let schedule = try CapacitySchedule(secondsAndKilobits: String(contentsOfFile: trace, encoding: .utf8), repeats: true)
      return [.traced(label(trace), capacity: schedule, durationSeconds: seconds, maximumKilobits: maximum)]
    }
    let scenarios = Scenario.all.filter { name == "all" || $0.name == name }
    guard !scenarios.isEmpty else { throw ValidationError("no scenario '\(name)'; try 'list'") }
    return scenarios
  }

  private func label(_ path: String) -> String { URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent }

  private func report(_ result: SimulationResult) {
    print("\(result.scenario.name): \(result.scenario.title), seed \(result.seed)")
    let end = result.scenario.durationSeconds
    for (index, flow) in result.flows.enumerated() {
      let model = result.scenario.flows[index]
      let start = min(model.startSeconds + 5, end)
      var line = "  \(flow.name.padding(toLength: 12, withPad: " ", startingAt: 0))"
      line += String(format: " %7.0f kbit/s", flow.delivered(from: start, to: end) / 1000)
      if case .media = model.kind {
        line += String(
          format: "  use %.3f  delay p50 %.0f p95 %.0f p99 %.0f ms  loss %.2f %%  freeze %.0f ms  undelayed %.1f %%  padding %.1f %%",
          result.utilization(of: index, from: start, to: end), flow.delay(quantile: 0.5), flow.delay(quantile: 0.95),
          flow.delay(quantile: 0.99), flow.lossShare * 100, flow.longestFreezeMilliseconds,
          flow.allPacketCount > 0 ? 100 * Double(flow.undelayedPacketCount) / Double(flow.allPacketCount) : 0,
          100 * Double(flow.paddingByteCount) / max(1, flow.samples.reduce(0) { $0 + $1.sent } * 0.1 / 8))
      }
      print(line)
    }
    guard every > 0 else { return }
    for sample in stride(from: every - 1, to: result.flows[0].samples.count, by: every) {
      let fields = result.flows.map { flow in
        let s = flow.samples[sample]
        return String(
          format: "%5.0f/%5.0f/%5.0f %4.0f ms %2d m%d", s.target / 1000, s.sent / 1000, s.delivered / 1000, s.delayMilliseconds, s.layer,
          s.mode)
      }
      print(String(format: "%6.1f  ", result.flows[0].samples[sample].seconds) + fields.joined(separator: "  |  "))
    }
  }
}
