// One encoding's budget of keyframe requests: every state against every event, then a crowd.

import EnfiladeStreams
import EnfiladeWire
import Testing

private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

@Suite("KeyframeRequester")
struct KeyframeRequesterTests {
  /// A round trip of 100 ms: requests at least 200 ms apart.
  private func requester() -> KeyframeRequester {
    var requester = KeyframeRequester()
    requester.roundTripTime = .milliseconds(100)
    return requester
  }

  private func sent(_ outcome: KeyframeRequester.Outcome) -> KeyframeRequester.Request? {
    if case .send(let request) = outcome { return request }
    return nil
  }

  /// The table's row names, with the requester in that state at 1000 ms.
  private func states() -> [(String, KeyframeRequester)] {
    let idle = requester()
    var asked = requester()
    _ = asked.request(.pictureLoss, at: at(950))
    var overdue = requester()
    _ = overdue.request(.pictureLoss, at: at(700))
    var rested = requester()
    _ = rested.request(.pictureLoss, at: at(900))
    rested.handleKeyframe(at: at(950))
    var deferred = rested
    _ = deferred.request(.newSubscriber, at: at(960))
    var ripe = requester()
    _ = ripe.request(.pictureLoss, at: at(700))
    ripe.handleKeyframe(at: at(750))
    _ = ripe.request(.newSubscriber, at: at(760))
    return [("idle", idle), ("answered", rested), ("asked", asked), ("overdue", overdue), ("deferred", deferred), ("ripe", ripe)]
  }

  private func describe(_ requester: KeyframeRequester) -> String {
    guard requester.isWaiting else { return "idle" }
    return "waits until \(requester.nextDeadline.nanoseconds / 1_000_000)"
  }

  @Test("Every state answers every event as the table says")
  func table() {
    var rows: [String] = []
    for (name, state) in states() {
      var wished = state
      let outcome: String =
        switch wished.request(.layerSwitch, at: at(1_000)) {
        case .send(let request): "send #\(request.sequenceNumber)"
        case .deferred(let until): "deferred to \(until.nanoseconds / 1_000_000)"
        case .merged: "merged"
        }
      rows.append("\(name) + request → \(outcome), \(describe(wished))")
      var served = state
      served.handleKeyframe(at: at(1_000))
      rows.append("\(name) + keyframe → \(describe(served))")
      var polled = state
      let request = polled.pollRequest(at: at(1_000)).map { "send #\($0.sequenceNumber)\($0.isRepetition ? " again" : "")" } ?? "nothing"
      rows.append("\(name) + time → \(request), \(describe(polled))")
      var cancelled = state
      cancelled.cancel()
      rows.append("\(name) + cancel → \(describe(cancelled))")
    }
    #expect(
      rows == [
        "idle + request → send #1, waits until 1200",
        "idle + keyframe → idle",
        "idle + time → nothing, idle",
        "idle + cancel → idle",
        "answered + request → deferred to 1100, waits until 1100",
        "answered + keyframe → idle",
        "answered + time → nothing, idle",
        "answered + cancel → idle",
        "asked + request → merged, waits until 1150",
        "asked + keyframe → idle",
        "asked + time → nothing, waits until 1150",
        "asked + cancel → idle",
        "overdue + request → merged, waits until 900",
        "overdue + keyframe → idle",
        "overdue + time → send #1 again, waits until 1400",
        "overdue + cancel → idle",
        "deferred + request → merged, waits until 1100",
        "deferred + keyframe → idle",
        "deferred + time → nothing, waits until 1100",
        "deferred + cancel → idle",
        "ripe + request → merged, waits until 900",
        "ripe + keyframe → idle",
        "ripe + time → send #2, waits until 1200",
        "ripe + cancel → idle",
      ])
  }

  @Test(
    "The wait is two round trips, from 200 ms to a second", arguments: [(1, 200), (100, 200), (180, 360), (500, 1_000), (9_000, 1_000)])
  func interval(roundTrip: Int64, wait: Int64) {
    var requester = KeyframeRequester()
    requester.roundTripTime = .milliseconds(roundTrip)
    _ = requester.request(.pictureLoss, at: at(0))
    #expect(requester.nextDeadline == at(wait))
  }

  @Test("An unanswered request is repeated six times with the same FIR number, ever more slowly, then given up")
  func repetition() {
    var requester = requester()
    #expect(sent(requester.request(.fullIntraRequest, at: at(0)))?.sequenceNumber == 1)
    var times: [Int64] = []
    for millisecond in Int64(0)...60_000 {
      guard let request = requester.pollRequest(at: at(millisecond)) else { continue }
      #expect(request.isRepetition && request.sequenceNumber == 1)
      times.append(millisecond)
    }
    #expect(times == [200, 600, 1_400, 3_000, 6_000, 9_000])
    #expect(!requester.isWaiting)
    #expect(requester.counters.abandoned == 1)
    #expect(requester.counters.sent == 7)
    // A new wish starts anew, with a new number.
    #expect(sent(requester.request(.pictureLoss, at: at(61_000)))?.sequenceNumber == 2)
  }

  @Test("The FIR number wraps at eight bits")
  func firNumberWraps() {
    var requester = requester()
    var last: UInt8 = 0
    for step in Int64(0)..<300 {
      last = sent(requester.request(.fullIntraRequest, at: at(step * 1_000)))?.sequenceNumber ?? 0
      requester.handleKeyframe(at: at(step * 1_000 + 50))
    }
    #expect(last == UInt8(truncatingIfNeeded: 300))
  }

  @Test("Whatever a crowd wishes, two requests are never closer than 200 ms and every wish ends served or waiting", arguments: 0..<30)
  func crowd(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var requester = requester()
    var sends: [Int64] = []
    var (direct, fromDeferral): (UInt64, UInt64) = (0, 0)
    var keyframeDue: Int64?
    for millisecond in Int64(0)..<10_000 {
      if keyframeDue == millisecond {
        requester.handleKeyframe(at: at(millisecond))
        #expect(!requester.isWaiting)
        keyframeDue = nil
      }
      let polled = requester.pollRequest(at: at(millisecond))
      if let polled, !polled.isRepetition { fromDeferral += 1 }
      var leaves = polled != nil
      if Int.random(in: 0..<20, using: &random) == 0 {
        let outcome = requester.request(KeyframeRequester.Reason.allCases.randomElement(using: &random)!, at: at(millisecond))
        if sent(outcome) != nil {
          direct += 1
          leaves = true
        }
        #expect(requester.isWaiting)
      }
      if leaves {
        if let last = sends.last { #expect(millisecond - last >= 200) }
        sends.append(millisecond)
        // The publisher answers after a while, or never.
        if Int.random(in: 0..<4, using: &random) != 0 { keyframeDue = millisecond + Int64.random(in: 20...300, using: &random) }
      }
      #expect(requester.nextDeadline > at(millisecond))
    }
    let counters = requester.counters
    #expect(sends.count > 10)
    #expect(counters.sent == UInt64(sends.count))
    #expect(counters.asked == counters.merged + counters.deferred + direct)
    #expect(counters.sent == counters.repeated + direct + fromDeferral)
    // Every wish that opened something was answered, given up, spared, or is open still.
    #expect(direct + counters.deferred == counters.answered + counters.abandoned + counters.spared + (requester.isWaiting ? 1 : 0))
  }
}
