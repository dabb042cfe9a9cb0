// What a forwarder decided lately, and why: for people who ask why the picture is small.

package import EnfiladeWire

/// The last decisions of one forwarder.
package struct DecisionLog: Sendable {
  package struct Entry: Hashable, Sendable, BitwiseCopyable {
    package enum Kind: UInt8, Hashable, Sendable, BitwiseCopyable {
      /// This is what should be sent; ``reason`` says why not more.
      case wanted
      /// A key frame of this encoding is asked for.
      case awaited
      /// This is what is sent from here on.
      case switched
      /// Nothing is sent from here on.
      case stopped
    }

    package var at: Instant
    package var kind: Kind
    package var reason: LayerReason
    package var encoding: UInt8
    package var spatialID: UInt8
    package var temporalID: UInt8
  }

  package static let capacity = 16

  private var entries: InlineArray<16, Entry>
  /// Decisions since the beginning, forgotten ones included.
  package private(set) var totalCount: UInt64 = 0

  package init() {
    entries = InlineArray(
      repeating: Entry(at: .zero, kind: .stopped, reason: .senderStopped, encoding: 0, spatialID: 0, temporalID: 0))
  }

  /// How many can be read.
  package var count: Int { Int(min(UInt64(Self.capacity), totalCount)) }

  /// The decision at `index`, the oldest remembered first.
  package subscript(index: Int) -> Entry {
    precondition(index >= 0 && index < count, "no such decision")
    return entries[Int((totalCount - UInt64(count) + UInt64(index)) % UInt64(Self.capacity))]
  }

  /// The newest `count`, the oldest of them first.
  package func last(_ count: Int) -> [Entry] {
    (max(0, self.count - count)..<self.count).map { self[$0] }
  }

  package var last: Entry? { count > 0 ? self[count - 1] : nil }

  mutating func append(_ entry: Entry) {
    entries[Int(totalCount % UInt64(Self.capacity))] = entry
    totalCount &+= 1
  }
}
