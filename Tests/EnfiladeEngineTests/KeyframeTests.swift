// Where a picture begins, and who is asked for one (RFC 4585 §6.3.1, RFC 5104 §4.3.1).

import EnfiladeEngine
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Keyframes")
struct KeyframeTests {
  private static func requests(_ peer: ScriptedPeer) -> Int {
    peer.feedback.count { entry in
      switch entry.packet {
      case .pictureLoss, .fullIntraRequest: true
      default: false
      }
    }
  }

  @Test("Video waits for a key frame, and the publisher is asked for one at once")
  func waitsForKeyframe() throws {
    let world = EngineWorld(seed: 30)
    let publisher = world.addPeer("publisher", publishes: [.video]) { $0.answersKeyframeRequests = false }
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    // The first key frame is too old to be replayed by then.
    world.run(for: .seconds(Int64(3)))
    #expect(Self.requests(publisher) == 0)
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .milliseconds(15))
    #expect(Self.requests(publisher) == 1)
    #expect(publisher.feedback.contains { $0.packet == .pictureLoss(media: publisher.stream(.video).ssrc) })
    world.run(for: .milliseconds(500))
    #expect(subscriber.packets(on: subscriber.slot(.video)).isEmpty)
    #expect(world.engine.drops[.waitingForKeyframe] > 20)
    publisher.stream(.video).wantsKeyframe = true
    world.run(for: .milliseconds(100))
    let first = try #require(subscriber.packets(on: subscriber.slot(.video)).first)
    #expect(world.origin(of: first)?.isKeyframeStart == true)
  }

  @Test("Audio waits for nothing")
  func audioDoesNotWait() {
    let world = EngineWorld(seed: 31)
    let publisher = world.addPeer("publisher", publishes: [.audio])
    let subscriber = world.addPeer("subscriber", receives: [.audio])
    world.connect()
    world.run(for: .milliseconds(500))
    world.subscribe(subscriber, to: publisher, .audio)
    world.run(for: .milliseconds(60))
    #expect(subscriber.packets(on: subscriber.slot(.audio)).count >= 2)
  }

  @Test(
    "The publisher is asked in the form it negotiated, and not at all when it negotiated none",
    arguments: [
      ([.pictureLossIndication, .fullIntraRequest], true, false), ([.pictureLossIndication], true, false),
      ([.fullIntraRequest], false, true),
      ([], false, false),
    ] as [(FeedbackCapabilities, Bool, Bool)])
  func negotiatedForm(feedback: FeedbackCapabilities, isPLI: Bool, isFIR: Bool) {
    let world = EngineWorld(seed: 32)
    var numbers = PeerNumbers()
    numbers.videoFeedback = feedback
    let publisher = world.addPeer("publisher", publishes: [.video], numbers: numbers) { $0.answersKeyframeRequests = false }
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .milliseconds(150))
    // The first frame was a key frame; ask again.
    publisher.feedback.removeAll()
    world.run(for: .seconds(Int64(1)))
    subscriber.sendPictureLoss(subscriber.slot(.video), in: world)
    world.run(for: .milliseconds(50))
    let ssrc = publisher.stream(.video).ssrc
    #expect(publisher.feedback.contains { $0.packet == .pictureLoss(media: ssrc) } == isPLI)
    let entries = publisher.feedback.compactMap { if case .fullIntraRequest(let entries) = $0.packet { entries } else { nil } }
    #expect((entries.first?.first?.ssrc == ssrc) == isFIR)
    #expect(publisher.rejections.isEmpty && publisher.strayCount == 0)
    #expect(world.violations.isEmpty)
  }

  @Test("A repeated FIR keeps its number, and the next request has the next (RFC 5104 §4.3.1.1)")
  func firNumbers() {
    let world = EngineWorld(seed: 33)
    var numbers = PeerNumbers()
    numbers.videoFeedback = [.fullIntraRequest]
    let publisher = world.addPeer("publisher", publishes: [.video], numbers: numbers) { $0.answersKeyframeRequests = false }
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    publisher.stream(.video).wantsKeyframe = false
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(2)))
    func sent() -> [UInt8] {
      publisher.feedback.flatMap { entry -> [UInt8] in
        if case .fullIntraRequest(let entries) = entry.packet { entries.map(\.commandSequenceNumber) } else { [] }
      }
    }
    let first = sent()
    #expect(first.count >= 2 && Set(first).count == 1)
    publisher.stream(.video).wantsKeyframe = true
    world.run(for: .seconds(Int64(2)))
    publisher.feedback.removeAll()
    subscriber.sendPictureLoss(subscriber.slot(.video), in: world)
    world.run(for: .milliseconds(100))
    #expect(sent().first == first[0] &+ 1)
  }

  @Test("Fifty who join together ask the publisher at most twice, and all see a picture")
  func fiftyJoin() {
    let world = EngineWorld(seed: 34)
    let publisher = world.addPeer("publisher", publishes: [.video])
    let subscribers = (0..<50).map { world.addPeer("\($0)", receives: [.video]) }
    world.connect()
    world.run(for: .seconds(Int64(2)))
    publisher.feedback.removeAll()
    for subscriber in subscribers {
      world.subscribe(subscriber, to: publisher, .video)
      world.run(for: .milliseconds(2))
    }
    world.run(for: .milliseconds(500))
    #expect((1...2).contains(Self.requests(publisher)))
    for subscriber in subscribers { #expect(!subscriber.packets(on: subscriber.slot(.video)).isEmpty) }
  }

  @Test("Fifty who join one after another within a second ask at most once in two round trips")
  func fiftyTrickleIn() {
    let world = EngineWorld(seed: 35)
    let publisher = world.addPeer("publisher", publishes: [.video])
    let subscribers = (0..<50).map { world.addPeer("\($0)", receives: [.video]) }
    world.connect()
    world.run(for: .seconds(Int64(2)))
    publisher.feedback.removeAll()
    for subscriber in subscribers {
      world.subscribe(subscriber, to: publisher, .video)
      world.run(for: .milliseconds(20))
    }
    world.run(for: .milliseconds(500))
    let floor = Limits.keyframeIntervalFloor.milliseconds
    #expect(Self.requests(publisher) <= Int(1000 / floor) + 1)
    let times = publisher.feedback.compactMap { if case .pictureLoss = $0.packet { $0.at } else { nil } }
    for (one, next) in zip(times, times.dropFirst()) { #expect(next - one >= Limits.keyframeIntervalFloor - .milliseconds(1)) }
    for subscriber in subscribers { #expect(!subscriber.packets(on: subscriber.slot(.video)).isEmpty) }
  }

  @Test("A lost request is repeated until a key frame comes")
  func repeated() {
    let world = EngineWorld(seed: 36)
    let publisher = world.addPeer("publisher", publishes: [.video])
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    world.run(for: .seconds(Int64(3)))
    publisher.downlink.lossPerMille = 1000
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .milliseconds(300))
    #expect(subscriber.packets(on: subscriber.slot(.video)).isEmpty)
    publisher.downlink.lossPerMille = 0
    world.run(for: .seconds(Int64(2)))
    #expect(!subscriber.packets(on: subscriber.slot(.video)).isEmpty)
  }

  @Test("PLI and FIR from a subscriber reach the publisher; for a source that is not its own they are dropped and counted")
  func forwarded() {
    let world = EngineWorld(seed: 37)
    let publisher = world.addPeer("publisher", publishes: [.video])
    let subscriber = world.addPeer("subscriber", receives: [.video])
    let other = world.addPeer("other", receives: [.video])
    world.connect()
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(2)))
    publisher.feedback.removeAll()
    other.sendPictureLoss(subscriber.slot(.video), in: world)
    world.run(for: .milliseconds(100))
    #expect(Self.requests(publisher) == 0)
    #expect(world.engine.drops[.rtcpUnknownTarget] == 1)
    let entries = [FullIntraRequestEntry(ssrc: subscriber.slot(.video).ssrc, commandSequenceNumber: 3)]
    subscriber.sendRTCP(in: world) { RTCPWriter.fullIntraRequest(senderSSRC: SSRC(1), entries: entries.span, into: &$0) }
    world.run(for: .milliseconds(100))
    #expect(Self.requests(publisher) == 1)
  }

  @Test("A subscriber whose link comes up after it was bound gets a picture at once")
  func boundBeforeConnected() {
    let world = EngineWorld(seed: 38)
    let publisher = world.addPeer("publisher", publishes: [.video])
    world.connect()
    world.run(for: .seconds(Int64(2)))
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.subscribe(subscriber, to: publisher, .video)
    world.connect()
    world.run(for: .milliseconds(200))
    #expect(!subscriber.packets(on: subscriber.slot(.video)).isEmpty)
  }

  @Test("A key frame whose packets overtake one another is complete for who waits for it")
  func reorderedKeyframe() {
    let world = EngineWorld(seed: 39)
    let publisher = world.addPeer("publisher", publishes: [.video]) { $0.answersKeyframeRequests = false }
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    publisher.stream(.video).isPaused = true
    publisher.stream(.video).packetsPerFrame = 4
    world.run(for: .seconds(Int64(1)))
    world.subscribe(subscriber, to: publisher, .video)
    // The first packet of the frame takes 30 ms longer than the others.
    let stream = publisher.stream(.video)
    stream.wantsKeyframe = true
    publisher.uplink.delay = .milliseconds(40)
    stream.packetsPerFrame = 1
    publisher.sendFrame(of: stream, at: world.now, in: world)
    publisher.uplink.delay = .milliseconds(10)
    let timestamp = stream.timestamp(at: world.now)
    for position in 1..<4 {
      let payload = TaggedPayload.vp8(tag: UInt64(1_000_000 + position), isFirst: false, isKeyframe: true, byteCount: 100)
      publisher.send(payload, of: stream, marker: position == 3, timestamp: timestamp, in: world)
    }
    world.run(for: .milliseconds(200))
    let packets = subscriber.packets(on: subscriber.slot(.video)).sorted { $0.index < $1.index }
    #expect(packets.count == 4)
    for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    #expect(world.violations.isEmpty)
  }
}
