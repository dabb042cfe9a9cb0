// From an address, or a ufrag of ours, to the index of a link: the first question about every datagram.

package import EnfiladeSTUN
package import EnfiladeWire

/// Finds the link that a datagram's source belongs to.
package typealias AddressTable = LinkTable
/// Finds the link that a check from an unknown source is for.
package typealias UfragTable = LinkTable

/// What leads to a link, as three words, so that one table without generics serves addresses and ufrags.
package struct LinkKey: Hashable, Sendable {
  fileprivate var high: UInt64
  fileprivate var low: UInt64
  /// For addresses port, family, transport and scope; for ufrags a value that no address has.
  fileprivate var tag: UInt64

  package init(_ address: SocketAddress) {
    high = address.high
    low = address.low
    tag = UInt64(address.port) << 48 | UInt64(address.isTCP ? 1 : 0) << 33 | UInt64(address.isIPv6 ? 1 : 0) << 32 | UInt64(address.scope)
  }

  package init(_ ufrag: UfragKey) {
    high = 0
    low = ufrag.rawValue
    tag = 4 << 32
  }

  fileprivate static var placeholder: LinkKey { LinkKey(SocketAddress(ipv4: 0, port: 0)) }

  package func hash(_ seed: HashSeed) -> UInt64 {
    var hash = KeyedHash(seed)
    hash.combine(high)
    hash.combine(low)
    hash.combine(tag)
    return hash.finalize()
  }
}

/// An open-addressing hash table from keys to link indices, with linear probing and no tombstones. It allocates once, at its start, and holds
/// at most ``capacity`` keys in twice as many slots or more.
///
/// Complexity: O(1) expected for every operation, at a load of at most one half.
package struct LinkTable: ~Copyable {
  /// What ``insert(_:_:)`` did.
  package enum Insertion: Hashable, Sendable {
    case inserted
    /// The key led to another index before.
    case replaced(Int32)
    /// ``capacity`` keys are in; nothing changed.
    case full
  }

  // Not private: release builds of other modules refer to its metadata, which the linker would not find.
  struct Slot {
    var key: LinkKey
    /// −1 in an empty slot.
    var index: Int32

    static var empty: Slot { Slot(key: .placeholder, index: -1) }
  }

  private var slots: UniqueArray<Slot>
  private let mask: Int
  private let seed: HashSeed
  /// The most keys the table takes.
  package let capacity: Int
  package private(set) var count = 0

  /// A table for `capacity` keys, in the next power of two of at least twice as many slots.
  package init(capacity: Int, seed: HashSeed) {
    precondition(0 < capacity && capacity <= 1 << 24, "A table holds between 1 and 2^24 keys.")
    var slotCount = 2
    while slotCount < capacity * 2 { slotCount *= 2 }
    slots = UniqueArray(repeating: .empty, count: slotCount)
    mask = slotCount - 1
    self.seed = seed
    self.capacity = capacity
  }

  /// The slot where the search for `key` begins.
  private func home(of key: LinkKey) -> Int { Int(truncatingIfNeeded: key.hash(seed)) & mask }

  /// The index that `key` leads to.
  package func find(_ key: LinkKey) -> Int32? {
    var position = home(of: key)
    // At least half of the slots are empty, so the search ends.
    while slots[position].index >= 0 {
      if slots[position].key == key { return slots[position].index }
      position = (position + 1) & mask
    }
    return nil
  }

  /// Lets `key` lead to `index`, which is not negative.
  @discardableResult
  package mutating func insert(_ key: LinkKey, _ index: Int32) -> Insertion {
    precondition(index >= 0)
    var position = home(of: key)
    while slots[position].index >= 0 {
      if slots[position].key == key {
        let old = slots[position].index
        slots[position].index = index
        return .replaced(old)
      }
      position = (position + 1) & mask
    }
    guard count < capacity else { return .full }
    slots[position] = Slot(key: key, index: index)
    count += 1
    return .inserted
  }

  /// Forgets `key`, and gives the index it led to. With `onlyIf`, does nothing when it leads elsewhere: an address may have gone over to
  /// another link before its old one lets go.
  @discardableResult
  package mutating func remove(_ key: LinkKey, onlyIf expected: Int32? = nil) -> Int32? {
    var hole = home(of: key)
    while true {
      guard slots[hole].index >= 0 else { return nil }
      if slots[hole].key == key { break }
      hole = (hole + 1) & mask
    }
    let removed = slots[hole].index
    if let expected, expected != removed { return nil }
    // What would no longer be found past the hole moves back, so that no tombstones are needed.
    var position = hole
    while true {
      position = (position + 1) & mask
      guard slots[position].index >= 0 else { break }
      let distanceFromHome = (position - home(of: slots[position].key)) & mask
      if distanceFromHome >= (position - hole) & mask {
        slots[hole] = slots[position]
        hole = position
      }
    }
    slots[hole] = .empty
    count -= 1
    return removed
  }
}

extension LinkTable {
  package func find(_ address: SocketAddress) -> Int32? { find(LinkKey(address)) }
  package func find(_ ufrag: UfragKey) -> Int32? { find(LinkKey(ufrag)) }
}
