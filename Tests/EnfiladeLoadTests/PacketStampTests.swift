import EnfiladeRTP
import EnfiladeWire
import Testing

@testable import EnfiladeLoad

@Suite("Packet stamp")
struct PacketStampTests {
  private static func packet(startsFrame: Bool, isKeyframe: Bool) -> ScheduledPacket {
    ScheduledPacket(due: .zero, byteCount: 1000, startsFrame: startsFrame, endsFrame: false, isKeyframe: isKeyframe, timestamp: 0)
  }

  private static func video(startsFrame: Bool, isKeyframe: Bool, at now: Instant) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xAA, count: 60)
    bytes.withUnsafeMutableBytes {
      PacketStamp.writeVideo(
        packet(startsFrame: startsFrame, isKeyframe: isKeyframe), pictureID: 0x1234, sentAt: now, into: $0.baseAddress!)
    }
    return bytes
  }

  // The macros of the tests take no span.
  private static func descriptor(of payload: [UInt8]) -> VP8Descriptor? { VP8Descriptor(payload.rawBytes) }
  private static func stamp(of payload: [UInt8], _ kind: MediaKind) -> Instant? { PacketStamp.read(payload.rawBytes, kind: kind) }

  @Test("A video stamp is read back", arguments: [true, false], [true, false])
  func video(startsFrame: Bool, isKeyframe: Bool) {
    let now = Instant(nanoseconds: 123_456_789_012_345)
    let bytes = Self.video(startsFrame: startsFrame, isKeyframe: isKeyframe, at: now)
    #expect(Self.stamp(of: bytes, .video) == now)
  }

  @Test("The head of a video payload is what a server looks at: descriptor, picture id, key frame bit")
  func descriptor() throws {
    let key = Self.video(startsFrame: true, isKeyframe: true, at: .zero)
    let keyDescriptor = try #require(Self.descriptor(of: key))
    #expect(keyDescriptor.startsFrame && keyDescriptor.isKeyframe && keyDescriptor.pictureID == UInt16(0x1234))
    let delta = Self.video(startsFrame: true, isKeyframe: false, at: .zero)
    #expect(try #require(Self.descriptor(of: delta)).isKeyframe == false)
    let rest = Self.video(startsFrame: false, isKeyframe: true, at: .zero)
    let restDescriptor = try #require(Self.descriptor(of: rest))
    #expect(!restDescriptor.startsFrame && !restDescriptor.isKeyframe)
  }

  @Test("A video stamp is found behind a descriptor of another length")
  func otherDescriptor() {
    let now = Instant(nanoseconds: 42)
    var bytes = Self.video(startsFrame: true, isKeyframe: true, at: now)
    // Only the byte that is required, in place of four.
    bytes.replaceSubrange(0..<4, with: [0x10])
    #expect(Self.stamp(of: bytes, .video) == now)
  }

  @Test("An audio stamp is read back")
  func audio() {
    var bytes = [UInt8](repeating: 0, count: 13)
    bytes.withUnsafeMutableBytes { PacketStamp.writeAudio(sentAt: Instant(nanoseconds: 7), into: $0.baseAddress!) }
    #expect(Self.stamp(of: bytes, .audio) == Instant(nanoseconds: 7))
  }

  @Test("A payload of any length without a stamp has none", arguments: 0...40)
  func none(count: Int) {
    let bytes = [UInt8](repeating: 0x90, count: count)
    #expect(Self.stamp(of: bytes, .video) == nil)
    #expect(Self.stamp(of: bytes, .audio) == nil)
  }
}
