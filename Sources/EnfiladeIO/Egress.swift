// What leaves when the socket cannot take everything: sound and the words of the protocols before video.

package import EnfiladeWire

/// Something that takes datagrams as ``UDPSocket`` does.
package protocol DatagramSink {
  /// Hands datagrams over in order, until there is no room.
  func send(_ datagrams: UnsafeBufferPointer<OutgoingDatagram>) -> SendResult
  /// Waits until there is room, at most so long; whether there is.
  func waitUntilWritable(for timeout: TimeDelta) -> Bool
}

extension UDPSocket: DatagramSink {}

/// Datagrams that were dropped because the socket's buffer was full, or the machine had none.
package struct EgressDrops: Hashable, Sendable {
  /// Video, which goes first.
  package var video: UInt64 = 0
  /// Sound, and the words of the protocols.
  package var urgent: UInt64 = 0

  package init() {}

  package static func += (sum: inout EgressDrops, part: EgressDrops) {
    sum.video &+= part.video
    sum.urgent &+= part.urgent
  }
}

extension DatagramSink {
  /// Sends everything there is room for. When there is none, video in front of the next urgent datagram is dropped, and that one waits for
  /// room.
  ///
  /// - Parameter patience: the longest that all of them together may wait; zero afterwards when they have waited, so that the batches of
  ///   one turn wait once.
  /// - Returns: what was dropped.
  package func sendPatiently(_ datagrams: UnsafeBufferPointer<OutgoingDatagram>, patience: inout TimeDelta) -> EgressDrops {
    var drops = EgressDrops()
    var first = 0
    while first < datagrams.count {
      let result = send(UnsafeBufferPointer(rebasing: datagrams[first...]))
      first += result.consumedCount
      guard result.blocked != nil else { break }
      while first < datagrams.count, !datagrams[first].isUrgent {
        drops.video &+= UInt64(datagrams[first].segmentCount)
        first += 1
      }
      guard first < datagrams.count else { break }
      let wait = patience
      patience = .zero
      if wait > .zero, waitUntilWritable(for: wait) { continue }
      drops.urgent &+= UInt64(datagrams[first].segmentCount)
      first += 1
    }
    return drops
  }
}
