// What was sent and not yet answered: a flat ring, so that noting a packet is one store.

package import EnfiladeWire

/// Remembers sent packets by their number. A packet that was reported lost stays, since a later report may say that it came after all.
package struct SentPacketHistory: ~Copyable {
  enum State: UInt8 {
    case vacant
    case inFlight
    case lost
    /// Passed over by reports: not under way any more, but nobody has said what became of it.
    case passedOver
    case received
  }

  struct Entry: BitwiseCopyable {
    var sentNanoseconds: Int64 = 0
    var numberLow: UInt32 = 0
    var byteCount: UInt16 = 0
    var probe: UInt16 = 0
    var purpose = PacketPurpose.video
    var state = State.vacant.rawValue
  }

  private var entries: UniqueArray<Entry>
  private var mask: Int
  /// Every number below has an answer, or never will have one.
  private var firstOpen: Int64 = 0
  /// One after the newest number.
  package private(set) var end: Int64 = 0
  private var isEmpty = true
  /// Bytes sent and neither reported nor passed over.
  package private(set) var inFlightByteCount = 0
  /// Numbers that were overwritten before any report came.
  package private(set) var forgottenCount: UInt64 = 0

  package init(capacity: Int = Limits.sentHistoryPacketCount) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0, "a power of two")
    entries = UniqueArray(repeating: Entry(), count: capacity)
    mask = capacity - 1
  }

  package var capacity: Int { mask + 1 }

  /// Notes a packet. Numbers go up; a jump backwards starts anew.
  package mutating func handleSent(_ number: Int64, byteCount: Int, purpose: PacketPurpose, probe: ProbeID, at now: Instant) {
    if isEmpty || number < end - Int64(capacity) {
      if !isEmpty { removeAll() }
      isEmpty = false
      firstOpen = number
      end = number
    }
    if number - firstOpen >= Int64(capacity) { makeRoom(for: number, at: now) }
    let slot = Int(truncatingIfNeeded: number) & mask
    if entries[slot].state == State.inFlight.rawValue { inFlightByteCount -= Int(entries[slot].byteCount) }
    entries[slot] = Entry(
      sentNanoseconds: now.nanoseconds, numberLow: UInt32(truncatingIfNeeded: number), byteCount: UInt16(clamping: byteCount),
      probe: probe.rawValue, purpose: purpose, state: State.inFlight.rawValue)
    inFlightByteCount += Int(UInt16(clamping: byteCount))
    end = max(end, number + 1)
  }

  /// Takes a receiver's word about a packet.
  ///
  /// - Returns: the packet, or `nil` if it is unknown or this was said before.
  package mutating func resolve(_ number: Int64, arrivalNanoseconds: Int64) -> PacketResult? {
    let slot = Int(truncatingIfNeeded: number) & mask
    let entry = entries[slot]
    guard entry.numberLow == UInt32(truncatingIfNeeded: number), number < end, entry.state != State.vacant.rawValue,
      entry.state != State.received.rawValue
    else { return nil }
    let isLoss = arrivalNanoseconds == PacketResult.lost
    if isLoss, entry.state == State.lost.rawValue { return nil }
    if entry.state == State.inFlight.rawValue { inFlightByteCount -= Int(entry.byteCount) }
    entries[slot].state = isLoss ? State.lost.rawValue : State.received.rawValue
    return PacketResult(
      number: number, sent: Instant(nanoseconds: entry.sentNanoseconds), arrivalNanoseconds: arrivalNanoseconds,
      byteCount: Int(entry.byteCount), purpose: entry.purpose, probe: ProbeID(entry.probe), wasLost: entry.state == State.lost.rawValue)
  }

  /// Reports have gone past `number`: what they left out before it is not under way any more.
  package mutating func passOver(before number: Int64) {
    let limit = min(number, end)
    while firstOpen < limit {
      let slot = Int(truncatingIfNeeded: firstOpen) & mask
      if entries[slot].numberLow == UInt32(truncatingIfNeeded: firstOpen), entries[slot].state == State.inFlight.rawValue {
        entries[slot].state = State.passedOver.rawValue
        inFlightByteCount -= Int(entries[slot].byteCount)
      }
      firstOpen += 1
    }
  }

  /// Forgets everything, as after a change of the path.
  package mutating func removeAll() {
    for index in entries.indices { entries[index].state = State.vacant.rawValue }
    isEmpty = true
    inFlightByteCount = 0
  }

  /// Doubles while what would be overwritten is younger than the answer may take; beyond the ceiling, forgets.
  private mutating func makeRoom(for number: Int64, at now: Instant) {
    while number - firstOpen >= Int64(capacity) {
      let slot = Int(truncatingIfNeeded: firstOpen) & mask
      let isOpen = entries[slot].numberLow == UInt32(truncatingIfNeeded: firstOpen) && entries[slot].state == State.inFlight.rawValue
      if isOpen, capacity < Limits.sentHistoryPacketCeiling, now.nanoseconds - entries[slot].sentNanoseconds < 2_000_000_000 {
        grow()
      } else {
        if isOpen { forgottenCount &+= 1 }
        passOver(before: firstOpen + 1)
      }
    }
  }

  private mutating func grow() {
    var grown = UniqueArray(repeating: Entry(), count: capacity * 2)
    let oldest = max(0, end - Int64(capacity))
    for number in oldest..<end {
      grown[Int(truncatingIfNeeded: number) & (capacity * 2 - 1)] = entries[Int(truncatingIfNeeded: number) & mask]
    }
    mask = capacity * 2 - 1
    entries = grown
  }
}
