import EnfiladeWire
import Testing

@testable import EnfiladeLoad

@Suite("Video traffic")
struct VideoTrafficTests {
  private static func packets(_ shape: VideoShape, seconds: Int, seed: UInt64 = 1) -> [ScheduledPacket] {
    var traffic = VideoTraffic(shape, seed: seed, startingAt: .zero)
    var packets: [ScheduledPacket] = []
    while traffic.nextDue < .seconds(seconds) { packets.append(traffic.take()) }
    return packets
  }

  private static func frames(_ packets: [ScheduledPacket]) -> [[ScheduledPacket]] {
    var frames: [[ScheduledPacket]] = []
    for packet in packets {
      if packet.startsFrame { frames.append([]) }
      frames[frames.count - 1].append(packet)
    }
    // The last one may be cut off.
    return Array(frames.dropLast())
  }

  @Test("The bytes of a minute are those of the bit rate", arguments: [300, 1700, 2500, 8000] as [Int64])
  func rate(kilobits: Int64) {
    let packets = Self.packets(VideoShape(bitrate: .kilobitsPerSecond(kilobits), keyframeInterval: .seconds(Int64(5))), seconds: 60)
    let bits = packets.reduce(0) { $0 + $1.byteCount } * 8 / 60
    #expect(abs(Double(bits) / Double(kilobits * 1000) - 1) < 0.02)
  }

  @Test("Frames are thirty in a second, and cut as captured: six to nine packets at 1.7 to 2.5 Mbit/s", arguments: [1700, 2500] as [Int64])
  func packetsPerFrame(kilobits: Int64) {
    let frames = Self.frames(Self.packets(VideoShape(bitrate: .kilobitsPerSecond(kilobits)), seconds: 30))
    #expect(abs(frames.count - 900) <= 1)
    let mean = Double(frames.reduce(0) { $0 + $1.count }) / Double(frames.count)
    #expect(mean > 5.5 && mean < 9.8)
  }

  @Test("The packets of a frame differ by one byte at most, the shorter ones first, and none is too long")
  func sizes() {
    let shape = VideoShape(bitrate: .kilobitsPerSecond(2500), packetByteCount: 1100)
    for frame in Self.frames(Self.packets(shape, seconds: 10)) {
      let sizes = frame.map(\.byteCount)
      #expect(sizes == sizes.sorted())
      #expect(sizes[sizes.count - 1] - sizes[0] <= 1)
      #expect(sizes[sizes.count - 1] <= 1100)
    }
  }

  @Test("The packets of a frame leave 30 to 100 µs apart, share a timestamp, and only the last one ends it")
  func gaps() {
    for frame in Self.frames(Self.packets(VideoShape(bitrate: .kilobitsPerSecond(2500)), seconds: 5)) {
      for (before, after) in zip(frame, frame.dropFirst()) {
        #expect((30_000...100_000).contains((after.due - before.due).nanoseconds))
        #expect(before.timestamp == after.timestamp)
      }
      #expect(frame.filter(\.endsFrame).count == 1 && frame[frame.count - 1].endsFrame)
    }
  }

  @Test("Timestamps advance by 3,000 ticks a frame")
  func timestamps() {
    let frames = Self.frames(Self.packets(VideoShape(bitrate: .kilobitsPerSecond(1000)), seconds: 5))
    for (before, after) in zip(frames, frames.dropFirst()) { #expect(after[0].timestamp - before[0].timestamp == 3000) }
  }

  @Test("The first frame is a key frame, about four times as large as the others")
  func firstKeyframe() {
    let frames = Self.frames(Self.packets(VideoShape(bitrate: .kilobitsPerSecond(2500)), seconds: 10))
    #expect(frames.filter { $0[0].isKeyframe }.count == 1 && frames[0][0].isKeyframe)
    let key = frames[0].reduce(0) { $0 + $1.byteCount }
    let mean = frames.dropFirst().reduce(0) { $0 + $1.reduce(0) { $0 + $1.byteCount } } / (frames.count - 1)
    #expect(key > 3 * mean && key < 5 * mean)
  }

  @Test("A request brings a key frame with the next frame, but not two within 300 ms")
  func requestedKeyframes() {
    var traffic = VideoTraffic(VideoShape(bitrate: .kilobitsPerSecond(1000)), seed: 3, startingAt: .zero)
    var keyframesAt: [Int64] = []
    while traffic.nextDue < .seconds(3) {
      let packet = traffic.take()
      if packet.startsFrame, packet.isKeyframe { keyframesAt.append(packet.due.nanoseconds) }
      if packet.due > .milliseconds(1000) { traffic.requestKeyframe() }
    }
    #expect(traffic.keyframeCount == keyframesAt.count)
    #expect(keyframesAt.count >= 6)
    for (before, after) in zip(keyframesAt, keyframesAt.dropFirst()) { #expect(after - before >= 300_000_000) }
    #expect(keyframesAt[1] < 1_080_000_000)
  }

  @Test("Key frames come by themselves where that is wanted")
  func periodicKeyframes() {
    let shape = VideoShape(bitrate: .kilobitsPerSecond(1000), keyframeInterval: .seconds(Int64(2)))
    let frames = Self.frames(Self.packets(shape, seconds: 21))
    let count = frames.filter { $0[0].isKeyframe }.count
    #expect(count == 10 || count == 11)
  }

  @Test("What was missed while the client was held up is left out")
  func skip() {
    var traffic = VideoTraffic(VideoShape(bitrate: .kilobitsPerSecond(1000)), seed: 4, startingAt: .zero)
    while !traffic.take().endsFrame {}
    traffic.skip(to: .seconds(2))
    #expect(traffic.nextDue > .milliseconds(1960) && traffic.nextDue <= .milliseconds(2000))
  }

  @Test("The same seed gives the same packets")
  func repeatable() {
    let shape = VideoShape(bitrate: .kilobitsPerSecond(1500))
    #expect(Self.packets(shape, seconds: 3, seed: 9) == Self.packets(shape, seconds: 3, seed: 9))
  }
}

@Suite("Audio traffic")
struct AudioTrafficTests {
  @Test("Opus is fifty packets a second, of sizes that were captured")
  func rate() {
    var traffic = AudioTraffic(seed: 1, startingAt: .zero)
    var packets: [ScheduledPacket] = []
    while traffic.nextDue < .seconds(10) { packets.append(traffic.take()) }
    #expect(packets.count == 500)
    #expect(packets.allSatisfy { (62...180).contains($0.byteCount) })
    #expect(packets[1].timestamp - packets[0].timestamp == 960)
    let mean = Double(packets.reduce(0) { $0 + $1.byteCount }) / 500
    #expect(mean > 80 && mean < 105)
  }
}

extension Instant {
  static func seconds(_ value: Int) -> Instant { Instant(nanoseconds: Int64(value) * 1_000_000_000) }
  static func milliseconds(_ value: Int) -> Instant { Instant(nanoseconds: Int64(value) * 1_000_000) }
}
