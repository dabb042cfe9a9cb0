// The goals of congestion control, each bound of each number. The whole table with more seeds, and the reference beside it: `enfilade-sim goals`.

import EnfiladeSimulation
import Testing

@Suite("Goals")
struct GoalTests {
  /// The goals that look at one scenario.
  struct Group: Sendable, CustomTestStringConvertible {
    var scenario: Scenario
    var goals: [Goal]
    var testDescription: String { scenario.name }
  }

  static let groups: [Group] = {
    var groups: [Group] = []
    for goal in Goal.all {
      if let index = groups.firstIndex(where: { $0.scenario.name == goal.scenario.name }) {
        groups[index].goals.append(goal)
      } else {
        groups.append(Group(scenario: goal.scenario, goals: [goal]))
      }
    }
    return groups
  }()

  /// Fewer than the table's, because these run under sanitizers too. The middle of three is the median.
  static let seeds: [UInt64] = [1, 2, 3]

  @Test("The median of three seeds is within every bound", arguments: groups)
  func goals(group: Group) {
    let results = Self.seeds.map { group.scenario.run(seed: $0) }
    for goal in group.goals {
      let value = median(results.map(goal.measure))
      #expect(goal.isMet(by: value), "\(goal.name) \(goal.title): \(value) \(goal.unit)")
    }
  }

  @Test("Bounds fail on both sides, and on what is no number")
  func bounds() {
    let goal = Goal("G0", "any", unit: "", atLeast: 0.25, atMost: 0.75, in: Goal.pairScenario) { _ in 0 }
    #expect(goal.isMet(by: 0.25) && goal.isMet(by: 0.75))
    #expect(!goal.isMet(by: 0.24) && !goal.isMet(by: 0.76))
    #expect(!goal.isMet(by: .infinity) && !goal.isMet(by: .nan))
  }

  @Test("Where the reference was published with figures, ours is better in the same laboratory", arguments: ["drop", "5.6", "loss-10"])
  func betterThanReference(name: String) throws {
    let group = try #require(Self.groups.first { $0.scenario.name == name })
    let ours = group.scenario.run(seed: 1)
    let reference = group.scenario.controlled(by: .reference).run(seed: 1)
    for goal in group.goals where goal.published != nil {
      let (a, b) = (goal.measure(ours), goal.measure(reference))
      if goal.atLeast != nil {
        #expect(a > b, "\(goal.name): \(a) against \(b)")
      } else {
        #expect(a < b, "\(goal.name): \(a) against \(b)")
      }
    }
  }

  @Test(
    "One competes where somebody fills the queue, and not alone, nor among one's own",
    arguments: [("5.6", true), ("constant-1.0", false), ("drop", false), ("pair", false)])
  func competing(name: String, expected: Bool) throws {
    let scenario = try #require(Scenario.all.first { $0.name == name })
    let result = scenario.run(seed: 1)
    let share = result.flows.map { flow in Double(flow.samples.count { $0.mode == 2 }) / Double(flow.samples.count) }
    #expect(expected ? share[0] > 0.3 : share.allSatisfy { $0 == 0 }, "\(share)")
  }
}
