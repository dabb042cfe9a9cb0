// Which shard a link goes to.

import EnfiladeRuntime
import Testing

@Suite("Placement")
struct PlacementTests {
  @Test("A small room stays together, a large one spreads evenly")
  func roomsTogether() {
    var placement = Placement(shardCount: 4, roomSpread: 10)
    var last: Int?
    for _ in 0..<8 { last = placement.place(loads: [0, 0, 0, 0], preferred: last) }
    #expect(placement.linkCounts.sorted() == [0, 0, 0, 8])
    for _ in 0..<192 { last = placement.place(loads: [0, 0, 0, 0], preferred: last) }
    #expect(placement.linkCounts.max()! - placement.linkCounts.min()! <= 11)
  }

  @Test("Rooms go where there is most room")
  func manyRooms() {
    var placement = Placement(shardCount: 3, roomSpread: 10)
    for _ in 0..<30 {
      var last: Int?
      for _ in 0..<4 { last = placement.place(loads: [0, 0, 0], preferred: last) }
    }
    #expect(placement.linkCounts == [40, 40, 40])
  }

  @Test("Without spread every link goes to the emptiest shard")
  func noSpread() {
    var placement = Placement(shardCount: 2, roomSpread: 0)
    var last: Int?
    for _ in 0..<10 { last = placement.place(loads: [0, 0], preferred: last) }
    #expect(placement.linkCounts == [5, 5])
  }

  @Test("A busy thread counts as full, whatever it is busy with")
  func loads() {
    var placement = Placement(shardCount: 2, roomSpread: 0)
    for _ in 0..<20 { _ = placement.place(loads: [900, 0], preferred: nil) }
    #expect(placement.linkCounts == [0, 20])
  }

  @Test("Who left makes room")
  func leaving() {
    var placement = Placement(shardCount: 2, roomSpread: 0)
    for _ in 0..<4 { _ = placement.place(loads: [0, 0], preferred: nil) }
    placement.remove(from: 1)
    placement.remove(from: 1)
    #expect(placement.place(loads: [0, 0], preferred: 0) == 1)
  }
}
