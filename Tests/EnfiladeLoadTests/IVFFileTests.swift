// Recorded pictures: read whole or refused, and cut into packets that put together are the frames again.

import EnfiladeWire
import Testing

@testable import EnfiladeLoad

@Suite("Recorded pictures")
struct IVFFileTests {
  private static func little(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> (8 * $0) & 0xFF) } }

  private static func file(_ frames: [[UInt8]], rate: Int = 15, codec: String = "VP80") -> [UInt8] {
    var bytes = Array("DKIF".utf8) + little(0, 2) + little(32, 2) + Array(codec.utf8) + little(320, 2) + little(180, 2)
    bytes += little(rate, 4) + little(1, 4) + little(frames.count, 4) + little(0, 4)
    for (number, frame) in frames.enumerated() { bytes += little(frame.count, 4) + little(number, 8) + frame }
    return bytes
  }

  /// A key frame and two that are none.
  private static let frames: [[UInt8]] = [
    [0x10] + (0..<2500).map { UInt8($0 & 0xFF) }, [0x11] + [UInt8](repeating: 7, count: 300), [0x11, 1, 2],
  ]

  @Test("Every frame is read as it stands there")
  func reading() throws {
    let file = try IVFFile(parsing: Self.file(Self.frames))
    #expect(file.frames.map(\.bytes) == Self.frames)
    #expect(file.frames.map(\.isKeyframe) == [true, false, false])
    #expect(file.framesPerSecond == 15)
  }

  @Test("A file that is cut off, of another codec, without a rate, or without a key frame first is refused")
  func refusing() {
    let whole = Self.file(Self.frames)
    let ends = [32, 32 + 12 + 2501, 32 + 24 + 2501 + 301, whole.count]
    for count in 0..<whole.count where !ends.contains(count) {
      #expect(throws: LoadError.self) { try IVFFile(parsing: Array(whole.prefix(count))) }
    }
    for bytes in [
      Self.file(Self.frames, codec: "VP90"), Self.file(Self.frames, rate: 0), Self.file(Self.frames, rate: 1000), Self.file([[0x11]]),
    ] {
      #expect(throws: LoadError.self) { try IVFFile(parsing: bytes) }
    }
  }

  @Test("The packets of a frame are the frame; the recording comes again")
  func packets() throws {
    let file = try IVFFile(parsing: Self.file(Self.frames))
    var traffic = RecordedTraffic(file, payloadByteCount: 1100, startingAt: .zero)
    var frames: [[UInt8]] = []
    var timestamps: [UInt32] = []
    var due = Instant.zero
    while frames.count < 8 {
      #expect(traffic.nextDue >= due)
      due = traffic.nextDue
      let packet = traffic.take()
      if packet.startsFrame {
        frames.append([])
        timestamps.append(packet.timestamp)
      }
      #expect(packet.byteCount == traffic.piece.range.count + RecordedTraffic.descriptorByteCount)
      #expect(packet.byteCount <= 1104)
      frames[frames.count - 1] += file.frames[traffic.piece.frame].bytes[traffic.piece.range]
    }
    while traffic.piece.range.upperBound < file.frames[traffic.piece.frame].bytes.count {
      _ = traffic.take()
      frames[7] += file.frames[traffic.piece.frame].bytes[traffic.piece.range]
    }
    #expect(frames == [0, 1, 2, 0, 1, 2, 0, 1].map { Self.frames[$0] })
    #expect(timestamps == (0..<8).map { UInt32($0 * 6000) })
  }

  @Test("A wish for a key frame begins anew, but not twice within 300 ms")
  func keyframes() throws {
    let file = try IVFFile(parsing: Self.file([[0x10]] + Array(repeating: [0x11], count: 19)))
    var traffic = RecordedTraffic(file, payloadByteCount: 1100, startingAt: .zero)
    var keyframes: [Int] = []
    for number in 0..<40 {
      if [2, 10, 12, 13].contains(number) { traffic.requestKeyframe() }
      if traffic.take().isKeyframe { keyframes.append(number) }
    }
    // At 66 ms a frame the first wish waits until 300 ms are over; what is not wished for comes with the recording.
    #expect(keyframes == [0, 6, 12, 18, 38])
    #expect(traffic.keyframeCount == keyframes.count)
  }

  @Test("A stage is read and written as the server takes it")
  func stage() throws {
    let stage = try #require(StageWish(parsing: "9x640x360,16x320x180", voices: 3))
    #expect(stage == .gallery && stage.pictureCount == 25)
    #expect(
      String(decoding: stage.json, as: UTF8.self)
        == #"{"pictures":[{"width":640,"height":360,"count":9},{"width":320,"height":180,"count":16}],"voices":3}"#)
    for text in ["9x640", "0x640x360", "9x640x0", "65x1x1", "40x1x1,40x1x1", "9x640x360x1", "9xax1", "-1x2x3"] {
      #expect(StageWish(parsing: text, voices: 3) == nil, "\(text)")
    }
    #expect(StageWish(parsing: "1x1x1", voices: 65) == nil)
  }
}
