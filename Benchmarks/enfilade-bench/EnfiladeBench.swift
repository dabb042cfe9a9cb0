// enfilade-bench: what the packet path costs, as counts and ratios that a command reproduces.

import ArgumentParser

@main
struct EnfiladeBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enfilade-bench",
    abstract: "Measures the packet path: forwarding against its floor, protection, and cost against load.",
    subcommands: [FanOutCommand.self])
}
