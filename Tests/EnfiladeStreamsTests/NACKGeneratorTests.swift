// Asking for what is missing: the rules one by one, then a random network.

import EnfiladeStreams
import EnfiladeWire
import Testing

private func number(_ value: Int) -> ExtendedSequenceNumber { ExtendedSequenceNumber(Int64(value)) }
private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

extension NACKGenerator {
  /// Everything due at `now`, as plain numbers.
  fileprivate mutating func due(at now: Instant) -> [Int] {
    var result: [Int] = []
    _ = pollDue(at: now) { result.append(Int($0.rawValue)) }
    return result
  }

  fileprivate mutating func receive(_ value: Int, at now: Instant) -> Action { handlePacket(number(value), at: now) }
}

@Suite("NACKGenerator")
struct NACKGeneratorTests {
  @Test("An unbroken run is asked for nothing and sets no deadline", arguments: [0, 65_500, 1 << 32])
  func unbroken(start: Int) {
    var generator = NACKGenerator(.video)
    for value in start..<(start + 100) { #expect(generator.receive(value, at: at(0)) == .none) }
    let deadline = generator.nextDeadline
    #expect(deadline == .distantFuture)
    #expect(generator.due(at: at(10_000)) == [])
  }

  @Test("A gap is asked for after 8 ms when nothing more comes")
  func byTime() {
    var generator = NACKGenerator(.video)
    _ = generator.receive(10, at: at(0))
    _ = generator.receive(13, at: at(1))
    #expect(generator.missingCount == 2)
    // 13 is two ahead of 11 and one ahead of 12: neither is overtaken by three yet.
    #expect(generator.nextDeadline == at(9))
    #expect(generator.due(at: at(8)) == [])
    #expect(generator.due(at: at(9)) == [11, 12])
    #expect(generator.due(at: at(9)) == [])
  }

  @Test("A gap is asked for at once when three later packets have come")
  func byCount() {
    var generator = NACKGenerator(.video)
    _ = generator.receive(10, at: at(0))
    _ = generator.receive(12, at: at(1))
    _ = generator.receive(13, at: at(1))
    #expect(generator.due(at: at(1)) == [])
    _ = generator.receive(14, at: at(1))
    #expect(generator.nextDeadline == at(1))
    #expect(generator.due(at: at(1)) == [11])
  }

  @Test("In a wide gap only the last ones wait for the tolerance")
  func wideGap() {
    var generator = NACKGenerator(.video)
    _ = generator.receive(0, at: at(0))
    _ = generator.receive(10, at: at(0))
    #expect(generator.due(at: at(0)) == [1, 2, 3, 4, 5, 6, 7])
    #expect(generator.due(at: at(8)) == [8, 9])
  }

  @Test("A packet that comes late is not asked for, and its deadline goes with it")
  func late() {
    var generator = NACKGenerator(.video)
    _ = generator.receive(10, at: at(0))
    _ = generator.receive(12, at: at(1))
    _ = generator.receive(11, at: at(3))
    #expect(generator.nextDeadline == .distantFuture)
    #expect(generator.due(at: at(100)) == [])
    #expect(generator.counters.recovered == 1)
    _ = generator.receive(11, at: at(4))
    #expect(generator.counters.duplicate == 1)
  }

  @Test("It is asked for again after a round trip, each time half a round trip later than before")
  func retries() {
    var generator = NACKGenerator(.video)
    generator.roundTripTime = .milliseconds(40)
    _ = generator.receive(0, at: at(0))
    _ = generator.receive(2, at: at(0))
    var asked: [Int64] = []
    for millisecond in Int64(0)...1_900 where generator.due(at: at(millisecond)) == [1] { asked.append(millisecond) }
    #expect(asked == [8, 48, 108, 188, 288, 408, 548, 708, 888, 1_088])
  }

  @Test("A round trip below 20 ms counts as 20 ms")
  func floor() {
    var generator = NACKGenerator(.video)
    generator.roundTripTime = .microseconds(100)
    _ = generator.receive(0, at: at(0))
    _ = generator.receive(2, at: at(0))
    #expect(generator.due(at: at(8)) == [1])
    #expect(generator.nextDeadline == at(28))
  }

  @Test("After ten times it is given up and a keyframe is wanted; for audio it is just gone")
  func bounded() {
    for configuration in [NACKGenerator.Configuration.video, .audio] {
      var generator = NACKGenerator(configuration)
      generator.roundTripTime = .milliseconds(20)
      _ = generator.receive(0, at: at(0))
      _ = generator.receive(2, at: at(0))
      var asked = 0
      var actions: [NACKGenerator.Action] = []
      for millisecond in Int64(0)...4_000 {
        let action = generator.pollDue(at: at(millisecond)) { _ in asked += 1 }
        if action != .none { actions.append(action) }
      }
      #expect(asked <= Limits.nackAttemptCount)
      #expect(asked >= 6)
      #expect(generator.missingCount == 0)
      #expect(generator.counters.abandoned == 1)
      #expect(actions == (configuration.wantsKeyframes ? [.requestKeyframe(.unrecovered)] : []))
    }
  }

  @Test("A packet that is too old is given up, however seldom it was asked for")
  func tooOld() {
    var generator = NACKGenerator(.video)
    generator.roundTripTime = .milliseconds(900)
    _ = generator.receive(0, at: at(0))
    _ = generator.receive(2, at: at(0))
    #expect(generator.due(at: at(8)) == [1])
    #expect(generator.due(at: at(908)) == [1])
    var asked = 0
    #expect(generator.pollDue(at: at(2_300)) { _ in asked += 1 } == .requestKeyframe(.unrecovered))
    #expect(asked == 0)
  }

  @Test("A jump of a thousand is a restart, not loss", arguments: [(999, false), (1_000, false), (1_001, true), (30_000, true)])
  func jump(distance: Int, isRestart: Bool) {
    var generator = NACKGenerator(.video)
    _ = generator.receive(5, at: at(0))
    let action = generator.receive(5 + distance, at: at(0))
    #expect(action == .requestKeyframe(isRestart ? .sequenceJump : .tooManyMissing))
    #expect(generator.missingCount == 0)
    // It goes on from there.
    #expect(generator.receive(6 + distance, at: at(0)) == .none)
    #expect(generator.missingCount == 0)
  }

  @Test("The list holds 256; one more and it is thrown away for a keyframe")
  func full() {
    var generator = NACKGenerator(.video)
    _ = generator.receive(0, at: at(0))
    #expect(generator.receive(257, at: at(0)) == .none)
    #expect(generator.missingCount == 256)
    #expect(generator.receive(259, at: at(0)) == .requestKeyframe(.tooManyMissing))
    #expect(generator.missingCount == 0)
    #expect(generator.nextDeadline == .distantFuture)
    #expect(generator.counters.resets == 1)
  }

  @Test("A keyframe makes what came before it needless")
  func keyframe() {
    var generator = NACKGenerator(.video)
    for value in [0, 2, 4, 6] { _ = generator.receive(value, at: at(0)) }
    generator.handleKeyframe(start: number(4))
    #expect(generator.due(at: at(8)) == [5])
    generator.handleKeyframe(start: number(100))
    #expect(generator.nextDeadline == .distantFuture)
  }

  @Test("After a reset the next packet is the first")
  func reset() {
    var generator = NACKGenerator(.video)
    _ = generator.receive(0, at: at(0))
    _ = generator.receive(3, at: at(0))
    generator.reset()
    #expect(generator.receive(90, at: at(1)) == .none)
    #expect(generator.missingCount == 0)
    #expect(generator.nextDeadline == .distantFuture)
  }

  @Test(
    "On a random network every lost packet is asked for, none more than ten times, none after it came, none before the tolerance",
    arguments: 0..<60)
  func model(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var generator = NACKGenerator(.video)
    let roundTrip = Int64.random(in: 1...200, using: &random)
    generator.roundTripTime = .milliseconds(roundTrip)
    let loss = Double.random(in: 0...0.3, using: &random)
    let reordering = Double.random(in: 0...0.1, using: &random)
    let start = [0, 65_536 - 300, 65_536 * 3 - 7].randomElement(using: &random)!

    // What the network still has to deliver, by the millisecond.
    var deliveries: [Int64: [Int]] = [:]
    for index in 0..<1_000 {
      let sent = Int64(index) * 4
      if index > 0, index < 999, Double.random(in: 0..<1, using: &random) < loss { continue }
      let extra = Double.random(in: 0..<1, using: &random) < reordering ? Int64.random(in: 1...12, using: &random) : 0
      deliveries[sent + extra, default: []].append(start + index)
    }

    var arrived: Set<Int> = []
    var firstAsked: [Int: Int64] = [:]
    var timesAsked: [Int: Int] = [:]
    var highest = -1
    var passedAt: [Int: Int64] = [:]
    var abandonedByList = false
    var now: Int64 = 0
    while now < 9_000 {
      for value in deliveries.removeValue(forKey: now) ?? [] {
        if value > highest {
          if highest >= 0 { for skipped in (highest + 1)..<value where !arrived.contains(skipped) { passedAt[skipped] = now } }
          highest = value
        }
        arrived.insert(value)
        if generator.receive(value, at: at(now)) == .requestKeyframe(.tooManyMissing) { abandonedByList = true }
      }
      if generator.nextDeadline <= at(now) {
        for value in generator.due(at: at(now)) {
          #expect(!arrived.contains(value), "asked for \(value) after it came")
          #expect(value < highest)
          timesAsked[value, default: 0] += 1
          if firstAsked[value] == nil {
            firstAsked[value] = now
            let waited = now - (passedAt[value] ?? 0)
            #expect(waited <= 8, "asked for \(value) after \(waited) ms")
            #expect(waited >= 8 || highest - value >= 3)
          }
          // The publisher answers by RTX, which may be lost as well.
          if Double.random(in: 0..<1, using: &random) >= loss { deliveries[now + roundTrip, default: []].append(value) }
        }
        #expect(generator.nextDeadline > at(now), "a poll leaves nothing due")
      }
      now += 1
    }
    #expect(timesAsked.values.allSatisfy { $0 <= Limits.nackAttemptCount })
    #expect(!abandonedByList)
    for (value, moment) in passedAt {
      guard !arrived.contains(value) || firstAsked[value] != nil else { continue }
      if firstAsked[value] == nil {
        Issue.record("\(value), passed at \(moment), was never asked for")
      }
    }
    #expect(generator.missingCount == 0)
    #expect(generator.counters.asked == UInt64(timesAsked.values.reduce(0, +)))
    #expect(generator.counters.missing == generator.counters.recovered + generator.counters.abandoned)
  }
}
