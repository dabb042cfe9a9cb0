// What an application may be shown of a link.

package import EnfiladeWire

/// A snapshot of one link's congestion control.
package struct CongestionStatistics: Hashable, Sendable, BitwiseCopyable {
  /// What the link is believed to carry now.
  package var estimate: Bitrate
  /// What layers are chosen by: without the short dips that drain a queue.
  package var sustained: Bitrate
  /// What arrives, padding included; zero while unknown.
  package var throughput: Bitrate
  package var roundTrip: TimeDelta
  /// How long the luckiest packet of the last report waited above the path's own delay.
  package var queue: TimeDelta
  /// The share of bytes lost lately, weighted towards the newest.
  package var loss: Double
  package var mode: DelayController.Mode
  package var inFlight: DataSize
  package var isApplicationLimited: Bool
}

extension CongestionController {
  /// Complexity: a few hundred operations; for a snapshot, not for each packet.
  package mutating func statistics() -> CongestionStatistics {
    CongestionStatistics(
      estimate: target, sustained: sustainedTarget, throughput: Bitrate(bitsPerSecond: Int64(throughput.rate() ?? 0)), roundTrip: roundTrip,
      queue: delay.queue.standing, loss: loss.averageLoss, mode: delay.mode, inFlight: .bytes(Int64(inFlightByteCount)),
      isApplicationLimited: isApplicationLimited)
  }
}
