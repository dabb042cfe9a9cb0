// Commands on their way to a shard: bounded, in order, with a wake-up. The only lock of the runtime, and no packet ever meets it.

import EnfiladeIO
import Synchronization

/// A bounded queue from any thread to one.
final class Mailbox<Message: Sendable>: Sendable {
  /// Commands that may wait: a room of fifty that renegotiates at once makes some thousand.
  static var capacity: Int { 65_536 }

  private struct State {
    var messages: [Message] = []
    var isClosed = false
  }

  private let state = Mutex(State())
  private let wakeUp: WakeUp

  init(wakeUp: WakeUp) { self.wakeUp = wakeUp }

  /// Puts a message in and wakes the shard; `false` when the mailbox is closed, or full and the message not urgent.
  func post(_ message: Message, isUrgent: Bool = false) -> Bool {
    let isTaken = state.withLock { state in
      guard !state.isClosed, isUrgent || state.messages.count < Self.capacity else { return false }
      state.messages.append(message)
      return true
    }
    if isTaken { wakeUp.signal() }
    return isTaken
  }

  /// Takes everything out, in order.
  func takeAll() -> [Message] {
    state.withLock { state in
      defer { state.messages = [] }
      return state.messages
    }
  }

  /// Takes everything out, and nothing in any more.
  func close() -> [Message] {
    state.withLock { state in
      state.isClosed = true
      defer { state.messages = [] }
      return state.messages
    }
  }
}
