// How many packets the engine keeps, lends and takes at once.

extension Limits {
  /// Packets of one video encoding kept for repair: 512 are 2 s of 2.5 Mbit/s at 1200 bytes, several round trips of any path that can hold a conversation.
  @usableFromInline package static let videoHistoryPacketCount = 512
  /// Packets of one audio stream kept for repair: 64 × 20 ms are 1.3 s, longer than a playout buffer waits.
  @usableFromInline package static let audioHistoryPacketCount = 64
  /// Packets of a mixture that a shard keeps for repair: 320 ms. Each keeps a slot of the worker's from its next packets.
  package static let mixHistoryPacketCount = 16
  /// Datagrams taken from the socket in one turn; with GRO a turn of 64 reads may bring this many.
  @usableFromInline package static let receiveBatchPacketCount = 1024
  /// Messages on their way from one shard to another: four whole receive batches. A full lane drops, it never blocks.
  @usableFromInline package static let lanePacketCount = 4096
}
