// The payload of a tone (RFC 4733 §2.3), and the fuzzer's inputs of it.

import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("Telephone event payload")
struct TelephoneEventTests {
  // Event 11, E, R ignored, volume 10, duration 1600.
  private static let pound: [UInt8] = [0x0B, 0xCA, 0x06, 0x40]

  @Test("Its fields are where RFC 4733 has them; what it is written as, it is read as")
  func fields() throws {
    let read = TelephoneEvent(Self.pound.rawBytes)
    let event = try #require(read)
    #expect(event == TelephoneEvent(code: 11, isEnd: true, volume: 10, duration: 1_600))
    #expect(event.bytes == [0x0B, 0x8A, 0x06, 0x40])
  }

  @Test("Shorter than four bytes it is none, and what follows them is not looked at")
  func lengths() {
    for count in 0..<4 {
      let short = Array(Self.pound.prefix(count))
      let read = TelephoneEvent(short.rawBytes)
      #expect(read == nil)
    }
    let long = Self.pound + [1, 2, 3]
    let (whole, read) = (TelephoneEvent(Self.pound.rawBytes), TelephoneEvent(long.rawBytes))
    #expect(read == whole)
  }

  @Test("Every input kept by the fuzzer holds what must hold, whole and truncated")
  func corpus() throws {
    let inputs = try CorpusTests.inputs("tone")
    #expect(inputs.count >= 3)
    for (name, bytes) in inputs {
      #expect(violation(ofTone: bytes) == nil, "\(name)")
      for short in truncations(bytes) { #expect(violation(ofTone: short) == nil, "\(name)") }
    }
  }
}
