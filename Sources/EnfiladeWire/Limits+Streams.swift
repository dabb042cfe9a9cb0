// How hard a stream is repaired, and where repair gives up.

extension Limits {
  /// Missing packets asked for at the same time. More than this is not loss but an outage: a keyframe is cheaper.
  @usableFromInline package static let missingPacketCount = 256
  /// A jump of sequence numbers beyond this is a restart, not loss: 1000 packets are 4 s of 2.5 Mbit/s.
  @usableFromInline package static let sequenceJumpCount = 1000
  /// How often one missing packet is asked for. At 20 % loss in both directions, ten rounds fail once in 30,000 packets.
  @usableFromInline package static let nackAttemptCount = 10
  /// A packet missing for longer than this comes too late for any conversation.
  @usableFromInline package static let missingPacketAge = TimeDelta.seconds(Int64(2))
  /// Lower bound between two NACKs of one packet, for links whose round trip is shorter than a frame.
  @usableFromInline package static let nackIntervalFloor = TimeDelta.milliseconds(20)
  /// What a round trip is taken to be until one is measured.
  @usableFromInline package static let assumedRoundTripTime = TimeDelta.milliseconds(100)

  /// Packets of a source that has ended or was replaced are taken for late ones this long: longer than any path reorders, shorter than
  /// anybody stops and begins again.
  package static let lateSourceHold = TimeDelta.milliseconds(500)

  /// A subscriber that loses this much of its sound, in 256ths, is sent RED: two percent are heard. Beyond ten, two packets are put in front.
  @usableFromInline package static let redundancyLossFraction: UInt8 = 5
  @usableFromInline package static let redundancyHighLossFraction: UInt8 = 26
  /// How long after the last report of loss: what loses is like to lose again.
  @usableFromInline package static let redundancyHold = TimeDelta.seconds(Int64(20))

  /// A source may change its codec this often. Each change makes every subscriber begin anew, and allocates: who does it with every packet
  /// must not cost more than who does not.
  @usableFromInline package static let codecChangeInterval = TimeDelta.milliseconds(200)

  /// Sent packets of one outgoing stream that can still be asked for: 256 are a second of 2.5 Mbit/s, longer than a picture waits for repair.
  @usableFromInline package static let sentPacketCount = 256
  /// How often one sent packet is sent again. Beyond that the link is not losing packets, it is gone.
  @usableFromInline package static let retransmissionCount = 8
  /// Lower bound between two answers for one packet: duplicate NACKs of one loss are this close together.
  @usableFromInline package static let retransmissionIntervalFloor = TimeDelta.milliseconds(10)
  /// Upper bound between two answers for one packet, so that a wrong round trip cannot silence repair.
  @usableFromInline package static let retransmissionIntervalCeiling = TimeDelta.milliseconds(500)
  /// Retransmissions may cost this share of the media, in percent: 20 % loss, repaired with 20 % loss, needs 25; twice that for bursts.
  @inlinable package static var retransmissionPercent: Int64 { 50 }
  /// Retransmissions saved up for a burst: 0.4 s of 2.5 Mbit/s.
  @inlinable package static var retransmissionBurst: DataSize { DataSize.bytes(128 * 1024) }

  /// Two keyframe requests for one encoding are at least this far apart, and at most that; two round trips between.
  @usableFromInline package static let keyframeIntervalFloor = TimeDelta.milliseconds(200)
  @usableFromInline package static let keyframeIntervalCeiling = TimeDelta.seconds(Int64(1))
  /// How often an unanswered keyframe request is repeated, each time after twice the wait, before it is given up: about 10 s.
  @usableFromInline package static let keyframeRetryCount = 6
  /// Upper bound of that wait.
  @usableFromInline package static let keyframeRetryCeiling = TimeDelta.seconds(Int64(3))
}
