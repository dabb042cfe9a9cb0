// Every interleaving of the ring's two threads, for small rings.

import Testing

@Suite("SPSCRing, every interleaving")
struct SPSCRingModelTests {
  struct Outcome {
    var stateCount = 0
    var violation: String?
    /// States from which the run cannot finish any more.
    var stuckCount = 0
  }

  /// Walks everything reachable from `start`, and back from the final states.
  static func explore(_ start: SPSCRingModel) -> Outcome {
    var outcome = Outcome()
    var indices = [start: 0]
    var states = [start]
    var predecessors: [[Int]] = [[]]
    var position = 0
    while position < states.count {
      let state = states[position]
      if let violation = state.violation {
        outcome.violation = violation
        outcome.stateCount = states.count
        return outcome
      }
      for next in state.successors() {
        if let known = indices[next] {
          predecessors[known].append(position)
        } else {
          indices[next] = states.count
          states.append(next)
          predecessors.append([position])
        }
      }
      position += 1
    }
    var canFinish = states.map(\.isFinal)
    var queue = states.indices.filter { canFinish[$0] }
    while let index = queue.popLast() {
      for earlier in predecessors[index] where !canFinish[earlier] {
        canFinish[earlier] = true
        queue.append(earlier)
      }
    }
    outcome.stateCount = states.count
    outcome.stuckCount = canFinish.count { !$0 }
    return outcome
  }

  @Test(
    "No interleaving reads a wrong element or gets stuck, whatever the capacity and wherever the indices wrap", arguments: [1, 2, 4], 0..<4)
  func correct(capacity: Int, start: Int) {
    let total = capacity == 1 ? 5 : capacity + 2
    let outcome = Self.explore(
      .init(capacity: capacity, modulus: 2 * capacity, start: start % (2 * capacity), total: total, variant: .correct))
    #expect(outcome.violation == nil)
    #expect(outcome.stuckCount == 0)
    // The walk was a walk: both threads and both buffers interleave.
    #expect(outcome.stateCount > 100)
  }

  @Test("The walk finds each fault that is planted", arguments: SPSCRingVariant.allCases.filter { $0 != .correct })
  func planted(variant: SPSCRingVariant) {
    let outcome = Self.explore(.init(capacity: 2, modulus: 4, start: 3, total: 5, variant: variant))
    #expect(outcome.violation != nil || outcome.stuckCount > 0)
  }
}
