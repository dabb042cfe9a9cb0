// Bytes that wait, in one piece: in at the end, out at the front.

/// A queue of bytes with a bound. It allocates when it grows, up to its bound, and keeps what it has.
@safe
struct ByteQueue: ~Copyable {
  let capacity: Int
  private var storage: UnsafeMutableRawPointer?
  private var room = 0
  private var start = 0
  private(set) var count = 0

  init(capacity: Int) { self.capacity = capacity }

  deinit { unsafe storage?.deallocate() }

  /// Puts bytes at the end; `false`, and nothing done, when there is no room.
  mutating func append(_ bytes: RawSpan) -> Bool {
    guard bytes.byteCount > 0 else { return true }
    guard count + bytes.byteCount <= capacity else { return false }
    makeRoom(for: bytes.byteCount)
    unsafe bytes.withUnsafeBytes { source in
      // Sound: `makeRoom` left that many bytes behind the last one, and the source is not ours.
      unsafe (storage! + start + count).copyMemory(from: source.baseAddress!, byteCount: source.count)
    }
    count += bytes.byteCount
    return true
  }

  /// Takes bytes off the front.
  mutating func removeFirst(_ number: Int) {
    precondition(number >= 0 && number <= count, "removed more than there is")
    count -= number
    start = count == 0 ? 0 : start + number
  }

  /// What waits, in order.
  var bytes: RawSpan {
    @_lifetime(borrow self)
    borrowing get {
      guard let storage = unsafe storage else { return RawSpan() }
      // Sound: `count` bytes from `start` on were written, and they stay while the queue is borrowed.
      let span = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(storage) + start, byteCount: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  private mutating func makeRoom(for more: Int) {
    guard start + count + more > room else { return }
    let needed = count + more
    if needed <= room {
      // Sound: both lie in the storage, and moving allows the overlap.
      unsafe storage!.copyMemory(from: storage! + start, byteCount: count)
    } else {
      let grown = min(capacity, max(needed, max(256, room * 2)))
      let place = UnsafeMutableRawPointer.allocate(byteCount: grown, alignment: 16)
      if let storage = unsafe storage {
        unsafe place.copyMemory(from: storage + start, byteCount: count)
        unsafe storage.deallocate()
      }
      unsafe storage = place
      room = grown
    }
    start = 0
  }
}

extension ByteQueue: @unchecked Sendable {
  // Sendable: the only owner of its storage.
}
