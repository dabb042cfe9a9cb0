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

  /// Two whole words: a link with much to send touches few lines of memory, and a processor makes a wide load wait for narrow stores.
  struct Entry: BitwiseCopyable {
    var sentNanoseconds: Int64 = 0
    /// From the top: 24 bits of the number, 16 of the size, 16 of the probe, 4 of the purpose, 4 of the state.
    var note: UInt64 = 0

    init() {}

    init(_ number: Int64, byteCount: Int, purpose: PacketPurpose, probe: ProbeID, at now: Instant) {
      sentNanoseconds = now.nanoseconds
      note =
        UInt64(truncatingIfNeeded: number) << 40 | UInt64(UInt16(clamping: byteCount)) << 24 | UInt64(probe.rawValue) << 8
        | UInt64(purpose.rawValue) << 4 | UInt64(State.inFlight.rawValue)
    }

    /// What no packet is noted as.
    static var impossible: Entry {
      var entry = Entry()
      entry.note = .max
      return entry
    }

    /// Of the numbers that are remembered together no two have the same low 24 bits.
    func isOf(_ number: Int64) -> Bool { note >> 40 == UInt64(truncatingIfNeeded: number) & 0xFF_FFFF }
    var byteCount: Int { Int(truncatingIfNeeded: note >> 24 & 0xFFFF) }
    var probe: ProbeID { ProbeID(UInt16(truncatingIfNeeded: note >> 8)) }
    var purpose: PacketPurpose { PacketPurpose(rawValue: UInt8(truncatingIfNeeded: note >> 4 & 0xF)) ?? .video }
    var state: UInt8 {
      get { UInt8(truncatingIfNeeded: note & 0xF) }
      set { note = note & ~0xF | UInt64(newValue & 0xF) }
    }
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
  /// Where the next number will be noted.
  package var nextPlace: UnsafeRawPointer { unsafe UnsafeRawPointer(entries.address(of: Int(truncatingIfNeeded: end) & mask)) }
  /// Where the oldest number without an answer is noted.
  package var oldestPlace: UnsafeRawPointer { unsafe UnsafeRawPointer(entries.address(of: Int(truncatingIfNeeded: firstOpen) & mask)) }
  var heldByteCount: Int { entries.capacity * MemoryLayout<Entry>.stride }

  /// Notes a packet. Numbers go up; a jump backwards starts anew.
  package mutating func handleSent(_ number: Int64, byteCount: Int, purpose: PacketPurpose, probe: ProbeID, at now: Instant) {
    prepare(for: number, count: 1, at: now)
    note(Entry(number, byteCount: byteCount, purpose: purpose, probe: probe, at: now), as: number)
  }

  /// Notes packets that leave at the same instant under consecutive numbers.
  ///
  /// - Returns: how many bytes of them are no padding.
  @discardableResult
  package mutating func handleSent(_ first: Int64, _ runs: Span<SentRun>, probe: ProbeID, at now: Instant) -> Int {
    var mediaByteCount = 0
    var number = first
    for index in runs.indices {
      let run = runs[index]
      prepare(for: number, count: run.packetCount, at: now)
      note(run, from: number, probe: probe, at: now)
      number += Int64(run.packetCount)
      if case .padding = run.purpose { continue }
      mediaByteCount += run.byteCount * run.packetCount
    }
    return mediaByteCount
  }

  private mutating func note(_ run: SentRun, from first: Int64, probe: ProbeID, at now: Instant) {
    var entry = Entry(first, byteCount: run.byteCount, purpose: run.purpose, probe: probe, at: now)
    guard first >= end else {
      for number in first..<first + Int64(run.packetCount) {
        note(Entry(number, byteCount: run.byteCount, purpose: run.purpose, probe: probe, at: now), as: number)
      }
      return
    }
    // There is room: what is overwritten has been answered or passed over, and does not count as under way.
    for number in first..<first + Int64(run.packetCount) {
      entries[Int(truncatingIfNeeded: number) & mask] = entry
      entry.note &+= 1 << 40
    }
    inFlightByteCount += entry.byteCount * run.packetCount
    end = first + Int64(run.packetCount)
  }

  /// Makes room for `count` numbers from `number` on.
  private mutating func prepare(for number: Int64, count: Int, at now: Instant) {
    if isEmpty || number < end - Int64(capacity) {
      if !isEmpty { removeAll() }
      isEmpty = false
      firstOpen = number
      end = number
    }
    let last = number + Int64(count) - 1
    if last - firstOpen >= Int64(capacity) { makeRoom(for: last, at: now) }
  }

  @inline(__always)
  private mutating func note(_ entry: Entry, as number: Int64) {
    let slot = Int(truncatingIfNeeded: number) & mask
    if entries[slot].state == State.inFlight.rawValue { inFlightByteCount -= entries[slot].byteCount }
    entries[slot] = entry
    inFlightByteCount += entry.byteCount
    end = max(end, number + 1)
  }

  /// Takes a receiver's word about a packet.
  ///
  /// - Returns: the packet, or `nil` if it is unknown or this was said before.
  package mutating func resolve(_ number: Int64, arrivalNanoseconds: Int64) -> PacketResult? {
    let slot = Int(truncatingIfNeeded: number) & mask
    let entry = entries[slot]
    guard entry.isOf(number), number < end, entry.state != State.vacant.rawValue,
      entry.state != State.received.rawValue
    else { return nil }
    let isLoss = arrivalNanoseconds == PacketResult.lost
    if isLoss, entry.state == State.lost.rawValue { return nil }
    if entry.state == State.inFlight.rawValue { inFlightByteCount -= entry.byteCount }
    entries[slot].state = isLoss ? State.lost.rawValue : State.received.rawValue
    if number == firstOpen { firstOpen = number + 1 }
    return PacketResult(
      number: number, sent: Instant(nanoseconds: entry.sentNanoseconds), arrivalNanoseconds: arrivalNanoseconds,
      byteCount: entry.byteCount, purpose: entry.purpose, probe: entry.probe, wasLost: entry.state == State.lost.rawValue)
  }

  /// What is noted of the packet after one that was reported, if it was sent with it and is like it.
  static func expected(after result: PacketResult) -> Entry {
    Entry(result.number + 1, byteCount: Int(result.byteCount), purpose: result.purpose, probe: result.probe, at: result.sent)
  }

  /// Takes a receiver's word that a packet has arrived, if it is the one that was expected.
  ///
  /// - Parameter expected: moves on to the next.
  @inline(__always)
  mutating func resolve(_ number: Int64, expected: inout Entry) -> Bool {
    let slot = Int(truncatingIfNeeded: number) & mask
    guard entries[slot].note == expected.note, entries[slot].sentNanoseconds == expected.sentNanoseconds else { return false }
    inFlightByteCount -= expected.byteCount
    entries[slot].state = State.received.rawValue
    if number == firstOpen { firstOpen = number + 1 }
    expected.note &+= 1 << 40
    return true
  }

  /// Reports have gone past `number`: what they left out before it is not under way any more.
  package mutating func passOver(before number: Int64) {
    let limit = min(number, end)
    while firstOpen < limit {
      let slot = Int(truncatingIfNeeded: firstOpen) & mask
      if entries[slot].isOf(firstOpen), entries[slot].state == State.inFlight.rawValue {
        entries[slot].state = State.passedOver.rawValue
        inFlightByteCount -= entries[slot].byteCount
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
      let isOpen = entries[slot].isOf(firstOpen) && entries[slot].state == State.inFlight.rawValue
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
