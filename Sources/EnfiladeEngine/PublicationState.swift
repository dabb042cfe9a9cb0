// One media section that brings something in: its sources, and who receives it.

import EnfiladeRTP
package import EnfiladeWire

/// A publication inside its shard.
package struct PublicationState: ~Copyable {
  package let key: PublicationKey
  /// The link that brings it in, or −1 for a mirror.
  package let link: Int
  package let kind: MediaKind
  /// For a mirror of another shard's publication: the lane to its home. −1 for a publication of this shard.
  package let home: Int32
  /// The source that is forwarded now, or −1 before the first packet.
  package var currentInbound: Int32 = -1
  /// The source before that one, and when it ended: its last packets may still be on their way.
  package var ended: (ssrc: SSRC, at: Instant)?
  /// Outgoing streams bound to it.
  package var subscribers = UniqueArray<Int32>()
  /// Lanes to the shards that have subscribers of it.
  package var outposts = UniqueArray<Int32>()
  package var isMuted = false
  /// The format of the last `mediaStarted`.
  package var announced: MediaFormat?

  package init(key: PublicationKey, link: Int, kind: MediaKind, home: Int32 = -1) {
    self.key = key
    self.link = link
    self.kind = kind
    self.home = home
  }

  /// A shard has subscribers of it now.
  package mutating func addOutpost(_ port: Int) {
    removeOutpost(port)
    outposts.append(Int32(port))
  }

  /// A shard has none any more.
  package mutating func removeOutpost(_ port: Int) {
    for index in 0..<outposts.count where outposts[index] == Int32(port) {
      outposts.remove(at: index)
      return
    }
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
