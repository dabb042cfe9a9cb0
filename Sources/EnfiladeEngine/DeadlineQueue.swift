// Which link wants to be called next: an indexed binary heap, so that moving a deadline neither searches nor allocates.

package import EnfiladeWire

/// A priority queue of table indices by deadline. Each index has two: what only comes nearer until it is looked at, and what its owner moves both ways,
/// so that something that is put off again and again wakes nobody. Complexity: O(log n) to set, move or clear, O(1) to look.
package struct DeadlineQueue: ~Copyable {
  struct Entry {
    var deadline: Instant
    var index: Int32
  }

  /// What is known of one index.
  struct Place {
    var fixed = Instant.distantFuture
    var movable = Instant.distantFuture
    /// In `heap`, or −1.
    var position: Int32 = -1
    var deadline: Instant { min(fixed, movable) }
  }

  private var heap = UniqueArray<Entry>()
  private var places = UniqueArray<Place>()

  package init() {}

  /// The earliest deadline, or ``Instant/distantFuture``.
  package var next: Instant { heap.isEmpty ? .distantFuture : heap[0].deadline }

  /// The deadline that is set for `index`, or ``Instant/distantFuture``.
  package func deadline(of index: Int) -> Instant { index < places.count ? places[index].deadline : .distantFuture }

  /// Sets both deadlines of `index`; ``Instant/distantFuture`` clears one.
  package mutating func set(_ deadline: Instant, movable: Instant = .distantFuture, for index: Int) {
    reserve(index)
    places[index].fixed = deadline
    places[index].movable = movable
    update(index)
  }

  /// Sets the deadline of `index` if it is earlier than the one that is set.
  package mutating func advance(_ deadline: Instant, for index: Int) {
    guard deadline < .distantFuture else { return }
    reserve(index)
    guard deadline < places[index].fixed else { return }
    places[index].fixed = deadline
    update(index)
  }

  /// Sets the movable deadline of `index`, earlier or later.
  package mutating func move(_ deadline: Instant, for index: Int) {
    reserve(index)
    places[index].movable = deadline
    update(index)
  }

  /// Takes out the first index whose deadline has come, or gives `nil`.
  package mutating func popDue(at now: Instant) -> Int? {
    guard !heap.isEmpty, heap[0].deadline <= now else { return nil }
    let index = Int(heap[0].index)
    remove(at: 0)
    places[index] = Place()
    return index
  }

  private mutating func reserve(_ index: Int) { while places.count <= index { places.append(Place()) } }

  /// Brings an index to where its deadlines want it.
  private mutating func update(_ index: Int) {
    let deadline = places[index].deadline
    let position = Int(places[index].position)
    if deadline == .distantFuture {
      if position >= 0 { remove(at: position) }
    } else if position >= 0 {
      let old = heap[position].deadline
      guard deadline != old else { return }
      heap[position].deadline = deadline
      if deadline < old { siftUp(position) } else { siftDown(position) }
    } else {
      heap.append(Entry(deadline: deadline, index: Int32(index)))
      places[index].position = Int32(heap.count - 1)
      siftUp(heap.count - 1)
    }
  }

  private mutating func remove(at position: Int) {
    places[Int(heap[position].index)].position = -1
    let last = heap.removeLast()
    guard position < heap.count else { return }
    heap[position] = last
    places[Int(last.index)].position = Int32(position)
    siftUp(position)
    siftDown(Int(places[Int(last.index)].position))
  }

  private mutating func siftUp(_ start: Int) {
    var position = start
    while position > 0 {
      let parent = (position - 1) / 2
      if heap[position].deadline < heap[parent].deadline {
        swap(position, parent)
        position = parent
      } else {
        return
      }
    }
  }

  private mutating func siftDown(_ start: Int) {
    var position = start
    while true {
      var smallest = position
      for child in (2 * position + 1)...(2 * position + 2) where child < heap.count {
        if heap[child].deadline < heap[smallest].deadline { smallest = child }
      }
      if smallest == position { return }
      swap(position, smallest)
      position = smallest
    }
  }

  private mutating func swap(_ a: Int, _ b: Int) {
    heap.swapAt(a, b)
    places[Int(heap[a].index)].position = Int32(a)
    places[Int(heap[b].index)].position = Int32(b)
  }
}
