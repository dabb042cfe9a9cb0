// Which link wants to be called next: an indexed binary heap, so that moving a deadline neither searches nor allocates.

package import EnfiladeWire

/// A priority queue of table indices by deadline. Complexity: O(log n) to set or clear, O(1) to look.
package struct DeadlineQueue: ~Copyable {
  struct Entry {
    var deadline: Instant
    var index: Int32
  }

  private var heap = UniqueArray<Entry>()
  /// Where each index stands in `heap`, or −1.
  private var positions = UniqueArray<Int32>()

  package init() {}

  /// The earliest deadline, or ``Instant/distantFuture``.
  package var next: Instant { heap.isEmpty ? .distantFuture : heap[0].deadline }

  /// The deadline that is set for `index`, or ``Instant/distantFuture``.
  package func deadline(of index: Int) -> Instant {
    guard index < positions.count, positions[index] >= 0 else { return .distantFuture }
    return heap[Int(positions[index])].deadline
  }

  /// Sets the deadline of `index`; ``Instant/distantFuture`` clears it.
  package mutating func set(_ deadline: Instant, for index: Int) {
    while positions.count <= index { positions.append(-1) }
    let position = Int(positions[index])
    if deadline == .distantFuture {
      if position >= 0 { remove(at: position) }
    } else if position >= 0 {
      let old = heap[position].deadline
      heap[position].deadline = deadline
      if deadline < old { siftUp(position) } else { siftDown(position) }
    } else {
      heap.append(Entry(deadline: deadline, index: Int32(index)))
      positions[index] = Int32(heap.count - 1)
      siftUp(heap.count - 1)
    }
  }

  /// Sets the deadline of `index` if it is earlier than the one that is set.
  package mutating func advance(_ deadline: Instant, for index: Int) {
    if deadline < self.deadline(of: index) { set(deadline, for: index) }
  }

  /// Takes out the first index whose deadline has come, or gives `nil`.
  package mutating func popDue(at now: Instant) -> Int? {
    guard !heap.isEmpty, heap[0].deadline <= now else { return nil }
    let index = Int(heap[0].index)
    remove(at: 0)
    return index
  }

  private mutating func remove(at position: Int) {
    positions[Int(heap[position].index)] = -1
    let last = heap.removeLast()
    guard position < heap.count else { return }
    heap[position] = last
    positions[Int(last.index)] = Int32(position)
    siftUp(position)
    siftDown(Int(positions[Int(last.index)]))
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
    positions[Int(heap[a].index)] = Int32(a)
    positions[Int(heap[b].index)] = Int32(b)
  }
}
