// A thread of the operating system with a name and, if wanted, a processor of its own.

import CEnfiladeShims
import Glibc

/// A running thread. Whoever made it joins it once.
package final class SystemThread: Sendable {
  private final class Start {
    let name: String
    let processor: Int?
    let niceness: Int
    let body: @Sendable () -> Void

    init(name: String, processor: Int?, niceness: Int, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.processor = processor
      self.niceness = niceness
      self.body = body
    }
  }

  private let handle: pthread_t

  /// Starts `body` on a new thread.
  ///
  /// - Parameters:
  ///   - processor: ties it to that processor; where the system refuses that, it runs untied.
  ///   - niceness: how far it gives way to other threads, 0…19 (setpriority(2)).
  package init(name: String, processor: Int? = nil, niceness: Int = 0, _ body: @escaping @Sendable () -> Void) throws(IOError) {
    let start = Unmanaged.passRetained(Start(name: name, processor: processor, niceness: niceness, body: body))
    var handle = pthread_t()
    let status = pthread_create(
      &handle, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        _ = enfilade_name_thread(start.name, Int32(start.processor ?? -1))
        // On Linux that is the thread and not the process; it is always allowed to be nicer.
        if start.niceness > 0 { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Int32(start.niceness)) }
        start.body()
        return nil
      }, start.toOpaque())
    guard status == 0 else {
      start.release()
      throw IOError(.createThread, code: status)
    }
    self.handle = handle
  }

  /// Waits until the thread's body has returned. Call it once.
  package func join() { pthread_join(handle, nil) }

  /// How many processors this process may run on.
  package static var processorCount: Int { Int(enfilade_processor_count()) }
}
