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
  static let segmentCapacity = 256

  struct Segment: BitwiseCopyable {
    var firstArrival: Int64
    var lastArrival: Int64
    var firstSent: Int64
    var lastSent: Int64
    var byteCount: Int64
    var packetCount: Int32
    var firstByteCount: Int32
    var lastSentByteCount: Int32
    var largestGap: Int64 = 0
    var secondGap: Int64 = 0
  }

  /// Oldest first, from `start` on, in a ring.
  private var segments: UniqueArray<Segment>
  private var start = 0
  private var count = 0
  private var packetCount = 0
  /// Packets sent before this have left the window and do not count as sent in it.
  private var discardedSent = Int64.min
  private var cached: Double?

  package init() {
    segments = UniqueArray(
      repeating: Segment(
        firstArrival: 0, lastArrival: 0, firstSent: 0, lastSent: 0, byteCount: 0, packetCount: 0, firstByteCount: 0, lastSentByteCount: 0),
      count: Self.segmentCapacity)
  }

  private func slot(_ index: Int) -> Int { (start + index) & (Self.segmentCapacity - 1) }

  /// Takes a packet that arrived. Packets come in order of arrival, more or less.
  package mutating func handleArrival(sent: Instant, arrivalNanoseconds arrival: Int64, byteCount: Int) {
    cached = nil
    packetCount += 1
    if count > 0 {
      let last = slot(count - 1)
      if segments[last].lastArrival - arrival > 1_000_000_000 {
        // The receiver's clock went back, or the path reorders by more than anything that can be measured here.
        removeAll()
        packetCount = 1
      } else if segments[last].lastArrival - segments[last].firstArrival < Self.segmentLength.nanoseconds {
        let gap = arrival - segments[last].lastArrival
        if gap > segments[last].largestGap {
          segments[last].secondGap = segments[last].largestGap
          segments[last].largestGap = gap
        } else if gap > segments[last].secondGap {
          segments[last].secondGap = gap
        }
        segments[last].lastArrival = max(segments[last].lastArrival, arrival)
        if sent.nanoseconds >= segments[last].lastSent {
          segments[last].lastSent = sent.nanoseconds
          segments[last].lastSentByteCount = Int32(byteCount)
        }
        segments[last].firstSent = min(segments[last].firstSent, sent.nanoseconds)
        segments[last].byteCount += Int64(byteCount)
        segments[last].packetCount += 1
        return
      }
    }
    if count == Self.segmentCapacity { discardOldest() }
    let segment = Segment(
      firstArrival: arrival, lastArrival: arrival, firstSent: sent.nanoseconds, lastSent: sent.nanoseconds, byteCount: Int64(byteCount),
      packetCount: 1, firstByteCount: Int32(byteCount), lastSentByteCount: Int32(byteCount))
    segments[slot(count)] = segment
    count += 1
    trim()
  }

  private mutating func trim() {
    let newest = segments[slot(count - 1)].lastArrival
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
    packetCount -= Int(segments[slot(0)].packetCount)
    discardedSent = max(discardedSent, segments[slot(0)].lastSent)
    start = slot(1)
    count -= 1
  }

  package mutating func removeAll() {
    count = 0
    packetCount = 0
    discardedSent = .min
    cached = nil
  }

  /// Bits per second over the window; `nil` before ten packets.
  package mutating func rate() -> Double? {
    guard packetCount >= Self.requiredPacketCount else { return nil }
    if let cached { return cached }
    var largest: Int64 = 0
    var second: Int64 = 0
    var received: Int64 = 0
    var sent: Int64 = 0
    var firstSent = Int64.max
    var lastSent = Int64.min
    var lastSentByteCount: Int64 = 0
    for index in 0..<count {
      let segment = segments[slot(index)]
      let between = index > 0 ? segment.firstArrival - segments[slot(index - 1)].lastArrival : 0
      let gaps: InlineArray<3, Int64> = [between, segment.largestGap, segment.secondGap]
      for index in gaps.indices {
        let gap = gaps[index]
        if gap > largest {
          second = largest
          largest = gap
        } else if gap > second {
          second = gap
        }
      }
      received += segment.byteCount
      guard segment.lastSent >= discardedSent else { continue }
      sent += segment.byteCount
      firstSent = min(firstSent, segment.firstSent)
      if segment.lastSent >= lastSent { (lastSent, lastSentByteCount) = (segment.lastSent, Int64(segment.lastSentByteCount)) }
    }
    let span = segments[slot(count - 1)].lastArrival - segments[slot(0)].firstArrival
    let receiveRate = Self.rate(received - Int64(segments[slot(0)].firstByteCount), span - largest + second)
    let sendRate = lastSent >= firstSent ? Self.rate(sent - lastSentByteCount, lastSent - firstSent) : receiveRate
    cached = min(receiveRate, sendRate)
    return cached
  }

  /// Bits per second over about the last `window` of arrivals: what a path delivers *now*, pauses included.
  ///
  /// - Parameter since: on the receiver's clock; what arrived before says nothing of interest.
  /// - Returns: `nil` while there are fewer than two segments to take it from.
  package func recentRate(over window: TimeDelta, since: Int64 = .min) -> Double? {
    guard count >= 2 else { return nil }
    let end = segments[slot(count - 1)].lastArrival
    let begin = max(end - window.nanoseconds, since)
    var byteCount: Int64 = 0
    var index = count - 1
    while index > 0 {
      byteCount += segments[slot(index)].byteCount
      index -= 1
      if segments[slot(index)].lastArrival <= begin { break }
    }
    let span = end - segments[slot(index)].lastArrival
    guard span >= Self.segmentLength.nanoseconds else { return nil }
    return Self.rate(byteCount, span)
  }

  private static func rate(_ byteCount: Int64, _ nanoseconds: Int64) -> Double {
    Double(byteCount) * 8e9 / Double(max(nanoseconds, 1_000_000))
  }
}
