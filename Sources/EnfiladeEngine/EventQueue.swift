// Events wait here until the runtime fetches them. The queue is bounded; what does not fit is counted and told.

import DequeModule

/// A bounded queue of events.
package struct EventQueue: Sendable {
  /// Enough for every link of a shard to change its state twice between two drains.
  package static let capacity = 8192

  private var events = Deque<EngineEvent>()
  private var droppedCount = 0

  package init() {}

  package mutating func append(_ event: EngineEvent) {
    guard events.count < Self.capacity else {
      droppedCount += 1
      return
    }
    events.append(event)
  }

  package mutating func poll() -> EngineEvent? {
    if let event = events.popFirst() { return event }
    guard droppedCount > 0 else { return nil }
    defer { droppedCount = 0 }
    return .dropped(count: droppedCount)
  }
}
