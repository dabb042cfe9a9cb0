// What was sent and what became of it.

import EnfiladeCongestion
import EnfiladeWire
import Testing

@Suite("Sent packets")
struct HistoryTests {
  static func at(_ milliseconds: Int64) -> Instant { .zero + .milliseconds(milliseconds) }

  static func filled(_ numbers: Range<Int64>) -> SentPacketHistory {
    var history = SentPacketHistory()
    for number in numbers { history.handleSent(number, byteCount: 1000, purpose: .video, probe: .none, at: at(number)) }
    return history
  }

  @Test("A packet is resolved once; lost first and received later is told as such")
  func once() {
    var history = Self.filled(10..<20)
    #expect(history.inFlightByteCount == 10_000)
    #expect(history.resolve(12, arrivalNanoseconds: 5)?.sent == Self.at(12))
    #expect(history.resolve(12, arrivalNanoseconds: 6) == nil)
    #expect(history.resolve(13, arrivalNanoseconds: PacketResult.lost)?.isReceived == false)
    #expect(history.resolve(13, arrivalNanoseconds: PacketResult.lost) == nil)
    let late = history.resolve(13, arrivalNanoseconds: 9)
    #expect(late?.wasLost == true && late?.isReceived == true)
    #expect(history.inFlightByteCount == 8000)
  }

  @Test("Numbers that were never sent are unknown")
  func unknown() {
    var history = Self.filled(10..<20)
    for number: Int64 in [0, 9, 20, 21, 10 + 1024, -5, .max / 2] { #expect(history.resolve(number, arrivalNanoseconds: 1) == nil) }
  }

  @Test("What reports left out is not under way, but can still be resolved")
  func passedOver() {
    var history = Self.filled(0..<10)
    history.passOver(before: 6)
    #expect(history.inFlightByteCount == 4000)
    #expect(history.resolve(3, arrivalNanoseconds: 1) != nil)
    #expect(history.inFlightByteCount == 4000)
  }

  @Test("It grows while packets are young and unanswered, and forgets at the ceiling")
  func growth() {
    var history = SentPacketHistory()
    for number in 0..<Int64(3000) { history.handleSent(number, byteCount: 100, purpose: .video, probe: .none, at: Self.at(number / 10)) }
    #expect(history.capacity == 4096)
    #expect(history.resolve(0, arrivalNanoseconds: 1) != nil)
    for number in 3000..<Int64(40_000) { history.handleSent(number, byteCount: 100, purpose: .video, probe: .none, at: Self.at(300)) }
    #expect(history.capacity == Limits.sentHistoryPacketCeiling)
    #expect(history.forgottenCount > 0)
    #expect(history.inFlightByteCount == Limits.sentHistoryPacketCeiling * 100)
    #expect(history.resolve(5, arrivalNanoseconds: 1) == nil)
    #expect(history.resolve(39_999, arrivalNanoseconds: 1) != nil)
  }

  @Test("Old packets do not make it grow")
  func noGrowth() {
    var history = SentPacketHistory()
    for number in 0..<Int64(5000) { history.handleSent(number, byteCount: 100, purpose: .video, probe: .none, at: Self.at(number * 10)) }
    #expect(history.capacity == Limits.sentHistoryPacketCount)
  }

  @Test("A stream's numbers lead to the link's, for as long as they are remembered")
  func streams() {
    var index = FeedbackStreamIndex()
    for number in 0..<Int64(2000) {
      index.handleSent(SSRC(UInt32(number % 2)), SequenceNumber(UInt16(truncatingIfNeeded: 65_000 + number / 2)), number: number)
    }
    #expect(index.number(of: SSRC(1), SequenceNumber(UInt16(truncatingIfNeeded: 65_000 + 999))) == 1999)
    #expect(index.number(of: SSRC(0), SequenceNumber(65_000)) == 0)
    #expect(index.number(of: SSRC(0), SequenceNumber(64_999)) == nil)
    #expect(index.number(of: SSRC(7), SequenceNumber(65_000)) == nil)
    for ssrc in 0..<UInt32(400) { index.handleSent(SSRC(ssrc), SequenceNumber(1), number: 1) }
    #expect(index.refusedCount == UInt64(400 - Limits.feedbackStreamCount))
  }
}
