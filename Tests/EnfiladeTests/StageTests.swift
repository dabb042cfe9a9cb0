// Rooms larger than a screen: a few places, many publishers, no offer in between.

import Enfilade
import EnfiladeEngine
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Stages", .serialized)
struct StageTests {
  /// Five who publish, and one who has room for two pictures and two voices.
  private struct Hall {
    let engine: Engine
    let room: Room
    let log: EventLog
    var publishers: [Guest] = []
    let watcher: Guest
    var clients: [TestClient] { publishers.map(\.client) + [watcher.client] }

    init(shards: Int) async throws {
      engine = try await loopbackEngine(shards: shards)
      room = try await engine.room("hall")
      log = EventLog(room)
      for number in 0..<5 {
        publishers.append(
          try await Guest.join(room, "\(number)", subscribing: .nobody, [(.audio, .sendonly), (.video, .sendonly)]))
      }
      let sections: [(EnfiladeWire.MediaKind, MediaDirection)] = [
        (.audio, .recvonly), (.audio, .recvonly), (.video, .recvonly), (.video, .recvonly),
      ]
      let participant = try await room.join(name: "watcher")
      try await participant.setStage(
        Stage(pictures: [VideoConstraint(), VideoConstraint(maximumWidth: 320, maximumHeight: 180)], voices: 2))
      let client = try TestClient(name: "watcher")
      for (kind, direction) in sections { client.addSection(kind, direction) }
      watcher = Guest(participant: participant, client: client)
      try await watcher.negotiate()
      let clients = self.clients
      await eventually("all connect", clients) { clients.allSatisfy(\.isConnected) }
      for publisher in publishers {
        publisher.client.audioLevel = 127
        publisher.client.isSending = true
      }
      await eventually("everybody publishes, and the places are taken", clients) {
        log.words.count { $0.hasPrefix("started") } == 10 && (0..<4).allSatisfy { clients[5].packets(on: String($0)).count > 10 }
      }
    }

    /// Who is in each of the watcher's places.
    var places: [String: String] {
      var places: [String: String] = [:]
      for event in log.events {
        if case .slotChanged(watcher.participant.id, let mid, let publication) = event { places[mid] = publication?.participantName }
      }
      return places
    }

    func shows(_ number: Int, on mid: String) -> Bool {
      guard let packet = watcher.client.packets(on: mid).last, let tag = packet.tag else { return false }
      return ["0", "1"].contains { publishers[number].client.sentPayload(tag: tag, on: $0) != nil }
    }
  }

  @Test("Whoever speaks is shown and heard in the places there are, as one continuous stream, without an offer", arguments: [1, 2])
  func speakers(shards: Int) async throws {
    let hall = try await Hall(shards: shards)
    let clients = hall.clients
    // A screen of two pictures: those who came first.
    #expect(hall.places["2"] == "0" && hall.places["3"] == "1")
    #expect(!hall.log.words.contains { $0.hasPrefix("wanted") })
    for speaker in [4, 3, 2] {
      for publisher in hall.publishers { publisher.client.audioLevel = 127 }
      hall.publishers[speaker].client.audioLevel = 25
      await eventually("\(speaker) is the active speaker", clients) {
        hall.log.words.last { $0.hasPrefix("speaks") } == "speaks \(speaker)"
      }
      await eventually("and is shown first, and heard", clients) {
        hall.shows(speaker, on: "2") && (hall.shows(speaker, on: "0") || hall.shows(speaker, on: "1"))
      }
      #expect(hall.places["2"] == "\(speaker)")
    }
    // The last speaker but one has the second place.
    #expect(hall.places["3"] == "3")
    for mid in ["0", "1", "2", "3"] {
      let packets = hall.watcher.client.packets(on: mid)
      for (one, next) in zip(packets, packets.dropFirst()) where next.index.rawValue != one.index.rawValue + 1 {
        Issue.record("a gap of \(next.index.rawValue - one.index.rawValue) on \(mid)")
      }
    }
    #expect(!hall.log.words.contains { $0.hasPrefix("wanted") })
    await hall.engine.shutdown()
  }

  @Test("Pins come first, screens second; what is chosen by hand stays; a stage that grows asks for sections")
  func order() async throws {
    let hall = try await Hall(shards: 1)
    let clients = hall.clients
    let watcher = hall.watcher.participant
    try await watcher.setStage(
      Stage(pictures: [VideoConstraint(), VideoConstraint()], voices: 2, pinned: [hall.publishers[3].participant.id]))
    await eventually("who is pinned is shown", clients) { Set([hall.places["2"], hall.places["3"]]) == ["3", "0"] }
    let screen = hall.publishers[4]
    try screen.client.accept(
      try await screen.participant.answer(offer: try screen.client.offer(), describing: ["1": .init(purpose: .screen)]))
    await eventually("so is the screen", clients) { Set([hall.places["2"], hall.places["3"]]) == ["3", "4"] }
    let picture = try #require(await hall.publishers[1].participant.publications.first { $0.kind == .video })
    try await watcher.choose(picture.id, mid: "3")
    await eventually("what was chosen is shown", clients) { hall.places["3"] == "1" && hall.places["2"] == "3" && hall.shows(1, on: "3") }
    try await watcher.choose(nil, mid: "3")
    await eventually("the room decides again", clients) { hall.places["3"] == "4" }
    await #expect { try await watcher.choose(picture.id, mid: "0") } throws: { ($0 as? RoomError)?.code == .unknownPublication }
    await #expect { try await watcher.choose(picture.id, mid: "9") } throws: { ($0 as? RoomError)?.code == .unknownSection }
    await hall.publishers[4].participant.leave()
    await eventually("a place that is free is taken", clients) { Set([hall.places["2"], hall.places["3"]]) == ["3", "0"] }
    try await watcher.setStage(Stage(pictures: [VideoConstraint](repeating: VideoConstraint(), count: 4), voices: 3))
    await eventually("sections are asked for", clients) { hall.log.contains("wanted 1 2") }
    try await watcher.setStage(Stage(pictures: [], voices: 0))
    await eventually("nothing is shown or heard", clients) { hall.places.isEmpty }
    try await watcher.setStage(nil)
    await eventually("everything is wanted again", clients) { hall.log.contains("wanted 2 2") }
    await hall.engine.shutdown()
  }
}
