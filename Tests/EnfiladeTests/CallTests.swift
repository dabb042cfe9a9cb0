// Real clients through a real engine on loopback: sockets, DTLS, SRTP, threads.

import Enfilade
import EnfiladeEngine
import EnfiladeIO
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Calls", .serialized)
struct CallTests {
  private static let both: [(EnfiladeWire.MediaKind, MediaDirection)] = [(.audio, .sendrecv), (.video, .sendrecv)]

  /// A room of two in which everything flows.
  private struct Call {
    let engine: Engine
    let room: Room
    let log: EventLog
    let alice: Guest
    let bob: Guest
    var clients: [TestClient] { [alice.client, bob.client] }

    init() async throws {
      engine = try await loopbackEngine()
      room = try await engine.room("call")
      log = EventLog(room)
      alice = try await Guest.join(room, "alice", CallTests.both)
      bob = try await Guest.join(room, "bob", CallTests.both)
      let clients = [alice.client, bob.client]
      await eventually("both connect", clients) { clients.allSatisfy(\.isConnected) }
      for client in clients { client.isSending = true }
      await eventually("both hear and see", clients) {
        clients.allSatisfy { $0.packets(on: "0").count > 20 && $0.packets(on: "1").count > 40 }
      }
    }

    /// Waits until so many more packets have come to everybody.
    func flow(_ what: Comment = "media flows", _ count: Int = 30) async {
      let before = clients.map { ($0.packets(on: "0").count, $0.packets(on: "1").count) }
      await eventually(what, clients) {
        zip(clients, before).allSatisfy { $0.packets(on: "0").count >= $1.0 + count && $0.packets(on: "1").count >= $1.1 + count }
      }
    }
  }

  @Test("Two clients hear and see one another: same payloads, contiguous numbers, nothing that does not open")
  func exchange() async throws {
    let call = try await Call()
    await call.flow("a while", 60)
    // The first comes up to a second and a half after the first packet (RFC 3550 §6.3).
    await eventually("both are told of the senders' clocks", call.clients) {
      call.clients.allSatisfy { $0.feedback.contains { if case .senderReport = $0 { true } else { false } } }
    }
    for (client, other) in [(call.alice.client, call.bob.client), (call.bob.client, call.alice.client)] {
      for mid in ["0", "1"] {
        let packets = client.packets(on: mid).suffix(50)
        for packet in packets {
          let tag = try #require(packet.tag)
          #expect(packet.payload == other.sentPayload(tag: tag, on: mid))
        }
      }
      #expect(client.rejections.isEmpty)
      #expect(client.feedback.contains { if case .transportFeedback = $0 { true } else { false } } == false)
    }
    for word in [
      "joined alice", "joined bob", "started alice audio opus", "started alice video VP8", "started bob audio opus",
      "started bob video VP8",
    ] {
      #expect(call.log.words.count { $0 == word } == 1, "\(word)")
    }
    #expect(call.log.words.count { $0 == "connection connected" } == 2)
    #expect(Set(await call.alice.participant.publications.map(\.kind)) == [.audio, .video])
    await call.engine.shutdown()
  }

  @Test("Each SRTP profile carries a call", arguments: SRTPProfile.negotiated)
  func profiles(profile: SRTPProfile) async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("call")
    let client = try TestClient(name: "alice", profiles: [profile])
    client.addSection(.audio, .sendonly)
    client.addSection(.video, .sendonly)
    let alice = Guest(participant: try await room.join(name: "alice"), client: client)
    try await alice.negotiate()
    let bob = try await Guest.join(room, "bob", [(.audio, .recvonly), (.video, .recvonly)])
    let clients = [client, bob.client]
    await eventually("both connect", clients) { clients.allSatisfy(\.isConnected) }
    client.isSending = true
    await eventually("bob gets both", clients) { bob.client.packets(on: "0").count > 20 && bob.client.packets(on: "1").count > 20 }
    #expect(bob.client.rejections.isEmpty)
    await engine.shutdown()
  }

  @Test("A publication is announced before anybody is shown it, and a slot is told what it shows")
  func eventOrder() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("call")
    let log = EventLog(room)
    let watcher = try await Guest.join(room, "watcher", [(.audio, .recvonly), (.video, .recvonly)])
    let alice = try await Guest.join(room, "alice", [(.audio, .sendonly), (.video, .sendonly)])
    let clients = [watcher.client, alice.client]
    await eventually("both connect", clients) { clients.allSatisfy(\.isConnected) }
    // Nobody has sent anything: there is nothing to show.
    #expect(!log.words.contains { $0.hasPrefix("started") || $0.hasPrefix("slot") })
    alice.client.isSending = true
    await eventually("the watcher gets both", clients) {
      !watcher.client.packets(on: "0").isEmpty && !watcher.client.packets(on: "1").isEmpty
    }
    await eventually("both are told") { log.contains("slot 0 alice audio") && log.contains("slot 1 alice video") }
    for (kind, mid, codec) in [("audio", "0", "opus"), ("video", "1", "VP8")] {
      let started = try #require(log.words.firstIndex(of: "started alice \(kind) \(codec)"))
      let shown = try #require(log.words.firstIndex(of: "slot \(mid) alice \(kind)"))
      #expect(started < shown)
    }
    await alice.participant.leave()
    await eventually("she is gone") { log.words.last == "left left" }
    let tail = log.words.suffix(5)
    #expect(Set(tail) == ["ended alice audio", "ended alice video", "slot 0 nothing", "slot 1 nothing", "left left"])
    await engine.shutdown()
  }

  @Test("Who has too few sections is told how many are missing, offers again, and is shown the rest")
  func receiversWanted() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("call")
    let log = EventLog(room)
    var publishers: [Guest] = []
    for name in ["a", "b", "c"] {
      publishers.append(try await Guest.join(room, name, subscribing: .nobody, [(.audio, .sendonly), (.video, .sendonly)]))
    }
    let watcher = try await Guest.join(room, "watcher", [(.audio, .recvonly)])
    let clients = publishers.map(\.client) + [watcher.client]
    await eventually("all connect", clients) { clients.allSatisfy(\.isConnected) }
    for publisher in publishers { publisher.client.isSending = true }
    await eventually("the room says what is missing", clients) { log.contains("wanted 2 3") }
    for _ in 0..<2 { watcher.client.addSection(.audio, .recvonly) }
    for _ in 0..<3 { watcher.client.addSection(.video, .recvonly) }
    try await watcher.negotiate()
    await eventually("everything is shown", clients) { (0..<6).allSatisfy { watcher.client.packets(on: String($0)).count > 10 } }
    await eventually("and told") { log.words.count { $0.hasPrefix("slot") } == 6 }
    // Each publication once.
    #expect(Set(log.words.filter { $0.hasPrefix("slot") }.map { $0.dropFirst(7) }).count == 6)
    // One leaves; its slots are free for the next who comes.
    await publishers[0].participant.leave()
    let late = try await Guest.join(room, "late", subscribing: .nobody, [(.audio, .sendonly), (.video, .sendonly)])
    late.client.isSending = true
    let all = clients + [late.client]
    await eventually("the late one is shown", all) {
      log.words.contains { $0.hasSuffix(" late audio") && $0.hasPrefix("slot") }
        && log.words.contains { $0.hasSuffix(" late video") && $0.hasPrefix("slot") }
    }
    await engine.shutdown()
  }

  @Test("Who watches one participant is shown nobody else")
  func onlyOne() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("call")
    let alice = try await Guest.join(room, "alice", subscribing: .nobody, [(.audio, .sendonly)])
    let bob = try await Guest.join(room, "bob", subscribing: .nobody, [(.audio, .sendonly)])
    let watcher = try await Guest.join(
      room, "watcher", subscribing: .only(bob.participant.id), [(.audio, .recvonly), (.audio, .recvonly)])
    let clients = [alice.client, bob.client, watcher.client]
    await eventually("all connect", clients) { clients.allSatisfy(\.isConnected) }
    for client in clients { client.isSending = true }
    await eventually("bob is heard", clients) { watcher.client.packets(on: "0").count > 50 }
    #expect(watcher.client.packets(on: "1").isEmpty)
    for packet in watcher.client.packets(on: "0").suffix(20) { #expect(bob.client.sentPayload(tag: packet.tag!, on: "0") != nil) }
    await engine.shutdown()
  }

  @Test("A key frame is asked of the publisher, and a lost packet comes again")
  func feedback() async throws {
    let call = try await Call()
    let (alice, bob) = (call.alice.client, call.bob.client)
    let keyframes = bob.keyframeCounts["1", default: 0]
    await eventually("another key frame", call.clients) {
      alice.sendPictureLoss(on: "1")
      return bob.keyframeCounts["1", default: 0] > keyframes
    }
    let wanted = try #require(alice.packets(on: "1").last)
    await eventually("it comes again", call.clients) {
      if alice.retransmissions(on: "1").isEmpty { alice.sendNACK([wanted.rtp.sequence], on: "1") }
      return !alice.retransmissions(on: "1").isEmpty
    }
    let answer = try #require(alice.retransmissions(on: "1").first)
    #expect(answer.originalSequence == wanted.rtp.sequence)
    #expect(answer.payload == wanted.payload)
    #expect(answer.rtp.timestamp == wanted.rtp.timestamp)
    await call.engine.shutdown()
  }

  @Test("When leave() returns, nothing more of that participant passes, in either direction")
  func leave() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("call")
    let log = EventLog(room)
    var guests: [Guest] = []
    for name in ["a", "b", "c"] {
      guests.append(try await Guest.join(room, name, [(.audio, .sendrecv), (.video, .sendrecv), (.audio, .recvonly), (.video, .recvonly)]))
    }
    let clients = guests.map(\.client)
    await eventually("all connect", clients) { clients.allSatisfy(\.isConnected) }
    for client in clients { client.isSending = true }
    await eventually("all see all", clients) {
      clients.allSatisfy { client in (0..<4).allSatisfy { client.packets(on: String($0)).count > 20 } }
    }
    await guests[0].participant.leave()
    // What the engine sent before is in the sockets: take it.
    for client in clients { client.pump() }
    let gone = clients[0].datagramCount
    let received = clients[1].received.mapValues(\.count)
    let mine = clients[2].sections.filter { $0.direction.sends }.map(\.mid)
    await eventually("the others go on", clients) {
      clients[1].received.contains { source, packets in
        packets.count > received[source, default: 0] + 50
          && mine.contains { mid in packets.last!.tag.map { clients[2].sentPayload(tag: $0, on: mid) != nil } ?? false }
      }
    }
    #expect(clients[0].datagramCount == gone)
    for (source, packets) in clients[1].received {
      for packet in packets.dropFirst(received[source, default: 0]) {
        // An empty one stands in the number of one that was not sent any more.
        guard let tag = packet.tag else { #expect(packet.payload.isEmpty); continue }
        #expect(["0", "1"].allSatisfy { clients[0].sentPayload(tag: tag, on: $0) == nil })
      }
    }
    await eventually("it is told") { log.words.last == "left left" }
    await eventually("its link is gone") { await census(of: engine).links == 2 }
    await engine.shutdown()
  }

  @Test("A client that closes its connection has left")
  func clientCloses() async throws {
    let call = try await Call()
    call.alice.client.isSending = false
    call.alice.client.close()
    await eventually("alice has left", [call.bob.client]) { call.log.contains("left left") }
    #expect(await call.room.participants.map(\.name) == ["bob"])
    await call.engine.shutdown()
  }

  @Test("A room that is closed sends everybody out and ends its events; the engine goes on")
  func close() async throws {
    let call = try await Call()
    await call.room.close()
    await eventually("the events end", call.clients) { call.log.isOver }
    #expect(call.log.words.count { $0 == "left roomClosed" } == 2)
    // Shards take out by themselves what they keep for each other.
    await emptied(call.engine)
    _ = try await call.engine.room("another")
    await call.engine.shutdown()
  }

  @Test("Shutdown in the middle of a call ends everything and gives the port back")
  func shutdown() async throws {
    let call = try await Call()
    let port = try #require(call.engine.candidates.first?.split(separator: ":").last.flatMap { UInt16($0) })
    await call.engine.shutdown()
    await eventually("the events end") { call.log.isOver }
    #expect(await call.engine.snapshots().isEmpty)
    _ = try UDPSocket(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: port))
  }

  @Test("ICE restarts by an offer and by a fragment keep media flowing")
  func restarts() async throws {
    let call = try await Call()
    let sources = call.alice.client.sections.map(\.remoteSource)
    for round in 0..<3 {
      call.alice.client.restartICE()
      try await call.alice.negotiate()
      await call.flow("media after restart \(round) by offer")
      let client = call.bob.client
      client.restartICE()
      let fragment = try await call.bob.participant.restartICE(
        fragment: "a=ice-ufrag:\(client.ufrag)\r\na=ice-pwd:\(client.password)\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n")
      try client.acceptFragment(fragment)
      await call.flow("media after restart \(round) by fragment")
    }
    #expect(call.alice.client.sections.map(\.remoteSource) == sources)
    #expect(call.log.words.count { $0 == "connection connected" } == 2)
    await eventually("one fragment for each is left") { await census(of: call.engine).fragments == 2 }
    #expect(await call.engine.snapshots().allSatisfy { $0.drops[.authenticationFailed] == 0 })
    await call.engine.shutdown()
  }

  @Test("A direction that changes stops and starts what it names, and nothing else")
  func directionChanges() async throws {
    let call = try await Call()
    let alice = call.alice.client
    alice.setDirection(.recvonly, of: "1")
    try await call.alice.negotiate()
    await eventually("her picture has ended", call.clients) { call.log.contains("ended alice video") }
    let sound = call.bob.client.packets(on: "0").count
    await eventually("her sound goes on", call.clients) { call.bob.client.packets(on: "0").count > sound + 30 }
    alice.setDirection(.sendrecv, of: "1")
    try await call.alice.negotiate()
    await eventually("her picture is back", call.clients) { call.log.words.count { $0 == "started alice video VP8" } == 2 }
    await call.flow("everything flows")
    await call.engine.shutdown()
  }

  @Test("Rooms do not hear one another, on one shard and on two", arguments: [1, 2])
  func rooms(shards: Int) async throws {
    let engine = try await loopbackEngine(shards: shards)
    var guests: [Guest] = []
    for name in ["one", "two"] {
      let room = try await engine.room(name)
      guests.append(try await Guest.join(room, "\(name)-a", Self.both))
      guests.append(try await Guest.join(room, "\(name)-b", Self.both))
    }
    let clients = guests.map(\.client)
    await eventually("all connect", clients) { clients.allSatisfy(\.isConnected) }
    for client in clients { client.isSending = true }
    await eventually("all hear", clients) { clients.allSatisfy { $0.packets(on: "0").count > 30 && $0.packets(on: "1").count > 30 } }
    for (client, other) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
      for packet in clients[client].packets(on: "0").suffix(20) {
        #expect(clients[other].sentPayload(tag: packet.tag!, on: "0") != nil)
      }
    }
    let snapshots = await engine.snapshots()
    #expect(snapshots.count == shards)
    #expect(snapshots.map(\.census.links).reduce(0, +) == 4)
    await engine.shutdown()
  }
}
