// One media section that brings something in: its sources, and who receives it.

import EnfiladeRTP
package import EnfiladeWire

/// A publication inside its shard.
package struct PublicationState: ~Copyable {
  package let key: PublicationKey
  package let link: Int
  package let kind: MediaKind
  /// The source that is forwarded now, or −1 before the first packet.
  package var currentInbound: Int32 = -1
  /// The source before that one, and when it ended: its last packets may still be on their way.
  package var ended: (ssrc: SSRC, at: Instant)?
  /// Outgoing streams bound to it.
  package var subscribers = UniqueArray<Int32>()
  package var isMuted = false
  /// The format of the last `mediaStarted`.
  package var announced: MediaFormat?

  package init(key: PublicationKey, link: Int, kind: MediaKind) {
    self.key = key
    self.link = link
    self.kind = kind
  }

  /// Takes an outgoing stream off the list; the order of the others may change.
  package mutating func unsubscribe(_ stream: Int) {
    for index in 0..<subscribers.count where subscribers[index] == Int32(stream) {
      subscribers.swapAt(index, subscribers.count - 1)
      subscribers.removeLast()
      return
    }
  }
}
