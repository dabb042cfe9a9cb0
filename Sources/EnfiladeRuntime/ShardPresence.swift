// What other threads may know of a shard without asking it: whether it sleeps, and how busy it is.

import EnfiladeIO
import Synchronization

/// The few words of a shard that every thread may read.
final class ShardPresence: Sendable {
  let wakeUp: WakeUp
  private let isAsleep = Atomic(false)
  private let busyPermille = Atomic(0)

  init() throws(IOError) { wakeUp = try WakeUp() }

  /// The share of time its thread is busy, in thousandths.
  var load: Int {
    get { busyPermille.load(ordering: .relaxed) }
    set { busyPermille.store(newValue, ordering: .relaxed) }
  }

  /// Its thread is about to sleep: from now on ``ring()`` makes a system call. It looks for work once more after this.
  func lieDown() {
    isAsleep.store(true, ordering: .relaxed)
    // The store comes before the look at the lanes, as a ringer's publication comes before its look at the flag: one of the two sees the other.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }

  func getUp() { isAsleep.store(false, ordering: .relaxed) }

  /// Wakes the thread if it sleeps; called after something was published on a lane.
  func ring() {
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard isAsleep.load(ordering: .relaxed), isAsleep.exchange(false, ordering: .relaxed) else { return }
    wakeUp.signal()
  }
}
