// The rewriter against a model that keeps the whole outgoing stream.

import EnfiladeForwarding
import EnfiladeWire
import Testing

@Suite("StreamRewriter")
struct StreamRewriterTests {
  private static func instant(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

  @Test("The first packet gets the first number and the first timestamp; the number is below 2¹⁵")
  func first() throws {
    var rewriter = StreamRewriter(firstSequence: 0xFFFF, firstTimestamp: 77)
    rewriter.switchSource(at: ExtendedSequenceNumber(5), timestamp: RTPTimestamp(1000), clockRate: 90_000, now: Self.instant(0))
    let placementFound = rewriter.place(ExtendedSequenceNumber(5), timestamp: RTPTimestamp(1000), now: Self.instant(0))
    let placement = try #require(placementFound)
    #expect(placement.sequence == ExtendedSequenceNumber(0x7FFF))
    #expect(placement.timestamp == RTPTimestamp(77))
    #expect(rewriter.outgoingTimestamp(of: RTPTimestamp(1090)) == RTPTimestamp(167))
  }

  @Test("Packets from before a switch have no place")
  func olderThanSwitch() {
    var rewriter = StreamRewriter(firstSequence: 0, firstTimestamp: 0)
    rewriter.switchSource(at: ExtendedSequenceNumber(5), timestamp: RTPTimestamp(0), clockRate: 48_000, now: Self.instant(0))
    #expect(rewriter.place(ExtendedSequenceNumber(4), timestamp: RTPTimestamp(0), now: Self.instant(0)) == nil)
  }

  @Test("At a switch time goes on as much as it did outside, on the new source's clock", arguments: [8_000, 48_000, 90_000])
  func timeGoesOn(clockRate: Int) throws {
    var rewriter = StreamRewriter(firstSequence: 0, firstTimestamp: UInt32.max - 10)
    rewriter.switchSource(at: ExtendedSequenceNumber(5), timestamp: RTPTimestamp(123), clockRate: 48_000, now: Self.instant(0))
    let beforeFound = rewriter.place(ExtendedSequenceNumber(5), timestamp: RTPTimestamp(123), now: Self.instant(0))
    let before = try #require(beforeFound)
    rewriter.switchSource(
      at: ExtendedSequenceNumber(900), timestamp: RTPTimestamp(4_000_000_000), clockRate: clockRate, now: Self.instant(250))
    let afterFound = rewriter.place(ExtendedSequenceNumber(900), timestamp: RTPTimestamp(4_000_000_000), now: Self.instant(250))
    let after = try #require(afterFound)
    #expect(after.sequence - before.sequence == 1)
    #expect(after.timestamp.distance(from: before.timestamp) == clockRate / 4)
  }

  @Test("A switch in the same instant still moves time by a tick, so that two frames are told apart")
  func sameInstant() throws {
    var rewriter = StreamRewriter(firstSequence: 0, firstTimestamp: 50)
    rewriter.switchSource(at: ExtendedSequenceNumber(5), timestamp: RTPTimestamp(1), clockRate: 90_000, now: Self.instant(0))
    let beforeFound = rewriter.place(ExtendedSequenceNumber(5), timestamp: RTPTimestamp(1), now: Self.instant(0))
    let before = try #require(beforeFound)
    rewriter.switchSource(at: ExtendedSequenceNumber(9), timestamp: RTPTimestamp(1), clockRate: 90_000, now: Self.instant(0))
    let afterFound = rewriter.place(ExtendedSequenceNumber(9), timestamp: RTPTimestamp(1), now: Self.instant(0))
    let after = try #require(afterFound)
    #expect(after.timestamp.distance(from: before.timestamp) == 1)
  }

  @Test("A packet left out late keeps its hole: its successors have their numbers already")
  func lateLeaveOut() throws {
    var rewriter = StreamRewriter(firstSequence: 0, firstTimestamp: 0)
    func place(_ number: Int64) -> Int64? {
      rewriter.place(ExtendedSequenceNumber(number), timestamp: RTPTimestamp(0), now: Self.instant(0))?.sequence.rawValue
    }
    rewriter.switchSource(at: ExtendedSequenceNumber(10), timestamp: RTPTimestamp(0), clockRate: 90_000, now: Self.instant(0))
    #expect(place(10) == 0)
    #expect(place(12) == 2)
    rewriter.leaveOut(ExtendedSequenceNumber(11))
    #expect(place(13) == 3)
    rewriter.leaveOut(ExtendedSequenceNumber(14))
    #expect(place(15) == 4)
    #expect(place(14) == nil)
  }

  @Test(
    "Sources, losses, reordering, padding and pauses at random: no number twice, none of ours missing, time forward", arguments: 0..<300)
  func againstModel(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let firstSequence = UInt16(truncatingIfNeeded: random.next())
    var rewriter = StreamRewriter(firstSequence: firstSequence, firstTimestamp: UInt32(truncatingIfNeeded: random.next()))
    var taken: [Int64: (source: Int, input: Int64)] = [:]
    var now: Int64 = 0
    var lastTimestamp: RTPTimestamp?
    for source in 0..<6 {
      var input = Int64(random.next() % 200_000)
      let base = UInt32(truncatingIfNeeded: random.next())
      let start = now
      func timestamp(at time: Int64) -> RTPTimestamp { RTPTimestamp(base &+ UInt32(truncatingIfNeeded: (time - start) * 90)) }
      rewriter.switchSource(at: ExtendedSequenceNumber(input), timestamp: timestamp(at: now), clockRate: 90_000, now: Self.instant(now))
      let newestBefore = taken.keys.max()
      let first = input
      var held: [(Int64, Int64)] = []
      var leftOut: Set<Int64> = []
      for _ in 0..<100 {
        switch random.next() % 8 {
        case 0: held.append((input, now))
        case 1:
          rewriter.leaveOut(ExtendedSequenceNumber(input))
          leftOut.insert(input)
        case 2 where !held.isEmpty:
          let (late, at) = held.removeFirst()
          if let placed = rewriter.place(ExtendedSequenceNumber(late), timestamp: timestamp(at: at), now: Self.instant(now)) {
            #expect(taken.updateValue((source, late), forKey: placed.sequence.rawValue) == nil, "seed \(seed): a number twice")
          }
          continue
        default:
          let placed = rewriter.place(ExtendedSequenceNumber(input), timestamp: timestamp(at: now), now: Self.instant(now))
          guard let placed else {
            Issue.record("seed \(seed): the newest packet has no place")
            break
          }
          #expect(taken.updateValue((source, input), forKey: placed.sequence.rawValue) == nil, "seed \(seed): a number twice")
          if let lastTimestamp { #expect(placed.timestamp.distance(from: lastTimestamp) >= 0, "seed \(seed): time went back") }
          lastTimestamp = placed.timestamp
          // As far from the beginning as the packets between that were not left out.
          let expected = (newestBefore ?? Int64(firstSequence & 0x7FFF) - 1) + 1 + (input - first) - Int64(leftOut.count)
          #expect(placed.sequence.rawValue == expected, "seed \(seed)")
        }
        input += 1
        now += Int64(random.next() % 40)
      }
      now += Int64(random.next() % 3000)
    }
  }
}

extension StreamRewriter {
  /// Another source begins, and time goes on as much as it went on outside.
  fileprivate mutating func switchSource(at input: ExtendedSequenceNumber, timestamp: RTPTimestamp, clockRate: Int, now: Instant) {
    beginStretch(at: input, timestampOffset: arrivalOffset(of: timestamp, clockRate: clockRate, now: now), skew: 0)
  }
}
