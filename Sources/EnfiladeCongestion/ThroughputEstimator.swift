// How much arrives. Packets are summed up as reports bring them, so that asking costs a few dozen additions and not one for each packet.

package import EnfiladeWire

/// The rate at which a path delivers, over a second or so for steering and over a moment for judging a queue.
///
/// The long rate is as robust as the one in use elsewhere: it leaves out the largest pause, so that a radio's hiccup does not count as
/// slowness, and it never exceeds what was sent. It departs in its grain: the window moves by reports of at least 20 ms, not by packets.
package struct ThroughputEstimator: ~Copyable {
  package static let minimumWindow = TimeDelta.seconds(Int64(1))
  package static let maximumWindow = TimeDelta.seconds(Int64(5))
  package static let minimumPacketCount = 20
  package static let requiredPacketCount = 10
  package static let maximumPacketCount = 500
  package static let segmentLength = TimeDelta.milliseconds(20)
  /// As many as the window's longest span can have.
  static let segmentLimit = 256
  /// Room for a second and a half of frames; a ring that is no larger than what it holds stays in the caches.
  static let initialCapacity = 64

  /// What is asked for when a segment ends or leaves.
  struct Segment: BitwiseCopyable {
    var firstArrival: Int64 = 0
    var firstSent: Int64 = 0
    var lastSent: Int64 = 0
    /// Between the segment before and this one.
    var pause: Int64 = 0
    var packetCount: Int32 = 0
    var firstByteCount: Int32 = 0
    var lastSentByteCount: Int32 = 0
  }

  /// What looking back over a moment asks of each segment.
  struct Tail: BitwiseCopyable {
    var lastArrival: Int64 = 0
    var byteCount: Int64 = 0
  }

  /// Oldest first, from `start` on, in rings of one size; apart, because each is looked at for another question.
  private var segments = UniqueArray(repeating: Segment(), count: initialCapacity)
  private var tails = UniqueArray(repeating: Tail(), count: initialCapacity)
  private var gaps = UniqueArray(repeating: ArrivalGaps(), count: initialCapacity)
  private var mask = initialCapacity - 1
  private var receivedByteCount: Int64 = 0
  /// Counts segments; and the newest that has a packet that was sent before one reported earlier.
  private var serial = 0
  private var disorderedSerial = Int.min
  private var start = 0
  private var count = 0
  private var packetCount = 0
  /// Packets sent before this have left the window and do not count as sent in it.
  private var discardedSent = Int64.min
  private var cached: Double?
  /// The largest pauses of the window, the one before it left out; not known when one of them may have left.
  private var widest = ArrivalGaps()
  private var isWidestKnown = false

  package init() {}

  var heldByteCount: Int {
    (mask + 1) * (MemoryLayout<Segment>.stride + MemoryLayout<Tail>.stride + MemoryLayout<ArrivalGaps>.stride)
  }

  private func slot(_ index: Int) -> Int { (start + index) & mask }

  /// Where the segment begins that a packet arriving now belongs to: a run of packets that would cross a segment's end is two.
  @inline(__always)
  package func segmentStart(forArrival arrival: Int64) -> Int64 {
    guard count > 0 else { return arrival }
    let last = slot(count - 1)
    let first = segments[last].firstArrival
    let newest = tails[last].lastArrival
    return newest - arrival <= Self.clockJump && newest - first < Self.segmentLength.nanoseconds ? first : arrival
  }

  /// The receiver's clock went back, or the path reorders by more than anything that can be measured here.
  private static var clockJump: Int64 { 1_000_000_000 }

  /// Takes packets that arrived, of one segment. They come in order of arrival, more or less.
  package mutating func handleArrival(_ run: ArrivalRun) {
    cached = nil
    if count > 0 {
      let last = slot(count - 1)
      if tails[last].lastArrival - run.firstArrival > Self.clockJump {
        removeAll()
      } else {
        if run.sent.nanoseconds < segments[last].lastSent { disorderedSerial = serial }
        if tails[last].lastArrival - segments[last].firstArrival < Self.segmentLength.nanoseconds {
          extend(last, run, pause: run.firstArrival - tails[last].lastArrival)
          return
        }
      }
    }
    begin(run)
  }

  /// Begins a segment.
  private mutating func begin(_ run: ArrivalRun) {
    if count > mask { makeRoom() }
    let pause = count > 0 ? max(0, run.firstArrival - tails[slot(count - 1)].lastArrival) : 0
    let new = slot(count)
    gaps[new] = ArrivalGaps(largest: pause)
    if count > 0 { widest.insert(pause) }
    segments[new] = Segment(
      firstArrival: run.firstArrival, firstSent: run.sent.nanoseconds, lastSent: run.sent.nanoseconds, pause: pause, packetCount: 1,
      firstByteCount: Int32(truncatingIfNeeded: run.firstByteCount), lastSentByteCount: Int32(truncatingIfNeeded: run.firstByteCount))
    tails[new] = Tail(lastArrival: run.firstArrival, byteCount: Int64(run.firstByteCount))
    count += 1
    serial += 1
    packetCount += 1
    receivedByteCount += Int64(run.firstByteCount)
    trim()
    if run.packetCount > 1 { extend(slot(count - 1), run, pause: nil) }
  }

  /// Puts packets into the newest segment.
  ///
  /// - Parameter pause: before the first; `nil` when the first is in it already.
  @inline(__always)
  private mutating func extend(_ last: Int, _ run: ArrivalRun, pause: Int64?) {
    if let pause {
      gaps[last].insert(pause)
      widest.insert(pause)
    }
    if run.packetCount > 1 {
      gaps[last].insert(run.gaps)
      widest.insert(run.gaps)
    }
    let added = pause == nil ? run.byteCount - run.firstByteCount : run.byteCount
    let addedCount = pause == nil ? run.packetCount - 1 : run.packetCount
    tails[last].lastArrival = max(tails[last].lastArrival, run.lastArrival)
    tails[last].byteCount += Int64(added)
    let sent = run.sent.nanoseconds
    if sent >= segments[last].lastSent {
      segments[last].lastSent = sent
      segments[last].lastSentByteCount = Int32(truncatingIfNeeded: run.lastByteCount)
    }
    segments[last].firstSent = min(segments[last].firstSent, sent)
    segments[last].packetCount += Int32(truncatingIfNeeded: addedCount)
    packetCount += addedCount
    receivedByteCount += Int64(added)
  }

  /// Doubles the rings, or gives up the oldest segment.
  private mutating func makeRoom() {
    guard mask + 1 < Self.segmentLimit else { return discardOldest() }
    let capacity = 2 * (mask + 1)
    var newSegments = UniqueArray(repeating: Segment(), count: capacity)
    var newTails = UniqueArray(repeating: Tail(), count: capacity)
    var newGaps = UniqueArray(repeating: ArrivalGaps(), count: capacity)
    for index in 0..<count {
      newSegments[index] = segments[slot(index)]
      newTails[index] = tails[slot(index)]
      newGaps[index] = gaps[slot(index)]
    }
    segments = newSegments
    tails = newTails
    gaps = newGaps
    mask = capacity - 1
    start = 0
  }

  private mutating func trim() {
    let newest = tails[slot(count - 1)].lastArrival
    while count > 1 {
      let oldest = slot(0)
      let isLongEnough = newest - segments[slot(1)].firstArrival >= Self.minimumWindow.nanoseconds
      let isEnough = packetCount - Int(segments[oldest].packetCount) >= Self.minimumPacketCount
      let isTooLong = newest - segments[oldest].firstArrival > Self.maximumWindow.nanoseconds || packetCount > Self.maximumPacketCount
      guard isLongEnough && isEnough || isTooLong else { return }
      discardOldest()
    }
  }

  private mutating func discardOldest() {
    let oldest = slot(0)
    packetCount -= Int(segments[oldest].packetCount)
    receivedByteCount -= tails[oldest].byteCount
    discardedSent = max(discardedSent, segments[oldest].lastSent)
    // The pause before the next is the one before the window now.
    let left = max(gaps[oldest].without(segments[oldest].pause).largest, segments[slot(1)].pause)
    if left >= widest.second { isWidestKnown = false }
    start = slot(1)
    count -= 1
  }

  package mutating func removeAll() {
    count = 0
    packetCount = 0
    receivedByteCount = 0
    discardedSent = .min
    disorderedSerial = .min
    cached = nil
    isWidestKnown = false
  }

  /// Bits per second over the window; `nil` before ten packets.
  package mutating func rate() -> Double? {
    guard packetCount >= Self.requiredPacketCount else { return nil }
    if let cached { return cached }
    let first = segments[slot(0)]
    if !isWidestKnown { lookForWidest() }
    let newest = slot(count - 1)
    let span = tails[newest].lastArrival - first.firstArrival
    let receiveRate = Self.rate(receivedByteCount - Int64(first.firstByteCount), span - widest.largest + widest.second)
    let sendRate: Double?
    if disorderedSerial < serial - count, first.firstSent >= discardedSent {
      // As a rule packets are reported as they were sent, and the ends of the window say it all.
      sendRate = Self.rate(receivedByteCount - Int64(segments[newest].lastSentByteCount), segments[newest].lastSent - first.firstSent)
    } else {
      sendRate = disorderedSendRate()
    }
    let rate = min(receiveRate, sendRate ?? receiveRate)
    cached = rate
    return rate
  }

  private mutating func lookForWidest() {
    widest = gaps[slot(0)].without(segments[slot(0)].pause)
    for index in 1..<max(count, 1) {
      let gap = gaps[slot(index)]
      if gap.largest > widest.second { widest.insert(gap) }
    }
    isWidestKnown = true
  }

  /// The same where reports and sending differ in their order: every segment is asked.
  private func disorderedSendRate() -> Double? {
    var sent: Int64 = 0
    var firstSent = Int64.max
    var lastSent = Int64.min
    var lastSentByteCount: Int64 = 0
    for index in 0..<count {
      let segment = segments[slot(index)]
      guard segment.lastSent >= discardedSent else { continue }
      sent += tails[slot(index)].byteCount
      firstSent = min(firstSent, segment.firstSent)
      if segment.lastSent >= lastSent { (lastSent, lastSentByteCount) = (segment.lastSent, Int64(segment.lastSentByteCount)) }
    }
    return lastSent >= firstSent ? Self.rate(sent - lastSentByteCount, lastSent - firstSent) : nil
  }

  /// Bits per second over about the last `window` of arrivals: what a path delivers *now*, pauses included.
  ///
  /// - Parameter since: on the receiver's clock; what arrived before says nothing of interest.
  /// - Returns: `nil` while there are fewer than two segments to take it from.
  package func recentRate(over window: TimeDelta, since: Int64 = .min) -> Double? {
    guard count >= 2 else { return nil }
    let end = tails[slot(count - 1)].lastArrival
    let begin = max(end - window.nanoseconds, since)
    var byteCount: Int64 = 0
    var index = count - 1
    while index > 0 {
      byteCount += tails[slot(index)].byteCount
      index -= 1
      if tails[slot(index)].lastArrival <= begin { break }
    }
    let span = end - tails[slot(index)].lastArrival
    guard span >= Self.segmentLength.nanoseconds else { return nil }
    return Self.rate(byteCount, span)
  }

  private static func rate(_ byteCount: Int64, _ nanoseconds: Int64) -> Double {
    Double(byteCount) * 8e9 / Double(max(nanoseconds, 1_000_000))
  }
}
