// Waiting for descriptors (epoll), and being woken from another thread (eventfd).

import CEnfiladeShims
package import EnfiladeWire
import Glibc

/// What a descriptor is watched for, and what became of it.
package struct PollEvents: OptionSet, Hashable, Sendable {
  package var rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let readable = PollEvents(rawValue: UInt32(ENFILADE_POLL_READABLE))
  package static let writable = PollEvents(rawValue: UInt32(ENFILADE_POLL_WRITABLE))
  /// An error is pending; always watched for.
  package static let failed = PollEvents(rawValue: UInt32(ENFILADE_POLL_FAILED))
  /// The other side hung up; always watched for.
  package static let closed = PollEvents(rawValue: UInt32(ENFILADE_POLL_CLOSED))
}

/// A set of watched descriptors, level-triggered. One thread waits on it.
package final class Poller {
  /// The most events one wait brings; the next wait brings the others.
  package static let eventLimit = 64

  private let descriptor: Int32
  private let tokens: UnsafeMutablePointer<UInt64>
  private let masks: UnsafeMutablePointer<UInt32>

  package init() throws(IOError) {
    descriptor = enfilade_poll_open()
    guard descriptor >= 0 else { throw IOError(.createPoller, code: -descriptor) }
    tokens = .allocate(capacity: Self.eventLimit)
    masks = .allocate(capacity: Self.eventLimit)
    tokens.initialize(repeating: 0, count: Self.eventLimit)
    masks.initialize(repeating: 0, count: Self.eventLimit)
  }

  deinit {
    if descriptor >= 0 {
      close(descriptor)
      tokens.deallocate()
      masks.deallocate()
    }
  }

  /// Watches a descriptor; its events carry `token`.
  package func watch(_ target: Int32, for events: PollEvents, token: UInt64) throws(IOError) {
    try control(ENFILADE_POLL_ADD, target, events, token)
  }

  /// Watches a watched descriptor for something else.
  package func change(_ target: Int32, to events: PollEvents, token: UInt64) throws(IOError) {
    try control(ENFILADE_POLL_CHANGE, target, events, token)
  }

  /// Watches a descriptor no longer.
  package func forget(_ target: Int32) {
    _ = enfilade_poll_control(descriptor, ENFILADE_POLL_REMOVE, target, 0, 0)
  }

  private func control(_ operation: enfilade_poll_operation, _ target: Int32, _ events: PollEvents, _ token: UInt64) throws(IOError) {
    let status = enfilade_poll_control(descriptor, operation, target, events.rawValue, token)
    guard status == 0 else { throw IOError(.watch, code: -status) }
  }

  /// Waits until something happens or `timeout` has passed (`nil`: for ever; zero or less: only looks). How many events there are.
  /// A signal ends the wait with none.
  package func wait(timeout: TimeDelta?) -> Int {
    let nanoseconds = timeout.map { max(0, $0.nanoseconds) } ?? -1
    return max(0, Int(enfilade_poll(descriptor, tokens, masks, Int32(Self.eventLimit), nanoseconds)))
  }

  /// An event of the last wait.
  package func event(at position: Int) -> (token: UInt64, events: PollEvents) {
    precondition(position >= 0 && position < Self.eventLimit)
    return (tokens[position], PollEvents(rawValue: masks[position]))
  }
}

/// Wakes a thread that waits on a ``Poller``. Signalling is safe from any thread and never blocks.
package final class WakeUp: Sendable {
  /// To be watched for readability.
  package let descriptor: Int32

  package init() throws(IOError) {
    descriptor = enfilade_wake_up_open()
    guard descriptor >= 0 else { throw IOError(.createWakeUp, code: -descriptor) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Makes the waiting thread return. Any number of signals before it looks are one.
  package func signal() { enfilade_wake_up_signal(descriptor) }

  /// Takes the signal back; whether there was one.
  @discardableResult
  package func drain() -> Bool { enfilade_wake_up_drain(descriptor) != 0 }
}
