// Sound that is handed to the application, through a real engine on loopback: a telephone's and a client's tones, and the mixture of both.

import Enfilade
import EnfiladeEngine
import EnfiladeIO
import EnfiladeMixing
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Foundation
import Synchronization
import Testing

/// Takes what a tap gives.
private final class TapLog: Sendable {
  private struct State {
    var elements: [TapElement] = []
    var isOver = false
  }
  private let state = Mutex(State())
  let tap: SoundTap

  init(_ tap: SoundTap) {
    self.tap = tap
    Task { [self] in
      for await element in tap { state.withLock { $0.elements.append(element) } }
      state.withLock { $0.isOver = true }
    }
  }

  var elements: [TapElement] { state.withLock { $0.elements } }
  var isOver: Bool { state.withLock { $0.isOver } }
  var sounds: [TappedSound] { elements.compactMap { if case .sound(let sound) = $0 { sound } else { nil } } }
  /// The last two seconds.
  var recent: [Float] { sounds.suffix(100).flatMap(\.samples) }
}

@Suite("Taps over sockets", .serialized)
struct SoundTapTests {
  private static func pump(_ telephone: Telephone, _ guest: Guest, until condition: () -> Bool) async throws {
    let end = MonotonicClock.now + .seconds(Int64(30))
    while !condition() {
      guard MonotonicClock.now < end else {
        Issue.record("not within thirty seconds")
        return
      }
      try telephone.pump()
      guest.client.pump()
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  @Test("A telephone's tone is on its tap and a client's on his, however quiet; on the mixture's are both")
  func tones() async throws {
    let engine = try await loopbackEngine()
    let room = try await engine.room("call")
    // Only one is heard in the mixture, and that is not the telephone.
    await room.setMixing(MixConfiguration(speakers: 1))
    let log = EventLog(room)
    let guest = try await Guest.join(room, "guest", [(.audio, .sendonly)])
    let telephone = try Telephone(.pcma, 8, frequency: 700, amplitude: 0.02)
    let transport = try await room.join(
      name: "telephone", over: .init(latching: .first, media: [.init(.audio, [.init(.pcma, payloadType: 8)])]))
    telephone.destination = SocketAddress(ipv4: 0x7F00_0001, port: UInt16(transport.port))
    await eventually("the guest connects", [guest.client]) { guest.client.isConnected }
    try MixingTests.speak(guest.client, 440)
    try await Self.pump(telephone, guest) { log.words.count { $0.hasPrefix("started") } == 2 }
    print("tap: \(log.words)")
    let own = try #require(await guest.participant.publications.first)
    let called = try #require(await transport.participant.publications.first)
    let taps = [
      TapLog(try await room.tap(called.id)), TapLog(try await room.tap(own.id)), TapLog(try await room.tap()),
    ]
    try await Self.pump(telephone, guest) { taps.allSatisfy { $0.sounds.count > 200 } }
    let names = ["the telephone", "the guest", "the mixture"]
    let levels = taps.map { tap in [440.0, 700].map { MixingTests.level($0, in: tap.recent) } }
    for (name, level) in zip(names, levels) { print("tap of \(name): 440 Hz at \(level[0]) dB, 700 Hz at \(level[1]) dB") }
    #expect(levels[0][0] < -60 && abs(levels[0][1] - -34) < 3)
    #expect(abs(levels[1][0] - -14) < 3 && levels[1][1] < -60)
    #expect(abs(levels[2][0] - -14) < 3 && levels[2][1] < -60)
    // A machine that halts who speaks makes a block of silence, in which nobody is named; what is louder has its name, and nobody else's.
    for (number, tap) in taps.enumerated() {
      let (id, amplitude): (PublicationID, Float) = number == 0 ? (called.id, 0.02) : (own.id, 0.2)
      var loud: [TappedSound] = []
      for sound in tap.sounds {
        let energy: Float = sound.samples.reduce(0) { $0 + $1 * $1 }
        if energy > amplitude * amplitude * 120 { loud.append(sound) }
      }
      #expect(loud.count > 100)
      #expect(loud.suffix(100).allSatisfy { $0.speakers == [id] && $0.samples.count == 960 && $0.channelCount == 1 })
    }
    for tap in taps {
      #expect(tap.tap.missedCount == 0 && tap.sounds.allSatisfy { $0.missed == 0 })
      for (one, next) in zip(tap.sounds, tap.sounds.dropFirst()) { #expect(next.mediaTime > one.mediaTime) }
    }

    // Muted by the room, nothing of it comes, not even what had come before.
    try await room.setMuted(true, called.id)
    let (count, other) = (taps[0].elements.count, taps[1].sounds.count)
    try await Self.pump(telephone, guest) { taps[1].sounds.count > other + 50 }
    let after = taps[0].elements.dropFirst(max(0, count - 1))
    #expect(after.contains { if case .muted(true) = $0 { true } else { false } } || count == 0)
    if case .muted(true)? = taps[0].elements.last {} else { Issue.record("something came after it was muted") }
    try await room.setMuted(false, called.id)
    let muted = taps[0].sounds.count
    try await Self.pump(telephone, guest) { taps[0].sounds.count > muted + 50 }

    // A tap ends with what it taps, when it is stopped, and with the room; and says which.
    await transport.participant.leave()
    try await Self.pump(telephone, guest) { taps[0].isOver }
    #expect(taps[0].tap.ending == .some(.publicationEnded))
    #expect(taps[1].tap.ending == nil)
    await taps[1].tap.stop()
    try await Self.pump(telephone, guest) { taps[1].isOver }
    #expect(taps[1].tap.ending == .some(.stopped))
    await room.close()
    try await Self.pump(telephone, guest) { taps[2].isOver && log.isOver }
    #expect(taps[2].tap.ending == .some(.roomClosed))
    #expect(log.words.filter { $0.hasPrefix("recorded") } == ["recorded true"])
    await engine.shutdown()
  }

  @Test("The line of a tap holds what it may and no more; a mute takes what waits, and its word stays")
  func line() async throws {
    let line = TapLine(RecorderID(1), worker: 0, capacity: 3)
    func sound(_ time: Int64) -> RecordedPacket {
      var packet = RecordedPacket(recorder: RecorderID(1), timestamp: 0)
      packet.time = time
      return packet
    }
    func word(_ element: TapLine.Element?) -> String {
      switch element {
      case nil: "end"
      case .muted(let isMuted): isMuted ? "muted" : "unmuted"
      case .sound(let packet, let missed): "\(packet.time)" + (missed > 0 ? " missed \(missed)" : "")
      }
    }
    for time in 0..<5 { line.put(sound(Int64(time))) }
    #expect(word(await line.next()) == "2 missed 2")
    line.setMuted(true)
    line.put(sound(5))
    #expect(word(await line.next()) == "muted")
    line.setMuted(true)
    line.setMuted(false)
    for time in 6..<12 { line.put(sound(Int64(time))) }
    #expect(line.missedCount == 6)
    var words: [String] = []
    for _ in 0..<3 { words.append(word(await line.next())) }
    #expect(words == ["unmuted", "10 missed 4", "11"])
    // For as many words as there may be, the newest counts.
    for round in 0..<20 { line.setMuted(round % 2 == 0) }
    line.setMuted(true)
    words = []
    line.finish(.stopped)
    while let element = await line.next() { words.append(word(element)) }
    print("tap: after twenty-one mutes \(words)")
    #expect(words.count <= 3 && words.last == .some("muted"))
    line.finish(.roomClosed)
    #expect(line.outcome == .some(.stopped))
    // Who waits is woken by the end, and by his own.
    let other = TapLine(RecorderID(2), worker: 0, capacity: 3)
    let waiting = Task { await other.next() == nil }
    other.finish(.publicationEnded)
    #expect(await waiting.value)
    let third = TapLine(RecorderID(3), worker: 0, capacity: 3)
    let cancelled = Task { await third.next() == nil }
    cancelled.cancel()
    #expect(await cancelled.value)
  }
}
