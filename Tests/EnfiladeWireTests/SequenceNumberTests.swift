// Serial numbers at every edge of the circle.

import EnfiladeWire
import Testing

@Suite("SequenceNumber")
struct SequenceNumberTests {
  @Test(
    "Distances are signed, and the far side of the circle counts as older",
    arguments: [
      (0, 0, 0), (1, 0, 1), (0, 1, -1), (0, 65_535, 1), (65_535, 0, -1), (32_767, 0, 32_767), (32_768, 0, -32_768), (0, 32_768, -32_768),
    ]
      as [(UInt16, UInt16, Int)])
  func distance(a: UInt16, b: UInt16, distance: Int) {
    #expect(SequenceNumber(a).distance(from: SequenceNumber(b)) == distance)
  }

  @Test("The wide number carries the wire's 16 bits and the rollover counter of RFC 3711 §3.3.1")
  func parts() {
    let wide = ExtendedSequenceNumber(0x0001_2345_6789)
    #expect(wide.wire == SequenceNumber(0x6789))
    #expect(wide.rolloverCounter == 0x0001_2345)
    #expect(wide + 3 - wide == 3)
    #expect(wide - 3 < wide)
  }

  @Test("The first number stands in the first round", arguments: [0, 1, 32_767, 32_768, 65_535] as [UInt16])
  func first(number: UInt16) {
    var unwrapper = SequenceUnwrapper()
    #expect(unwrapper.peek(SequenceNumber(number)) == ExtendedSequenceNumber(Int64(number)))
    #expect(unwrapper.newest == nil)
    #expect(unwrapper.unwrap(SequenceNumber(number)) == ExtendedSequenceNumber(Int64(number)))
  }

  @Test(
    "From every newest number, each step within half the circle unwraps to itself",
    arguments: [65_536, 65_536 * 2 - 1, 65_536 * 2, 98_304, 1 << 40])
  func steps(newest: Int64) {
    for step in [-32_768, -32_767, -1_000, -2, -1, 0, 1, 2, 1_000, 32_766, 32_767] {
      var unwrapper = SequenceUnwrapper()
      unwrapper.newest = ExtendedSequenceNumber(newest)
      let target = ExtendedSequenceNumber(newest + Int64(step))
      #expect(unwrapper.peek(target.wire) == target)
      #expect(unwrapper.unwrap(target.wire) == target)
      #expect(unwrapper.newest == max(target, ExtendedSequenceNumber(newest)))
    }
  }

  @Test("Nothing is older than the first round: what would be, is ahead")
  func beforeTheFirstRound() {
    var unwrapper = SequenceUnwrapper()
    _ = unwrapper.unwrap(SequenceNumber(5))
    #expect(unwrapper.peek(SequenceNumber(65_530)) == ExtendedSequenceNumber(65_530))
    #expect(unwrapper.peek(SequenceNumber(0)) == ExtendedSequenceNumber(0))
  }

  @Test("A stream with loss and reordering keeps its numbers over three rounds", arguments: 0..<8)
  func stream(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var unwrapper = SequenceUnwrapper()
    var position = Int64.random(in: 0...65_535, using: &random)
    _ = unwrapper.unwrap(ExtendedSequenceNumber(position).wire)
    let first = position
    while position < 200_000 {
      position += Int64.random(in: 1...900, using: &random)
      #expect(unwrapper.unwrap(ExtendedSequenceNumber(position).wire) == ExtendedSequenceNumber(position))
      let late = max(first, position - Int64.random(in: 0...20_000, using: &random))
      #expect(unwrapper.unwrap(ExtendedSequenceNumber(late).wire) == ExtendedSequenceNumber(late))
    }
  }

  @Test("Timestamps unwrap across 2³² forwards and back", arguments: [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF] as [UInt32])
  func timestamps(start: UInt32) {
    var unwrapper = TimestampUnwrapper()
    var ticks = Int64(start)
    #expect(unwrapper.unwrap(RTPTimestamp(start)).ticks == ticks)
    for step: Int64 in [1, 3_000, 0x7FFF_FFFF, 90_000, 0x7000_0000, 0x7FFF_FFFF] {
      ticks += step
      let wide = unwrapper.unwrap(RTPTimestamp(UInt32(truncatingIfNeeded: ticks)))
      #expect(wide.ticks == ticks)
      #expect(wide.wire == RTPTimestamp(UInt32(truncatingIfNeeded: ticks)))
      let late = MediaTime(ticks: ticks - 9_000)
      #expect(unwrapper.unwrap(late.wire) == late)
    }
  }

  @Test("Timestamp distances are signed and sums wrap")
  func timestampArithmetic() {
    #expect(RTPTimestamp(0).distance(from: RTPTimestamp(.max)) == 1)
    #expect(RTPTimestamp(0x8000_0000).distance(from: RTPTimestamp(0)) == -0x8000_0000)
    #expect(RTPTimestamp(.max) + 2 == RTPTimestamp(1))
    #expect(RTPTimestamp(1) + -2 == RTPTimestamp(.max))
  }

  @Test("A payload type has seven bits")
  func payloadType() {
    #expect(PayloadType(0xE0).rawValue == 0x60)
  }
}

@Suite("SeededRandom")
struct SeededRandomTests {
  /// The algorithm once more, from the published description, with its state in the open.
  private struct Reference {
    var s: [UInt64]
    mutating func next() -> UInt64 {
      func rotl(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
      let result = rotl(s[1] &* 5, 7) &* 9
      let t = s[1] << 17
      s[2] ^= s[0]
      s[3] ^= s[1]
      s[1] ^= s[2]
      s[0] ^= s[3]
      s[2] ^= t
      s[3] = rotl(s[3], 45)
      return result
    }
  }

  @Test("xoshiro256** from the state 1, 2, 3, 4 gives the published outputs")
  func reference() {
    var reference = Reference(s: [1, 2, 3, 4])
    let outputs = (0..<10).map { _ in reference.next() }
    #expect(
      outputs == [
        11_520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360, 607_988_272_756_665_600, 16_172_922_978_634_559_625,
        8_476_171_486_693_032_832, 10_595_114_339_597_558_777, 2_904_607_092_377_533_576,
      ])
  }

  @Test("Ours, seeded by SplitMix64, goes on as the reference does from the published SplitMix64 outputs")
  func seeded() {
    // SplitMix64 from 1234567.
    var reference = Reference(s: [
      6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423, 4_593_380_528_125_082_431,
    ])
    var random = SeededRandom(seed: 1_234_567)
    for _ in 0..<1_000 { #expect(random.next() == reference.next()) }
  }

  @Test("One seed gives one sequence, two seeds give two")
  func repeatable() {
    var (a, b, c) = (SeededRandom(seed: 7), SeededRandom(seed: 7), SeededRandom(seed: 8))
    let first = (0..<100).map { _ in a.next() }
    #expect(first == (0..<100).map { _ in b.next() })
    #expect(first != (0..<100).map { _ in c.next() })
  }
}
