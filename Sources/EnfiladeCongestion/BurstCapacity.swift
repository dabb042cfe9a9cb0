// A frame leaves in one burst and arrives spread by the narrowest link: every frame measures the path for nothing. A departure: senders
// that pace their own encoder's frames have no such bursts; a forwarder that passes frames on undelayed has thirty a second.

package import EnfiladeWire

/// What the narrowest link carries in all, whoever else uses it: bytes over spread of the last half dozen bursts.
///
/// Radios and shapers release packets in bunches and make this too high, so it is never taken for a target. It says when probing is
/// worthwhile, and how much of a full link is ours.
package struct BurstCapacity: Sendable {
  /// Packets further apart than this when sent are not one burst.
  package static let sendGap = TimeDelta.milliseconds(2)
  package static let probeSendGap = TimeDelta.microseconds(500)
  package static let minimumBurstCount = 2
  /// Each burst takes this share of the average.
  package static let weight = 0.2

  private var lastNumber: Int64 = -2
  private var lastSent = Instant.zero
  private var lastArrival: Int64 = 0
  private var firstSent = Instant.zero
  private var firstArrival: Int64 = 0
  private var byteCount = 0
  private var bitSum = 0.0
  private var spreadSum = 0.0
  private var burstCount = 0
  /// On the receiver's clock.
  private var lastBurst = Int64.min / 2

  package init() {}

  /// After so long without a burst nothing is known any more: slow streams send frames of one packet, which measure nothing.
  package static let validity = TimeDelta.seconds(Int64(1))

  /// In bits per second; `nil` until there were enough bursts.
  package var estimate: Double? {
    burstCount >= Self.minimumBurstCount && spreadSum > 0 ? bitSum / spreadSum : nil
  }

  /// Takes packets that arrived, in the order of sending.
  package mutating func handleArrival(_ run: ArrivalRun) {
    let follows = run.firstNumber == lastNumber + 1 && run.sent - lastSent <= Self.sendGap && run.firstArrival >= lastArrival
    // The packets of a probe are spread on purpose, unless they are close enough to be a burst all the same.
    if follows, run.probe == .none || run.sent - lastSent <= Self.probeSendGap {
      byteCount += run.byteCount
    } else {
      endBurst()
      if run.firstArrival - lastBurst > Self.validity.nanoseconds { burstCount = 0 }
      // What the first packet of a burst weighs is no part of its spread.
      byteCount = run.byteCount - run.firstByteCount
      firstSent = run.sent
      firstArrival = run.firstArrival
    }
    lastNumber = run.lastNumber
    lastSent = run.sent
    lastArrival = run.lastArrival
  }

  private mutating func endBurst() {
    guard byteCount > 0 else { return }
    if lastArrival - lastBurst > Self.validity.nanoseconds || burstCount == 0 { (bitSum, spreadSum, burstCount) = (0, 0, 0) }
    lastBurst = lastArrival
    let spread = Double(lastArrival - firstArrival) * 1e-9
    let sendSpread = (lastSent - firstSent).seconds
    let bits = Double(byteCount) * 8
    // A burst that arrives as it was sent met no narrow link: it only says "at least so much".
    if sendSpread > 0.8 * spread, let estimate, bits < estimate * spread { return }
    bitSum = (1 - Self.weight) * bitSum + bits
    spreadSum = (1 - Self.weight) * spreadSum + max(spread, 0)
    burstCount += 1
  }

  /// What was measured so far no longer holds.
  package mutating func forget() { burstCount = 0 }
}
