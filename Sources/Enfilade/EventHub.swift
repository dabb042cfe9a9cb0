// One source of room events, many readers, none of whom can hold up the others.

import Synchronization

/// Hands every event to every open subscription.
final class EventHub: Sendable {
  /// Events one reader may be behind: a room of fifty that joins at once makes about this many.
  static let capacity = 1024

  private struct Reader {
    var continuation: AsyncStream<RoomEvent>.Continuation
    var droppedCount = 0
  }

  private struct State {
    var readers: [UInt64: Reader] = [:]
    var nextKey: UInt64 = 0
    var isFinished = false
  }

  private let state = Mutex(State())

  func subscribe() -> AsyncStream<RoomEvent> {
    let (stream, continuation) = AsyncStream.makeStream(of: RoomEvent.self, bufferingPolicy: .bufferingOldest(Self.capacity))
    let key: UInt64? = state.withLock { state in
      if state.isFinished { return nil }
      state.nextKey += 1
      state.readers[state.nextKey] = Reader(continuation: continuation)
      return state.nextKey
    }
    guard let key else {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLock { _ = $0.readers.removeValue(forKey: key) }
    }
    return stream
  }

  func send(_ event: RoomEvent) {
    state.withLock { state in
      for key in state.readers.keys {
        if let missed = state.readers[key]?.droppedCount, missed > 0 {
          guard case .enqueued = state.readers[key]?.continuation.yield(.dropped(count: missed)) else {
            state.readers[key]?.droppedCount += 1
            continue
          }
          state.readers[key]?.droppedCount = 0
        }
        if case .dropped = state.readers[key]?.continuation.yield(event) { state.readers[key]?.droppedCount += 1 }
      }
    }
  }

  func finish() {
    let readers = state.withLock { state in
      state.isFinished = true
      defer { state.readers = [:] }
      return Array(state.readers.values)
    }
    for reader in readers { reader.continuation.finish() }
  }
}
