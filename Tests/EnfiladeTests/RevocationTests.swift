// What was taken away is gone when the call returns: over real sockets, on one shard and on two.

import Enfilade
import EnfiladeEngine
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Revocation over sockets", .serialized)
struct RevocationTests {
  /// Three who see and hear one another.
  private struct Meeting {
    let engine: Engine
    let room: Room
    var guests: [Guest] = []
    var clients: [TestClient] { guests.map(\.client) }

    init(shards: Int) async throws {
      engine = try await loopbackEngine(shards: shards)
      room = try await engine.room("meeting")
      for name in ["a", "b", "c"] {
        guests.append(
          try await Guest.join(
            room, name, identity: name, [(.audio, .sendrecv), (.video, .sendrecv), (.audio, .recvonly), (.video, .recvonly)]))
      }
      let clients = self.clients
      await eventually("all connect", clients) { clients.allSatisfy(\.isConnected) }
      for client in clients { client.isSending = true }
      await eventually("all see all", clients) {
        clients.allSatisfy { client in (0..<4).allSatisfy { client.packets(on: String($0)).count > 20 } }
      }
    }

    /// How many packets of what `publisher` sends in a section have come to the others.
    func count(of publisher: Int, mid: String) -> Int {
      var count = 0
      for (index, guest) in guests.enumerated() where index != publisher {
        for packets in guest.client.received.values {
          count += packets.count { packet in
            packet.tag.map { clients[publisher].sentPayload(tag: $0, on: mid) != nil } ?? false
          }
        }
      }
      return count
    }

    func pump(_ what: Comment = "the others go on") async {
      let clients = self.clients
      let before = clients[2].received.values.reduce(0) { $0 + $1.count }
      await eventually(what, clients) { clients[2].received.values.reduce(0) { $0 + $1.count } > before + 60 }
    }
  }

  @Test("After remove() not one packet from or to it passes, its transport is dead, and it does not come back", arguments: [1, 2])
  func remove(shards: Int) async throws {
    let meeting = try await Meeting(shards: shards)
    let gone = meeting.guests[0]
    try await meeting.room.remove(gone.participant.id, "out")
    // What the engine sent before is in the sockets: take it.
    for client in meeting.clients { client.pump() }
    let datagrams = gone.client.datagramCount
    let counts = ["0", "1"].map { meeting.count(of: 0, mid: $0) }
    await meeting.pump()
    #expect(gone.client.datagramCount == datagrams)
    #expect(["0", "1"].map { meeting.count(of: 0, mid: $0) } == counts)
    // Neither an offer, nor a restart, nor another join helps.
    await #expect { _ = try await gone.participant.answer(offer: try gone.client.offer()) } throws: {
      ($0 as? NegotiationError)?.code == .left
    }
    gone.client.restartICE()
    await #expect {
      _ = try await gone.participant.restartICE(
        fragment: "a=ice-ufrag:\(gone.client.ufrag)\r\na=ice-pwd:\(gone.client.password)\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n")
    } throws: { ($0 as? NegotiationError)?.code == .left }
    await #expect { _ = try await meeting.room.join(name: "a", identity: "a") } throws: { ($0 as? RoomError)?.code == .blocked }
    await meeting.pump("checks of the dead transport are not answered")
    #expect(gone.client.datagramCount == datagrams)
    await eventually("its link is gone") { await census(of: meeting.engine).links == 2 }
    await meeting.engine.shutdown()
  }

  @Test("After setMuted() not one packet of that publication is forwarded; unmuted it goes on", arguments: [1, 2])
  func mute(shards: Int) async throws {
    let meeting = try await Meeting(shards: shards)
    let publications = await meeting.guests[0].participant.publications
    let audio = try #require(publications.first { $0.kind == .audio })
    try await meeting.room.setMuted(true, audio.id, mayUnmute: false)
    for client in meeting.clients { client.pump() }
    let count = meeting.count(of: 0, mid: "0")
    await meeting.pump()
    #expect(meeting.count(of: 0, mid: "0") == count)
    #expect(await meeting.guests[0].participant.publications.first { $0.kind == .audio }?.isMuted == true)
    await #expect { try await meeting.guests[0].participant.unmute(audio.id) } throws: { ($0 as? RoomError)?.code == .notPermitted }
    await #expect { try await meeting.guests[1].participant.unmute(audio.id) } throws: { ($0 as? RoomError)?.code == .unknownPublication }
    try await meeting.room.setMuted(false, audio.id)
    let clients = meeting.clients
    await eventually("her sound is back", clients) { meeting.count(of: 0, mid: "0") > 0 && clients[1].packets(on: "0").count > 0 }
    // Everybody at once, one spared; and whoever may, takes it back.
    try await meeting.room.muteAll(except: [meeting.guests[1].participant.id])
    for client in meeting.clients { client.pump() }
    let muted = [0, 2].map { meeting.count(of: $0, mid: "0") }
    await meeting.pump()
    #expect([0, 2].allSatisfy { meeting.count(of: $0, mid: "0") <= muted[$0 / 2] })
    try await meeting.guests[2].participant.unmute(
      try #require(await meeting.guests[2].participant.publications.first { $0.kind == .audio }?.id))
    await eventually("who may unmute is heard", clients) { meeting.count(of: 2, mid: "0") > muted[1] }
    await meeting.engine.shutdown()
  }

  @Test("A right that is taken away ends what it allowed at once, and one that is given begins without an offer", arguments: [1, 2])
  func roles(shards: Int) async throws {
    let meeting = try await Meeting(shards: shards)
    let log = EventLog(meeting.room)
    let (alice, clients) = (meeting.guests[0], meeting.clients)
    try await meeting.room.setRole(Role(name: "voice", permissions: .publishAudio), of: alice.participant.id)
    for client in clients { client.pump() }
    let picture = meeting.count(of: 0, mid: "1")
    let heard = alice.client.received.values.reduce(0) { $0 + $1.count }
    await meeting.pump()
    #expect(meeting.count(of: 0, mid: "1") <= picture)
    #expect(alice.client.received.values.reduce(0) { $0 + $1.count } == heard)
    #expect(await alice.participant.publications.map(\.kind) == [.audio])
    await eventually("it is told") { log.contains("role voice") && log.contains("ended a video") }
    try await meeting.room.setRole(.member, of: alice.participant.id)
    await eventually("her picture is back, and she hears", clients) {
      log.contains("started a video VP8") && alice.client.received.values.reduce(0) { $0 + $1.count } > heard + 60
    }
    let before = clients[1].received.values.reduce(0) { $0 + $1.count }
    await eventually("it is forwarded", clients) { clients[1].received.values.reduce(0) { $0 + $1.count } > before + 60 }
    #expect(meeting.count(of: 0, mid: "1") > 0)
    await meeting.engine.shutdown()
  }

  @Test("What an application says of a section decides which right it needs, and is told to the others")
  func descriptions() async throws {
    let engine = try await loopbackEngine(shards: 1)
    let room = try await engine.room("a")
    let log = EventLog(room)
    let client = try TestClient(name: "a")
    for _ in 0..<2 { client.addSection(.video, .sendonly) }
    let participant = try await room.join(name: "a", role: Role(name: "presenter", permissions: [.publishVideo, .subscribe]))
    try client.accept(
      try await participant.answer(
        offer: try client.offer(), describing: ["1": .init(purpose: .screen), "0": .init(isEncrypted: true)]))
    await eventually("it connects", [client]) { client.isConnected }
    client.isSending = true
    await eventually("the camera is there", [client]) { await participant.publications.count == 1 }
    let camera = try #require(await participant.publications.first)
    #expect(camera.purpose == .camera && camera.isEncrypted && camera.mid == "0")
    try await room.setRole(.member, of: participant.id)
    await eventually("the screen, too", [client]) { await participant.publications.count == 2 }
    #expect(await participant.publications.last?.purpose == .screen)
    try client.accept(try await participant.answer(offer: try client.offer(), describing: ["0": .init(isEncrypted: false)]))
    #expect(await participant.publications.first?.isEncrypted == false)
    await eventually("it is told", [client]) { log.contains("changed a video") }
    // Not more than the room allows.
    for _ in 0..<15 { client.addSection(.audio, .sendonly) }
    await #expect { _ = try await participant.answer(offer: try client.offer()) } throws: {
      ($0 as? NegotiationError)?.code == .tooManyPublications
    }
    await engine.shutdown()
  }
}
