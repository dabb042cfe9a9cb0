// enfilade-bench: what the packet path costs, as counts and ratios that a command reproduces.

import ArgumentParser
import Dispatch

struct EnfiladeBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enfilade-bench",
    abstract:
      "Measures the packet path: forwarding against its floor, switching layers, protection, cost against load, shards, waiting, mixing, a large room, and the peers.",
    subcommands: [
      FanOutCommand.self, SwitchingCommand.self, ProtectCommand.self, ScaleCommand.self, ShardsCommand.self, WindowCommand.self,
      MixtureCommand.self, MixPeersCommand.self, MixServerCommand.self,
      MeetingCommand.self, PeersCommand.self,
    ])
}

/// Runs a command on the main thread, and starts tasks only for one that is asynchronous: valgrind does not survive an asynchronous main.
@main
enum Start {
  static func main() {
    do {
      var command = try EnfiladeBench.parseAsRoot()
      guard let asynchronous = command as? any AsyncParsableCommand else { return try command.run() }
      nonisolated(unsafe) var running = asynchronous
      Task {
        do {
          try await running.run()
          EnfiladeBench.exit()
        } catch {
          EnfiladeBench.exit(withError: error)
        }
      }
      dispatchMain()
    } catch {
      EnfiladeBench.exit(withError: error)
    }
  }
}
