// The last packets of one encoding, shared by all its subscribers: where repair and replay read from.

public import EnfiladeWire

/// A ring of slab handles by extended sequence number, each with what forwarding worked out about the packet. It owns one
/// reference for each packet in it: who inserts passes one in, and releases every handle that comes out.
@usableFromInline
package struct PacketHistory<Metadata: BitwiseCopyable>: ~Copyable {
  /// One packet.
  @usableFromInline package struct Entry {
    @usableFromInline package var sequence: ExtendedSequenceNumber
    @usableFromInline package var handle: PacketHandle
    @usableFromInline package var metadata: Metadata

    @inlinable package init(sequence: ExtendedSequenceNumber, handle: PacketHandle, metadata: Metadata) {
      self.sequence = sequence
      self.handle = handle
      self.metadata = metadata
    }
  }

  /// What became of a packet offered to the history.
  @usableFromInline package enum Insertion: Hashable, Sendable {
    case stored
    /// Stored; the caller releases the handle that made room.
    case replaced(PacketHandle)
    /// The packet is here already; the caller keeps the reference it offered.
    case duplicate
    /// Too old to have a place; the caller keeps the reference it offered.
    case tooOld
  }

  @usableFromInline package let capacity: Int
  @usableFromInline var heldCount = 0
  @usableFromInline var newestInserted: ExtendedSequenceNumber?
  /// Nothing older is held.
  @usableFromInline var oldestHeld: ExtendedSequenceNumber?
  /// By the low bits of the number; a place with no packet holds ``PacketHandle/none``.
  @usableFromInline var entries: UniqueArray<Entry>

  /// - Parameters:
  ///   - capacity: packets held at most, a power of two.
  ///   - placeholder: any value, for places with no packet.
  @inlinable package init(capacity: Int, placeholder: Metadata) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0, "a history's capacity is a power of two")
    self.capacity = capacity
    entries = UniqueArray(minimumCapacity: capacity)
    for _ in 0..<capacity { entries.append(Entry(sequence: ExtendedSequenceNumber(.min), handle: .none, metadata: placeholder)) }
  }

  // MARK: Look

  /// How many packets are held.
  @inlinable package var count: Int { heldCount }
  /// The newest packet that was inserted.
  @inlinable package var newest: ExtendedSequenceNumber? { newestInserted }

  @inlinable package func find(_ sequence: ExtendedSequenceNumber) -> Entry? {
    let entry = entries[place(of: sequence)]
    return entry.sequence == sequence && !entry.handle.isNone ? entry : nil
  }

  /// The number nearest to the newest whose low 32 bits these are; `nil` before the first packet.
  @inlinable package func widen(_ low: UInt32) -> ExtendedSequenceNumber? {
    guard let newest else { return nil }
    let distance = Int32(bitPattern: low &- UInt32(truncatingIfNeeded: newest.rawValue))
    return newest + Int(distance)
  }

  /// The first packet held behind `sequence`, for replay; `nil` behind the newest.
  @inlinable package func next(after sequence: ExtendedSequenceNumber) -> Entry? {
    guard let newest, sequence < newest else { return nil }
    // Nothing older than a full ring is held, so the search starts there at the earliest.
    var candidate = max(sequence + 1, newest - (capacity - 1))
    while candidate <= newest {
      if let entry = find(candidate) { return entry }
      candidate = candidate + 1
    }
    return nil
  }

  // MARK: Verbs

  /// Takes a packet in, with one reference that the caller already holds.
  @inlinable package mutating func insert(_ entry: Entry) -> Insertion {
    let sequence = entry.sequence
    if let newest, newest - sequence >= capacity { return .tooOld }
    let place = place(of: sequence)
    let old = entries[place]
    if !old.handle.isNone {
      if old.sequence == sequence { return .duplicate }
      // A place is shared by numbers a whole ring apart; the older one goes.
      if old.sequence > sequence { return .tooOld }
    }
    entries[place] = entry
    if newest == nil || sequence > newest! { newestInserted = sequence }
    if oldestHeld.map({ sequence < $0 }) ?? true { oldestHeld = sequence }
    if !old.handle.isNone { return .replaced(old.handle) }
    heldCount += 1
    return .stored
  }

  /// Notes something else about a packet that is held; one that is not held is left alone.
  @inlinable package mutating func setMetadata(_ metadata: Metadata, of sequence: ExtendedSequenceNumber) {
    let place = place(of: sequence)
    guard entries[place].sequence == sequence, !entries[place].handle.isNone else { return }
    entries[place].metadata = metadata
  }

  /// Lets every packet go up to and with `sequence`, and hands each to the caller for release.
  @inlinable package mutating func trim(through sequence: ExtendedSequenceNumber, _ release: (PacketHandle) -> Void) {
    guard let newest, var candidate = oldestHeld, candidate <= sequence else { return }
    // Nothing older than a full ring is held.
    candidate = max(candidate, newest - (capacity - 1))
    let last = min(sequence, newest)
    while candidate <= last {
      let place = place(of: candidate)
      if entries[place].sequence == candidate, !entries[place].handle.isNone {
        release(entries[place].handle)
        entries[place].handle = .none
        heldCount -= 1
      }
      candidate = candidate + 1
    }
    oldestHeld = candidate
  }

  /// Lets every packet go, and hands each to the caller for release.
  @inlinable package mutating func drain(_ release: (PacketHandle) -> Void) {
    for index in 0..<capacity where !entries[index].handle.isNone {
      release(entries[index].handle)
      entries[index].handle = .none
    }
    heldCount = 0
    newestInserted = nil
    oldestHeld = nil
  }

  // MARK: -

  @inlinable func place(of sequence: ExtendedSequenceNumber) -> Int {
    Int(truncatingIfNeeded: sequence.rawValue) & (capacity &- 1)
  }
}
