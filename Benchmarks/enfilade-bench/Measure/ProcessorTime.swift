// Processor time of one thread, and the middle of several measurements.

import CAllocationCounter
import EnfiladeIO
import EnfiladeWire

/// What a thread has used so far.
struct ProcessorTime {
  /// By the scheduler's clock, which is exact.
  var total: TimeDelta
  /// By the kernel's accounting, for the share of each.
  var user: TimeDelta
  var system: TimeDelta

  /// Of the calling thread.
  static var ofThisThread: ProcessorTime {
    var user: Int64 = 0
    var system: Int64 = 0
    enfilade_thread_usage(&user, &system)
    return ProcessorTime(total: MonotonicClock.threadProcessorTime, user: .nanoseconds(user), system: .nanoseconds(system))
  }

  static func - (a: ProcessorTime, b: ProcessorTime) -> ProcessorTime {
    ProcessorTime(total: a.total - b.total, user: a.user - b.user, system: a.system - b.system)
  }

  static func += (a: inout ProcessorTime, b: ProcessorTime) {
    a.total = a.total + b.total
    a.user = a.user + b.user
    a.system = a.system + b.system
  }

  static let zero = ProcessorTime(total: .zero, user: .zero, system: .zero)

  /// The share of system time, 0…1.
  var systemShare: Double {
    let sum = user.seconds + system.seconds
    return sum > 0 ? system.seconds / sum : 0
  }
}

/// The middle of an odd number of measurements, or the mean of the middle two.
func median(_ values: [Double]) -> Double {
  guard !values.isEmpty else { return .nan }
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
