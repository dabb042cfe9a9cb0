// The lane between two shards: a bounded ring with one writing and one reading thread, without a lock.

public import Synchronization

/// A bounded single-producer single-consumer ring. Its two ends are ~Copyable values whose operations are `mutating`, so a second
/// producer or consumer does not compile.
///
/// Both indices count for ever and wrap with the word; `tail - head` is the number of elements. Each end owns one index, keeps a private
/// copy of it, and remembers the other's last known value, so a push or a pop touches the other end's cache line only when the
/// ring looks full or empty.
///
///     producer: [full? load head (acquire)] → write slot → store tail (release)
///     consumer: [empty? load tail (acquire)] → read slot → store head (release)
@usableFromInline
package struct SPSCRing<Element: BitwiseCopyable>: ~Copyable {
  private var producer: Producer?
  private var consumer: Consumer?

  /// Makes a ring of `capacity` elements, a power of two.
  @usableFromInline package init(capacity: Int) {
    let memory = SPSCRingMemory<Element>(capacity: capacity)
    producer = Producer(memory)
    consumer = Consumer(memory)
  }

  /// The writing end, for the one thread that writes. Can be taken once.
  @usableFromInline package mutating func takeProducer() -> Producer {
    guard let end = producer.take() else { preconditionFailure("a ring has one producer") }
    return end
  }

  /// The reading end, for the one thread that reads. Can be taken once.
  @usableFromInline package mutating func takeConsumer() -> Consumer {
    guard let end = consumer.take() else { preconditionFailure("a ring has one consumer") }
    return end
  }
}

/// What both ends share; freed when the last of them goes.
@safe
@usableFromInline
final class SPSCRingMemory<Element: BitwiseCopyable>: @unchecked Sendable {
  // Sendable: the pointers never change; `head` and `tail` are atomics, and a slot is touched by the producer only while it is outside
  // head..<tail and by the consumer only while it is inside, which the release stores and acquire loads of those two order.

  /// Two cache lines: adjacent-line prefetch pairs them, so one is not enough to keep the ends apart.
  static var spacing: Int { 128 }

  let capacity: Int
  let block: UnsafeMutableRawPointer
  let head: UnsafeMutablePointer<Atomic<UInt>>
  let tail: UnsafeMutablePointer<Atomic<UInt>>
  let slots: UnsafeMutablePointer<Element>

  init(capacity: Int) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0, "a ring's capacity is a power of two")
    self.capacity = capacity
    let alignment = max(Self.spacing, MemoryLayout<Element>.alignment)
    let offset = 2 * alignment
    // Sound: one block, laid out as head, tail, slots, each in its own lines; bound once, here.
    unsafe block = .allocate(byteCount: offset + capacity * MemoryLayout<Element>.stride, alignment: alignment)
    unsafe head = block.bindMemory(to: Atomic<UInt>.self, capacity: 1)
    unsafe tail = (block + alignment).bindMemory(to: Atomic<UInt>.self, capacity: 1)
    unsafe slots = (block + offset).bindMemory(to: Element.self, capacity: capacity)
    unsafe head.initialize(to: Atomic(0))
    unsafe tail.initialize(to: Atomic(0))
  }

  deinit {
    // Sound: both ends are gone; elements are trivial and need no destruction.
    unsafe head.deinitialize(count: 1)
    unsafe tail.deinitialize(count: 1)
    unsafe block.deallocate()
  }
}

extension SPSCRing {
  /// The writing end.
  @safe
  @usableFromInline
  package struct Producer: ~Copyable, @unchecked Sendable {
    // Sendable: it may move to another thread, but never be used by two, because every access that matters is exclusive.
    private let memory: SPSCRingMemory<Element>
    @usableFromInline let published: UnsafeMutablePointer<Atomic<UInt>>
    @usableFromInline let consumed: UnsafeMutablePointer<Atomic<UInt>>
    @usableFromInline let slots: UnsafeMutablePointer<Element>
    @usableFromInline package let capacity: Int
    /// Our index: what is written, published or not.
    @usableFromInline var tail: UInt = 0
    /// The last head we saw; the real one may be further.
    @usableFromInline var knownHead: UInt = 0

    fileprivate init(_ memory: SPSCRingMemory<Element>) {
      self.memory = memory
      // Sound: `memory` lives as long as this end.
      unsafe published = memory.tail
      unsafe consumed = memory.head
      unsafe slots = memory.slots
      capacity = memory.capacity
    }

    /// Writes an element that the consumer sees at the next ``publish()``; `false` when the ring is full.
    @inlinable package mutating func stage(_ element: Element) -> Bool {
      if tail &- knownHead == UInt(bitPattern: capacity) {
        // Acquire: the consumer's reads of the slots it freed happen before our writes to them.
        knownHead = unsafe consumed.pointee.load(ordering: .acquiring)
        guard tail &- knownHead < UInt(bitPattern: capacity) else { return false }
      }
      // Sound: the mask keeps the index below the capacity; the slot is outside head..<tail, so it is ours.
      unsafe (slots + Int(bitPattern: tail & (UInt(bitPattern: capacity) &- 1))).initialize(to: element)
      tail &+= 1
      return true
    }

    /// Shows everything staged to the consumer, with one store.
    @inlinable package mutating func publish() {
      // Release: the slots are written before the consumer can see the new tail.
      unsafe published.pointee.store(tail, ordering: .releasing)
    }

    /// Stages and publishes one element; `false` when the ring is full.
    @inlinable package mutating func push(_ element: Element) -> Bool {
      guard stage(element) else { return false }
      publish()
      return true
    }

    /// Room for at least this many elements, asked anew.
    @inlinable package mutating func freeCount() -> Int {
      knownHead = unsafe consumed.pointee.load(ordering: .acquiring)
      return capacity - Int(bitPattern: tail &- knownHead)
    }
  }

  /// The reading end.
  @safe
  @usableFromInline
  package struct Consumer: ~Copyable, @unchecked Sendable {
    // Sendable: as the producer.
    private let memory: SPSCRingMemory<Element>
    @usableFromInline let published: UnsafeMutablePointer<Atomic<UInt>>
    @usableFromInline let consumed: UnsafeMutablePointer<Atomic<UInt>>
    @usableFromInline let slots: UnsafeMutablePointer<Element>
    @usableFromInline package let capacity: Int
    /// Our index: what is read.
    @usableFromInline var head: UInt = 0
    /// The last tail we saw; the real one may be further.
    @usableFromInline var knownTail: UInt = 0

    fileprivate init(_ memory: SPSCRingMemory<Element>) {
      self.memory = memory
      // Sound: `memory` lives as long as this end.
      unsafe published = memory.tail
      unsafe consumed = memory.head
      unsafe slots = memory.slots
      capacity = memory.capacity
    }

    /// Takes the oldest element; `nil` when the ring is empty.
    @inlinable package mutating func pop() -> Element? {
      guard availableCount() > 0 else { return nil }
      let element = read()
      // Release: our read of the slot happens before the producer can write it again.
      unsafe consumed.pointee.store(head, ordering: .releasing)
      return element
    }

    /// Takes up to as many elements as `target` holds, oldest first, and frees their slots with one store; gives their number.
    @inlinable package mutating func pop(into target: inout MutableSpan<Element>) -> Int {
      let count = min(availableCount(), target.count)
      guard count > 0 else { return 0 }
      for position in 0..<count { target[position] = read() }
      unsafe consumed.pointee.store(head, ordering: .releasing)
      return count
    }

    /// How many elements can be taken without looking again; looks when there seem to be none.
    @inlinable package mutating func availableCount() -> Int {
      if head == knownTail {
        // Acquire: the producer's writes of these slots happen before our reads.
        knownTail = unsafe published.pointee.load(ordering: .acquiring)
      }
      return Int(bitPattern: knownTail &- head)
    }

    @inlinable @inline(__always)
    mutating func read() -> Element {
      // Sound: head != knownTail at every call, so the slot is published and ours; the mask keeps the index below the capacity.
      let element = unsafe slots[Int(bitPattern: head & (UInt(bitPattern: capacity) &- 1))]
      head &+= 1
      return element
    }
  }
}
