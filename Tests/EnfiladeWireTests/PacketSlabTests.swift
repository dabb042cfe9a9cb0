// The slab against a dictionary that does the same slowly.

import EnfiladeWire
import Testing

@Suite("PacketSlab")
struct PacketSlabTests {
  @Test("A handle is eight bytes")
  func handleSize() {
    #expect(MemoryLayout<PacketHandle>.size == 8)
    #expect(MemoryLayout<PacketHandle>.stride == 8)
    #expect(MemoryLayout<PacketHandle?>.size <= 9)
  }

  @Test("A slot is 64-byte aligned and two slots are 2048 bytes apart")
  func layout() throws {
    var slab = PacketSlab(shard: 3, slotCount: 4)
    let first = try slab.mustLease()
    let second = try slab.mustLease()
    let a = try unsafe slab.mustFind(first)
    let b = try unsafe slab.mustFind(second)
    let address = UInt(bitPattern: a)
    #expect(address % 64 == 0)
    let distance = unsafe b - a
    #expect(distance == Limits.slotByteCount)
    #expect(first.shard == 3)
  }

  @Test("The last reference frees the slot; the handle is stale from then on")
  func staleHandle() throws {
    var slab = PacketSlab(shard: 0, slotCount: 1)
    let old = try slab.mustLease()
    slab.retain(old, count: 2)
    slab.release(old)
    slab.release(old)
    #expect(slab.contains(old) == true)
    #expect(slab.referenceCount(of: old) == 1)
    slab.release(old)
    #expect(slab.contains(old) == false)
    #expect(slab.isBalanced == true)

    let new = try slab.mustLease()
    #expect(new.index == old.index)
    let nowhere = unsafe slab.pointer(to: old)
    #expect(unsafe nowhere == nil)
    #expect(slab.hasBytes(of: old, count: 1) == false)
    #expect(slab.referenceCount(of: old) == 0)
    _ = try unsafe slab.mustFind(new)
  }

  @Test("An exhausted slab refuses, counts the refusal, and leases again after a release")
  func exhaustion() throws {
    var slab = PacketSlab(shard: 0, slotCount: 2)
    let a = try slab.mustLease()
    _ = try slab.mustLease()
    let refused = slab.lease()
    #expect(refused == nil)
    #expect(slab.exhaustedCount == 1)
    #expect(slab.freeCount == 0)
    slab.release(a)
    _ = try slab.mustLease()
    #expect(slab.highWaterCount == 2)
  }

  @Test("The slot given back last is leased next")
  func lifo() throws {
    var slab = PacketSlab(shard: 0, slotCount: 8)
    var handles: [PacketHandle] = []
    for _ in 0..<4 { handles.append(try slab.mustLease()) }
    slab.release(handles[2])
    slab.release(handles[0])
    let last = try slab.mustLease()
    #expect(last.index == handles[0].index)
    let lastButOne = try slab.mustLease()
    #expect(lastButOne.index == handles[2].index)
  }

  @Test("Handles of another shard, beyond the slab, or of nothing find nothing")
  func foreignHandles() throws {
    var slab = PacketSlab(shard: 1, slotCount: 2)
    let mine = try slab.mustLease()
    #expect(slab.contains(PacketHandle(index: mine.index, generation: mine.generation, shard: 2)) == false)
    #expect(slab.contains(PacketHandle(index: 2, generation: 0, shard: 1)) == false)
    #expect(slab.contains(.none) == false)
    #expect(PacketHandle.none.isNone)
    #expect(!mine.isNone)
    // Never leased: generation fits, reference count does not.
    #expect(slab.contains(PacketHandle(index: 1, generation: 0, shard: 1)) == false)
  }

  @Test("Bytes read are bounded by the slot", arguments: [-1, Limits.slotByteCount + 1, Int.max])
  func bytesBound(count: Int) throws {
    var slab = PacketSlab(shard: 0, slotCount: 1)
    let handle = try slab.mustLease()
    #expect(slab.hasBytes(of: handle, count: count) == false)
  }

  @Test("A generation comes round after 65,536 leases and not before")
  func generationWrap() throws {
    var slab = PacketSlab(shard: 0, slotCount: 1, touchesPages: false)
    let first = try slab.mustLease()
    slab.release(first)
    for _ in 1..<65_536 {
      let handle = try slab.mustLease()
      guard handle != first, !slab.contains(first) else {
        Issue.record("the first handle came back early")
        return
      }
      slab.release(handle)
    }
    let wrapped = try slab.mustLease()
    #expect(wrapped == first)
  }

  @Test("Another shard reads a lent slot through the window")
  func window() throws {
    var slab = PacketSlab(shard: 0, slotCount: 3)
    _ = slab.lease()
    let handle = try slab.mustLease()
    do {
      guard var bytes = slab.mutableBytes(of: handle) else {
        Issue.record("a leased slot has bytes")
        return
      }
      bytes.storeBytes(of: 0xA5, toByteOffset: 7, as: UInt8.self)
    }
    let window = slab.window
    let lent = unsafe window.pointer(to: handle)
    #expect(unsafe lent.load(fromByteOffset: 7, as: UInt8.self) == 0xA5)
    let own = try unsafe UnsafeRawPointer(slab.mustFind(handle))
    #expect(unsafe own == lent)
    #expect(slab.hasBytes(of: handle, count: 8) == true)
  }

  @Test("Random leases, retains and releases agree with a dictionary, contents included", arguments: [1, 2, 3, 4, 5, 6, 7, 8])
  func model(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let slotCount = Int.random(in: 1...40, using: &random)
    var slab = PacketSlab(shard: UInt8(seed), slotCount: slotCount)
    var live: [(handle: PacketHandle, references: Int, stamp: UInt64)] = []
    var dead: [PacketHandle] = []

    for step in 0..<4_000 {
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        let handle = slab.lease()
        #expect((handle == nil) == (live.count == slotCount))
        guard let handle else { break }
        #expect(!live.contains { $0.handle.index == handle.index })
        let stamp = UInt64(step) &* 0x9E37_79B9_7F4A_7C15
        guard var bytes = slab.mutableBytes(of: handle) else {
          Issue.record("a leased slot has bytes")
          return
        }
        let room = bytes.byteCount
        #expect(room == Limits.slotByteCount)
        bytes.storeBytes(of: stamp, toByteOffset: 0, as: UInt64.self)
        bytes.storeBytes(of: stamp, toByteOffset: Limits.slotByteCount - 8, as: UInt64.self)
        live.append((handle, 1, stamp))
      case 1 where !live.isEmpty:
        let index = Int.random(in: 0..<live.count, using: &random)
        let count = Int.random(in: 0...5, using: &random)
        slab.retain(live[index].handle, count: count)
        live[index].references += count
      case 2, 3:
        guard !live.isEmpty else { break }
        let index = Int.random(in: 0..<live.count, using: &random)
        slab.release(live[index].handle)
        live[index].references -= 1
        if live[index].references == 0 { dead.append(live.remove(at: index).handle) }
      default: break
      }
      #expect(slab.leasedCount == live.count)
      #expect(slab.freeCount == slotCount - live.count)
      if let one = live.randomElement(using: &random) {
        guard let bytes = slab.bytes(of: one.handle, count: Limits.slotByteCount) else {
          Issue.record("a leased slot has bytes")
          return
        }
        let (front, back) = unsafe (
          bytes.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt64.self),
          bytes.unsafeLoadUnaligned(fromByteOffset: Limits.slotByteCount - 8, as: UInt64.self)
        )
        #expect(front == one.stamp)
        #expect(back == one.stamp)
        #expect(slab.referenceCount(of: one.handle) == one.references)
      }
      if let gone = dead.randomElement(using: &random) { #expect(slab.contains(gone) == false) }
    }
    for one in live { for _ in 0..<one.references { slab.release(one.handle) } }
    #expect(slab.isBalanced == true)
  }

  @Test("The slab's size grows by a history for each encoding and by a lane for each other shard")
  func demand() {
    let none = PacketSlab.slotCount(for: .init(videoEncodingCount: 0, audioEncodingCount: 0, peerShardCount: 0))
    let some = PacketSlab.slotCount(for: .init(videoEncodingCount: 3, audioEncodingCount: 2, peerShardCount: 1))
    #expect(none == 2 * Limits.receiveBatchPacketCount)
    #expect(some - none == 3 * Limits.videoHistoryPacketCount + 2 * Limits.audioHistoryPacketCount + Limits.lanePacketCount)
  }
}

// The testing macros cannot look into ~Copyable and ~Escapable values.
extension PacketSlab {
  fileprivate mutating func mustLease() throws -> PacketHandle {
    let handle = lease()
    return try #require(handle)
  }

  @unsafe fileprivate func mustFind(_ handle: PacketHandle) throws -> UnsafeMutableRawPointer {
    let address = unsafe pointer(to: handle)
    return try unsafe #require(address)
  }

  fileprivate func hasBytes(of handle: PacketHandle, count: Int) -> Bool { bytes(of: handle, count: count) != nil }
}
