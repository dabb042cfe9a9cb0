// Packets that wait, in the order they came.

import EnfiladeWire

/// A ring of waiting packets of one purpose.
struct PacerQueue: ~Copyable {
  struct Waiting: BitwiseCopyable {
    var packet: Pacer.Packet
    var byteCount: Int32
    var since: Int64
  }

  private var ring: UniqueArray<Waiting>
  private var start = 0
  private(set) var count = 0
  private(set) var byteCount = 0

  /// Allocates at the first packet: most links never hold one back.
  init() { ring = UniqueArray() }

  var heldByteCount: Int { ring.capacity * MemoryLayout<Waiting>.stride }
  var isEmpty: Bool { count == 0 }
  var oldest: Instant? { count > 0 ? Instant(nanoseconds: ring[start].since) : nil }

  /// - Returns: `false` when there is no room.
  mutating func append(_ packet: Pacer.Packet, byteCount bytes: Int, at now: Instant) -> Bool {
    if ring.count == 0 {
      ring.reserveCapacity(Limits.pacerPacketCount)
      for _ in 0..<Limits.pacerPacketCount { ring.append(Waiting(packet: 0, byteCount: 0, since: 0)) }
    }
    guard count < Limits.pacerPacketCount else { return false }
    ring[(start + count) & (Limits.pacerPacketCount - 1)] = Waiting(packet: packet, byteCount: Int32(bytes), since: now.nanoseconds)
    count += 1
    byteCount += bytes
    return true
  }

  mutating func popFirst() -> Waiting? {
    guard count > 0 else { return nil }
    let first = ring[start]
    start = (start + 1) & (Limits.pacerPacketCount - 1)
    count -= 1
    byteCount -= Int(first.byteCount)
    return first
  }
}
