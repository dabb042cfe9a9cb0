// The flood over real sockets: strangers, and nonsense under a client's own address, while two clients talk.

import Enfilade
import EnfiladeEngine
import EnfiladeIO
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Flood over sockets", .serialized)
struct SocketFloodTests {
  private static let count = 10_000
  private static let kinds = ["stun", "dtls", "rtp", "rtcp", "truncated", "flipped", "unknown"]

  private static func noise(_ count: Int, using random: inout SeededRandom) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  private static func make(_ kind: String, sample: [UInt8], using random: inout SeededRandom) -> [UInt8] {
    let size = Int(random.next() % 200)
    switch kind {
    case "stun":
      let body = noise(size & ~3, using: &random)
      return [0, 1] + big(UInt64(body.count), 2) + [0x21, 0x12, 0xA4, 0x42] + noise(12, using: &random) + body
    case "dtls": return [UInt8.random(in: 20...63, using: &random)] + noise(size, using: &random)
    case "rtp":
      return [UInt8.random(in: 128...191, using: &random), UInt8.random(in: 0...127, using: &random)] + noise(size, using: &random)
    case "rtcp":
      return [UInt8.random(in: 128...191, using: &random), UInt8.random(in: 192...223, using: &random)] + noise(size, using: &random)
    case "truncated": return Array(sample.prefix(1 + Int(random.next() % UInt64(sample.count - 1))))
    case "flipped":
      var bytes = sample
      let bit = Int(random.next() % UInt64(bytes.count * 8))
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      return bytes
    default: return [UInt8.random(in: 192...255, using: &random)] + noise(size, using: &random)
    }
  }

  private static func dropped(_ engine: Engine) async -> UInt64 {
    await engine.snapshots().reduce(0) { $0 + $1.drops.nonZero.reduce(0) { $0 + $1.count } }
  }

  @Test("Ten thousand of each kind, from strangers and under a client's address, harm neither memory nor call")
  func flood() async throws {
    let engine = try await loopbackEngine(shards: 1)
    let room = try await engine.room("call")
    let sections: [(EnfiladeWire.MediaKind, MediaDirection)] = [(.audio, .sendrecv), (.video, .sendrecv)]
    let guests = [try await Guest.join(room, "alice", sections), try await Guest.join(room, "bob", sections)]
    let clients = guests.map(\.client)
    await eventually("both connect", clients) { clients.allSatisfy(\.isConnected) }
    for client in clients { client.isSending = true }
    await eventually("both see", clients) { clients.allSatisfy { $0.packets(on: "0").count > 20 && $0.packets(on: "1").count > 20 } }
    let port = try #require(engine.candidates.first?.split(separator: ":").last.flatMap { UInt16($0) })
    let destination = SocketAddress(ipv4: 0x7F00_0001, port: port)
    let stranger = try UDPSocket(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: 0))
    let before = try #require(await engine.snapshots().first)
    let droppedBefore = await Self.dropped(engine)
    var random = SeededRandom(seed: 5)
    for kind in Self.kinds {
      for isStranger in [true, false] {
        for number in 0..<Self.count {
          let client = clients[number % 2]
          let sample = client.sealedSample(of: number % 4 < 2 ? "0" : "1") ?? [0x80, 111]
          let bytes = Self.make(kind, sample: sample, using: &random)
          if isStranger {
            var copy = bytes
            copy.withUnsafeMutableBytes { buffer in
              var datagram = OutgoingDatagram(base: buffer.baseAddress!, byteCount: buffer.count, to: destination)
              withUnsafePointer(to: &datagram) { _ = stranger.send(UnsafeBufferPointer(start: $0, count: 1)) }
            }
          } else {
            client.sendRaw(bytes)
          }
          guard number % 100 == 99 else { continue }
          // Between two snapshots the shard has emptied its socket.
          _ = await engine.snapshots()
          _ = await engine.snapshots()
          for client in clients { client.pump() }
        }
      }
    }
    let after = try #require(await engine.snapshots().first)
    // What looks like a handshake under a client's own address is the handshake's to drop; a few of the damaged ones look so, too.
    let counted = UInt64((Self.kinds.count * 2 - 1) * Self.count)
    let dropped = await Self.dropped(engine) - droppedBefore
    #expect(dropped >= counted * 98 / 100, "\(dropped) of \(counted)")
    #expect(after.census.links == 2)
    #expect(after.census.addresses == before.census.addresses)
    #expect(after.census.fragments == before.census.fragments)
    #expect(after.census.inboundStreams == before.census.inboundStreams)
    #expect(after.census.leasedSlots <= 2 * (Limits.audioHistoryPacketCount + Limits.videoHistoryPacketCount))
    let counts = clients.map { ($0.packets(on: "0").count, $0.packets(on: "1").count) }
    await eventually("they still hear and see", clients) {
      zip(clients, counts).allSatisfy { $0.packets(on: "0").count > $1.0 + 50 && $0.packets(on: "1").count > $1.1 + 50 }
    }
    #expect(await room.participants.count == 2)
    await engine.shutdown()
  }
}
