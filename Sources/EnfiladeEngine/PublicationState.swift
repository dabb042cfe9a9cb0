// One media section that brings something in: its sources, and who receives it.

package import EnfiladeForwarding
import EnfiladeRTP
package import EnfiladeWire

/// A publication inside its shard.
package struct PublicationState: ~Copyable {
  package struct Outpost {
    package var port: Int32
    package var demandedEncodings: UInt8
    /// Packets that say they are quieter than this many decibels below full scale are not lent.
    package var quietestLevel: UInt8 = 127
  }

  package struct EndedSource {
    package var ssrc: SSRC
    package var at: Instant
  }

  package let key: PublicationKey
  /// The link that brings it in, or −1 for a mirror.
  package let link: Int
  package let kind: MediaKind
  /// For a mirror of another shard's publication: the lane to its home. −1 for a publication of this shard.
  package let home: Int32
  /// How many encodings its section was negotiated with.
  package let encodingCount: Int
  /// The stream of each encoding, −1 before its first packet, in the order in which its section names them.
  package var encodings = InlineArray<4, Int32>(repeating: -1)
  /// The source each encoding had before, and when it ended: its last packets may still be on their way.
  package var ended = InlineArray<4, EndedSource?>(repeating: nil)
  /// Puts the encodings' timestamps on one line.
  package var timeline: EncodingTimeline?
  /// When subscribers choose their layers again at the latest.
  package var nextChoice = Instant.zero
  /// What each encoding was when it was last sent, for when somebody wants it who does not find it.
  package var known = InlineArray<4, LayerCatalog.Dormant>(repeating: LayerCatalog.Dormant())
  /// Which encodings anybody watches.
  package var demand = EncodingDemand()
  /// Which of them the subscribers of this shard want.
  package var localDemand: UInt8 = 0
  /// For a mirror: what home was last told of the demand here.
  package var toldDemand: UInt8?
  /// Outgoing streams bound to it.
  package var subscribers = UniqueArray<Int32>()
  /// Lanes to the shards that have subscribers of it, and which encodings each of them wants.
  package var outposts = UniqueArray<Outpost>()
  package var isMuted = false
  /// The format of the last `mediaStarted`.
  package var announced: MediaFormat?

  package init(key: PublicationKey, link: Int, kind: MediaKind, encodingCount: Int = 1, home: Int32 = -1) {
    self.key = key
    self.link = link
    self.kind = kind
    self.encodingCount = encodingCount
    self.home = home
  }

  /// The encodings its section was negotiated with, one bit each.
  ///
  /// - Parameter mask: from whoever does not know how many there are; what lies above them means the largest.
  package func encodings(in mask: UInt8) -> UInt8 {
    let all = UInt8(truncatingIfNeeded: 1 << encodingCount - 1)
    return mask & ~all == 0 ? mask : mask & all | 1 << UInt8(encodingCount - 1)
  }

  /// Whether any encoding has begun.
  package var isRunning: Bool {
    for encoding in encodings.indices where encodings[encoding] >= 0 { return true }
    return false
  }

  /// Whether a source ended so lately that a packet of it is only late.
  package func hasJustEnded(_ ssrc: SSRC, at now: Instant) -> Bool {
    for encoding in ended.indices {
      if let source = ended[encoding], source.ssrc == ssrc, now - source.at < Limits.lateSourceHold { return true }
    }
    return false
  }

  /// A shard has subscribers of it now.
  package mutating func addOutpost(_ port: Int) {
    removeOutpost(port)
    // Everything, until it tells.
    outposts.append(Outpost(port: Int32(port), demandedEncodings: .max))
  }

  /// A shard has none any more.
  package mutating func removeOutpost(_ port: Int) {
    for index in 0..<outposts.count where outposts[index].port == Int32(port) {
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
