// Names the control plane gives to what lives inside a shard. It counts them up itself, so a command needs no answer to be followed by
// the next one; inside the shard they become table indices once, when a command arrives.

/// A link to one endpoint.
package struct LinkID: Hashable, Sendable {
  package var rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// What one media section of a link brings in. The key says which shard that link lives on, so that every other shard knows where to ask.
package struct PublicationKey: Hashable, Sendable {
  /// The shard stands above a number of this many bits; both together stay exact as a number of JavaScript.
  private static let numberBitCount: UInt64 = 40

  package var rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// - Parameter number: unique in the whole engine, below 2⁴⁰.
  package init(number: UInt64, shard: UInt8) {
    precondition(number >> Self.numberBitCount == 0, "a trillion publications")
    rawValue = UInt64(shard) << Self.numberBitCount | number
  }

  /// What is played into a room; its shard is the media worker that plays it.
  ///
  /// - Parameter number: unique in the whole engine, below 2³⁹. A worker counts its mixtures in the lower half of the numbers.
  package init(playback number: UInt64, worker: UInt8) { self.init(number: number | 1 << (Self.numberBitCount - 1), shard: worker) }

  /// The shard of its link.
  package var shard: UInt8 { UInt8(truncatingIfNeeded: rawValue >> Self.numberBitCount) }
}

/// A media section through which a link is sent one continuous stream, whatever is bound to it.
package struct SlotKey: Hashable, Sendable {
  package var rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}
