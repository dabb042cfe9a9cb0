// Whether a packet that a subscriber asks for is sent again now (RFC 4588 §7; RFC 4585 §6.2.1).

package import EnfiladeWire

/// The brakes on repair of one outgoing stream: not twice within a round trip, not more than so often, not more than a share of the
/// media. Four bytes for each packet that can be asked for.
package struct RetransmissionResponder: ~Copyable {
  /// The verdict on one requested number.
  package enum Verdict: UInt8, Hashable, Sendable, CaseIterable {
    case send
    /// The answer to an earlier request may still be on its way.
    case tooSoon
    /// It was sent again ``Limits/retransmissionCount`` times.
    case tooOften
    /// Repair would cost more than its share of the media.
    case overBudget
    /// Newer than anything sent, or too far back.
    case unknown
  }

  // Not private: release builds of other modules refer to its metadata, which the linker would not find.
  struct Repetition: BitwiseCopyable {
    /// The outgoing number above the bits that are the place. Eight bits are enough: with 256 places they tell all 16 wire bits apart.
    var round: UInt8
    var count: UInt8
    /// When it was last sent again, in milliseconds modulo 2¹⁶. After 65 s an old answer can look recent and delay one more by a round trip.
    var sentAtMilliseconds: UInt16
  }

  private let capacity: Int
  /// `capacity` as a power of two.
  private let shift: Int64
  private var entries: UniqueArray<Repetition>
  /// Bytes that may be sent again now.
  private var budgetByteCount: Int64 = Limits.retransmissionBurst.byteCount
  /// The smoothed round trip to the subscriber.
  package var roundTripTime: TimeDelta = Limits.assumedRoundTripTime
  /// How often each verdict was given, by ``Verdict/rawValue``.
  private var counts = InlineArray<5, UInt64>(repeating: 0)

  /// - Parameter capacity: packets that can be asked for, a power of two of at least 256.
  package init(capacity: Int = Limits.sentPacketCount) {
    precondition(capacity >= 256 && capacity <= 65_536 && capacity & (capacity - 1) == 0, "a responder's capacity is a power of two")
    self.capacity = capacity
    shift = Int64(capacity.trailingZeroBitCount)
    entries = UniqueArray(minimumCapacity: capacity)
    for _ in 0..<capacity { entries.append(Repetition(round: 0, count: 0, sentAtMilliseconds: 0)) }
  }

  /// How often `verdict` was given.
  package func count(of verdict: Verdict) -> UInt64 { counts[Int(verdict.rawValue)] }

  /// A packet of the stream was sent for the first time; what it cost earns its share for repair.
  package mutating func handleSent(_ outgoing: ExtendedSequenceNumber, byteCount: Int) {
    entries[place(of: outgoing)] = Repetition(round: round(of: outgoing), count: 0, sentAtMilliseconds: 0)
    budgetByteCount = min(
      Limits.retransmissionBurst.byteCount, budgetByteCount + Int64(byteCount) * Limits.retransmissionPercent / 100)
  }

  /// Whether the packet sent as `outgoing`, `byteCount` bytes long, is sent again now; if so, it is taken as sent.
  package mutating func decide(_ outgoing: ExtendedSequenceNumber, byteCount: Int, at now: Instant) -> Verdict {
    let verdict = judge(outgoing, byteCount: byteCount, at: now)
    counts[Int(verdict.rawValue)] &+= 1
    guard verdict == .send else { return verdict }
    let place = place(of: outgoing)
    entries[place].count += 1
    entries[place].sentAtMilliseconds = Self.milliseconds(now)
    budgetByteCount -= Int64(byteCount)
    return verdict
  }

  private func judge(_ outgoing: ExtendedSequenceNumber, byteCount: Int, at now: Instant) -> Verdict {
    let entry = entries[place(of: outgoing)]
    guard outgoing.rawValue >= 0, entry.round == round(of: outgoing) else { return .unknown }
    if Int(entry.count) >= Limits.retransmissionCount { return .tooOften }
    if entry.count > 0 {
      let elapsed = TimeDelta.milliseconds(Int64(Self.milliseconds(now) &- entry.sentAtMilliseconds))
      let interval = min(Limits.retransmissionIntervalCeiling, max(Limits.retransmissionIntervalFloor, roundTripTime))
      if elapsed < interval { return .tooSoon }
    }
    return Int64(byteCount) > budgetByteCount ? .overBudget : .send
  }

  private static func milliseconds(_ instant: Instant) -> UInt16 { UInt16(truncatingIfNeeded: instant.nanoseconds / 1_000_000) }

  private func place(of outgoing: ExtendedSequenceNumber) -> Int { Int(truncatingIfNeeded: outgoing.rawValue) & (capacity - 1) }

  private func round(of outgoing: ExtendedSequenceNumber) -> UInt8 {
    // 1…255, so that a place never used does not fit.
    UInt8(truncatingIfNeeded: (outgoing.rawValue &>> shift) % 255 + 1)
  }
}
