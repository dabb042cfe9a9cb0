// The policies one by one: what an encoder is asked to send, when a replay beats asking, how time lines meet, how large things are.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire
import Testing

@Suite("Forwarding policies")
struct PolicyTests {
  private static func instant(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

  @Test("An encoding nobody wants is paused after a while, and comes back at once")
  func demand() {
    var demand = EncodingDemand()
    #expect(demand.nextDeadline == .distantFuture)
    #expect(demand.update(0b101, at: Self.instant(0)) == 0b1111)
    #expect(demand.update(0b101, at: Self.instant(4000)) == nil)
    #expect(demand.nextDeadline == Self.instant(5000))
    #expect(demand.update(0b101, at: Self.instant(5000)) == 0b101)
    #expect(demand.update(0b001, at: Self.instant(6000)) == nil)
    #expect(demand.nextDeadline == Self.instant(10_000))
    #expect(demand.update(0b011, at: Self.instant(7000)) == 0b111)
    #expect(demand.update(0b011, at: Self.instant(10_000)) == 0b011)
    #expect(demand.nextDeadline == .distantFuture)
  }

  @Test("A replay is chosen when its key picture is recent and the subscriber can catch up soon")
  func replayOrAsk() {
    func replay(
      followingByteCount: Int64 = 90_000, newest: Int64 = 120, pace: Int64 = 5_000, bitrate: Int64 = 500, at milliseconds: Int64 = 300
    ) -> KeyframeReplay? {
      var span = KeyframeSpan(start: ExtendedSequenceNumber(100), startedAt: Self.instant(0), timestamp: RTPTimestamp(0))
      span.pictureByteCount = 36_000
      span.byteCount = 36_000 + followingByteCount
      return KeyframeReplay(
        span, serial: 1, newest: ExtendedSequenceNumber(newest), asking: .milliseconds(110), pace: .kilobitsPerSecond(pace),
        bitrate: .kilobitsPerSecond(bitrate), at: Self.instant(milliseconds))
    }
    // 720,000 bits at 4.5 Mbit/s are 160 ms; at 1.2 they are 600, and 610 is as long as asking and the bound together.
    #expect(replay() != nil)
    #expect(replay(pace: 1_700) != nil)
    #expect(replay(pace: 1_600) == nil)
    #expect(replay(pace: 400) == nil)
    #expect(replay(followingByteCount: 0, pace: 600) != nil)
    #expect(replay(newest: 99 + Int64(Limits.replayPacketCount)) != nil)
    #expect(replay(newest: 100 + Int64(Limits.replayPacketCount)) == nil)
    #expect(replay(at: 2000) != nil)
    #expect(replay(at: 2001) == nil)
    #expect(replay(newest: 99) == nil)
  }

  @Test("A replay gives every packet of the history once, in order, at its pace, until it has caught up")
  func replayPace() throws {
    var history = PacketHistory<Int>(capacity: 64, placeholder: 0)
    for number in 10..<20 where number != 13 {
      let entry = PacketHistory<Int>.Entry(
        sequence: ExtendedSequenceNumber(Int64(number)), handle: PacketHandle(index: UInt32(number), generation: 1, shard: 0),
        metadata: 1250)
      #expect(history.insert(entry) == .stored)
    }
    var span = KeyframeSpan(start: ExtendedSequenceNumber(10), startedAt: Self.instant(0), timestamp: RTPTimestamp(0))
    span.byteCount = 11_250
    let made = KeyframeReplay(
      span, serial: 1, newest: ExtendedSequenceNumber(19), asking: .milliseconds(110), pace: .megabitsPerSecond(2), bitrate: .zero,
      at: Self.instant(0))
    var replay = try #require(made)
    var sent: [Int64] = []
    var times: [Int64] = []
    for millisecond in 0..<100 {
      while let entry = replay.poll(history, byteCount: { $0 }, at: Self.instant(Int64(millisecond))) {
        sent.append(entry.sequence.rawValue)
        times.append(Int64(millisecond))
      }
    }
    #expect(sent == [10, 11, 12, 14, 15, 16, 17, 18, 19])
    // 10,000 bits at 2 Mbit/s are 5 ms.
    #expect(times == [0, 5, 10, 15, 20, 25, 30, 35, 40])
    #expect(replay.isFinished(newest: ExtendedSequenceNumber(19)))
  }

  @Test("Encodings with timestamps of their own meet on one time line, before and after the timestamps wrap")
  func timeline() {
    var timeline = EncodingTimeline(clockRate: 90_000)
    let start = NTPTimestamp(rawValue: 0xE000_0000_0000_0000)
    #expect(timeline.handleSenderReport(ntp: start, timestamp: RTPTimestamp(UInt32.max - 100)) == 0)
    // 2 s later the second encoding stands at 5,000; the first would stand 180,000 further.
    let offset = timeline.handleSenderReport(ntp: start + .seconds(Int64(2)), timestamp: RTPTimestamp(5000))
    #expect(5000 &+ offset == (UInt32.max - 100) &+ 180_000)
    let again = timeline.handleSenderReport(ntp: start + .milliseconds(-500), timestamp: RTPTimestamp(77))
    #expect(77 &+ again == (UInt32.max - 100) &- 45_000)
  }

  @Test("A budget's forwarder goes down at once and up when it lasts")
  func patience() {
    var catalog = LayerCatalog()
    var selector = LayerSelector(target: LayerTarget(budget: .kilobitsPerSecond(2000)))
    var encodings = UniqueArray<Encoding>()
    var at = Int64(0)
    for index in 0..<3 {
      encodings.append(Encoding(serial: UInt32(index + 1), index: UInt8(index), codec: .h264))
      let payload = [UInt8](repeating: 0x67, count: 100)
      for tick in 0..<40 {
        // 100, 400 and 1600 bytes each 33 ms: 24, 97 and 388 kbit/s.
        for _ in 0..<(1 << (2 * index)) {
          _ = encodings[index].handlePacket(
            payload: payload.rawBytes, extensions: .init(), in: payload.rawBytes, sequence: ExtendedSequenceNumber(Int64(tick)),
            timestamp: RTPTimestamp(UInt32(tick * 3000)), at: Self.instant(Int64(tick * 33)))
        }
      }
      at = 40 * 33
    }
    Self.gather(encodings, into: &catalog, at: Self.instant(at))
    #expect(catalog.count == 3)
    #expect(selector.choose(from: catalog, at: Self.instant(at)).candidate?.encoding == 2)
    selector.target.budget = .kilobitsPerSecond(150)
    let down = selector.choose(from: catalog, at: Self.instant(at))
    #expect(down.candidate?.encoding == 1 && down.reason == .budget)
    selector.target.budget = .kilobitsPerSecond(2000)
    let waiting = selector.choose(from: catalog, at: Self.instant(at))
    #expect(waiting.candidate?.encoding == 1 && waiting.reason == .patience)
    #expect(selector.choose(from: catalog, at: Self.instant(at + 1900)).candidate?.encoding == 1)
    #expect(selector.choose(from: catalog, at: Self.instant(at + 2100)).candidate?.encoding == 2)
    // A wish is granted at once, and a small picture beats none.
    selector.target.budget = .kilobitsPerSecond(1)
    #expect(selector.choose(from: catalog, at: Self.instant(at + 2200)).candidate?.encoding == 0)
    selector.target.budget = .kilobitsPerSecond(2000)
    selector.target.maximumHeight = 720
    selector.target.maximumWidth = 1280
    #expect(selector.choose(from: catalog, at: Self.instant(at + 2300)).candidate?.encoding == 2)
  }

  private static func gather(_ encodings: borrowing UniqueArray<Encoding>, into catalog: inout LayerCatalog, at now: Instant) {
    for index in 0..<encodings.count { catalog.add(encodings[index], at: now) }
  }

  @Test("What is kept for each packet is as small as it says")
  func sizes() {
    #expect(MemoryLayout<FrameInfo>.size <= 48)
    #expect(MemoryLayout<SentPacket>.size <= 24)
    #expect(MemoryLayout<Forwarder>.size <= 2048, "\(MemoryLayout<Forwarder>.size)")
  }
}
