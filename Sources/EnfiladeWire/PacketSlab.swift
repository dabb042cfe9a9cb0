// Packets live here: one preallocated block of equal slots per shard, leased, counted and given back without the heap.

/// One shard's packet memory. Only the owning shard leases, retains and releases, so the counts are plain integers; another
/// shard may read a slot that was lent to it through ``PacketSlab/Window``, and sends the handle home when it has finished.
///
///     free ──lease──▶ leased, 1 reference ──retain──▶ n references ──release──▶ … ──release──▶ free (generation + 1)
///
/// A look-up with a handle of an earlier lease answers `nil`. After 65,536 leases of one slot the generation comes round;
/// nobody may keep a handle that long without a reference.
@safe
@usableFromInline
package struct PacketSlab: ~Copyable {
  /// What the owner knows about one slot.
  @usableFromInline
  struct Slot: BitwiseCopyable {
    @usableFromInline var referenceCount: UInt16 = 0
    @usableFromInline var generation: UInt16 = 0
    @usableFromInline init() {}
  }

  /// Slots start on a cache line, so that a header never straddles two and vector loads are aligned.
  @usableFromInline package static let alignment = 64

  @usableFromInline package let shard: UInt8
  @usableFromInline package let slotCount: Int
  /// How many slots are leased now.
  @usableFromInline package private(set) var leasedCount: Int
  /// The most slots that were ever leased at once.
  @usableFromInline package private(set) var highWaterCount: Int
  /// How many leases were refused because no slot was free.
  @usableFromInline package private(set) var exhaustedCount: UInt64

  // Never replaced, and variables all the same: Swift 6.3 cannot instrument a write through a constant of a ~Copyable value for the thread
  // sanitizer.
  @usableFromInline var base: UnsafeMutableRawPointer
  @usableFromInline var slots: UnsafeMutablePointer<Slot>
  /// The free slots' indices as a stack: the slot given back last is leased next, while it is still in the cache.
  private var free: UnsafeMutablePointer<UInt32>

  /// Allocates everything at once. With `touchesPages` each page is written now, so that no packet waits for a page fault.
  @usableFromInline package init(shard: UInt8, slotCount: Int, touchesPages: Bool = true) {
    precondition(slotCount > 0 && slotCount < Int(UInt32.max), "a slab has slots, and an index fits 32 bits")
    self.shard = shard
    self.slotCount = slotCount
    leasedCount = 0
    highWaterCount = 0
    exhaustedCount = 0
    let byteCount = slotCount * Limits.slotByteCount
    // Sound: allocated here, freed in deinit, never replaced in between.
    unsafe base = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: Self.alignment)
    if touchesPages { _ = unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount) }
    // Sound: `slotCount` elements are allocated and initialized before anyone can index them.
    unsafe slots = .allocate(capacity: slotCount)
    unsafe slots.initialize(repeating: Slot(), count: slotCount)
    unsafe free = .allocate(capacity: slotCount)
    // Sound: within the `slotCount` elements allocated above. Slot 0 is on top.
    for position in 0..<slotCount { unsafe (free + position).initialize(to: UInt32(slotCount - 1 - position)) }
  }

  deinit {
    // Sound: allocated in init; a ~Copyable owner is destroyed once. Leases end with the slab, whoever holds them.
    unsafe base.deallocate()
    unsafe slots.deallocate()
    unsafe free.deallocate()
  }

  // MARK: Look

  /// Whether every lease came home.
  @usableFromInline package var isBalanced: Bool { leasedCount == 0 }
  /// How many more slots can be leased.
  @usableFromInline package var freeCount: Int { slotCount - leasedCount }

  /// Whether `handle` names a slot of this slab that is leased under the handle's generation.
  @inlinable package func contains(_ handle: PacketHandle) -> Bool {
    guard handle.shard == shard, Int(handle.index) < slotCount else { return false }
    // Sound: the index was checked against `slotCount`.
    let slot = unsafe slots[Int(handle.index)]
    return slot.generation == handle.generation && slot.referenceCount > 0
  }

  /// How many references `handle` has; zero when it is stale.
  @usableFromInline package func referenceCount(of handle: PacketHandle) -> Int {
    guard contains(handle) else { return 0 }
    // Sound: `contains` checked the index.
    return unsafe Int(slots[Int(handle.index)].referenceCount)
  }

  /// The slot's first byte, or `nil` for a stale handle. Valid until the last release; ``Limits/slotByteCount`` bytes long.
  @unsafe @inlinable package func pointer(to handle: PacketHandle) -> UnsafeMutableRawPointer? {
    guard contains(handle) else { return nil }
    return unsafe base + Int(handle.index) &* Limits.slotByteCount
  }

  /// The slot's first `count` bytes, or `nil` for a stale handle or a count beyond the slot.
  @_lifetime(borrow self)
  @inlinable package func bytes(of handle: PacketHandle, count: Int) -> RawSpan? {
    guard count >= 0, count <= Limits.slotByteCount, contains(handle) else { return nil }
    let start = unsafe UnsafeRawPointer(base + Int(handle.index) &* Limits.slotByteCount)
    // Sound: inside the slot; the slab is borrowed, and giving the slot back would need it mutable.
    let span = unsafe RawSpan(_unsafeStart: start, byteCount: count)
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  /// A stretch of a slot that the caller holds a reference to, without borrowing the slab meanwhile: for an engine that reads a packet
  /// while it moves its own state. `nil` for a stale handle or a stretch beyond the slot.
  ///
  /// Unsafe, because nothing but that reference keeps the bytes: whoever gives it back, or writes the slot, must not use the span after.
  @unsafe @_lifetime(immortal)
  @inlinable package func lentBytes(of handle: PacketHandle, from start: Int = 0, count: Int) -> RawSpan? {
    guard start >= 0, count >= 0, start + count <= Limits.slotByteCount, contains(handle) else { return nil }
    let first = unsafe UnsafeRawPointer(base + Int(handle.index) &* Limits.slotByteCount + start)
    let span = unsafe RawSpan(_unsafeStart: first, byteCount: count)
    return unsafe _overrideLifetime(span, copying: ())
  }

  /// The whole slot for writing, or `nil` for a stale handle.
  @_lifetime(&self)
  @inlinable package mutating func mutableBytes(of handle: PacketHandle) -> MutableRawSpan? {
    guard contains(handle) else { return nil }
    let start = unsafe base + Int(handle.index) &* Limits.slotByteCount
    // Sound: inside the slot; the slab is held exclusively as long as the span lives.
    let span = unsafe MutableRawSpan(_unsafeStart: start, byteCount: Limits.slotByteCount)
    return unsafe _overrideLifetime(span, mutating: &self)
  }

  // MARK: Verbs

  /// Takes a free slot with one reference; `nil`, counted, when none is free.
  @usableFromInline package mutating func lease() -> PacketHandle? {
    guard leasedCount < slotCount else {
      exhaustedCount &+= 1
      return nil
    }
    // Sound: the stack holds `slotCount - leasedCount` > 0 entries, each a valid slot index.
    let index = unsafe free[slotCount - leasedCount - 1]
    leasedCount += 1
    highWaterCount = max(highWaterCount, leasedCount)
    unsafe slots[Int(index)].referenceCount = 1
    return unsafe PacketHandle(index: index, generation: slots[Int(index)].generation, shard: shard)
  }

  /// Adds references. The handle must be leased: a holder without a reference has no right to make another.
  @inlinable package mutating func retain(_ handle: PacketHandle, count: Int = 1) {
    precondition(contains(handle), "retained a packet that nobody holds")
    // Sound: `contains` checked the index. A count beyond 65,535 traps: there are not that many holders.
    unsafe slots[Int(handle.index)].referenceCount += UInt16(count)
  }

  /// Gives one reference back; the last one frees the slot and makes every handle to it stale.
  @usableFromInline package mutating func release(_ handle: PacketHandle) {
    precondition(contains(handle), "released a packet that nobody holds")
    let index = Int(handle.index)
    // Sound: `contains` checked the index; the stack has room, because this slot is not on it.
    unsafe slots[index].referenceCount -= 1
    guard unsafe slots[index].referenceCount == 0 else { return }
    unsafe slots[index].generation &+= 1
    leasedCount -= 1
    unsafe free[slotCount - leasedCount - 1] = handle.index
  }
}

extension PacketSlab {
  /// Where another shard finds the slots that are lent to it. It checks no generation, because only the owner may read that:
  /// the lender's reference is what keeps the slot.
  @safe
  @usableFromInline
  package struct Window: @unchecked Sendable {
    // Sendable: both fields never change, and slots behind it are read-only while they are lent.
    @usableFromInline let base: UnsafeRawPointer
    @usableFromInline package let shard: UInt8
    @usableFromInline package let slotCount: Int

    fileprivate init(base: UnsafeRawPointer, shard: UInt8, slotCount: Int) {
      unsafe self.base = base
      self.shard = shard
      self.slotCount = slotCount
    }

    /// The lent slot's first byte. The slab must outlive the loan.
    @unsafe @inlinable package func pointer(to handle: PacketHandle) -> UnsafeRawPointer {
      precondition(handle.shard == shard && Int(handle.index) < slotCount, "a packet of another shard")
      return unsafe base + Int(handle.index) &* Limits.slotByteCount
    }
  }

  /// For the other shards, given out once at start. The slab must live until they have stopped.
  @usableFromInline package var window: Window { unsafe Window(base: UnsafeRawPointer(base), shard: shard, slotCount: slotCount) }
}

extension PacketSlab {
  /// How many streams one shard holds packets for.
  @usableFromInline package struct Demand: Sendable {
    /// Encodings of video: three for each simulcast publication.
    package var videoEncodingCount: Int
    /// Encodings of audio.
    package var audioEncodingCount: Int
    /// Shards that this one lends packets to.
    package var peerShardCount: Int

    package init(videoEncodingCount: Int, audioEncodingCount: Int, peerShardCount: Int) {
      self.videoEncodingCount = videoEncodingCount
      self.audioEncodingCount = audioEncodingCount
      self.peerShardCount = peerShardCount
    }
  }

  /// The slots that `demand` can need at the same time. Beyond them a packet is dropped with a reason, so the sum is generous only
  /// where holders are.
  @usableFromInline package static func slotCount(for demand: Demand) -> Int {
    // A packet that several hold (history, loan, queue) occupies one slot, so the first two terms cover most of the others.
    let history =
      demand.videoEncodingCount * Limits.videoHistoryPacketCount  // every video history full
      + demand.audioEncodingCount * Limits.audioHistoryPacketCount  // every audio history full
    let receiving = Limits.receiveBatchPacketCount  // one receive batch, decrypted and not yet in a history
    let lent = demand.peerShardCount * Limits.lanePacketCount  // full rings to the others, holding packets that history has let go
    let control = Limits.receiveBatchPacketCount  // RTCP, STUN and DTLS of the same batch
    return history + receiving + lent + control
  }
}
