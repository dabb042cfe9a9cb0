// The way of samples from a media worker to an application that takes them. Who takes too little loses the oldest, and is told how many; the worker
// waits for nobody.

package import EnfiladeEngine
import Synchronization

/// The line to one tap.
package final class TapLine: Sendable {
  /// What comes on it.
  package enum Element: Sendable {
    /// - Parameter missed: blocks lost right before this one.
    case sound(RecordedPacket, missed: Int)
    /// Nothing comes from now on, because it was muted; or again.
    case muted(Bool)
  }

  /// Why it ended.
  package enum Outcome: Sendable, Equatable {
    case stopped
    case publicationEnded
    case roomClosed
  }

  private struct State {
    var elements: [Element] = []
    /// Elements in front that were taken.
    var head = 0
    var missed = 0
    var missedTotal = 0
    var isMuted = false
    var outcome: Outcome?
    var waiter: CheckedContinuation<Element?, Never>?
  }

  package let recorder: RecorderID
  /// The worker whose thread fills it.
  let worker: Int
  private let capacity: Int
  private let state = Mutex(State())

  /// - Parameter capacity: blocks of 20 ms that may wait.
  package init(_ recorder: RecorderID, worker: Int, capacity: Int) {
    self.recorder = recorder
    self.worker = worker
    self.capacity = max(1, capacity)
  }

  package var outcome: Outcome? { state.withLock { $0.outcome } }
  /// Blocks that were lost, because nobody took them in time.
  package var missedCount: Int { state.withLock { $0.missedTotal } }

  /// The next element; `nil` behind the last, and when the task is cancelled. One task at a time.
  package func next() async -> Element? {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Element?? = state.withLock { state in
          if let element = Self.take(&state) { return .some(element) }
          if state.outcome != nil || Task.isCancelled { return .some(nil) }
          precondition(state.waiter == nil, "a tap is read by one task at a time")
          state.waiter = continuation
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      state.withLock { $0.waiter.take() }?.resume(returning: nil)
    }
  }

  private static func take(_ state: inout State) -> Element? {
    guard state.head < state.elements.count else { return nil }
    var element = state.elements[state.head]
    state.head += 1
    if state.head >= 32 || state.head == state.elements.count {
      state.elements.removeFirst(state.head)
      state.head = 0
    }
    if case .sound(let packet, _) = element {
      element = .sound(packet, missed: state.missed)
      state.missed = 0
    }
    return element
  }

  /// On the worker's thread. What comes while it is muted is not given.
  package func put(_ packet: RecordedPacket) { put(.sound(packet, missed: 0)) { !$0.isMuted } }

  /// Says that it was muted, and lets go of the blocks that wait; or that it is not muted any more.
  package func setMuted(_ isMuted: Bool) {
    put(.muted(isMuted)) { state in
      guard state.isMuted != isMuted else { return false }
      state.isMuted = isMuted
      if isMuted { Self.discard(&state) }
      return true
    }
  }

  private func put(_ element: Element, where isWanted: (inout State) -> Bool) {
    let (waiter, first) = state.withLock { state -> (CheckedContinuation<Element?, Never>?, Element?) in
      guard state.outcome == nil, isWanted(&state) else { return (nil, nil) }
      state.elements.append(element)
      if state.elements.count - state.head > capacity { Self.dropOldest(&state) }
      guard let waiter = state.waiter.take() else { return (nil, nil) }
      return (waiter, Self.take(&state))
    }
    waiter?.resume(returning: first)
  }

  /// The oldest block goes. What was said about muting stays: of it, only so much waits as was said since it was last read.
  private static func dropOldest(_ state: inout State) {
    for index in state.head..<state.elements.count {
      guard case .sound = state.elements[index] else { continue }
      state.elements.remove(at: index)
      state.missed += 1
      state.missedTotal += 1
      return
    }
    // Nothing but words of muting: the newest says what counts.
    state.elements.removeSubrange(state.head..<state.elements.count - 1)
  }

  private static func discard(_ state: inout State) {
    state.elements.removeFirst(state.head)
    state.head = 0
    state.elements.removeAll { if case .sound = $0 { true } else { false } }
  }

  /// It is over; what came first counts, and what waits is read to its end.
  package func finish(_ outcome: Outcome) {
    let waiter = state.withLock { state in
      if state.outcome == nil { state.outcome = outcome }
      return state.waiter.take()
    }
    waiter?.resume(returning: nil)
  }
}
