// How much a link may bring in: a token bucket. What is too much is dropped, never queued (RFC 2475 §2.3.3.3: policing).

package import EnfiladeWire

/// A bucket that fills at a rate, up to a burst.
package struct RatePolicer: Sendable {
  /// What may come at once is what the rate brings in this time: room for a key picture of every encoding.
  package static let burst = TimeDelta.seconds(Int64(1))
  /// How often an overrun is told of, at most.
  package static let reportInterval = TimeDelta.seconds(Int64(5))

  /// What one packet did.
  package enum Verdict: Hashable, Sendable {
    case pass
    /// Too much.
    case drop
    /// Too much, for the first time in a while: somebody should be told.
    case dropAndReport
  }

  /// Bytes a second; zero lets everything pass.
  private let bytesPerSecond: Int64
  /// What may come; `nil` for as much as comes.
  package var limit: Bitrate? { bytesPerSecond > 0 ? .bitsPerSecond(bytesPerSecond * 8) : nil }
  /// Bytes that may come now, at 2⁻¹⁶ each.
  private var level: Int64
  private var filledAt: Instant
  private var nextReport: Instant
  private var droppedAt = Instant.zero

  package init(limit: Bitrate, at now: Instant) {
    bytesPerSecond = max(0, min(limit.bitsPerSecond / 8, 1 << 32))
    level = Self.full(bytesPerSecond)
    filledAt = now
    nextReport = now
  }

  private static func full(_ bytesPerSecond: Int64) -> Int64 { bytesPerSecond * (burst.nanoseconds / 1_000_000_000) << 16 }

  /// A packet of so many bytes has come.
  package mutating func handlePacket(byteCount: Int, at now: Instant) -> Verdict {
    guard bytesPerSecond > 0 else { return .pass }
    let elapsed = min((now - filledAt).nanoseconds, Self.burst.nanoseconds)
    // At most 2³² bytes a second and 2²⁰ microseconds: no product reaches 2⁶³.
    let microseconds = elapsed / 1000
    if microseconds > 0 {
      level = min(Self.full(bytesPerSecond), level + ((bytesPerSecond * microseconds / 1_000_000) << 16) + fraction(microseconds))
      filledAt = elapsed == Self.burst.nanoseconds ? now : filledAt + TimeDelta(nanoseconds: microseconds * 1000)
    }
    let cost = Int64(byteCount) << 16
    guard level < cost else {
      level -= cost
      return .pass
    }
    droppedAt = now
    guard now >= nextReport else { return .drop }
    nextReport = now + Self.reportInterval
    return .dropAndReport
  }

  /// Whether something was dropped lately.
  package func isOver(at now: Instant) -> Bool { bytesPerSecond > 0 && droppedAt > .zero && now - droppedAt < Self.burst }

  /// The part of a byte that whole bytes leave over.
  private func fraction(_ microseconds: Int64) -> Int64 { ((bytesPerSecond * microseconds % 1_000_000) << 16) / 1_000_000 }
}
