// The rules of a room: who comes in, who waits, who is kept out, and who decides it. No media: what revocation does to packets stands in
// RevocationTests.

import Enfilade
import EnfiladeTestSupport
import Testing

@Suite("Room rules")
struct RoomRuleTests {
  /// An engine with one room and its log.
  private static func room(_ configuration: Room.Configuration = .init()) async throws -> (engine: Engine, room: Room, log: EventLog) {
    let engine = try await loopbackEngine(shards: 1)
    let room = try await engine.room("a", configuration: configuration)
    return (engine, room, EventLog(room))
  }

  private static func refusal(_ body: () async throws(RoomError) -> Void) async -> RoomError? {
    do {
      try await body()
      return nil
    } catch {
      // A sentence that a person can read, and not only a name.
      #expect(error.reason.split(separator: " ").count > 3, "\(error.reason)")
      return error
    }
  }

  private static func refusal(joining room: Room, _ name: String, identity: String? = nil, role: Role = .member) async -> RoomError.Code? {
    await refusal { () async throws(RoomError) in _ = try await room.join(name: name, identity: identity, role: role) }?.code
  }

  @Test("A room takes as many as it has seats, and those who are hidden take none")
  func capacity() async throws {
    let (engine, room, _) = try await Self.room(.init(capacity: 2))
    let first = try await room.join(name: "1")
    _ = try await room.join(name: "recorder", role: .recorder)
    _ = try await room.join(name: "2")
    #expect(await Self.refusal(joining: room, "3") == .full)
    #expect(await Self.refusal(joining: room, "host", role: .host) == .full)
    _ = try await room.join(name: "another recorder", role: .recorder)
    await first.leave()
    _ = try await room.join(name: "3")
    try await room.configure { $0.capacity = 3 }
    _ = try await room.join(name: "4")
    #expect(await Self.refusal(joining: room, "5") == .full)
    #expect(await room.participants.count == 5)
    await engine.shutdown()
  }

  @Test("By default there are fifty seats")
  func fifty() async throws {
    let (engine, room, _) = try await Self.room()
    for number in 0..<50 { _ = try await room.join(name: "\(number)") }
    #expect(await Self.refusal(joining: room, "one too many") == .full)
    await engine.shutdown()
  }

  @Test("A locked room lets nobody new in but a host, and opens again")
  func lock() async throws {
    let (engine, room, log) = try await Self.room()
    try await room.setLocked(true)
    try await room.setLocked(true)
    #expect(await Self.refusal(joining: room, "late") == .locked)
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await room.knock(name: "late") }?.code == .locked)
    let host = try await room.join(name: "host", role: .host)
    try await room.setLocked(false, by: host.id)
    _ = try await room.join(name: "late")
    await eventually("it is told") { log.words == ["locked asked", "joined host", "opened asked", "joined late"] }
    await engine.shutdown()
  }

  @Test("Who knocks waits until admitted or denied; a host does not wait")
  func lobby() async throws {
    let (engine, room, log) = try await Self.room(.init(hasLobby: true))
    #expect(await Self.refusal(joining: room, "ada") == .lobby)
    let host = try await room.join(name: "host", role: .host)
    let ada = try await room.knock(name: "ada", identity: "ada")
    let bob = try await room.knock(name: "bob", identity: "bob")
    #expect(await room.knockers.map(\.name) == ["ada", "bob"])
    #expect(ada.isWaiting && bob.isWaiting)
    let waiting = Task { try await ada.participant() }
    let participant = try await room.admit(ada.id, by: host.id)
    #expect(participant.id == ada.id)
    #expect(try await waiting.value.id == ada.id)
    // Who asks late is told the same.
    #expect(try await ada.participant().name == "ada")
    try await room.deny(bob.id, by: host.id)
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await bob.participant() }?.code == .denied)
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await room.admit(bob.id) }?.code == .unknownParticipant)
    #expect(await Self.refusal { () async throws(RoomError) in try await room.deny(bob.id) }?.code == .unknownParticipant)
    let second = try await room.knock(name: "host 2", role: .host)
    #expect(!second.isWaiting)
    await eventually("it is told") {
      log.words == [
        "joined host", "knocked ada", "knocked bob", "joined ada", "knock ada admitted", "knock bob denied", "joined host 2",
      ]
    }
    await engine.shutdown()
  }

  @Test("The lobby is bounded: in number, in time, and to one knock for each identity")
  func lobbyBounds() async throws {
    let (engine, room, log) = try await Self.room(.init(hasLobby: true, lobbyCapacity: 2, lobbyTimeout: .milliseconds(300)))
    let first = try await room.knock(name: "ada 1", identity: "ada")
    let second = try await room.knock(name: "ada 2", identity: "ada")
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await first.participant() }?.code == .withdrawn)
    _ = try await room.knock(name: "bob")
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await room.knock(name: "cy") }?.code == .full)
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await second.participant() }?.code == .timedOut)
    await eventually("the other one, too") { await room.knockers.isEmpty }
    let cancelled = try await room.knock(name: "dee")
    let task = Task { try await cancelled.participant() }
    task.cancel()
    await eventually("it is withdrawn") { log.contains("knock dee withdrawn") }
    #expect(!cancelled.isWaiting)
    await engine.shutdown()
  }

  @Test("Whoever waits is let in when the lobby goes, and refused when the room closes")
  func lobbyEnds() async throws {
    let (engine, room, _) = try await Self.room(.init(capacity: 2, hasLobby: true))
    let knocks = [try await room.knock(name: "1"), try await room.knock(name: "2"), try await room.knock(name: "3")]
    try await room.configure { $0.hasLobby = false }
    #expect(try await knocks[0].participant().name == "1")
    #expect(try await knocks[1].participant().name == "2")
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await knocks[2].participant() }?.code == .full)
    try await room.configure { $0.hasLobby = true }
    let late = try await room.knock(name: "4")
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await room.admit(late.id) }?.code == .full)
    #expect(late.isWaiting)
    await room.close()
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await late.participant() }?.code == .closed)
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await room.knock(name: "5") }?.code == .closed)
    await engine.shutdown()
  }

  @Test("Nobody comes in before the host; who knocked comes in with it")
  func hostPresence() async throws {
    let (engine, room, log) = try await Self.room(.init(requiresHost: true))
    #expect(await Self.refusal(joining: room, "ada") == .hostAbsent)
    let knock = try await room.knock(name: "ada")
    let host = try await room.join(name: "host", role: .host)
    #expect(try await knock.participant().name == "ada")
    _ = try await room.join(name: "bob")
    await host.leave()
    #expect(await Self.refusal(joining: room, "cy") == .hostAbsent)
    #expect(await room.participants.count == 2)
    await eventually("it is told") { log.contains("knock ada admitted") }
    await engine.shutdown()
  }

  @Test("When the last host leaves, the room goes on, locks itself, or closes, as its rules say", arguments: [1, 2, 3])
  func hostDeparture(_ number: Int) async throws {
    let departure: Room.HostDeparture = number == 1 ? .nothing : number == 2 ? .lock : .close
    let (engine, room, log) = try await Self.room(.init(hostDeparture: departure))
    let hosts = [try await room.join(name: "1", role: .host), try await room.join(name: "2", role: .host)]
    _ = try await room.join(name: "ada")
    await hosts[0].leave()
    _ = try await room.join(name: "bob")
    await hosts[1].leave()
    switch departure {
    case .nothing: _ = try await room.join(name: "cy")
    case .lock:
      #expect(await Self.refusal(joining: room, "cy") == .locked)
      await eventually("it is told") { log.words.last == "locked hostLeft" }
    case .close:
      await eventually("the room is closed") { log.isOver }
      #expect(log.words.last == "closed hostLeft")
      #expect(await engine.existingRoom("a") == nil)
    }
    await engine.shutdown()
  }

  @Test("Who was removed stays out under its identity, and the room may lock itself")
  func removal() async throws {
    let (engine, room, log) = try await Self.room(.init(locksAfterRemoval: true))
    let host = try await room.join(name: "host", role: .host)
    let ada = try await room.join(name: "ada", identity: "ada")
    try await room.remove(ada.id, "not here", by: host.id)
    #expect(await Self.refusal(joining: room, "ada", identity: "ada") == .blocked)
    #expect(await Self.refusal(joining: room, "ada", identity: "ada", role: .host) == .blocked)
    #expect(await Self.refusal { () async throws(RoomError) in _ = try await room.knock(name: "ada", identity: "ada") }?.code == .blocked)
    #expect(await Self.refusal(joining: room, "bob") == .locked)
    #expect(await Self.refusal { () async throws(RoomError) in try await room.remove(ada.id) }?.code == .unknownParticipant)
    await #expect(throws: NegotiationError.self) { try await ada.answer(offer: try Recorded.chromium) }
    try await room.setLocked(false)
    try await room.unblock(identity: "ada")
    let again = try await room.join(name: "ada", identity: "ada")
    try await room.remove(again.id, blocking: false)
    try await room.setLocked(false)
    _ = try await room.join(name: "ada", identity: "ada")
    try await room.block(identity: "ada")
    #expect(await room.participants.map(\.name) == ["host"])
    await eventually("it is told") { log.contains("left removed(Optional(\"not here\"))") && log.contains("locked removal") }
    await engine.shutdown()
  }

  @Test("A second one of the same identity is refused, takes the first one's place, or is there beside it")
  func duplicates() async throws {
    let (engine, room, log) = try await Self.room(.init(capacity: 1, duplicates: .refuse))
    let first = try await room.join(name: "1", identity: "ada", role: .host)
    #expect(await Self.refusal(joining: room, "2", identity: "ada") == .duplicate)
    // In a full room, too: it takes the first one's seat, and a host who changes devices has not left.
    try await room.configure {
      $0.duplicates = .replace
      $0.hostDeparture = .close
    }
    let second = try await room.join(name: "2", identity: "ada", role: .host)
    #expect(await room.participants.map(\.id) == [second.id])
    #expect(await first.info == nil)
    try await room.configure {
      $0.duplicates = .allow
      $0.capacity = 2
    }
    _ = try await room.join(name: "3", identity: "ada")
    #expect(await room.participants.count == 2)
    await eventually("it is told") { log.contains("left replaced") }
    await engine.shutdown()
  }

  @Test("Only who may moderate decides about others, and the engine looks at every deed")
  func moderators() async throws {
    let (engine, room, _) = try await Self.room(.init(hasLobby: true))
    let host = try await room.join(name: "host", role: .host)
    let knock = try await room.knock(name: "ada")
    let ada = try await room.admit(knock.id)
    let other = try await room.knock(name: "bob")
    let deeds: [(ParticipantID) async throws -> Void] = [
      { try await room.admit(other.id, by: $0) }, { try await room.deny(other.id, by: $0) },
      { try await room.remove(host.id, by: $0) }, { try await room.block(identity: "x", by: $0) },
      { try await room.unblock(identity: "x", by: $0) }, { try await room.setRole(.host, of: ada.id, by: $0) },
      { try await room.muteAll(by: $0) }, { try await room.setMuted(true, PublicationID(rawValue: 1), by: $0) },
      { try await room.setLocked(true, by: $0) }, { try await room.configure(by: $0) { $0.capacity = 1 } },
      { try await room.close(by: $0) },
    ]
    for deed in deeds {
      await #expect { try await deed(ada.id) } throws: { ($0 as? RoomError)?.code == .notPermitted }
      await #expect { try await deed(ParticipantID(rawValue: "nobody")) } throws: { ($0 as? RoomError)?.code == .left }
    }
    try await room.setRole(.host, of: ada.id, by: host.id)
    try await room.setLocked(true, by: ada.id)
    try await room.setRole(.member, of: ada.id, by: host.id)
    await #expect { try await room.setLocked(false, by: ada.id) } throws: { ($0 as? RoomError)?.code == .notPermitted }
    try await room.close("good night", by: host.id)
    await #expect { try await room.setLocked(true) } throws: { ($0 as? RoomError)?.code == .closed }
    await engine.shutdown()
  }

  @Test("A room closes at the end of its lifetime, which may be moved")
  func lifetime() async throws {
    let (engine, room, log) = try await Self.room(.init(lifetime: .seconds(3600)))
    _ = try await room.join(name: "ada")
    try await room.configure { $0.lifetime = .milliseconds(200) }
    await eventually("the room is closed") { log.isOver }
    #expect(log.words.suffix(2) == ["left roomClosed", "closed expired"])
    let short = try await engine.room("b", configuration: .init(lifetime: .milliseconds(50)))
    await eventually("it is closed, too") { await engine.existingRoom("b") == nil }
    #expect(await Self.refusal(joining: short, "late") == .closed)
    await engine.shutdown()
  }

  @Test("Everybody may know when somebody records")
  func recording() async throws {
    let (engine, room, log) = try await Self.room(.init(isLocked: true, requiresHost: true))
    let one = try await room.join(name: "r1", role: .recorder)
    let two = try await room.join(name: "r2", role: .recorder)
    await one.leave()
    try await room.setRole(.viewer, of: two.id)
    await eventually("it is told") { log.words.filter { $0.hasPrefix("recorded") } == ["recorded true", "recorded false"] }
    await engine.shutdown()
  }
}
