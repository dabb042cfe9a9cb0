// Sound that a room hands to the application, through a real engine on loopback: one participant's, and the mixture's.

import Enfilade
import EnfiladeEngine
import EnfiladeMixing
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Synchronization
import Testing

@Suite("Taps over sockets", .serialized)
struct TapTests {
  private static let tones: [Double] = [440, 1_130]

  private struct Silence: Error {}

  /// Everything that a tap gave.
  private final class Listener: Sendable {
    private struct State {
      var blocks: [TappedSound] = []
      var muting: [Bool] = []
      var isOver = false
    }

    private let state = Mutex(State())

    init(_ tap: SoundTap) {
      Task {
        for await element in tap {
          state.withLock {
            switch element {
            case .sound(let sound): $0.blocks.append(sound)
            case .muted(let isMuted): $0.muting.append(isMuted)
            }
          }
        }
        state.withLock { $0.isOver = true }
      }
    }

    var blocks: [TappedSound] { state.withLock { $0.blocks } }
    var muting: [Bool] { state.withLock { $0.muting } }
    var isOver: Bool { state.withLock { $0.isOver } }

    /// The levels of the tones in what came last, in decibels of a full sine.
    var levels: [Double] {
      let samples = blocks.suffix(100).flatMap(\.samples)
      return TapTests.tones.map { MixingTests.level($0, in: samples) }
    }
  }

  /// Two who speak and hear nobody.
  private static func duo(_ name: String) async throws -> (engine: Engine, room: Room, guests: [Guest], publications: [PublicationID]) {
    let engine = try await loopbackEngine()
    let room = try await engine.room(name)
    var guests: [Guest] = []
    for (number, tone) in tones.enumerated() {
      let guest = try await Guest.join(room, "speaker\(number)", [(.audio, .sendonly)])
      try MixingTests.speak(guest.client, tone)
      guests.append(guest)
    }
    let clients = guests.map(\.client)
    await eventually("both connect", clients) { clients.allSatisfy(\.isConnected) }
    var publications: [PublicationID] = []
    for guest in guests {
      await eventually("his sound is known", clients) { await guest.participant.publications.isEmpty == false }
      publications.append(try #require(await guest.participant.publications.first).id)
    }
    return (engine, room, guests, publications)
  }

  @Test("One participant's sound is his alone, the mixture's is everybody's; a tap says who speaks, and ends when it is told to")
  func voices() async throws {
    let (engine, room, guests, publications) = try await Self.duo("desk")
    let clients = guests.map(\.client)
    let log = EventLog(room)
    let taps = [try await room.tap(publications[0]), try await room.tap(publications[1]), try await room.tap()]
    let listeners = taps.map(Listener.init)
    await eventually("everybody is heard", clients) { listeners.allSatisfy { $0.blocks.count > 150 } }
    for (number, listener) in listeners.enumerated() {
      let levels = listener.levels
      print("tap \(number): \(listener.blocks.count) blocks, tones at \(levels.map { $0.rounded() }) dB")
      for (tone, level) in levels.enumerated() {
        if number == 2 || tone == number { #expect(abs(level - -14) < 3) } else { #expect(level < -45) }
      }
      let heard = listener.blocks.suffix(100)
      #expect(heard.allSatisfy { $0.channelCount == 1 && $0.samples.count == 960 })
      #expect(Set(heard.flatMap(\.speakers)) == Set(number == 2 ? publications : [publications[number]]))
      // One line of time, of which a machine that halts may leave out whole ticks.
      for (one, next) in zip(listener.blocks, listener.blocks.dropFirst()) {
        let step = next.mediaTime - one.mediaTime
        #expect(step > .zero && step.components.attoseconds % 20_000_000_000_000_000 == 0)
      }
    }
    await eventually("it is told", clients) { log.events.contains { if case .recordingChanged(true) = $0 { true } else { false } } }
    #expect(taps.allSatisfy { $0.ending == nil })
    for tap in taps { await tap.stop() }
    await eventually("they end", clients) { listeners.allSatisfy(\.isOver) }
    #expect(taps.allSatisfy { $0.ending == .stopped })
    await eventually("that too", clients) { log.events.contains { if case .recordingChanged(false) = $0 { true } else { false } } }
    // Nobody wants anything of them any more, and the worker is sent nothing.
    for guest in guests { await guest.participant.leave() }
    await room.close()
    await emptied(engine)
    await engine.shutdown()
  }

  @Test("Who is muted is not tapped; a tap ends with its publication, and with its room")
  func endings() async throws {
    let (engine, room, guests, publications) = try await Self.duo("quiet")
    let clients = guests.map(\.client)
    let taps = [try await room.tap(publications[0]), try await room.tap(publications[1])]
    let listeners = taps.map(Listener.init)
    await eventually("both are heard", clients) { listeners.allSatisfy { $0.blocks.count > 50 } }

    try await room.setMuted(true, publications[0])
    await eventually("the muting is told", clients) { listeners[0].muting == [true] }
    let (muted, other) = (listeners[0].blocks.count, listeners[1].blocks.count)
    await eventually("the other goes on", clients) { listeners[1].blocks.count > other + 50 }
    #expect(listeners[0].blocks.count == muted)
    try await room.setMuted(false, publications[0])
    await eventually("he is heard again", clients) { listeners[0].muting == [true, false] && listeners[0].blocks.count > muted + 50 }
    // The silence between lies on the line of time.
    let blocks = listeners[0].blocks
    #expect(blocks[muted].mediaTime - blocks[muted - 1].mediaTime >= .seconds(1))

    await guests[0].participant.leave()
    await eventually("his tap ends", clients) { listeners[0].isOver }
    #expect(taps[0].ending == .publicationEnded && taps[1].ending == nil)
    await room.close()
    await eventually("the other ends with the room", clients) { listeners[1].isOver }
    #expect(taps[1].ending == .roomClosed)
    await #expect { _ = try await room.tap() } throws: { ($0 as? RoomError)?.code == .closed }
    await emptied(engine)
    await engine.shutdown()
  }

  @Test("Who takes too little loses the oldest, and is told how many; the room goes on")
  func slow() async throws {
    let (engine, room, guests, publications) = try await Self.duo("slow")
    let clients = guests.map(\.client)
    let tap = try await room.tap(publications[0], buffering: .milliseconds(100))
    let beside = Listener(try await room.tap(publications[0]))
    await eventually("much is lost", clients) { tap.missedCount > 50 && beside.blocks.count > 60 }
    var reader = tap.makeAsyncIterator()
    guard case .sound(let first)? = await reader.next() else { throw Silence() }
    #expect(first.missed > 50 && first.missed <= tap.missedCount)
    guard case .sound(let second)? = await reader.next() else { throw Silence() }
    #expect(second.mediaTime > first.mediaTime && second.missed < first.missed)
    #expect(beside.blocks.allSatisfy { $0.missed == 0 })
    // A cancelled reader leaves; the tap is there for the next.
    let waiting = Task {
      var reader = tap.makeAsyncIterator()
      while await reader.next() != nil {}
    }
    waiting.cancel()
    await waiting.value
    #expect(tap.ending == nil)
    guard case .sound? = await reader.next() else { throw Silence() }
    await engine.shutdown()
  }

  @Test("What is encrypted from end to end, unknown, or one too many is refused with words")
  func refusals() async throws {
    let (engine, room, guests, publications) = try await Self.duo("sealed")
    let clients = guests.map(\.client)
    let tap = try await room.tap(publications[1])
    let listener = Listener(tap)
    await eventually("he is heard", clients) { listener.blocks.count > 20 }
    await #expect { _ = try await room.tap(PublicationID(rawValue: 0)) } throws: { ($0 as? RoomError)?.code == .unknownPublication }
    // From now on only the participants can read it.
    try guests[1].client.accept(
      try await guests[1].participant.answer(offer: try guests[1].client.offer(), describing: ["0": .init(isEncrypted: true)]))
    await eventually("the tap ends", clients) { listener.isOver }
    #expect(tap.ending == .publicationEnded)
    await #expect { _ = try await room.tap(publications[1]) } throws: { ($0 as? RoomError)?.code == .encrypted }
    for _ in 0..<16 { _ = try await room.tap(publications[0]) }
    await #expect { _ = try await room.tap(publications[0]) } throws: { ($0 as? RoomError)?.code == .limitReached }
    await engine.shutdown()
  }
}
