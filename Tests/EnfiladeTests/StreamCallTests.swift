// Calls over TCP (RFC 6544, RFC 4571), with real sockets: IPv4 and IPv6, a peer that does not read, connections that prove nothing.

import Enfilade
import EnfiladeEngine
import EnfiladeIO
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Calls over TCP", .serialized)
struct StreamCallTests {
  private static let both: [(EnfiladeWire.MediaKind, MediaDirection)] = [(.audio, .sendrecv), (.video, .sendrecv)]

  private static func engine(_ bindAddress: String = "127.0.0.1", shards: Int = 2) async throws -> Engine {
    try await Engine(
      .init(udpPort: 0, tcpPort: 0, bindAddress: bindAddress, shards: shards, roomSpread: 0, includeLoopback: true, loadLimit: 10))
  }

  private static func guest(_ room: Room, _ name: String, usesTCP: Bool) async throws -> Guest {
    let client = try TestClient(name: name, usesTCP: usesTCP)
    for (kind, direction) in both { client.addSection(kind, direction) }
    let guest = Guest(participant: try await room.join(name: name), client: client)
    try await guest.negotiate()
    return guest
  }

  private static func streams(_ engine: Engine) async -> StreamCounters {
    await engine.snapshots().reduce(into: StreamCounters()) { $0 += $1.streams }
  }

  @Test("Two clients hear and see one another, one or both over TCP, over IPv4 and IPv6", arguments: ["127.0.0.1", "::1"], [true, false])
  func call(bindAddress: String, bothUseTCP: Bool) async throws {
    // The client's own socket for UDP is an IPv4 one.
    let usesTCP = bothUseTCP || bindAddress == "::1"
    let engine = try await Self.engine(bindAddress)
    #expect(engine.candidates.count == 4 && engine.candidates.suffix(2).allSatisfy { $0.hasSuffix("/tcp") })
    let room = try await engine.room("call")
    let guests = [try await Self.guest(room, "alice", usesTCP: true), try await Self.guest(room, "bob", usesTCP: usesTCP)]
    let clients = guests.map(\.client)
    await eventually("both connect", clients) { clients.allSatisfy(\.isConnected) }
    for client in clients { client.isSending = true }
    await eventually("both hear and see", clients) {
      clients.allSatisfy { $0.packets(on: "0").count > 100 && $0.packets(on: "1").count > 200 }
    }
    for (client, other) in [(clients[0], clients[1]), (clients[1], clients[0])] {
      for mid in ["0", "1"] {
        for packet in client.packets(on: mid).suffix(50) {
          let tag = try #require(packet.tag)
          #expect(packet.payload == other.sentPayload(tag: tag, on: mid))
        }
      }
      #expect(client.rejections.isEmpty)
    }
    let counters = await Self.streams(engine)
    #expect(counters.accepted == (usesTCP ? 2 : 1))
    #expect(counters.datagramsIn > 100 && counters.datagramsOut > 100)
    #expect(counters.droppedUrgent == 0 && counters.malformed == 0)
    // Who hangs up is gone from the table, and his port with him.
    clients[0].dropStream()
    let deadline = MonotonicClock.now + .seconds(Int64(5))
    while await Self.streams(engine).hungUp == 0, MonotonicClock.now < deadline { try await Task.sleep(for: .milliseconds(20)) }
    #expect(await Self.streams(engine).hungUp == 1)
    await engine.shutdown()
  }

  @Test("A client that stops reading loses video with a counter, and holds up nobody; removed, its connection is closed")
  func slowReader() async throws {
    let engine = try await Self.engine(shards: 1)
    let room = try await engine.room("call")
    let slow = try await Self.guest(room, "slow", usesTCP: true)
    let others = [try await Self.guest(room, "alice", usesTCP: false), try await Self.guest(room, "bob", usesTCP: true)]
    let clients = [slow.client] + others.map(\.client)
    await eventually("all connect", clients) { clients.allSatisfy(\.isConnected) }
    for client in clients { client.isSending = true }
    await eventually("bob sees", clients) { others[1].client.packets(on: "1").count > 50 }
    slow.client.isReading = false
    let before = others.map { $0.client.packets(on: "1").count }
    let start = MonotonicClock.now
    var counters = await Self.streams(engine)
    while counters.droppedVideo == 0, MonotonicClock.now - start < .seconds(Int64(60)) {
      for client in clients { client.pump() }
      try await Task.sleep(for: .milliseconds(2))
      counters = await Self.streams(engine)
    }
    print("slow reader: the first video was dropped after \((MonotonicClock.now - start).nanoseconds / 1_000_000) ms: \(counters)")
    #expect(counters.droppedVideo > 0 && counters.droppedUrgent == 0)
    #expect(zip(others, before).allSatisfy { $0.client.packets(on: "1").count > $1 })
    try await room.remove(slow.participant.id)
    let deadline = MonotonicClock.now + .seconds(Int64(5))
    while await Self.streams(engine).orphaned == 0, MonotonicClock.now < deadline { try await Task.sleep(for: .milliseconds(20)) }
    #expect(await Self.streams(engine).orphaned == 1)
    #expect(await engine.snapshots().first?.streamCount == 1)
    await engine.shutdown()
  }

  @Test("Connections that say nothing, or nonsense, or one byte at a time are ended, and a call goes on meanwhile")
  func strangers() async throws {
    let engine = try await Self.engine(shards: 1)
    let room = try await engine.room("call")
    let guests = [try await Self.guest(room, "alice", usesTCP: true), try await Self.guest(room, "bob", usesTCP: false)]
    let clients = guests.map(\.client)
    await eventually("both connect", clients) { clients.allSatisfy(\.isConnected) }
    for client in clients { client.isSending = true }
    let port = try #require(engine.candidates.last?.dropLast(4).split(separator: ":").last.flatMap { UInt16($0) })
    let address = SocketAddress(ipv4: 0x7F00_0001, port: port)
    // More than one address may have.
    var silent: [StreamSocket] = []
    for _ in 0..<100 { silent.append(try StreamSocket(connectingTo: address)) }
    let deadline = MonotonicClock.now + .seconds(Int64(10))
    while await Self.streams(engine).refusedPerAddress < 68, MonotonicClock.now < deadline { for client in clients { client.pump() } }
    let counters = await Self.streams(engine)
    print("strangers: \(counters)")
    #expect(counters.refusedPerAddress + counters.accepted == 101)
    #expect(counters.accepted == 33)
    for stranger in silent.prefix(10) {
      _ = [UInt8](repeating: 0xFF, count: 100).withUnsafeBytes { stranger.send($0) }
    }
    while await Self.streams(engine).malformed < 10, MonotonicClock.now < deadline { for client in clients { client.pump() } }
    #expect(await Self.streams(engine).malformed == 10)
    // The others go when their time is over, one byte a second or not.
    let start = MonotonicClock.now
    while await Self.streams(engine).unproved < 22, MonotonicClock.now - start < .seconds(Int64(15)) {
      for stranger in silent.dropFirst(10).prefix(5) { _ = [UInt8(0)].withUnsafeBytes { stranger.send($0) } }
      for client in clients { client.pump() }
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(await Self.streams(engine).unproved == 22)
    #expect(await engine.snapshots().first?.streamCount == 1)
    let seen = clients.map { $0.packets(on: "1").count }
    await eventually("the call goes on", clients) { zip(clients, seen).allSatisfy { $0.packets(on: "1").count > $1 + 30 } }
    await engine.shutdown()
  }
}
