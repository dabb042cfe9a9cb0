// Tones from packets: each begins once and ends once (RFC 4733 §2.5.1).

import EnfiladeRTP
import EnfiladeWire
import Testing

@testable import EnfiladeStreams

@Suite("Telephone events")
struct TelephoneEventReceiverTests {
  private static func packet(_ code: UInt8, _ duration: UInt16, end: Bool = false) -> TelephoneEvent {
    TelephoneEvent(code: code, isEnd: end, volume: 10, duration: duration)
  }

  private struct Listener {
    var receiver = TelephoneEventReceiver()
    var told: [String] = []

    mutating func take(_ event: TelephoneEvent, at timestamp: UInt32, marker: Bool = false) {
      let reports = receiver.handle(event, timestamp: RTPTimestamp(timestamp), marker: marker)
      for report in [reports.lateEnd, reports.begin, reports.end] {
        guard let report else { continue }
        told.append(report.isEnd ? "\(report.code) ends after \(report.duration)" : "\(report.code) begins")
      }
    }
  }

  @Test("A key begins with its first packet, ends with the first of three that say so, and lasts as long as that says")
  func once() {
    var listener = Listener()
    listener.take(Self.packet(5, 160), at: 1_000, marker: true)
    for duration in [320, 480, 640] { listener.take(Self.packet(5, UInt16(duration)), at: 1_000) }
    for _ in 0..<3 { listener.take(Self.packet(5, 800, end: true), at: 1_000) }
    // One of the three overtaken by the next key, and one that is late altogether.
    listener.take(Self.packet(5, 160), at: 3_000, marker: true)
    listener.take(Self.packet(5, 800, end: true), at: 1_000)
    #expect(listener.told == ["5 begins", "5 ends after 800", "5 begins"])
    #expect(listener.receiver.isSounding)
  }

  @Test("Of a key whose beginning was lost beginning and end are told; one whose end was lost ends with the next, or when sound goes on")
  func lost() {
    var listener = Listener()
    listener.take(Self.packet(1, 800, end: true), at: 1_000)
    listener.take(Self.packet(2, 320), at: 3_000, marker: true)
    listener.take(Self.packet(3, 160), at: 5_000, marker: true)
    #expect(listener.told == ["1 begins", "1 ends after 800", "2 begins", "2 ends after 320", "3 begins"])
    #expect(listener.receiver.handleSound(timestamp: RTPTimestamp(5_000 + 160 + 1_600), patience: 1_600) == nil)
    let end = listener.receiver.handleSound(timestamp: RTPTimestamp(5_000 + 160 + 1_601), patience: 1_600)
    #expect(end == .init(code: 3, volume: 10, isEnd: true, duration: 160))
    #expect(!listener.receiver.isSounding)
    #expect(listener.receiver.handleSound(timestamp: RTPTimestamp(20_000), patience: 1_600) == nil)
  }

  @Test("A key that is held longer than the field can say goes on in segments, as one tone")
  func segments() {
    var listener = Listener()
    listener.take(Self.packet(9, 0xFFFF), at: 4_294_900_000, marker: true)
    // Round the end of the timestamp.
    let next = UInt32(4_294_900_000) &+ 0xFFFF
    listener.take(Self.packet(9, 160), at: next)
    listener.take(Self.packet(9, 4_465, end: true), at: next)
    #expect(listener.told == ["9 begins", "9 ends after 70000"])
  }

  @Test("After half a day of silence a key is a key")
  func longSilence() {
    var listener = Listener()
    listener.take(Self.packet(1, 160, end: true), at: 0)
    listener.take(Self.packet(2, 160), at: 1 << 31 + 5, marker: true)
    #expect(listener.told.last == "2 begins")
  }

  @Test("Whatever comes, ends are never more than beginnings, and alternate with them")
  func random() {
    var random = SeededRandom(seed: 4_733)
    var listener = Listener()
    for step in 0..<20_000 {
      let event = TelephoneEvent(
        code: UInt8(random.next() & 3), isEnd: random.next() & 3 == 0, volume: 3, duration: UInt16(random.next() & 0x3FF))
      listener.take(event, at: UInt32(step) / 4 * 200 &+ UInt32(random.next() & 1_023) / 200 * 200, marker: random.next() & 7 == 0)
    }
    #expect(listener.told.count > 1_000)
    for (one, next) in zip(listener.told, listener.told.dropFirst()) { #expect(one.contains("begins") != next.contains("begins")) }
  }
}
