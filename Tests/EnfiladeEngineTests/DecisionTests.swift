// Why a picture is what it is can be read afterwards; what became of wishes for key frames is counted.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeRTP
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

  @Test("Every decision is told once, in order, together with its neighbours, at most five times a second, and not long after")
  func events() {
    let world = EngineWorld(seed: 702)
    let publisher = world.addPeer("publisher") { _ = world.addSimulcast(["q", "h", "f"], to: $0) }
    let subscriber = world.addPeer("subscriber", receives: [.audio, .video])
    world.connect()
    let slot = subscriber.slot(.video).key
    world.perform(.setTarget(slot, LayerTarget(maximumWidth: 320, maximumHeight: 180)))
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(4)))
    var seen: [DecisionLog.Entry] = []
    // Five wishes in 100 ms, and then peace; and a publisher who goes.
    for step in 0..<5 {
      world.perform(.setTarget(slot, step % 2 == 0 ? LayerTarget() : LayerTarget(maximumWidth: 320, maximumHeight: 180)))
      world.run(for: .milliseconds(20))
    }
    world.run(for: .seconds(Int64(3)))
    world.perform(.bind(slot, nil))
    world.run(for: .seconds(Int64(3)))
    var last = Instant.zero
    var lateness = TimeDelta.zero
    for (at, event) in world.events {
      guard case .layersDecided(let key, let entries, let missed, let told) = event else { continue }
      #expect(key == slot && missed == 0 && !entries.isEmpty)
      #expect(told <= at && told - last >= .milliseconds(200) || last == .zero)
      last = told
      for entry in entries { lateness = max(lateness, told - entry.at) }
      seen += entries
    }
    let history = world.engine.decisions(of: slot)
    #expect(seen.count >= 8 && Array(seen.suffix(history.count)) == history)
    #expect(seen.last?.kind == .stopped)
    #expect(lateness <= .seconds(Int64(2)))
    print("decisions told: \(seen.count), the latest after \(lateness.milliseconds) ms")
  }

  @Test("More decisions than are kept are counted where they are told")
  func missed() {
    let world = EngineWorld(seed: 703)
    let publisher = world.addPeer("publisher") { _ = world.addSimulcast(["q", "h", "f"], to: $0) }
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    let slot = subscriber.slot(.video).key
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(4)))
    for step in 0..<40 { world.perform(.setTarget(slot, LayerTarget(isPaused: step % 2 == 0))) }
    world.run(for: .seconds(Int64(3)))
    var told = 0
    var missed = 0
    for case .layersDecided(_, let entries, let count, _) in world.events.map(\.event) {
      #expect(entries.count <= DecisionLog.capacity)
      told += entries.count
      missed += count
    }
    print("decisions told: \(told), missed: \(missed)")
    // Each of forty wishes is at least one decision; and what was not told is not kept either.
    #expect(missed > 0 && told + missed >= 40)
    guard
      case .layersDecided(_, let last, _, _) = world.events.last(where: { if case .layersDecided = $0.event { true } else { false } })?
        .event
    else { return #expect(Bool(false), "nothing was told") }
    #expect(world.engine.decisions(of: slot).suffix(last.count) == last[...])
  }

  @Test("A subscriber who takes no codec of the publication, and a publisher who stops, are told as that")
  func codecAndStop() {
    let world = EngineWorld(seed: 704)
    let publisher = world.addPeer("publisher", publishes: [.video])
    let subscriber = world.addPeer("subscriber", receives: [.video])
    let other = world.addPeer("other", receives: [.video])
    var media = subscriber.media
    media.send[0].formats = [NegotiatedFormat(format: .h264ConstrainedBaseline, payloadType: PayloadType(102))]
    world.perform(.configure(subscriber.link, media))
    world.connect()
    world.subscribe(subscriber, to: publisher, .video)
    world.subscribe(other, to: publisher, .video)
    world.run(for: .seconds(Int64(2)))
    publisher.sendGoodbye([publisher.stream(.video).ssrc], in: world)
    publisher.stream(.video).isPaused = true
    world.run(for: .seconds(Int64(3)))
    func has(_ peer: ScriptedPeer, _ kind: DecisionLog.Entry.Kind, _ reason: LayerReason) -> Bool {
      world.events.contains {
        guard case .layersDecided(peer.slot(.video).key, let entries, _, _) = $0.event else { return false }
        return entries.contains { $0.kind == kind && $0.reason == reason }
      }
    }
    #expect(has(subscriber, .stopped, .codec))
    #expect(has(other, .awaited, .waitingForKeyframe) || has(other, .switched, .best))
    #expect(has(other, .stopped, .senderStopped))
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
