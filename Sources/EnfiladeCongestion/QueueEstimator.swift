// How long the queue is, and not only whether it grows. A departure: the trend alone cannot tell a queue that stands from none.

package import EnfiladeWire

/// One-way delay above the least that was seen lately. Clocks need not agree: only differences count, and clocks that drift by a
/// hundred parts in a million lose 2 ms in the window below.
package struct QueueEstimator: Sendable {
  /// The least delay is forgotten after this long, so that a longer path is not taken for a queue for ever.
  package static let baseWindow = TimeDelta.seconds(Int64(20))
  private static let bucketLength = TimeDelta.seconds(Int64(2))

  /// The least delay of each two seconds, newest at `newest`.
  private var buckets: InlineArray<10, Int64> = InlineArray(repeating: .max)
  private var newest = 0
  private var bucketEnd: Instant?
  private var base = Int64.max
  /// The least delay of each of the last reports, in nanoseconds.
  private var recent: InlineArray<4, Int64> = InlineArray(repeating: .max)
  private var recentTimes: InlineArray<4, Int64> = InlineArray(repeating: .min)
  private var nextRecent = 0
  private var least = Int64.max

  package init() {}

  /// The delay of the packet that left the queue last, above the base.
  package private(set) var newestDelay = TimeDelta.zero
  /// When that packet was sent.
  package private(set) var newestSent = Instant.zero
  /// The least delay in the last report above the base: what even the luckiest packet waited.
  package private(set) var standing = TimeDelta.zero
  package var hasSample: Bool { base != .max }

  package mutating func handleArrival(_ run: ArrivalRun) {
    least = min(least, run.firstArrival - run.sent.nanoseconds)
    if run.sent >= newestSent {
      newestSent = run.sent
      newestDelay = TimeDelta(nanoseconds: run.lastArrival - run.sent.nanoseconds)
    }
  }

  /// Ends one report.
  package mutating func endReport(at now: Instant) {
    guard least != .max else { return }
    if bucketEnd == nil || now >= bucketEnd! {
      newest = newest + 1 == 10 ? 0 : newest + 1
      buckets[newest] = least
      bucketEnd = now + Self.bucketLength
    } else {
      buckets[newest] = min(buckets[newest], least)
    }
    base = .max
    for index in 0..<10 { base = min(base, buckets[index]) }
    recent[nextRecent] = least
    recentTimes[nextRecent] = now.nanoseconds
    nextRecent = (nextRecent + 1) & 3
    standing = TimeDelta(nanoseconds: least - base)
    newestDelay = TimeDelta(nanoseconds: max(0, newestDelay.nanoseconds - base))
    least = .max
  }

  /// The least delay of all reports of the last `window`, above the base: a queue that has stood as long.
  package mutating func standing(over window: TimeDelta, at now: Instant) -> TimeDelta {
    var least = Int64.max
    let recent = recent
    let recentTimes = recentTimes
    for index in 0..<4 where recentTimes[index] >= now.nanoseconds - window.nanoseconds { least = min(least, recent[index]) }
    return least == .max ? standing : TimeDelta(nanoseconds: least - base)
  }

  /// The queue that a packet sent now would meet: what the newest reported one met, and what was sent since, less what has drained.
  ///
  /// - Parameters:
  ///   - inFlight: bytes sent and not yet reported.
  ///   - capacity: what the path delivers, in bits per second.
  package mutating func predicted(inFlightByteCount: Int, capacity: Double, at now: Instant) -> TimeDelta {
    guard capacity > 0 else { return newestDelay }
    let arrived = Double(inFlightByteCount) * 8e9 / capacity
    return TimeDelta(nanoseconds: max(0, newestDelay.nanoseconds + Int64(min(arrived, 1e13)) - (now - newestSent).nanoseconds))
  }
}
