// Why a picture is what it is can be read afterwards; what became of wishes for key frames is counted.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeStreams
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Decisions and counters")
struct DecisionTests {
  @Test("The history of a stream tells what was wanted, awaited, sent and stopped, and why")
  func history() {
    let world = EngineWorld(seed: 700)
    let publisher = world.addPeer("publisher") { _ = world.addSimulcast(["q", "h", "f"], to: $0) }
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    let slot = subscriber.slot(.video).key
    world.perform(.setTarget(slot, LayerTarget(maximumWidth: 320, maximumHeight: 180)))
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(4)))
    world.perform(.setTarget(slot, LayerTarget()))
    world.run(for: .seconds(Int64(1)))
    var paused = LayerTarget()
    paused.isPaused = true
    world.perform(.setTarget(slot, paused))
    world.run(for: .milliseconds(100))
    let entries = world.engine.decisions(of: slot)
    func has(_ kind: DecisionLog.Entry.Kind, _ reason: LayerReason, encoding: UInt8? = nil) -> Bool {
      entries.contains { $0.kind == kind && $0.reason == reason && (encoding == nil || $0.encoding == encoding) }
    }
    #expect(has(.wanted, .constraint, encoding: 0))
    #expect(has(.switched, .constraint, encoding: 0))
    #expect(has(.wanted, .best, encoding: 2))
    #expect(has(.awaited, .waitingForKeyframe, encoding: 2))
    #expect(has(.switched, .best, encoding: 2))
    #expect(entries.last?.kind == .stopped && entries.last?.reason == .paused)
    for (one, next) in zip(entries, entries.dropFirst()) { #expect(one.at <= next.at) }
    #expect(world.engine.decisions(of: SlotKey(999)).isEmpty)
  }

  @Test("Wishes for key frames are counted as asked, merged, sent and answered, also of streams that are gone")
  func counters() {
    let world = EngineWorld(seed: 701)
    let publisher = world.addPeer("publisher", publishes: [.video])
    let subscribers = (0..<10).map { world.addPeer("\($0)", receives: [.video]) }
    world.connect()
    world.run(for: .seconds(Int64(4)))
    for subscriber in subscribers { world.subscribe(subscriber, to: publisher, .video) }
    world.run(for: .seconds(Int64(1)))
    let counters = world.engine.keyframes
    #expect(counters.asked >= 10 && counters.merged >= 9)
    #expect(counters.sent == 1 && counters.answered == 1)
    #expect(counters.sent == world.engine.traffic.keyframeRequestsOut)
    world.removeLink(of: publisher)
    let after = world.engine.keyframes
    #expect(after == counters)
  }
}
