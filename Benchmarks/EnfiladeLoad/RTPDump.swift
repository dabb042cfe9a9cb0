// Reads rtpdump files (rtptools): a recorded stream's sizes and times.

package import EnfiladeWire
import Foundation

/// The video of a recorded RTP session, as far as its shape goes.
package struct RTPDump: Hashable, Sendable {
  /// One recorded packet of the stream with the most packets.
  package struct Packet: Hashable, Sendable {
    package var offset: TimeDelta
    package var byteCount: Int
    package var marker: Bool
    package var timestamp: UInt32
  }

  package private(set) var packets: [Packet] = []
  /// SRTP's tag, which a dump of clear RTP does not have.
  package static let overheadByteCount = 16
  /// A minute of 10 Mbit/s.
  package static let packetLimit = 100_000

  /// Reads a dump of the binary form.
  package init(contentsOf path: String) throws(LoadError) {
    guard let data = FileManager.default.contents(atPath: path) else { throw .badDump("cannot read \(path)") }
    try self.init(parsing: [UInt8](data))
  }

  package init(parsing bytes: [UInt8]) throws(LoadError) {
    // One line of text ("#!rtpplay1.0 address/port"), then a header of 16 bytes.
    guard bytes.starts(with: Array("#!rtpplay1.0 ".utf8)), let end = bytes.firstIndex(of: 10), bytes.count >= end + 1 + 16 else {
      throw .badDump("no rtpdump header")
    }
    var reader = ByteReader(bytes.rawBytes)
    _ = reader.skip(end + 1 + 16)
    var bySource: [UInt32: [Packet]] = [:]
    var total = 0
    while !reader.isAtEnd {
      // Bytes of this entry with its header of eight, bytes of the original packet, milliseconds since the start.
      guard let length = reader.readUInt16(), let original = reader.readUInt16(), let milliseconds = reader.readUInt32(), length >= 8,
        let packet = reader.readBytes(Int(length) - 8)
      else { throw .badDump("it ends in the middle of a packet") }
      // An original length of zero marks RTCP.
      guard original >= 12, packet.byteCount >= 12, packet.byte(at: 0) >> 6 == 2 else { continue }
      total += 1
      guard total <= Self.packetLimit else { throw .badDump("more than \(Self.packetLimit) packets") }
      var fields = ByteReader(packet)
      guard fields.skip(4), let timestamp = fields.readUInt32(), let source = fields.readUInt32() else { continue }
      bySource[source, default: []].append(
        Packet(
          offset: .milliseconds(Int64(milliseconds)), byteCount: Int(original) + Self.overheadByteCount,
          marker: packet.byte(at: 1) & 0x80 != 0, timestamp: timestamp))
    }
    // The smallest source number breaks a tie, so that the same file is the same load.
    guard let most = bySource.max(by: { ($0.value.count, $1.key) < ($1.value.count, $0.key) }) else { throw .badDump("no RTP in it") }
    packets = most.value
  }

  /// From the first packet to where the first would come again.
  package var period: TimeDelta {
    guard let first = packets.first, let last = packets.last else { return .milliseconds(1) }
    return max(.milliseconds(1), last.offset - first.offset + .milliseconds(33))
  }
}

/// A dump's packets, over and over.
package struct ReplayTraffic: Sendable {
  private let dump: RTPDump
  private var position = 0
  private var roundStart: Instant
  private var timestampBase: UInt32 = 0
  private var startsFrame = true

  package init(_ dump: RTPDump, startingAt start: Instant) {
    self.dump = dump
    roundStart = start
  }

  package var nextDue: Instant { roundStart + (dump.packets[position].offset - dump.packets[0].offset) }

  package mutating func take() -> ScheduledPacket {
    let packet = dump.packets[position]
    let scheduled = ScheduledPacket(
      due: nextDue, byteCount: max(VideoTraffic.minimumPacketByteCount, min(packet.byteCount, Limits.datagramByteCount - 28)),
      startsFrame: startsFrame, endsFrame: packet.marker, isKeyframe: startsFrame && position == 0,
      timestamp: timestampBase &+ (packet.timestamp &- dump.packets[0].timestamp))
    startsFrame = packet.marker
    position += 1
    if position == dump.packets.count {
      position = 0
      startsFrame = true
      roundStart += dump.period
      timestampBase &+= UInt32(truncatingIfNeeded: dump.period.nanoseconds * 90_000 / 1_000_000_000)
    }
    return scheduled
  }

  package mutating func skip(to now: Instant) {
    if now - nextDue > .milliseconds(100) { roundStart += now - nextDue }
  }
}
