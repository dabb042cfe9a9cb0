// What a subscriber gets, and why.

package import EnfiladeWire

/// Why an allocation is what it is.
package enum AllocationReason: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
  /// It gets all it wants.
  case satisfied
  /// The publication has nothing better, or nothing at all yet.
  case limitedByPublication
  /// The link carries no more.
  case limitedByBandwidth
  /// More would fit the estimate, but no probe has shown yet that it is there.
  case awaitingProbe
  /// It went down lately, and goes up again after the dwell.
  case dwelling
  /// Nothing fits, and video may be paused.
  case paused
  /// The policy is audio only.
  case audioOnly
  /// More is sent than fits: a screen that cannot be read is worth nothing.
  case oversent
  /// More is sent than fits, because video is never to be paused.
  case neverPaused
}

/// The outcome for one subscription.
package struct Allocation: Hashable, Sendable, BitwiseCopyable {
  package var subscription: Int32
  /// The option that would be best; −1 when there is none.
  package var wanted: Int8
  /// The option to forward; −1 for none.
  package var option: Int8
  /// What it costs.
  package var bitrate: Bitrate
  package var reason: AllocationReason

  package init(subscription: Int32, wanted: Int8, option: Int8, bitrate: Bitrate, reason: AllocationReason) {
    self.subscription = subscription
    self.wanted = wanted
    self.option = option
    self.bitrate = bitrate
    self.reason = reason
  }
}

/// How bandwidth is shared out; an application's choice.
package struct AllocationPolicy: Hashable, Sendable {
  /// Everybody is seen at the lowest quality at least, even if that is more than the link is known to carry.
  package var neverPausesVideo = false
  /// No video at all.
  package var isAudioOnly = false
  /// After a step down, the next step up waits this long, and for a probe that pays for it.
  package var minimumDwell = TimeDelta.seconds(Int64(3))
  /// A screen may cost this much more than fits.
  package var screenShareOversend = Bitrate.kilobitsPerSecond(500)
  /// What is forwarded already may cost this much more than the budget before it is taken away, in percent: measured rates and
  /// estimates both waver.
  package var hysteresisPercent: Int64 = 8
  /// A step up needs this much more than it costs, in percent.
  package var headroomPercent: Int64 = 8

  package init() {}
}
