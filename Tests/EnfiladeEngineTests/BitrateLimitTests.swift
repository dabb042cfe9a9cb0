// What one participant may bring in, at packet level.

import EnfiladeEngine
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Bitrate limit of a participant")
struct BitrateLimitTests {
  private struct Call {
    let world: EngineWorld
    let loud: ScriptedPeer
    let modest: ScriptedPeer
    let watcher: ScriptedPeer

    init(seed: UInt64, limit: Bitrate) {
      world = EngineWorld(seed: seed, inboundLimit: limit)
      loud = world.addPeer("loud", publishes: [.audio, .video])
      modest = world.addPeer("modest", publishes: [.audio])
      watcher = world.addPeer("watcher", receives: [.audio, .audio, .video])
      world.connect()
      world.subscribe(watcher, to: loud, .audio)
      world.subscribe(watcher, to: modest, .audio, slot: 1)
      world.subscribe(watcher, to: loud, .video)
    }

    func byteCount(_ kind: MediaKind, _ number: Int = 0) -> Int {
      watcher.packets(on: watcher.slot(kind, number)).reduce(0) { $0 + $1.payload.count }
    }

    var reports: Int {
      world.events.count { if case .bitrateLimitExceeded(loud.link) = $0.event { true } else { false } }
    }
  }

  @Test("Who sends more is passed on at the limit, with a counter and a word every few seconds; others are not touched")
  func policing() {
    let limit = Bitrate.kilobitsPerSecond(60)
    let (free, held) = (Call(seed: 60, limit: .zero), Call(seed: 60, limit: limit))
    for call in [free, held] { call.world.run(for: .seconds(Int64(20))) }
    let sent = free.byteCount(.audio) + free.byteCount(.video)
    let passed = held.byteCount(.audio) + held.byteCount(.video)
    print(
      "60 kbit/s for 20 s: \(sent * 8) were sent, \(passed * 8) passed, \(held.world.engine.drops[.bitrateLimitExceeded]) packets dropped"
    )
    #expect(free.world.engine.drops[.bitrateLimitExceeded] == 0 && free.reports == 0)
    #expect(sent * 8 > 2 * 60_000 * 21)
    #expect(passed * 8 <= 60_000 * 22)
    // What was dropped is not asked for again: as many packets are dropped as were too many, and not their repair as well.
    #expect(100...1500 ~= held.world.engine.drops[.bitrateLimitExceeded])
    #expect(2...5 ~= held.reports)
    #expect(abs(held.byteCount(.audio, 1) - free.byteCount(.audio, 1)) < 1000)
    #expect(held.world.violations.isEmpty, "\(held.world.violations)")
  }

  @Test("Nobody uses up another's share with packets that are not its own")
  func strangers() {
    let call = Call(seed: 61, limit: .megabitsPerSecond(5))
    call.world.run(for: .seconds(Int64(2)))
    let before = call.byteCount(.video)
    for number in 0..<20_000 {
      var packet = [UInt8](repeating: 7, count: 1000)
      packet.replaceSubrange(0..<4, with: [0x80, 96, UInt8(number >> 8 & 255), UInt8(number & 255)])
      call.world.inject(packet, from: call.loud.address)
    }
    call.world.run(for: .seconds(Int64(2)))
    #expect(call.world.engine.drops[.authenticationFailed] >= 10_000)
    #expect(call.world.engine.drops[.bitrateLimitExceeded] == 0 && call.reports == 0)
    #expect(call.byteCount(.video) > before)
  }
}
