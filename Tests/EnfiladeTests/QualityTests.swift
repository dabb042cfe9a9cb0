// What an application sees of a downlink, through the public face and real sockets.

import Enfilade
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Connection quality", .serialized)
struct QualityTests {
  @Test("A client that reports has an estimate, a round trip, and a picture with a reason")
  func quality() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("quality")
    let log = EventLog(room)
    let alice = try await Guest.join(room, "alice", [(.audio, .sendonly), (.video, .sendonly)])
    let bob = try await Guest.join(room, "bob", [(.audio, .recvonly), (.video, .recvonly)])
    let clients = [alice.client, bob.client]
    await eventually("both connect", clients) { clients.allSatisfy(\.isConnected) }
    alice.client.isSending = true
    // 800 kbit/s are more than anybody begins with: a probe has to show them first.
    await eventually("the picture is there", clients) { bob.client.packets(on: "1").count > 100 }
    await eventually("and all is well", clients) {
      guard let quality = await bob.participant.connectionQuality(), let video = quality.allocations.first else { return false }
      return video.reason == .satisfied && quality.availableOutgoingBitrate > 800_000
    }
    let quality = try #require(await bob.participant.connectionQuality())
    #expect(quality.currentRoundTripTime > .zero)
    #expect(quality.currentRoundTripTime < .seconds(2))
    #expect(quality.fractionLost >= 0)
    #expect(quality.allocations.map(\.mid) == ["1"])
    #expect(quality.allocations.first?.publication == (await alice.participant.publications.first { $0.kind == .video }?.id))
    #expect(log.allocatedSections.contains("1"))

    try await bob.participant.setBandwidthPolicy(BandwidthPolicy(isAudioOnly: true))
    await eventually("no picture", clients) {
      await bob.participant.connectionQuality()?.allocations.first?.reason == .audioOnly
    }
    let count = bob.client.packets(on: "0").count
    await eventually("but sound", clients) { bob.client.packets(on: "0").count > count + 30 }

    // Whatever an application asks for has an answer.
    try await bob.participant.setConstraint(VideoConstraint(priority: .screenShare), mid: "1")
    try await bob.participant.setBandwidthPolicy(BandwidthPolicy(minimumDwell: .seconds(Int64.max), screenShareOversend: .max))
    await eventually("the picture again", clients) {
      await bob.participant.connectionQuality()?.allocations.first.map { $0.allocatedBitrate > 0 } ?? false
    }

    await bob.participant.leave()
    #expect(await bob.participant.connectionQuality() == nil)
    let error = await #expect(throws: RoomError.self) { try await bob.participant.setBandwidthPolicy(BandwidthPolicy()) }
    #expect(error?.code == .left)
    await engine.shutdown()
  }
}
