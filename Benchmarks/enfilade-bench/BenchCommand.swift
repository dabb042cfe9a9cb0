// The program `enfilade-bench`.

import ArgumentParser

@main
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enfilade-bench", abstract: "Measures the packet pipeline.", subcommands: [PeersCommand.self])
}
