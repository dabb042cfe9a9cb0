// Loss and what becomes of it, on both sides of the engine (RFC 4585 §6.2.1, RFC 4588).

import EnfiladeEngine
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Repair")
struct RepairTests {
  private static func pair(
    seed: UInt64, _ prepare: (ScriptedPeer) -> Void = { _ in }
  ) -> (world: EngineWorld, publisher: ScriptedPeer, subscriber: ScriptedPeer) {
    let world = EngineWorld(seed: seed)
    let publisher = world.addPeer("publisher", publishes: [.video], prepare)
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(2)))
    return (world, publisher, subscriber)
  }

  @Test("A NACK is answered by a retransmission with our own number in front and the same payload behind it")
  func answersNACK() throws {
    let (world, _, subscriber) = Self.pair(seed: 40)
    let slot = subscriber.slot(.video)
    let wanted = Array(subscriber.packets(on: slot).suffix(20).prefix(5))
    subscriber.sendNACK(wanted.map { $0.index.wire.rawValue }, of: slot, in: world)
    world.run(for: .milliseconds(40))
    let answers = subscriber.retransmissions(on: slot)
    #expect(answers.count == 5)
    for (answer, original) in zip(answers, wanted) {
      #expect(answer.originalSequence == original.rtp.sequence)
      #expect(answer.payload == original.payload)
      #expect(answer.rtp.timestamp == original.rtp.timestamp)
      #expect(answer.rtp.marker == original.rtp.marker)
      #expect(answer.rtp.payloadType == subscriber.numbers.vp8Retransmission)
    }
    for (one, next) in zip(answers, answers.dropFirst()) { #expect(next.index - one.index == 1) }
    #expect(world.engine.traffic.retransmissionsOut == 5)
    #expect(world.violations.isEmpty)
  }

  @Test("The same packet is not sent again within a round trip, and is after one")
  func notTwiceInARoundTrip() {
    let (world, _, subscriber) = Self.pair(seed: 41)
    let slot = subscriber.slot(.video)
    let number = subscriber.packets(on: slot).last!.rtp.sequence
    for _ in 0..<5 {
      subscriber.sendNACK([number], of: slot, in: world)
      world.run(for: .milliseconds(2))
    }
    world.run(for: .milliseconds(100))
    #expect(subscriber.retransmissions(on: slot).count == 1)
    #expect(world.engine.drops[.retransmissionTooOften] == 4)
    world.run(for: .milliseconds(200))
    subscriber.sendNACK([number], of: slot, in: world)
    world.run(for: .milliseconds(100))
    #expect(subscriber.retransmissions(on: slot).count == 2)
  }

  @Test("A number that was never sent, or is long gone, gets no answer")
  func unknownNumbers() {
    let (world, _, subscriber) = Self.pair(seed: 42)
    let slot = subscriber.slot(.video)
    let packets = subscriber.packets(on: slot)
    subscriber.sendNACK([packets.last!.rtp.sequence &+ 500, packets.first!.rtp.sequence &- 1], of: slot, in: world)
    world.run(for: .milliseconds(100))
    #expect(subscriber.retransmissions(on: slot).isEmpty)
    #expect(world.engine.drops[.retransmissionNotInHistory] == 2)
    world.run(for: .seconds(Int64(10)))
    subscriber.sendNACK([packets[0].rtp.sequence], of: slot, in: world)
    world.run(for: .milliseconds(100))
    #expect(subscriber.retransmissions(on: slot).isEmpty)
  }

  @Test("A subscriber without RTX gets no retransmissions")
  func withoutRetransmission() {
    let world = EngineWorld(seed: 43)
    var numbers = PeerNumbers()
    numbers.vp8Retransmission = nil
    let publisher = world.addPeer("publisher", publishes: [.video])
    let subscriber = world.addPeer("subscriber", receives: [.video], numbers: numbers)
    world.connect()
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(1)))
    let slot = subscriber.slot(.video)
    subscriber.sendNACK([subscriber.packets(on: slot).last!.rtp.sequence], of: slot, in: world)
    world.run(for: .milliseconds(100))
    #expect(subscriber.retransmissions(on: slot).isEmpty)
    #expect(world.engine.drops[.codecNotNegotiated] == 1)
    #expect(world.violations.isEmpty)
  }

  @Test("Loss on the way in is asked for, and the answer fills the hole in each subscriber's stream in place")
  func fillsHole() throws {
    let (world, publisher, subscriber) = Self.pair(seed: 44)
    let stream = publisher.stream(.video)
    stream.isPaused = true
    world.run(for: .milliseconds(100))
    let slot = subscriber.slot(.video)
    let before = subscriber.packets(on: slot)
    // One frame of three packets, of which the middle is lost.
    let lost = stream.next + 1
    sendFrame(stream, losing: 1, of: publisher, in: world)
    world.run(for: .milliseconds(15))
    world.run(for: .milliseconds(120))
    let asked = publisher.feedback.compactMap { if case .nack(stream.ssrc, let lost) = $0.packet { lost } else { nil } }
    #expect(asked.first == [lost.wire.rawValue])
    let after = subscriber.packets(on: slot).dropFirst(before.count)
    #expect(after.count == 3)
    // In the order of arrival: the last one came before the one that was repaired.
    let base = before.last!.index
    #expect(after.map { $0.index - base } == [1, 3, 2])
    for packet in after {
      let origin = try #require(world.origin(of: packet))
      #expect(packet.payload == stream.sent[origin.index.wire.rawValue]!.payload)
    }
    #expect(world.violations.isEmpty)
  }

  /// Sends one frame whose packet at `position` does not arrive.
  private func sendFrame(_ stream: PublishedStream, losing position: Int, of publisher: ScriptedPeer, in world: EngineWorld) {
    let count = stream.packetsPerFrame
    let timestamp = stream.timestamp(at: world.now)
    for packet in 0..<count {
      publisher.uplink.lossPerMille = packet == position ? 1000 : 0
      let tag = 5_000_000 + UInt64(world.makeIdentifier())
      world.tags[tag] = TaggedPacket(
        publication: stream.publication, ssrc: stream.ssrc, index: stream.next, timestamp: timestamp, captured: world.now,
        isKeyframeStart: false)
      let payload = TaggedPayload.vp8(tag: tag, isFirst: packet == 0, isKeyframe: false, byteCount: 100 + packet)
      publisher.send(payload, of: stream, marker: packet == count - 1, timestamp: timestamp, in: world)
    }
    publisher.uplink.lossPerMille = 0
  }

  @Test("A loss that nobody repairs stays a gap, which the subscriber may ask for in vain, and nothing else is moved")
  func gapStays() {
    let (world, publisher, subscriber) = Self.pair(seed: 45) { $0.answersNACK = false }
    let stream = publisher.stream(.video)
    stream.isPaused = true
    world.run(for: .milliseconds(100))
    let slot = subscriber.slot(.video)
    let before = subscriber.packets(on: slot)
    for _ in 0..<3 {
      sendFrame(stream, losing: 1, of: publisher, in: world)
      world.run(for: .milliseconds(40))
    }
    world.run(for: .seconds(Int64(3)))
    let after = subscriber.packets(on: slot).dropFirst(before.count)
    #expect(after.map { $0.index - before.last!.index } == [1, 3, 4, 6, 7, 9])
    subscriber.sendNACK([before.last!.rtp.sequence &+ 2], of: slot, in: world)
    world.run(for: .milliseconds(100))
    #expect(subscriber.retransmissions(on: slot).isEmpty)
    // What nobody repairs costs a key frame in the end.
    #expect(publisher.feedback.contains { $0.packet == .pictureLoss(media: stream.ssrc) })
    #expect(world.violations.isEmpty)
  }

  @Test("A publisher that did not negotiate NACK is not asked")
  func publisherWithoutNACK() {
    let world = EngineWorld(seed: 46)
    var numbers = PeerNumbers()
    numbers.videoFeedback = [.pictureLossIndication]
    let publisher = world.addPeer("publisher", publishes: [.video], numbers: numbers) { $0.uplink.lossPerMille = 100 }
    world.connect()
    world.run(for: .seconds(Int64(5)))
    #expect(!publisher.feedback.contains { if case .nack = $0.packet { true } else { false } })
  }

  @Test("A packet that comes again, on its own stream or on the repair stream, goes out once")
  func duplicates() {
    let (world, publisher, subscriber) = Self.pair(seed: 47)
    publisher.uplink.duplicationPerMille = 1000
    world.run(for: .seconds(Int64(1)))
    publisher.uplink.duplicationPerMille = 0
    #expect(world.engine.drops[.replayed] >= 70)
    let stream = publisher.stream(.video)
    for number in 1...20 { publisher.retransmit(stream.next.wire.rawValue &- UInt16(number), of: stream, in: world) }
    world.run(for: .seconds(Int64(1)))
    #expect(world.engine.drops[.duplicate] == 20)
    let packets = subscriber.packets(on: subscriber.slot(.video))
    for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    #expect(world.violations.isEmpty)
  }

  @Test("Probing on the repair stream, before and after media, is dropped and counted, and reported as arrived")
  func probing() {
    let (world, publisher, subscriber) = Self.pair(seed: 48)
    let stream = publisher.stream(.video)
    for round in 0..<10 {
      var probe = RTPBytes(
        payloadType: publisher.numbers.vp8Retransmission!, sequence: stream.nextRetransmission.wire.rawValue, timestamp: 0,
        ssrc: stream.retransmissionSSRC.rawValue, payload: [], paddingByteCount: 200)
      probe.extensions.append(.init(publisher.numbers.mid, stream.mid))
      publisher.sendRTP(probe, index: stream.nextRetransmission, in: world)
      stream.nextRetransmission = stream.nextRetransmission + 1
      if round == 5 { world.run(for: .milliseconds(7)) }
    }
    world.run(for: .milliseconds(300))
    #expect(world.engine.drops[.paddingOnly] == 10)
    let packets = subscriber.packets(on: subscriber.slot(.video))
    for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
  }

  @Test("A retransmission too short to hold the original number is malformed")
  func shortRetransmission() {
    let (world, publisher, _) = Self.pair(seed: 49)
    let stream = publisher.stream(.video)
    let packet = RTPBytes(
      payloadType: publisher.numbers.vp8Retransmission!, sequence: 7, timestamp: 0, ssrc: stream.retransmissionSSRC.rawValue,
      extensions: [.init(publisher.numbers.mid, stream.mid)], payload: [1])
    publisher.sendRTP(packet, index: ExtendedSequenceNumber(7), in: world)
    world.run(for: .milliseconds(100))
    #expect(world.engine.drops[.retransmissionMalformed] == 1)
  }
}
