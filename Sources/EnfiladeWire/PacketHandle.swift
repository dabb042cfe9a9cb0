// Names one leased slot of one shard's slab: what travels through rings, histories and queues in place of a packet.

/// A slot, the lease it belongs to, and the shard that owns it. Eight bytes, no reference count: who keeps a handle
/// must have retained the slot at the owner's ``PacketSlab``.
@usableFromInline
package struct PacketHandle: Hashable, Sendable, BitwiseCopyable {
  /// Which slot of the owner's slab.
  @usableFromInline package var index: UInt32
  /// Which lease of that slot; a handle of an earlier lease is stale.
  @usableFromInline package var generation: UInt16
  /// Which shard's slab.
  @usableFromInline package var shard: UInt8
  /// Always zero; keeps the eight bytes fully defined, so that a handle can be compared and copied as one word.
  @usableFromInline package var reserved: UInt8

  @inlinable package init(index: UInt32, generation: UInt16, shard: UInt8) {
    self.index = index
    self.generation = generation
    self.shard = shard
    reserved = 0
  }

  /// Names no packet: no slab has this many slots.
  @inlinable package static var none: PacketHandle { PacketHandle(index: .max, generation: 0, shard: 0) }
  @inlinable package var isNone: Bool { index == .max }
}
