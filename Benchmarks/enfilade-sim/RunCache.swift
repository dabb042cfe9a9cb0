// Several goals look at one run.

import EnfiladeSimulation

/// Results by scenario and seed, for the time of one command.
final class RunCache {
  nonisolated(unsafe) static let shared = RunCache()
  private struct Key: Hashable {
    var scenario: Scenario
    var seed: UInt64
  }
  private var results: [Key: SimulationResult] = [:]

  func results(_ scenario: Scenario, seeds: Range<UInt64>) -> [SimulationResult] {
    seeds.map { seed in
      let key = Key(scenario: scenario, seed: seed)
      if let known = results[key] { return known }
      let result = scenario.run(seed: seed)
      results[key] = result
      return result
    }
  }
}
