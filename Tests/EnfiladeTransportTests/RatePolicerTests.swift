// The bucket that holds a link to its rate.

import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Rate policer")
struct RatePolicerTests {
  /// Bytes that pass of a steady stream.
  private static func passed(limit: Bitrate, rate: Bitrate, seconds: Int64, packet: Int = 1000) -> (bytes: Int64, reports: Int) {
    var policer = RatePolicer(limit: limit, at: .zero)
    let interval = Int64(packet) * 8 * 1_000_000_000 / rate.bitsPerSecond
    var (now, bytes, reports) = (Instant.zero, Int64(0), 0)
    while now < .zero + .seconds(seconds) {
      switch policer.handlePacket(byteCount: packet, at: now) {
      case .pass: bytes += Int64(packet)
      case .drop: break
      case .dropAndReport: reports += 1
      }
      now = now + TimeDelta(nanoseconds: interval)
    }
    return (bytes, reports)
  }

  @Test("What stays within the limit passes wholly, and nobody is told", arguments: [100, 999, 1000] as [Int64])
  func within(kilobits: Int64) {
    let (bytes, reports) = Self.passed(limit: .kilobitsPerSecond(1000), rate: .kilobitsPerSecond(kilobits), seconds: 60)
    #expect(abs(bytes * 8 - kilobits * 1000 * 60) <= 8000 && reports == 0)
  }

  @Test("Beyond it the limit passes, and one burst; it is told every five seconds", arguments: [80, 1000, 50_000] as [Int64])
  func beyond(kilobits: Int64) {
    let limit = Bitrate.kilobitsPerSecond(kilobits)
    let (bytes, reports) = Self.passed(limit: limit, rate: .bitsPerSecond(limit.bitsPerSecond * 3), seconds: 60)
    let wanted = limit.bitsPerSecond / 8 * 61
    #expect(bytes <= wanted && bytes >= wanted - 1000 - wanted / 1000, "\(bytes) of \(wanted)")
    #expect(reports == 12)
  }

  @Test("Zero lets everything pass; so does a limit that no number holds")
  func unlimited() {
    for limit in [Bitrate.zero, .bitsPerSecond(-1), .bitsPerSecond(.max)] {
      let (bytes, reports) = Self.passed(limit: limit, rate: .megabitsPerSecond(100), seconds: 10)
      #expect(bytes * 8 >= 1_000_000_000 - 8000 && reports == 0)
    }
  }

  @Test("After silence there is one burst, and not more, however long it was")
  func silence() {
    var policer = RatePolicer(limit: .kilobitsPerSecond(80), at: .zero)
    for hours in [0, 1, 1_000_000] as [Int64] {
      let now = Instant.zero + .seconds(hours * 3600)
      var passed = 0
      while policer.handlePacket(byteCount: 100, at: now) == .pass { passed += 1 }
      #expect(passed == 100)
    }
  }
}
