// The brakes on repair.

import EnfiladeStreams
import EnfiladeWire
import Testing

private func number(_ value: Int) -> ExtendedSequenceNumber { ExtendedSequenceNumber(Int64(value)) }
private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

@Suite("RetransmissionResponder")
struct RetransmissionResponderTests {
  @Test("The first request is answered at once, the next after a round trip", arguments: [(1, 10), (60, 60), (3_000, 500)])
  func roundTrip(roundTripMilliseconds: Int64, interval: Int64) {
    var responder = RetransmissionResponder()
    responder.roundTripTime = .milliseconds(roundTripMilliseconds)
    responder.handleSent(number(7), byteCount: 1_000)
    #expect(responder.decide(number(7), byteCount: 1_000, at: at(5)) == .send)
    #expect(responder.decide(number(7), byteCount: 1_000, at: at(5)) == .tooSoon)
    #expect(responder.decide(number(7), byteCount: 1_000, at: at(5 + interval - 1)) == .tooSoon)
    #expect(responder.decide(number(7), byteCount: 1_000, at: at(5 + interval)) == .send)
    #expect(responder.count(of: .tooSoon) == 2)
    #expect(responder.count(of: .send) == 2)
  }

  @Test("The interval holds across the wrap of its clock", arguments: [65_500, 65_535, 131_060])
  func clockWrap(start: Int64) {
    var responder = RetransmissionResponder()
    responder.roundTripTime = .milliseconds(100)
    responder.handleSent(number(7), byteCount: 1_000)
    #expect(responder.decide(number(7), byteCount: 10, at: at(start)) == .send)
    #expect(responder.decide(number(7), byteCount: 10, at: at(start + 99)) == .tooSoon)
    #expect(responder.decide(number(7), byteCount: 10, at: at(start + 100)) == .send)
  }

  @Test("One packet is sent again eight times at most")
  func tooOften() {
    var responder = RetransmissionResponder()
    responder.handleSent(number(7), byteCount: 1_000)
    var sent = 0
    for step in 0..<20 where responder.decide(number(7), byteCount: 100, at: at(Int64(step) * 1_000)) == .send { sent += 1 }
    #expect(sent == Limits.retransmissionCount)
    #expect(responder.count(of: .tooOften) == 12)
  }

  @Test("What was never sent, or too long ago, is not known", arguments: [0, 65_300, 65_535 * 3])
  func unknown(start: Int) {
    var responder = RetransmissionResponder(capacity: 256)
    #expect(responder.decide(number(start), byteCount: 1, at: at(0)) == .unknown)
    for value in start..<(start + 300) { responder.handleSent(number(value), byteCount: 100) }
    #expect(responder.decide(number(start + 43), byteCount: 1, at: at(0)) == .unknown)
    #expect(responder.decide(number(start + 44), byteCount: 1, at: at(0)) == .send)
    #expect(responder.decide(number(start + 300), byteCount: 1, at: at(0)) == .unknown)
    #expect(responder.count(of: .unknown) == 3)
    // Before the first number of all: a NACK can name it.
    #expect(responder.decide(number(-1), byteCount: 1, at: at(0)) == .unknown)
  }

  @Test("Repair costs no more than half of the media, beyond one burst", arguments: [1, 2, 3])
  func budget(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var responder = RetransmissionResponder()
    var media: Int64 = 0
    var repair: Int64 = 0
    for value in 0..<20_000 {
      let size = Int.random(in: 100...1_200, using: &random)
      responder.handleSent(number(value), byteCount: size)
      media += Int64(size)
      // A subscriber that asks for everything, twice.
      for back in [0, 50] where value >= back {
        if responder.decide(number(value - back), byteCount: 1_200, at: at(Int64(value) * 4)) == .send { repair += 1_200 }
      }
      #expect(repair <= media / 2 + Limits.retransmissionBurst.byteCount)
    }
    #expect(repair > media * 4 / 10)
    #expect(responder.count(of: .overBudget) > 0)
  }
}
