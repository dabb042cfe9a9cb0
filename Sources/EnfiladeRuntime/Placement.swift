// Which shard the next link goes to.

/// Links by shard. A room stays together as long as its shard is not much fuller than the emptiest, because what crosses from shard to shard is
/// handed over once more; a large room spreads over all of them.
package struct Placement: Sendable {
  /// How many links a thread that does nothing else stands for.
  private static let linksPerThread = 100

  /// How many links each shard has.
  package private(set) var linkCounts: [Int]
  /// How much fuller, in links, a room's own shard may be than the emptiest.
  package let roomSpread: Int

  package init(shardCount: Int, roomSpread: Int) {
    linkCounts = [Int](repeating: 0, count: shardCount)
    self.roomSpread = roomSpread
  }

  /// Places a link.
  ///
  /// - Parameters:
  ///   - loads: how busy each shard's thread is, in thousandths.
  ///   - preferred: where the room has links already.
  /// - Returns: the shard's number.
  package mutating func place(loads: [Int], preferred: Int?) -> Int {
    let fullness = linkCounts.indices.map { linkCounts[$0] + loads[$0] * Self.linksPerThread / 1000 }
    let emptiest = fullness.indices.min { fullness[$0] < fullness[$1] } ?? 0
    var chosen = emptiest
    if let preferred, fullness[preferred] <= fullness[emptiest] + roomSpread { chosen = preferred }
    linkCounts[chosen] += 1
    return chosen
  }

  /// A link is gone.
  package mutating func remove(from shard: Int) { linkCounts[shard] -= 1 }
}
