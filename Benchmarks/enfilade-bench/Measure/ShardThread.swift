// A running shard as a measurement sees it: its counters, and its thread in the kernel's books.

import CAllocationCounter
import Dispatch
import EnfiladeRuntime
import EnfiladeWire
import Foundation
import Synchronization

/// Asks a shard from a thread that may wait.
struct ShardThread {
  private final class Answer: Sendable {
    let value = Mutex<ShardSnapshot?>(nil)
  }

  let shard: Shard
  private var threadNumber: Int?

  init(_ shard: Shard) {
    self.shard = shard
    // It has its name by the time it answers.
    barrier()
    threadNumber = Self.find("enfilade-\(shard.index)")
  }

  /// Its counters now; `nil` when it does not answer any more.
  func snapshot() -> ShardSnapshot? {
    let answer = Answer()
    let isThere = DispatchSemaphore(value: 0)
    let shard = shard
    Task.detached {
      let snapshot = await shard.snapshot()
      answer.value.withLock { $0 = snapshot }
      isThere.signal()
    }
    isThere.wait()
    return answer.value.withLock { $0 }
  }

  /// Waits until what was posted before has been carried out.
  func barrier() { _ = snapshot() }

  /// How often its thread has taken memory from the heap; -1 when that is not counted.
  var allocationCount: Int64 { threadNumber.map { enfilade_allocation_count(Int32($0)) } ?? -1 }

  /// User and system time of its thread, in steps of 10 ms: good for shares, not for sums.
  var usage: (user: TimeDelta, system: TimeDelta) {
    guard let threadNumber, let text = try? String(contentsOfFile: "/proc/self/task/\(threadNumber)/stat", encoding: .utf8),
      let end = text.lastIndex(of: ")")
    else { return (.zero, .zero) }
    // proc(5): utime and stime are the 14th and 15th field; the name, which may have spaces, is the second.
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 12, let user = Int64(fields[11]), let system = Int64(fields[12]) else { return (.zero, .zero) }
    return (.milliseconds(user * 10), .milliseconds(system * 10))
  }

  private static func find(_ name: String) -> Int? {
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
    return tasks.first { task in
      (try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8))?.trimmingCharacters(in: .newlines) == name
    }.flatMap(Int.init)
  }
}
