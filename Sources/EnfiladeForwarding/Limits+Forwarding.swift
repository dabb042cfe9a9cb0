// How patient a forwarder is, and how much it remembers.

package import EnfiladeWire

extension Limits {
  /// Encodings of one publication: browsers send three, the layers allocation can name four.
  package static let encodingCount = 4
  /// A better layer must have been affordable this long before a budget's forwarder goes up: shorter flips with every burst.
  package static let layerUpgradeDwell = TimeDelta.seconds(Int64(2))
  /// A better layer is affordable when it leaves this share of the budget free, in percent: measured rates vary by about as much.
  package static let layerUpgradeHeadroomPercent: Int64 = 10
  /// How far media time may be moved at a switch so that it does not go back: two and a half frames of 30 a second, just below what an eye sees
  /// beside a voice.
  package static let timestampSkew = TimeDelta.milliseconds(70)
  /// How often a switch waits for a newer key frame because time would go back, before it takes arrival times instead.
  package static let timestampRefusalCount = 2
  /// Sender reports that put two encodings further apart than they arrive are wrong, not late.
  package static let timestampDisagreement = TimeDelta.seconds(Int64(1))
  /// A forwarder that still waits repeats its wish for a key frame this often; the encoding's requester merges and paces.
  package static let keyframeWishInterval = TimeDelta.seconds(Int64(1))
  /// An encoding without packets for this long has been stopped by its sender, unless all have: a still screen is sent once a second.
  package static let encodingSilence = TimeDelta.milliseconds(1500)
  /// How long rates of layers are gathered before they count.
  package static let layerMeterWindow = TimeDelta.milliseconds(500)
  /// Nobody has watched an encoding for this long before its sender is told to pause it: speakers come back.
  package static let encodingDemandLinger = TimeDelta.seconds(Int64(5))
  /// What a replay may consist of: the first frames after a key frame, not a film. Less than a history holds, so that nothing falls out of
  /// it while the subscriber catches up.
  package static let replayPacketCount = 384
  package static let replayAge = TimeDelta.seconds(Int64(2))
  /// How much longer than asking a joiner may take to catch up: half a second of quick motion, with the first picture there at once.
  package static let replayCatchUp = TimeDelta.milliseconds(500)
  /// What a replay sends at once at most, in time at its pace.
  package static let replayBurst = TimeDelta.milliseconds(5)
  /// A replay goes at this multiple of the encoding's rate, within these bounds, until the subscriber's path is known better.
  package static let replaySpeed: Int64 = 4
  package static let replayPaceFloor = Bitrate.kilobitsPerSecond(4000)
  package static let replayPaceCeiling = Bitrate.kilobitsPerSecond(20_000)
  /// How long an encoder takes from the request to the key frame's first packet.
  package static let keyframeEncodingTime = TimeDelta.milliseconds(60)
}
