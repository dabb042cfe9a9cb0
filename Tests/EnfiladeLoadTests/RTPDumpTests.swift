import EnfiladeWire
import Testing

@testable import EnfiladeLoad

@Suite("RTP dump")
struct RTPDumpTests {
  private static func entry(milliseconds: UInt32, source: UInt32, timestamp: UInt32, marker: Bool, byteCount: UInt16) -> [UInt8] {
    [UInt8].writing(capacity: 64) { writer in
      writer.writeUInt16(8 + 12)
      writer.writeUInt16(byteCount)
      writer.writeUInt32(milliseconds)
      writer.writeUInt8(0x80)
      writer.writeUInt8(marker ? 0xE0 : 0x60)
      writer.writeUInt16(1)
      writer.writeUInt32(timestamp)
      writer.writeUInt32(source)
    } ?? []
  }

  private static let header = Array("#!rtpplay1.0 127.0.0.1/5004\n".utf8) + [UInt8](repeating: 0, count: 16)

  @Test("The stream with the most packets is replayed, with its sizes, times and frames")
  func replay() throws {
    var bytes = Self.header
    bytes += Self.entry(milliseconds: 0, source: 1, timestamp: 100, marker: false, byteCount: 1000)
    bytes += Self.entry(milliseconds: 1, source: 2, timestamp: 5, marker: false, byteCount: 90)
    bytes += Self.entry(milliseconds: 2, source: 1, timestamp: 100, marker: true, byteCount: 1001)
    bytes += Self.entry(milliseconds: 40, source: 1, timestamp: 3100, marker: true, byteCount: 500)
    let dump = try RTPDump(parsing: bytes)
    #expect(dump.packets.count == 3)
    var traffic = ReplayTraffic(dump, startingAt: .zero)
    let packets = (0..<4).map { _ in traffic.take() }
    #expect(packets.map(\.byteCount) == [1016, 1017, 516, 1016])
    #expect(packets.map(\.startsFrame) == [true, false, true, true])
    #expect(packets.map(\.endsFrame) == [false, true, true, false])
    #expect(packets.map(\.isKeyframe) == [true, false, false, true])
    #expect(packets[2].timestamp - packets[0].timestamp == UInt32(3000))
    // The second round begins a frame's time after the last packet.
    #expect(packets[3].due == .milliseconds(73))
  }

  @Test("RTCP and what is no RTP are passed over")
  func others() throws {
    var bytes = Self.header
    bytes += Self.entry(milliseconds: 0, source: 1, timestamp: 1, marker: false, byteCount: 0)
    bytes += Self.entry(milliseconds: 1, source: 7, timestamp: 1, marker: true, byteCount: 300)
    #expect(try RTPDump(parsing: bytes).packets.count == 1)
  }

  @Test("A dump that ends anywhere is refused or read to a whole packet, and never traps")
  func truncated() {
    let bytes = Self.header + Self.entry(milliseconds: 0, source: 1, timestamp: 100, marker: true, byteCount: 1000)
    for count in 0..<bytes.count { #expect(throws: LoadError.self) { try RTPDump(parsing: Array(bytes.prefix(count))) } }
  }
}
