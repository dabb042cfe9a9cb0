// What the README shows, compiled and run.

import Enfilade
import EnfiladeTestSupport
import Foundation
import Synchronization
import Testing

@Suite("Embedding")
struct EmbeddingTests {
  @Test("The embedding that the README shows compiles, and answers a browser's offer")
  func readme() async throws {
    let sdp = try Recorded.chromium
    let told = Mutex<[String]>([])
    @Sendable func tell(_ subscriber: ParticipantID, _ text: String) { told.withLock { $0.append(text) } }

    let engine = try await Engine(.init(udpPort: 0, announcedAddresses: ["203.0.113.7"]))
    let room = try await engine.room("standup")

    let reader = Task {
      for await event in room.events {
        switch event {
        case .participantJoined(_, let name): print("\(name) is here")
        case .receiversWanted(let subscriber, let audio, let video):
          // Tell that client to add so many receiving sections and to offer again.
          tell(subscriber, "offer again with \(audio) more for sound and \(video) more for pictures")
        case .slotChanged(let subscriber, let mid, let publication):
          tell(subscriber, "section \(mid) now shows \(publication?.participantName ?? "nobody")")
        default: break
        }
      }
    }

    // For each client, with the offer it sent you; again whenever it offers again.
    let guest = try await room.join(name: "guest")
    let answer = try await guest.answer(offer: sdp)

    #expect(answer.hasPrefix("v=0\r\n"))
    #expect(answer.values("m=").count == sdp.values("m=").count)
    #expect(answer.contains("203.0.113.7"))
    #expect(answer.values("a=ice-lite").count == 1)
    #expect(await guest.publications.isEmpty)
    await engine.shutdown()
    await reader.value
  }

  @Test("What the README says of an embedding is what is compiled here")
  func readmeIsThisText() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    let here = try String(contentsOfFile: #filePath, encoding: .utf8)
    let start = try #require(readme.range(of: "```swift\nimport Enfilade\n"))
    let end = try #require(readme.range(of: "```", range: start.upperBound..<readme.endIndex))
    let compiled = Set(here.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) })
    for line in readme[start.upperBound..<end.lowerBound].split(separator: "\n") {
      var text = line.trimmingCharacters(in: .whitespaces)
      // The port of a test is a free one, and its reader is waited for.
      text = text.replacingOccurrences(of: "udpPort: 5000", with: "udpPort: 0")
      if text == "Task {" { text = "let reader = Task {" }
      #expect(compiled.contains(text), "the README says: \(line)")
    }
  }

  @Test("A room is found by its name, goes when it is closed, and may be opened again")
  func rooms() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("a")
    #expect(try await engine.room("a") === room)
    #expect(await engine.existingRoom("b") == nil)
    _ = try await engine.room("b")
    #expect(await engine.rooms.map(\.name) == ["a", "b"])
    let log = EventLog(room)
    let guest = try await room.join(name: "guest")
    #expect(await room.participants.map(\.name) == ["guest"])
    #expect(await room.participant(guest.id)?.name == "guest")
    await room.close()
    #expect(await engine.rooms.map(\.name) == ["b"])
    #expect(await room.participants.isEmpty)
    await #expect(throws: RoomError.self) { try await room.join(name: "late") }
    await eventually("the log ends") { log.isOver }
    #expect(log.words == ["joined guest", "left roomClosed", "closed asked(nil)"])
    await room.close()
    #expect(try await engine.room("a") !== room)
    await engine.shutdown()
    await engine.shutdown()
  }

  @Test("Clients are told where to send: the announced addresses, with the shard's port or their own")
  func candidates() async throws {
    let engine = try await Engine(
      .init(
        udpPort: 0, announcedAddresses: ["203.0.113.7", "[2001:db8::7]:6000", "198.51.100.1:7000"], bindAddress: "127.0.0.1", shards: 2))
    let texts = engine.candidates
    #expect(texts.count == 6)
    #expect(texts[0].hasPrefix("203.0.113.7:"))
    #expect(texts[1] == "[2001:db8::7]:6000")
    #expect(texts[2] == "198.51.100.1:7000")
    let ports = Set(texts.filter { $0.hasPrefix("203.0.113.7:") })
    #expect(ports.count == 2)
    await engine.shutdown()
  }
}
