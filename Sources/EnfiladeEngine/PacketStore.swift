// Every packet a shard may hold: those in its own slab, and those that other shards have lent it.

import EnfiladeWire

/// The shard's own slab and the lanes to the others, so that a handle is used alike wherever its slot lies.
struct PacketStore: ~Copyable {
  /// Where the note about a lent packet lies in its slot: behind the largest datagram and the two bytes a retransmission needs.
  static var noteOffset: Int { 1536 }
  /// Where the moment of a lent packet's arrival lies: behind the note.
  static var arrivalOffset: Int { noteOffset + (MemoryLayout<Packet>.stride + 7) & ~7 }

  var own: PacketSlab
  var ports = UniqueArray<RelayPort>()

  init(_ slab: consuming PacketSlab) { own = slab }

  /// Where the lane to a shard stands among ``ports``: in the order of the shards, without this one.
  func port(of shard: UInt8) -> Int { shard < own.shard ? Int(shard) : Int(shard) - 1 }

  // MARK: Own slots

  var leasedCount: Int { own.leasedCount }
  mutating func lease() -> PacketHandle? { own.lease() }

  @_lifetime(&self)
  mutating func mutableBytes(of handle: PacketHandle) -> MutableRawSpan? { own.mutableBytes(of: handle) }

  /// Takes back what came home.
  mutating func collectReturned() {
    for port in 0..<ports.count {
      while let handle = ports[port].nextReturned() { own.release(handle) }
    }
  }

  /// Tells the shard at the end of a lane something, now or as soon as there is room on it.
  mutating func say(_ message: RelayMessage, to port: Int) {
    guard let unsaid = ports[port].say(message), unsaid.kind == .stream else { return }
    own.release(unsaid.handle)
  }

  // MARK: Any slot

  @inline(__always)
  mutating func retain(_ handle: PacketHandle) {
    if handle.shard == own.shard { own.retain(handle) } else { ports[port(of: handle.shard)].retain(handle) }
  }

  @inline(__always)
  mutating func release(_ handle: PacketHandle) {
    if handle.shard == own.shard { own.release(handle) } else { ports[port(of: handle.shard)].release(handle) }
  }

  /// The slot's first byte, or `nil` for a stale handle of our own.
  @unsafe @inline(__always)
  func pointer(to handle: PacketHandle) -> UnsafeRawPointer? {
    if handle.shard == own.shard { return unsafe UnsafeRawPointer(own.pointer(to: handle)) }
    return unsafe ports[port(of: handle.shard)].window.pointer(to: handle)
  }

  /// Where an arriving packet is opened to: the first byte of a slot of our own.
  @unsafe
  func place(of handle: PacketHandle) -> UnsafeMutableRawPointer? { unsafe own.pointer(to: handle) }

  /// A stretch of a slot that the caller holds; see ``PacketSlab/lentBytes(of:from:count:)``.
  @unsafe @_lifetime(immortal) @inline(__always)
  func lentBytes(of handle: PacketHandle, from start: Int = 0, count: Int) -> RawSpan? {
    if handle.shard == own.shard { return unsafe own.lentBytes(of: handle, from: start, count: count) }
    guard start >= 0, count >= 0, start + count <= Limits.slotByteCount else { return nil }
    let first = unsafe ports[port(of: handle.shard)].window.pointer(to: handle) + start
    let span = unsafe RawSpan(_unsafeStart: first, byteCount: count)
    return unsafe _overrideLifetime(span, copying: ())
  }
}
