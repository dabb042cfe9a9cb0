// Packets that left together and arrived in a row: one observation for whatever looks at packets.

package import EnfiladeWire

/// Packets under consecutive numbers that were sent at the same instant and arrived in the order of sending, none of them called lost before.
///
/// A forwarder passes frames on whole, so most packets of a report belong to a few runs, and what would be done for each packet is done for
/// each of those. What the estimators make of a run is what they would make of its packets one by one.
package struct ArrivalRun: BitwiseCopyable, Sendable {
  package private(set) var packetCount: Int
  package private(set) var firstNumber: Int64
  package private(set) var sent: Instant
  /// On the receiver's clock.
  package private(set) var firstArrival: Int64
  package private(set) var lastArrival: Int64
  package private(set) var byteCount: Int
  package private(set) var firstByteCount: Int
  package private(set) var lastByteCount: Int
  /// The largest between its packets.
  package private(set) var gaps = ArrivalGaps()
  package private(set) var probe: ProbeID

  /// A run of one packet that has arrived.
  package init(_ result: PacketResult) {
    self.init(
      number: result.number, sent: result.sent, arrivalNanoseconds: result.arrivalNanoseconds, byteCount: Int(result.byteCount),
      probe: result.probe)
  }

  package init(number: Int64 = 0, sent: Instant, arrivalNanoseconds arrival: Int64, byteCount: Int = 0, probe: ProbeID = .none) {
    packetCount = 1
    firstNumber = number
    self.sent = sent
    firstArrival = arrival
    lastArrival = arrival
    self.byteCount = byteCount
    firstByteCount = byteCount
    lastByteCount = byteCount
    self.probe = probe
  }

  /// No packet, and none that could follow it.
  static var none: ArrivalRun {
    var run = ArrivalRun(number: .min / 2, sent: .zero, arrivalNanoseconds: 0)
    run.packetCount = 0
    return run
  }

  package var lastNumber: Int64 { firstNumber + Int64(packetCount) - 1 }

  /// Whether a packet that arrived is the next of this run. Packets of probes are looked at one by one.
  @inline(__always)
  package func isContinued(by result: PacketResult) -> Bool {
    result.number == lastNumber + 1 && result.sent == sent && result.arrivalNanoseconds >= lastArrival && result.probe == .none
      && probe == .none && !result.wasLost
  }

  package mutating func append(_ result: PacketResult) {
    append(arrivalNanoseconds: result.arrivalNanoseconds, byteCount: Int(result.byteCount))
  }

  @inline(__always)
  mutating func append(arrivalNanoseconds arrival: Int64, byteCount count: Int) {
    packetCount += 1
    gaps.insert(arrival - lastArrival)
    lastArrival = arrival
    lastByteCount = count
    byteCount += count
  }
}

/// The two largest pauses between arrivals, in nanoseconds.
package struct ArrivalGaps: BitwiseCopyable, Hashable, Sendable {
  package var largest: Int64 = 0
  package var second: Int64 = 0

  @inline(__always)
  package mutating func insert(_ gap: Int64) {
    second = max(second, min(largest, gap))
    largest = max(largest, gap)
  }

  @inline(__always)
  package mutating func insert(_ gaps: ArrivalGaps) {
    insert(gaps.largest)
    insert(gaps.second)
  }

  /// What is left when `gap`, one of those that were put in, does not count. The third largest is not known and taken for none.
  package func without(_ gap: Int64) -> ArrivalGaps {
    if gap == largest { return ArrivalGaps(largest: second) }
    return gap == second ? ArrivalGaps(largest: largest) : self
  }
}
