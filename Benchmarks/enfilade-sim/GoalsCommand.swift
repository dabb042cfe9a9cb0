// The table of goals.

import ArgumentParser
import EnfiladeSimulation
import Foundation

struct GoalsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "goals", abstract: "Prints the table of goals.")

  @Option(help: "How many seeds; the table shows medians.") var seeds = 5
  @Option(help: "The first seed.") var firstSeed: UInt64 = 1
  @Option(help: "Only goals whose name begins so.") var only = ""
  @Flag(help: "Leave out the reference's runs.") var oursOnly = false

  func run() throws {
    let goals = Goal.all.filter { $0.name.hasPrefix(only) }
    print(row("goal", "what", "ours", "bounds", "reference here", "published", "met"))
    var isAllMet = true
    for goal in goals {
      let ours = values(goal, .enfilade)
      let reference = oursOnly ? nil : median(values(goal, .reference))
      let value = median(ours)
      isAllMet = isAllMet && goal.isMet(by: value)
      let range = "\(number(value)) [\(number(ours.min()!))…\(number(ours.max()!))] \(goal.unit)"
      print(
        row(
          goal.name, goal.title, range, bounds(goal), reference.map(number) ?? "", goal.published.map(number) ?? "",
          goal.isMet(by: value) ? "yes" : "NO"))
    }
    if !isAllMet { throw ExitCode(1) }
  }

  private func values(_ goal: Goal, _ control: MediaModel.Control) -> [Double] {
    RunCache.shared.results(goal.scenario.controlled(by: control), seeds: firstSeed..<(firstSeed + UInt64(seeds))).map(goal.measure)
  }

  private func bounds(_ goal: Goal) -> String {
    [goal.atLeast.map { "≥ \(number($0))" }, goal.atMost.map { "≤ \(number($0))" }].compactMap { $0 }.joined(separator: ", ")
  }

  private func number(_ value: Double) -> String { value.isFinite ? String(format: "%.3g", value) : "never" }

  private func row(_ fields: String...) -> String {
    let widths = [5, 34, 30, 16, 15, 10, 4]
    return "| " + zip(fields, widths).map { $0.padding(toLength: max($1, $0.count), withPad: " ", startingAt: 0) }.joined(separator: " | ")
      + " |"
  }
}
