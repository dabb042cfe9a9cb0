// Why a picture is what it is, as an application is told it: while it happens, and afterwards.

import Enfilade
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Decisions, told and read", .serialized)
struct DecisionEventTests {
  @Test("What is decided about a picture is an event, and stays readable", arguments: [1, 2])
  func decisions(shards: Int) async throws {
    let engine = try await loopbackEngine(shards: shards)
    let room = try await engine.room("decisions")
    let log = EventLog(room)
    let alice = try await Guest.join(room, "alice", [(.audio, .sendonly), (.video, .sendonly)])
    let bob = try await Guest.join(room, "bob", [(.audio, .recvonly), (.video, .recvonly)])
    let clients = [alice.client, bob.client]
    let id = bob.participant.id
    await eventually("both connect", clients) { clients.allSatisfy(\.isConnected) }
    alice.client.isSending = true
    await eventually("the picture is there, and bob's application is told that it is sent", clients) {
      bob.client.packets(on: "1").count > 20 && log.decisions(id, mid: "1").told.contains { $0.kind == .forwarding && $0.reason == .best }
    }
    #expect(log.decisions(id, mid: "1").told.contains { $0.kind == .wanted && $0.reason == .best })

    try await bob.participant.setConstraint(VideoConstraint(isPaused: true), mid: "1")
    await eventually("that it is paused", clients) {
      log.decisions(id, mid: "1").told.last.map { $0.kind == .stopped && $0.reason == .paused } ?? false
    }
    try await bob.participant.setConstraint(VideoConstraint(), mid: "1")
    await eventually("that a key frame is awaited, or came out of the history; and that it goes on", clients) {
      log.decisions(id, mid: "1").told.last.map { $0.kind == .forwarding } ?? false
    }

    // What was told is what can be read: the same decisions in the same order. They are told a little later than they can be read.
    let read = try await bob.participant.decisions(mid: "1")
    let words = read.map { "\($0.kind) \($0.reason) \(String(describing: $0.encoding))" }
    await eventually("what can be read is told", clients) {
      let told = log.decisions(id, mid: "1")
      let others = told.told.map { "\($0.kind) \($0.reason) \(String(describing: $0.encoding))" }
      return told.missed == 0 && others.count >= words.count && others.indices.contains { others[$0...].starts(with: words) }
    }
    #expect(!read.isEmpty)
    #expect(zip(read, read.dropFirst()).allSatisfy { $0.age >= $1.age } && read.allSatisfy { $0.age >= .zero })
    // Nothing is decided about sound, and nobody else was told of a picture.
    for case .layersDecided(let subscriber, let mid, _, _) in log.events { #expect(subscriber == id && mid == "1") }
    let error = await #expect(throws: RoomError.self) { try await bob.participant.decisions(mid: "0") }
    #expect(error?.code == .unknownSection)

    await alice.participant.leave()
    await eventually("that the sender is gone", clients) {
      log.decisions(id, mid: "1").told.last.map { $0.kind == .stopped } ?? false
    }
    await engine.shutdown()
  }
}
