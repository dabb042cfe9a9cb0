// Which encodings of a publication anybody watches: the others need not be sent.

package import EnfiladeWire

/// What a publisher is told to send. An encoding comes back the moment somebody wants it, and goes when nobody has for a while.
package struct EncodingDemand: Sendable {
  /// The encodings to be sent, one bit each. Everything, until the first subscriber tells otherwise.
  package private(set) var wanted: UInt8 = .max
  private var lastDemandedAt = InlineArray<4, Instant>(repeating: .zero)
  private var demanded: UInt8 = 0
  private var startedAt: Instant?

  package init() {}

  /// What the subscribers need now: the union of ``Forwarder/demandedEncodings``.
  ///
  /// - Returns: the encodings to be sent, if that has changed.
  package mutating func update(_ demanded: UInt8, at now: Instant) -> UInt8? {
    if startedAt == nil {
      startedAt = now
      lastDemandedAt = InlineArray(repeating: now)
    }
    self.demanded = demanded
    var next: UInt8 = 0
    for index in 0..<Limits.encodingCount {
      // Demand held until this moment, so the time to linger begins here.
      if demanded >> UInt8(index) & 1 != 0 { lastDemandedAt[index] = now }
      let isWanted = now - lastDemandedAt[index] < Limits.encodingDemandLinger
      if isWanted { next |= 1 << UInt8(index) }
    }
    guard next != wanted else { return nil }
    wanted = next
    return next
  }

  /// When ``update(_:at:)`` should be called though no subscriber changed.
  package var nextDeadline: Instant {
    guard startedAt != nil else { return .distantFuture }
    var deadline = Instant.distantFuture
    for index in 0..<Limits.encodingCount where demanded >> UInt8(index) & 1 == 0 && wanted >> UInt8(index) & 1 != 0 {
      deadline = min(deadline, lastDemandedAt[index] + Limits.encodingDemandLinger)
    }
    return deadline
  }
}
