// How far congestion control looks back, and how much it holds back.

extension Limits {
  /// Sent packets a link remembers at the start: 2 s at 2.5 Mbit/s in packets of 1200 bytes, twice.
  @usableFromInline package static let sentHistoryPacketCount = 1024
  /// What that may grow to while packets are under way and unanswered: 2 s at 80 Mbit/s.
  @usableFromInline package static let sentHistoryPacketCeiling = 16_384
  /// Streams of one link whose numbers can be looked up when feedback comes by stream (RFC 8888): twice the sections of a large room.
  @usableFromInline package static let feedbackStreamCount = 256
  /// Packets of one stream that such feedback can still speak of: 2 s at 2.5 Mbit/s, twice.
  @usableFromInline package static let feedbackStreamPacketCount = 1024

  /// Packets one subscriber's pacer holds. At 1200 bytes this is 2 s of 5 Mbit/s; the time below bounds it first.
  @usableFromInline package static let pacerPacketCount = 1024
  /// No packet waits longer in a pacer: the rate rises so that the queue is gone by then.
  @usableFromInline package static let pacerQueueTime = TimeDelta.milliseconds(250)
  /// More repair than this takes to send is not put before what is new.
  @usableFromInline package static let pacerRepairTime = TimeDelta.milliseconds(150)
  /// A video packet that has waited this long anyway, because a queue in the network drains, is of no use to a conversation.
  @usableFromInline package static let pacerPacketAge = TimeDelta.milliseconds(1000)
  /// Subscriptions one allocation weighs: the sections of a room of fifty with audio and video, screens included.
  @usableFromInline package static let allocationSubscriptionCount = 128
}
