// The decided packets of a turn, filled in where they lie: copied around, these records would cost as much as the decision.

import EnfiladeForwarding
import EnfiladeWire

/// A list of records with a fixed number of places.
struct RecordList: ~Copyable {
  private var places: UniqueArray<EgressRecord>
  private(set) var count = 0

  init(capacity: Int) { places = UniqueArray(repeating: EgressRecord(stream: -1, packet: -1), count: capacity) }

  var isEmpty: Bool { count == 0 }
  var isFull: Bool { count == places.count }

  subscript(index: Int) -> EgressRecord {
    @inline(__always)
    unsafeAddress {
      precondition(index < count, "no such record")
      return unsafe places.address(of: index)
    }
    @inline(__always)
    unsafeMutableAddress {
      precondition(index < count, "no such record")
      return unsafe places.mutableAddress(of: index)
    }
  }

  /// Takes the next place for a packet that is to be decided, and gives its index. The list must not be full.
  @inline(__always)
  mutating func add(stream: Int32, packet: Int32) -> Int {
    let index = count
    count += 1
    places[index].next = Int32(count)
    places[index].stream = stream
    places[index].packet = packet
    places[index].isRetransmission = false
    return index
  }

  mutating func removeLast() {
    precondition(count > 0, "removed from nothing")
    count -= 1
  }

  mutating func removeAll() { count = 0 }
}
