// Lips and voice: the clocks behind outgoing sender reports, over virtual time.

import EnfiladeStreams
import EnfiladeWire
import Testing

@Suite("SenderReportClock")
struct SenderReportClockTests {
  private let local = WallClock(instant: .zero, ntp: NTPTimestamp(rawValue: 0xE800_0000_0000_0000))

  @Test(
    "Reports of ours put audio and video of one publisher within 2 ms of each other, whatever its clock, drift and path",
    arguments: [1, 2, 3, 4, 5, 6])
  func lipSync(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    // The publisher's wall clock is anywhere and runs up to 100 ppm fast or slow.
    let theirStart = NTPTimestamp(rawValue: UInt64.random(in: (1 << 60)...(1 << 63), using: &random))
    let partsPerMillion = Int64.random(in: -100...100, using: &random)
    func theirNTP(_ instant: Instant) -> NTPTimestamp {
      theirStart + TimeDelta(nanoseconds: instant.nanoseconds + instant.nanoseconds / 1_000_000 * partsPerMillion)
    }
    // Timestamps start just below their wrap, so that every run crosses it.
    let audioStart = UInt32.max - UInt32.random(in: 0...480_000, using: &random)
    let videoStart = UInt32.max - UInt32.random(in: 0...900_000, using: &random)
    func timestamp(_ instant: Instant, start: UInt32, rate: Int64) -> RTPTimestamp {
      let elapsed = theirNTP(instant) - theirStart
      return RTPTimestamp(start) + Int(elapsed.nanoseconds / 1_000_000 * rate / 1_000)
    }

    var publisher = PublisherClock()
    var audio = SenderReportClock(clockRate: 48_000)
    var video = SenderReportClock(clockRate: 90_000)
    var checked = 0
    for step in 0..<600 {
      let sent = Instant(nanoseconds: Int64(step) * 100_000_000)
      // Each report takes its own way through the network.
      if step % 11 == 3 {
        let arrival = sent + .milliseconds(Int64.random(in: 20...80, using: &random))
        publisher.handleSenderReport(ntp: theirNTP(sent), local: local.ntp(at: arrival), at: arrival)
        audio.handleSenderReport(ntp: theirNTP(sent), timestamp: timestamp(sent, start: audioStart, rate: 48_000))
      }
      if step % 13 == 5 {
        let arrival = sent + .milliseconds(Int64.random(in: 20...80, using: &random))
        publisher.handleSenderReport(ntp: theirNTP(sent), local: local.ntp(at: arrival), at: arrival)
        video.handleSenderReport(ntp: theirNTP(sent), timestamp: timestamp(sent, start: videoStart, rate: 90_000))
      }
      guard audio.isAligned, video.isAligned, step % 7 == 0 else { continue }
      // What a receiver works out: the capture instant behind each report, on the publisher's clock.
      let now = sent + .milliseconds(90)
      let voice = try #require(audio.timestamp(now: now, local: local.ntp(at: now), publisher: publisher))
      let lips = try #require(video.timestamp(now: now, local: local.ntp(at: now), publisher: publisher))
      let heard = Double(voice.distance(from: timestamp(sent, start: audioStart, rate: 48_000))) / 48
      let seen = Double(lips.distance(from: timestamp(sent, start: videoStart, rate: 90_000))) / 90
      #expect(abs(heard - seen) < 2)
      // And the media time is that of now, less a path's delay of 20 to 80 ms (and the slewing behind drift).
      #expect(heard > 0 && heard < 90)
      checked += 1
    }
    #expect(checked > 50)
  }

  @Test("A source without reports has no media time for three seconds, then that of its packets' arrival")
  func grace() {
    var clock = SenderReportClock(clockRate: 90_000)
    let publisher = PublisherClock()
    clock.handlePacket(timestamp: RTPTimestamp(1_000), at: .zero)
    let early = Instant.zero + .milliseconds(2_999)
    #expect(clock.timestamp(now: early, local: local.ntp(at: early), publisher: publisher) == nil)
    let late = Instant.zero + .milliseconds(3_010)
    clock.handlePacket(timestamp: RTPTimestamp(271_000), at: .zero + .milliseconds(3_000))
    #expect(clock.timestamp(now: late, local: local.ntp(at: late), publisher: publisher) == RTPTimestamp(271_900))
    #expect(!clock.isAligned)
  }

  @Test("A report that was overtaken changes nothing; a clock set back by an hour is believed")
  func order() {
    var clock = SenderReportClock(clockRate: 1_000)
    let start = NTPTimestamp(rawValue: 0x8000_0000_0000_0000)
    clock.handleSenderReport(ntp: start, timestamp: RTPTimestamp(0))
    clock.handleSenderReport(ntp: start + .seconds(Int64(-5)), timestamp: RTPTimestamp(777))
    #expect(clock.timestamp(at: start) == RTPTimestamp(0))
    clock.handleSenderReport(ntp: start + .seconds(Int64(-3_600)), timestamp: RTPTimestamp(777))
    #expect(clock.timestamp(at: start + .seconds(Int64(-3_599))) == RTPTimestamp(1_777))
  }

  @Test("A timestamp survives the way to NTP time and back", arguments: [8_000, 16_000, 44_100, 48_000, 90_000])
  func roundTrip(clockRate: Int) throws {
    var random = SeededRandom(seed: UInt64(clockRate))
    var clock = SenderReportClock(clockRate: clockRate)
    clock.handleSenderReport(ntp: NTPTimestamp(rawValue: 0xE812_3456_789A_BCDE), timestamp: RTPTimestamp(0xFFFF_FF00))
    for _ in 0..<1_000 {
      let timestamp = RTPTimestamp(UInt32.random(in: 0...UInt32.max, using: &random))
      let ntp = try #require(clock.ntp(of: timestamp))
      #expect(clock.timestamp(at: ntp) == timestamp)
    }
  }

  @Test("The offset follows the shortest path slowly, and a clock that was set at once")
  func publisherOffset() {
    var publisher = PublisherClock()
    let theirs = NTPTimestamp(rawValue: 0x8000_0000_0000_0000)
    #expect(publisher.publisherTime(at: theirs) == nil)
    func report(at seconds: Int64, delay: Int64, ahead: Int64 = 0) {
      let now = Instant.zero + .seconds(seconds)
      publisher.handleSenderReport(
        ntp: theirs + .seconds(seconds + ahead), local: theirs + .seconds(seconds) + .milliseconds(delay), at: now)
    }
    report(at: 0, delay: 50)
    #expect(publisher.offset! - .milliseconds(50) < .microseconds(1))
    report(at: 1, delay: 20)
    // One report moves it by one millisecond at most.
    #expect(abs((publisher.offset! - .milliseconds(49)).microseconds) <= 1)
    for second in 2...60 { report(at: Int64(second), delay: 20 + Int64(second % 5) * 10) }
    #expect(abs((publisher.offset! - .milliseconds(20)).milliseconds) <= 1)
    report(at: 61, delay: 30, ahead: 1_000)
    #expect(abs((publisher.offset! - .seconds(Int64(-1_000)) - .milliseconds(30)).microseconds) <= 1)
  }

  @Test("A reset forgets the line")
  func reset() {
    var clock = SenderReportClock(clockRate: 90_000)
    clock.handleSenderReport(ntp: NTPTimestamp(rawValue: 1 << 40), timestamp: RTPTimestamp(1))
    clock.reset()
    #expect(!clock.isAligned)
    #expect(clock.ntp(of: RTPTimestamp(1)) == nil)
  }
}

@Suite("OriginalSequenceNumber")
struct OriginalSequenceNumberTests {
  @Test("The OSN is the first two bytes, in network order (RFC 4588 §4)")
  func read() {
    #expect(OriginalSequenceNumber.read([0x12, 0x34, 0x56].rawBytes) == SequenceNumber(0x1234))
    #expect(OriginalSequenceNumber.read([0x12].rawBytes) == nil)
    #expect(OriginalSequenceNumber.read([UInt8]().rawBytes) == nil)
  }

  @Test(
    "An OSN is widened next to the newest packet, and refused when it answers nothing we can have asked",
    arguments: [
      (65_530, 65_520, true), (65_540, 65_530, true), (65_540, 3, true), (70_000, 68_999, false), (70_000, 71_001, false),
      (70_000, 69_000, true),
    ])
  func widen(newest: Int64, asked: Int64, isAccepted: Bool) {
    var original = SequenceUnwrapper()
    #expect(OriginalSequenceNumber.widen(SequenceNumber(1), in: original) == nil)
    original.newest = ExtendedSequenceNumber(newest)
    let wire = ExtendedSequenceNumber(asked).wire
    let wide = OriginalSequenceNumber.widen(wire, in: original)
    #expect((wide != nil) == isAccepted)
    if let wide {
      #expect(wide.wire == wire)
      #expect(abs(wide.rawValue - newest) <= 1_000)
    }
  }
}
