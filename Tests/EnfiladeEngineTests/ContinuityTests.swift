// A subscriber sees one continuous stream, whatever happens behind it (RFC 3550 §5.1, RFC 7667 §3.7).

import EnfiladeEngine
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Continuity")
struct ContinuityTests {
  private static func pair(
    seed: UInt64, _ kinds: [MediaKind] = [.audio, .video], _ prepare: (ScriptedPeer) -> Void = { _ in }
  ) -> (world: EngineWorld, publisher: ScriptedPeer, subscriber: ScriptedPeer) {
    let world = EngineWorld(seed: seed)
    let publisher = world.addPeer("publisher", publishes: kinds, prepare)
    let subscriber = world.addPeer("subscriber", receives: kinds)
    world.connect()
    for kind in kinds { world.subscribe(subscriber, to: publisher, kind) }
    world.run(for: .seconds(Int64(1)))
    return (world, publisher, subscriber)
  }

  /// Numbers follow one another, and time moves as much as it did outside, within `tolerance`.
  private static func expectContinuous(
    _ packets: [ReceivedPacket], clockRate: Int64, tolerance: TimeDelta, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    for (one, next) in zip(packets, packets.dropFirst()) {
      #expect(next.index - one.index == 1, sourceLocation: sourceLocation)
      let ticks = Int64(Int32(bitPattern: next.rtp.timestamp &- one.rtp.timestamp))
      let elapsed = (next.at - one.at).microseconds * clockRate / 1_000_000
      let limit = tolerance.microseconds * clockRate / 1_000_000
      #expect(ticks >= 0, sourceLocation: sourceLocation)
      #expect(abs(ticks - elapsed) <= limit, "a step of \(ticks) ticks in \(next.at - one.at)", sourceLocation: sourceLocation)
    }
  }

  @Test("A publisher that begins anew with another SSRC goes on in the subscriber's stream")
  func newSource() {
    let (world, publisher, subscriber) = Self.pair(seed: 60)
    for stream in publisher.published { stream.restart(using: &world.random) }
    world.run(for: .seconds(Int64(1)))
    publisher.stream(.video).isPaused = true
    publisher.stream(.audio).isPaused = true
    world.run(for: .seconds(Int64(3)))
    for stream in publisher.published {
      stream.restart(using: &world.random)
      stream.isPaused = false
      stream.nextFrameAt = world.now
    }
    world.run(for: .seconds(Int64(1)))
    let audio = subscriber.packets(on: subscriber.slot(.audio))
    #expect(audio.count > 140)
    Self.expectContinuous(audio, clockRate: 48_000, tolerance: .milliseconds(2))
    let video = subscriber.packets(on: subscriber.slot(.video))
    #expect(video.count > 200)
    Self.expectContinuous(video, clockRate: 90_000, tolerance: .milliseconds(2))
    // One stream of each kind is left.
    #expect(world.engine.census.inboundStreams == 2)
    #expect(world.violations.isEmpty)
  }

  @Test("A packet of the old source that comes late does not bring the old source back")
  func lateOldSource() {
    let (world, publisher, subscriber) = Self.pair(seed: 61, [.video])
    let stream = publisher.stream(.video)
    let late = stream.sent[stream.next.wire.rawValue &- 1]!
    var old = late
    old.sequence = stream.next.wire.rawValue
    let oldIndex = stream.next
    stream.restart(using: &world.random)
    world.run(for: .milliseconds(200))
    publisher.sendRTP(old, index: oldIndex, in: world)
    publisher.feedback.removeAll()
    let before = subscriber.packets(on: subscriber.slot(.video)).count
    world.run(for: .seconds(Int64(1)))
    let packets = subscriber.packets(on: subscriber.slot(.video))
    #expect(packets.count >= before + 74)
    Self.expectContinuous(packets, clockRate: 90_000, tolerance: .milliseconds(2))
    #expect(!publisher.feedback.contains { $0.packet == .pictureLoss(media: stream.ssrc) })
    #expect(world.violations.isEmpty)
  }

  @Test("The last packets of the old source and the first of the new one may come in one batch")
  func oneBatch() {
    let (world, publisher, subscriber) = Self.pair(seed: 62, [.audio])
    let stream = publisher.stream(.audio)
    stream.isPaused = true
    // What is under way arrives first.
    world.run(for: .milliseconds(50))
    publisher.uplink.delay = .zero
    for round in 0..<50 {
      for _ in 0..<3 { publisher.sendFrame(of: stream, at: world.now, in: world) }
      stream.restart(using: &world.random)
      for _ in 0..<2 { publisher.sendFrame(of: stream, at: world.now, in: world) }
      if round % 2 == 0 { publisher.sendGoodbye([stream.ssrc], in: world) }
      world.run(for: .milliseconds(20))
    }
    let packets = subscriber.packets(on: subscriber.slot(.audio))
    for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    #expect(world.violations.isEmpty)
    world.removeLink(of: publisher)
    #expect(world.engine.census.leasedSlots == 0)
  }

  @Test("A goodbye ends the publication; its packets of the same batch do no harm", arguments: [true, false])
  func goodbye(isInOneBatch: Bool) {
    let (world, publisher, subscriber) = Self.pair(seed: 63)
    for stream in publisher.published {
      stream.isPaused = true
      if isInOneBatch {
        publisher.sendFrame(of: stream, at: world.now, in: world)
      }
    }
    publisher.sendGoodbye(publisher.published.map(\.ssrc), in: world)
    for stream in publisher.published where isInOneBatch {
      subscriber.sendNACK([1, 2, 3], of: subscriber.slot(stream.kind), in: world)
    }
    world.run(for: .milliseconds(100))
    let ended = world.events.compactMap { if case .mediaEnded(let key) = $0.event { key } else { nil } }
    #expect(Set(ended) == Set(publisher.published.map(\.publication)))
    #expect(world.engine.census.inboundStreams == 0)
    #expect(world.engine.census.leasedSlots == 0)
    // It may begin again.
    for stream in publisher.published {
      stream.restart(using: &world.random)
      stream.isPaused = false
      stream.nextFrameAt = world.now
    }
    world.run(for: .seconds(Int64(1)))
    let started = world.events.count { if case .mediaStarted = $0.event { true } else { false } }
    #expect(started == 4)
    for kind in MediaKind.allCases {
      let packets = subscriber.packets(on: subscriber.slot(kind))
      #expect(packets.count > 80)
      for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    }
    #expect(world.violations.isEmpty)
  }

  @Test("Packets that a goodbye overtook do not bring the publication back; the same source may begin again a little later")
  func lateAfterGoodbye() {
    let (world, publisher, subscriber) = Self.pair(seed: 75)
    publisher.uplink.delay = .milliseconds(60)
    for stream in publisher.published { publisher.sendFrame(of: stream, at: world.now, in: world) }
    publisher.uplink.delay = .milliseconds(10)
    publisher.sendGoodbye(publisher.published.map(\.ssrc), in: world)
    for stream in publisher.published { stream.isPaused = true }
    world.run(for: .milliseconds(700))
    #expect(world.events.count { if case .mediaEnded = $0.event { true } else { false } } == 2)
    #expect(world.events.count { if case .mediaStarted = $0.event { true } else { false } } == 2)
    #expect(world.engine.census.inboundStreams == 0)
    #expect(world.engine.drops[.endedSource] == 4)
    for stream in publisher.published {
      stream.isPaused = false
      stream.wantsKeyframe = true
      stream.nextFrameAt = world.now
    }
    world.run(for: .milliseconds(500))
    #expect(world.events.count { if case .mediaStarted = $0.event { true } else { false } } == 4)
    for (kind, rate) in [(MediaKind.audio, Int64(48_000)), (.video, 90_000)] {
      Self.expectContinuous(subscriber.packets(on: subscriber.slot(kind)), clockRate: rate, tolerance: .milliseconds(2))
    }
    #expect(world.violations.isEmpty)
  }

  @Test("A goodbye for a source that is not its own changes nothing")
  func foreignGoodbye() {
    let (world, publisher, subscriber) = Self.pair(seed: 64)
    subscriber.sendGoodbye(publisher.published.map(\.ssrc), in: world)
    world.run(for: .milliseconds(100))
    #expect(!world.events.contains { if case .mediaEnded = $0.event { true } else { false } })
    #expect(world.engine.census.inboundStreams == 2)
  }

  @Test("Bound to another publication, a slot goes on with its own SSRC, numbers and time")
  func rebound() {
    let world = EngineWorld(seed: 65)
    let publishers = (0..<3).map { world.addPeer("publisher \($0)", publishes: [.audio, .video]) }
    let subscriber = world.addPeer("subscriber", receives: [.audio, .video])
    world.connect()
    for round in 0..<12 {
      for kind in MediaKind.allCases { world.subscribe(subscriber, to: publishers[round % 3], kind) }
      world.run(for: .milliseconds(500))
    }
    for (kind, rate) in [(MediaKind.audio, Int64(48_000)), (.video, 90_000)] {
      let packets = subscriber.packets(on: subscriber.slot(kind))
      #expect(packets.count > 200)
      Self.expectContinuous(packets, clockRate: rate, tolerance: .milliseconds(2))
      let seen = Set(packets.compactMap { world.origin(of: $0)?.ssrc })
      #expect(seen == Set(publishers.map { $0.stream(kind).ssrc }))
    }
    #expect(subscriber.strayCount == 0)
    #expect(world.violations.isEmpty)
  }

  @Test("A picture that changes begins with a key frame of the new publisher")
  func reboundPicture() {
    let world = EngineWorld(seed: 66)
    let publishers = (0..<2).map { world.addPeer("publisher \($0)", publishes: [.video]) }
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    for round in 0..<6 {
      world.subscribe(subscriber, to: publishers[round % 2], .video)
      world.run(for: .milliseconds(700))
    }
    var previous: SSRC?
    var switches = 0
    for packet in subscriber.packets(on: subscriber.slot(.video)) {
      guard let origin = world.origin(of: packet) else { continue }
      if origin.ssrc != previous {
        #expect(origin.isKeyframeStart)
        switches += 1
      }
      previous = origin.ssrc
    }
    #expect(switches == 6)
  }

  @Test("A slot that is unbound falls silent at once, and goes on when it is bound again")
  func unbound() {
    let (world, publisher, subscriber) = Self.pair(seed: 67)
    for kind in MediaKind.allCases { world.perform(.bind(subscriber.slot(kind).key, nil)) }
    let out = world.engine.traffic.packetsOut
    world.run(for: .seconds(Int64(1)))
    #expect(world.engine.traffic.packetsOut == out)
    for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind) }
    world.run(for: .seconds(Int64(1)))
    for (kind, rate) in [(MediaKind.audio, Int64(48_000)), (.video, 90_000)] {
      Self.expectContinuous(subscriber.packets(on: subscriber.slot(kind)), clockRate: rate, tolerance: .milliseconds(2))
    }
  }

  @Test("A muted publication passes nothing; unmuted it goes on, video with a key frame")
  func muted() throws {
    let (world, publisher, subscriber) = Self.pair(seed: 68)
    for stream in publisher.published { world.perform(.setMuted(stream.publication, true)) }
    world.run(for: .milliseconds(20))
    let out = world.engine.traffic.packetsOut
    world.run(for: .seconds(Int64(2)))
    #expect(world.engine.traffic.packetsOut == out)
    #expect(world.engine.drops[.publicationMuted] > 200)
    let counts = MediaKind.allCases.map { subscriber.packets(on: subscriber.slot($0)).count }
    for stream in publisher.published { world.perform(.setMuted(stream.publication, false)) }
    world.run(for: .seconds(Int64(1)))
    for (kind, count) in zip(MediaKind.allCases, counts) {
      let packets = subscriber.packets(on: subscriber.slot(kind))
      #expect(packets.count > count + 40)
      Self.expectContinuous(packets, clockRate: kind == .audio ? 48_000 : 90_000, tolerance: .milliseconds(2))
    }
    let video = subscriber.packets(on: subscriber.slot(.video))
    #expect(try #require(world.origin(of: video[counts[1]])).isKeyframeStart)
    #expect(world.violations.isEmpty)
  }

  @Test("A packet from before a pause is sent again as it was, or not at all")
  func repairAcrossPause() {
    let (world, publisher, subscriber) = Self.pair(seed: 69, [.video])
    let slot = subscriber.slot(.video)
    let original = subscriber.packets(on: slot).last!
    world.perform(.setMuted(publisher.stream(.video).publication, true))
    world.run(for: .milliseconds(300))
    world.perform(.setMuted(publisher.stream(.video).publication, false))
    world.run(for: .milliseconds(300))
    #expect(subscriber.packets(on: slot).last!.index > original.index)
    subscriber.sendNACK([original.rtp.sequence], of: slot, in: world)
    world.run(for: .milliseconds(100))
    for answer in subscriber.retransmissions(on: slot) {
      #expect(answer.originalSequence == original.rtp.sequence)
      #expect(answer.rtp.timestamp == original.rtp.timestamp)
      #expect(answer.payload == original.payload)
    }
  }

  @Test("Packets that are only padding leave no gap")
  func paddingOnly() {
    let (world, publisher, subscriber) = Self.pair(seed: 70)
    for round in 0..<100 {
      for stream in publisher.published {
        for _ in 0..<(round % 4) {
          publisher.send([], of: stream, timestamp: stream.timestamp(at: world.now), paddingByteCount: 100, in: world)
        }
      }
      world.run(for: .milliseconds(20))
    }
    world.run(for: .milliseconds(100))
    #expect(world.engine.drops[.paddingOnly] == 300)
    for kind in MediaKind.allCases {
      let packets = subscriber.packets(on: subscriber.slot(kind))
      #expect(packets.count > 100)
      for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
      for packet in packets { #expect(!packet.payload.isEmpty && packet.rtp.paddingByteCount <= 16) }
    }
    #expect(world.violations.isEmpty)
  }

  @Test("Padding behind a payload is taken off")
  func paddedPayload() {
    let (world, publisher, subscriber) = Self.pair(seed: 71, [.audio])
    let stream = publisher.stream(.audio)
    let tag = UInt64(9_000_000)
    let payload = TaggedPayload.opus(tag: tag, byteCount: 50)
    publisher.send(payload, of: stream, timestamp: stream.timestamp(at: world.now), paddingByteCount: 30, in: world)
    world.run(for: .milliseconds(30))
    let packet = subscriber.packets(on: subscriber.slot(.audio)).first { $0.tag == tag }
    #expect(packet?.payload == payload)
    #expect(packet?.rtp.paddingByteCount == 0)
  }

  @Test("A format that a subscriber did not negotiate leaves no gap in what it gets")
  func formatNotNegotiated() {
    let world = EngineWorld(seed: 72)
    let publisher = world.addPeer("publisher", publishes: [.audio])
    let subscriber = world.addPeer("subscriber", receives: [.audio])
    world.connect()
    // Telephone events on the same source; the subscriber takes Opus alone.
    var media = publisher.media
    media.receive[0].formats.append(NegotiatedFormat(format: .telephoneEvent, payloadType: PayloadType(101)))
    world.perform(.configure(publisher.link, media))
    world.subscribe(subscriber, to: publisher, .audio)
    let stream = publisher.stream(.audio)
    for round in 0..<40 {
      world.run(for: .milliseconds(20))
      guard round % 5 == 4 else { continue }
      stream.payloadType = 101
      publisher.send([1, 2, 3, 4], of: stream, timestamp: stream.timestamp(at: world.now), in: world)
      stream.payloadType = publisher.numbers.opus
    }
    world.run(for: .milliseconds(100))
    #expect(world.engine.drops[.codecNotNegotiated] == 8)
    let packets = subscriber.packets(on: subscriber.slot(.audio))
    #expect(packets.count > 35)
    for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
  }

  @Test("Sequence numbers and timestamps wrap, coming in and going out, and nobody notices", arguments: [1, 2, 5, 20] as [UInt16])
  func wraps(step: UInt16) {
    let world = EngineWorld(seed: 73)
    let publisher = world.addPeer("publisher", publishes: [.audio, .video]) { peer in
      for stream in peer.published {
        stream.next = ExtendedSequenceNumber(0xFFFF - Int64(step) * 7)
        stream.baseTimestamp = UInt32.max - UInt32(step) * 3000
        stream.nextRetransmission = ExtendedSequenceNumber(0xFFFE)
      }
    }
    let subscriber = world.addPeer("subscriber", receives: [.audio, .video]) { $0.sendsNACK = true }
    world.connect()
    for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind) }
    publisher.uplink.lossPerMille = 50
    subscriber.downlink.lossPerMille = 50
    world.run(for: .seconds(Int64(4)))
    publisher.uplink.lossPerMille = 0
    subscriber.downlink.lossPerMille = 0
    world.run(for: .seconds(Int64(2)))
    for kind in MediaKind.allCases {
      for packet in subscriber.packets(on: subscriber.slot(kind)) {
        let origin = world.origin(of: packet)
        #expect(packet.payload == publisher.stream(kind).sent[origin!.index.wire.rawValue]?.payload)
      }
    }
    #expect(publisher.stream(.audio).next.rawValue > 0xFFFF)
    #expect(world.engine.drops[.authenticationFailed] == 0)
    #expect(subscriber.rejections.isEmpty)
    #expect(world.violations.isEmpty)
  }

  @Test("Our own numbers wrap as well, and repair finds its way across")
  func outgoingWraps() {
    // 70,000 packets: the first number is below 2¹⁵, so the wire's number comes round.
    let world = EngineWorld(seed: 74)
    let publisher = world.addPeer("publisher", publishes: [.video]) { peer in
      peer.stream(.video).packetsPerFrame = 100
      peer.stream(.video).payloadByteCount = 20
      peer.numbers.transportSequenceNumber = nil
    }
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    world.subscribe(subscriber, to: publisher, .video)
    let slot = subscriber.slot(.video)
    var newest = ExtendedSequenceNumber(-1)
    var repaired = 0
    for _ in 0..<300 {
      world.run(for: .milliseconds(80))
      for packet in subscriber.packets(on: slot) {
        if newest.rawValue >= 0 { #expect(packet.index - newest == 1) }
        newest = packet.index
      }
      if let last = subscriber.packets(on: slot).last {
        subscriber.sendNACK([last.rtp.sequence &- 20], of: slot, in: world)
        repaired += 1
      }
      subscriber.received[slot.ssrc] = []
      world.tags = [:]
      if newest.rawValue > 0x1_0400 { break }
    }
    #expect(newest.rawValue > 0x1_0400)
    world.run(for: .milliseconds(100))
    #expect(subscriber.retransmissions(on: slot).count == repaired)
    for answer in subscriber.retransmissions(on: slot) { #expect(answer.tag != nil) }
    #expect(world.violations.isEmpty)
  }
}
