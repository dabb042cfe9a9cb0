// Where a protector keeps its links: slots that are used again, behind names that are not.

import EnfiladeTransport

/// A growable table of plain session states. A name holds the slot in its low 16 bits and the slot's generation above them, so that
/// the name of a closed session finds nothing. Looking up neither allocates nor counts references.
struct SessionTable<State>: ~Copyable {
  /// One shard's links; a name's low half.
  static var capacityLimit: Int { 65_536 }
  private static var generationMask: Int32 { 0x7FFF }

  private var states: UnsafeMutablePointer<State>
  private var generations: UnsafeMutablePointer<Int32>
  private var isOpen: UnsafeMutablePointer<Bool>
  private var capacity: Int
  /// Slots ever used.
  private var usedCount = 0
  private var freeSlots: [Int] = []

  init() {
    capacity = 64
    states = .allocate(capacity: capacity)
    generations = .allocate(capacity: capacity)
    generations.initialize(repeating: 0, count: capacity)
    isOpen = .allocate(capacity: capacity)
    isOpen.initialize(repeating: false, count: capacity)
  }

  deinit {
    for slot in 0..<usedCount where isOpen[slot] { (states + slot).deinitialize(count: 1) }
    states.deallocate()
    generations.deallocate()
    isOpen.deallocate()
  }

  /// Takes `state` in and names it; `nil` when the table is full.
  mutating func insert(_ state: consuming State) -> ProtectorSession? {
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
    } else {
      guard usedCount < Self.capacityLimit else { return nil }
      if usedCount == capacity { grow() }
      slot = usedCount
      usedCount += 1
    }
    (states + slot).initialize(to: state)
    isOpen[slot] = true
    return ProtectorSession(index: Int32(slot) | generations[slot] << 16)
  }

  /// Takes the state out again; `nil` when the name is stale.
  mutating func remove(_ session: ProtectorSession) -> State? {
    guard let pointer = lookup[session] else { return nil }
    let slot = Int(session.index & 0xFFFF)
    isOpen[slot] = false
    generations[slot] = (generations[slot] &+ 1) & Self.generationMask
    freeSlots.append(slot)
    return pointer.move()
  }

  /// The table as a batch sees it: plain pointers, taken once, so that nothing is checked or counted per packet. Holds until the next
  /// insertion.
  struct Lookup {
    fileprivate let states: UnsafeMutablePointer<State>
    fileprivate let generations: UnsafeMutablePointer<Int32>
    fileprivate let isOpen: UnsafeMutablePointer<Bool>
    fileprivate let usedCount: Int

    /// The session's state, or `nil` when the name is stale.
    @inline(__always)
    subscript(session: ProtectorSession) -> UnsafeMutablePointer<State>? {
      let slot = Int(session.index & 0xFFFF)
      guard session.index >= 0, slot < usedCount, isOpen[slot], generations[slot] == session.index >> 16 else { return nil }
      return states + slot
    }
  }

  var lookup: Lookup { Lookup(states: states, generations: generations, isOpen: isOpen, usedCount: usedCount) }

  /// Every open session's state.
  func forEach(_ body: (UnsafeMutablePointer<State>) -> Void) {
    for slot in 0..<usedCount where isOpen[slot] { body(states + slot) }
  }

  private mutating func grow() {
    let larger = capacity * 2
    let newStates = UnsafeMutablePointer<State>.allocate(capacity: larger)
    newStates.moveInitialize(from: states, count: usedCount)
    states.deallocate()
    states = newStates
    let newGenerations = UnsafeMutablePointer<Int32>.allocate(capacity: larger)
    newGenerations.initialize(repeating: 0, count: larger)
    newGenerations.update(from: generations, count: usedCount)
    generations.deallocate()
    generations = newGenerations
    let newOpen = UnsafeMutablePointer<Bool>.allocate(capacity: larger)
    newOpen.initialize(repeating: false, count: larger)
    newOpen.update(from: isOpen, count: usedCount)
    isOpen.deallocate()
    isOpen = newOpen
    capacity = larger
  }
}
