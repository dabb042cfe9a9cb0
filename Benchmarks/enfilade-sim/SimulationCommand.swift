// Runs the laboratory from the command line.

import ArgumentParser
import EnfiladeSimulation
import Foundation

@main
struct SimulationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enfilade-sim", abstract: "Congestion control in virtual time.",
    subcommands: [GoalsCommand.self, RunCommand.self, CostCommand.self],
    defaultSubcommand: GoalsCommand.self)
}
