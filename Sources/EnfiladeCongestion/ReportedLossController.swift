// For peers that report no packets, only shares of loss (RFC 3550 §6.4) and perhaps an estimate of their own ("REMB").

package import EnfiladeWire

/// Up while loss is small, down while it is large (draft-ietf-rmcat-gcc-02 §6).
package struct ReportedLossController: Sendable {
  package static let lowLoss = 0.02
  package static let highLoss = 0.10
  package static let requiredPacketCount = 20
  package static let decreaseInterval = TimeDelta.milliseconds(300)
  package static let reportValidity = TimeDelta.seconds(Int64(6))

  package private(set) var rate: Double
  private var packetCount = 0
  private var lostCount = 0.0
  private var loss: Double?
  private var reported = Instant.zero
  private var lastDecrease: Instant?
  /// The least rate of the last second, from which an increase starts: one step a second whatever the interval of reports.
  private var floorRate: Double
  private var floorSince: Instant?

  package init(start: Double) {
    rate = start
    floorRate = start
  }

  package mutating func set(_ newRate: Double) {
    rate = newRate
    floorRate = newRate
  }

  /// - Parameters:
  ///   - fractionLost: 0 to 1, of the packets since the last report.
  ///   - packetCount: how many those were.
  package mutating func handleReport(fractionLost: Double, packetCount: Int, roundTrip: TimeDelta, at now: Instant) {
    self.packetCount += packetCount
    lostCount += fractionLost * Double(packetCount)
    guard self.packetCount >= Self.requiredPacketCount else { return }
    loss = min(max(lostCount / Double(self.packetCount), 0), 1)
    self.packetCount = 0
    lostCount = 0
    reported = now
    update(roundTrip: roundTrip, at: now)
  }

  /// Lets time pass.
  package mutating func update(roundTrip: TimeDelta, at now: Instant) {
    guard let loss, now - reported <= Self.reportValidity else { return }
    if loss <= Self.lowLoss {
      if let floorSince, now - floorSince < .seconds(Int64(1)) { return }
      floorSince = now
      floorRate = rate
      rate = floorRate * 1.08 + 1000
    } else if loss > Self.highLoss {
      if let lastDecrease, now - lastDecrease < Self.decreaseInterval + roundTrip { return }
      lastDecrease = now
      rate *= 1 - loss / 2
      floorSince = nil
    }
  }
}
