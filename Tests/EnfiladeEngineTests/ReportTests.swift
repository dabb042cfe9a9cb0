// What the engine says in RTCP: when, and whether it is true (RFC 3550 §6, RFC 4585, draft-holmer-rmcat-transport-wide-cc-extensions-01).

import EnfiladeCongestion
import EnfiladeEngine
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Reports")
struct ReportTests {
  private static func senderReports(of slot: PeerSlot, at peer: ScriptedPeer) -> [(at: Instant, info: SenderInfo)] {
    peer.feedback.compactMap { entry in
      if case .senderReport(let info, _) = entry.packet, info.ssrc == slot.ssrc { (entry.at, info) } else { nil }
    }
  }

  private static func pair(
    seed: UInt64, numbers: PeerNumbers = PeerNumbers(), _ prepare: (ScriptedPeer) -> Void = { _ in }
  ) -> (world: EngineWorld, publisher: ScriptedPeer, subscriber: ScriptedPeer) {
    let world = EngineWorld(seed: seed)
    let publisher = world.addPeer("publisher", publishes: [.audio, .video], numbers: numbers, prepare)
    let subscriber = world.addPeer("subscriber", receives: [.audio, .video], numbers: numbers)
    world.connect()
    for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind) }
    return (world, publisher, subscriber)
  }

  @Test("Each stream is reported every half to one and a half seconds, with what was really sent")
  func senderReports() {
    let (world, _, subscriber) = Self.pair(seed: 80)
    world.run(for: .seconds(Int64(30)))
    for kind in MediaKind.allCases {
      let slot = subscriber.slot(kind)
      let reports = Self.senderReports(of: slot, at: subscriber)
      #expect((20...45).contains(reports.count))
      for (one, next) in zip(reports, reports.dropFirst()) {
        #expect((TimeDelta.milliseconds(490)...TimeDelta.milliseconds(1_550)).contains(next.at - one.at))
        #expect(next.info.ntp > one.info.ntp)
      }
      for report in reports {
        // The path takes 10 ms and loses nothing, so what was sent before the report came before it.
        let before = subscriber.packets(on: slot).filter { $0.at <= report.at }
        #expect(Int(report.info.packetCount) == before.count)
        #expect(Int(report.info.octetCount) == before.reduce(0) { $0 + $1.payload.count })
        #expect(abs((world.wallClock.ntp(at: report.at) - report.info.ntp - .milliseconds(10)).nanoseconds) <= 1000)
      }
    }
    #expect(world.violations.isEmpty)
  }

  @Test("Every source that reports as a sender is given its canonical name in the same datagram", arguments: [true, false])
  func canonicalNames(isReducedSize: Bool) {
    var numbers = PeerNumbers()
    numbers.reducedSizeRTCP = isReducedSize
    let (world, publisher, subscriber) = Self.pair(seed: 81, numbers: numbers)
    world.run(for: .seconds(Int64(10)))
    var names = 0
    for compound in subscriber.compounds {
      for case .senderReport(let info, _) in compound.packets {
        let named = compound.packets.contains { packet in
          if case .sourceDescription(let chunks) = packet { chunks[info.ssrc] == "enfilade" } else { false }
        }
        #expect(named)
        names += 1
      }
    }
    #expect(names > 10)
    // Unless reduced size was negotiated, everything comes as a compound (RFC 3550 §6.1): the peers check that.
    #expect(publisher.rejections.isEmpty && subscriber.rejections.isEmpty)
    #expect(publisher.compounds.count > 90)
  }

  @Test("A slot that has sent nothing, or is bound to nothing, does not report as a sender")
  func silentSlots() {
    let world = EngineWorld(seed: 82)
    let subscriber = world.addPeer("subscriber", receives: [.audio, .video])
    world.connect()
    world.run(for: .seconds(Int64(5)))
    #expect(!subscriber.feedback.contains { if case .senderReport = $0.packet { true } else { false } })
    #expect(subscriber.feedback.contains { if case .receiverReport = $0.packet { true } else { false } })
  }

  @Test("A link with very many slots reports all of them, each in its turn, in datagrams that pass any path")
  func manySlots() {
    let world = EngineWorld(seed: 83)
    let publisher = world.addPeer("publisher", publishes: [.audio])
    let subscriber = world.addPeer("subscriber", receives: Array(repeating: .audio, count: 60))
    world.connect()
    for number in 0..<60 { world.subscribe(subscriber, to: publisher, .audio, slot: number) }
    world.run(for: .seconds(Int64(6)))
    for slot in subscriber.slots { #expect(Self.senderReports(of: slot, at: subscriber).count >= 3) }
    #expect(subscriber.rejections.isEmpty && world.violations.isEmpty)
  }

  @Test("Receiver reports tell a publisher its loss, and let it measure the round trip")
  func receiverReports() throws {
    let (world, publisher, _) = Self.pair(seed: 84)
    publisher.answersNACK = false
    world.run(for: .seconds(Int64(5)))
    publisher.uplink.lossPerMille = 100
    let lossFrom = world.now
    world.run(for: .seconds(Int64(60)))
    for stream in publisher.published {
      let blocks = publisher.feedback.compactMap { entry -> (Instant, ReportBlock)? in
        switch entry.packet {
        case .senderReport(_, let blocks), .receiverReport(_, let blocks):
          blocks.first { $0.ssrc == stream.ssrc }.map { (entry.at, $0) }
        default: nil
        }
      }
      #expect(blocks.count > 40)
      for (at, block) in blocks where at < lossFrom {
        #expect(block.fractionLost == 0 && block.cumulativeLost == 0)
      }
      let late = blocks.filter { $0.0 > lossFrom + .seconds(Int64(2)) }
      let fraction = Double(late.reduce(0) { $0 + Int($1.1.fractionLost) }) / Double(late.count) / 256
      #expect(0.06...0.14 ~= fraction, "\(fraction)")
      let last = try #require(blocks.last)
      // At most one and a half seconds ago.
      #expect((0...150).contains(stream.next.rawValue - Int64(last.1.extendedHighestSequenceNumber)))
      for (at, block) in blocks where block.lastSenderReport != 0 {
        let trip = try #require(block.roundTripTime(at: world.wallClock.ntp(at: at) + publisher.wallOffset))
        #expect(abs(trip.milliseconds - 20) <= 1)
      }
    }
  }

  // MARK: Lip synchronization

  /// How far apart two streams of one publisher are at the worst, for a subscriber that goes by the newest sender report of each.
  private static func worstOffset(
    _ world: EngineWorld, _ subscriber: ScriptedPeer, publisher: ScriptedPeer, from: Instant
  ) -> Double {
    let slots = [MediaKind.audio, .video].map { subscriber.slot($0) }
    let reports = slots.map { senderReports(of: $0, at: subscriber) }
    let packets = slots.map { slot in
      // A report from before the switch says nothing about what came after.
      subscriber.packets(on: slot).filter { $0.at >= from && world.origin(of: $0)?.ssrc == publisher.stream(slot.kind).ssrc }
    }
    guard packets.allSatisfy({ $0.count > 50 }) else { return .infinity }
    /// By how much a packet would be played too late, by the reports known at `now`; the same for both streams if they are in step.
    func lateness(_ packet: ReceivedPacket, _ reports: [(at: Instant, info: SenderInfo)], rate: Double, now: Instant) -> Double {
      guard let info = reports.last(where: { $0.at <= now })?.info, let origin = world.origin(of: packet) else { return .infinity }
      let ticks = Double(Int32(bitPattern: packet.rtp.timestamp &- info.rtpTimestamp.rawValue))
      return (info.ntp - world.wallClock.ntp(at: origin.captured)).seconds + ticks / rate
    }
    var worst = 0.0
    var position = 0
    for picture in packets[1] {
      while position + 1 < packets[0].count, packets[0][position + 1].at <= picture.at { position += 1 }
      let sound = lateness(packets[0][position], reports[0], rate: 48_000, now: picture.at)
      worst = max(worst, abs(sound - lateness(picture, reports[1], rate: 90_000, now: picture.at)))
    }
    return worst
  }

  @Test("Audio and video of one publisher stay within a millisecond of one another, whatever its clock and its delays are")
  func lipSync() {
    let (world, publisher, subscriber) = Self.pair(seed: 85) { peer in
      peer.wallOffset = .seconds(Int64(-18_000))
      peer.stream(.video).captureDelay = .milliseconds(80)
      peer.stream(.audio).captureDelay = .milliseconds(20)
      peer.uplink.jitter = .milliseconds(30)
    }
    world.run(for: .seconds(Int64(4)))
    let from = world.now
    world.run(for: .seconds(Int64(60)))
    #expect(Self.worstOffset(world, subscriber, publisher: publisher, from: from) < 0.001)
  }

  @Test("They stay together after the publisher changed, and after it began anew")
  func lipSyncAfterSwitch() {
    let world = EngineWorld(seed: 86)
    let publishers = (0..<2).map { number in
      world.addPeer("publisher \(number)", publishes: [.audio, .video]) { peer in
        peer.wallOffset = .seconds(Int64(1000 * number - 500))
        peer.stream(.video).captureDelay = .milliseconds(Int64(60 + 70 * number))
      }
    }
    let subscriber = world.addPeer("subscriber", receives: [.audio, .video])
    world.connect()
    for publisher in publishers {
      for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind) }
      world.run(for: .seconds(Int64(4)))
      let from = world.now
      world.run(for: .seconds(Int64(10)))
      #expect(Self.worstOffset(world, subscriber, publisher: publisher, from: from) < 0.001)
    }
    for stream in publishers[1].published { stream.restart(using: &world.random) }
    world.run(for: .seconds(Int64(4)))
    let from = world.now
    world.run(for: .seconds(Int64(10)))
    #expect(Self.worstOffset(world, subscriber, publisher: publishers[1], from: from) < 0.001)
  }

  // MARK: Transport-wide feedback

  @Test(
    "Transport-wide feedback comes every 50 to 100 ms and says exactly what arrived, and when",
    arguments: [(0, 0, 0), (50, 0, 0), (0, 25, 0), (100, 40, 100)] as [(UInt64, Int64, UInt64)])
  func transportFeedback(loss: UInt64, jitterMilliseconds: Int64, duplication: UInt64) throws {
    let (world, publisher, _) = Self.pair(seed: 87) { $0.nextTransportNumber = 65_000 }
    publisher.uplink = VirtualLink(
      delay: .milliseconds(10), jitter: .milliseconds(jitterMilliseconds), lossPerMille: loss, duplicationPerMille: duplication)
    world.run(for: .seconds(Int64(10)))
    for stream in publisher.published { stream.isPaused = true }
    world.run(for: .milliseconds(500))
    var firstArrival: [UInt16: Instant] = [:]
    for arrival in publisher.transportArrivals where firstArrival[arrival.number] == nil { firstArrival[arrival.number] = arrival.at }
    var reported: [UInt16: Instant] = [:]
    var times: [Instant] = []
    var counts: [UInt8] = []
    for entry in publisher.feedback {
      guard case .transportFeedback(let feedback) = entry.packet else { continue }
      times.append(entry.at)
      counts.append(feedback.count)
      for status in feedback.statuses {
        guard let arrival = feedback.arrival(of: status) else { continue }
        if reported[status.sequenceNumber] == nil { reported[status.sequenceNumber] = arrival }
      }
    }
    #expect(firstArrival.count > 1000)
    #expect(Set(reported.keys) == Set(firstArrival.keys))
    for (number, at) in firstArrival {
      let error = try #require(reported[number]) - at
      #expect(abs(error.microseconds) <= 500, "number \(number)")
    }
    for (one, next) in zip(counts, counts.dropFirst()) { #expect(next == one &+ 1) }
    for (one, next) in zip(times, times.dropFirst()) {
      #expect((ReceivedPacketRecorder.minimumInterval...(ReceivedPacketRecorder.maximumInterval + .milliseconds(25))).contains(next - one))
    }
    #expect(world.violations.isEmpty)
  }

  @Test("Probing that comes before any media is reported as arrived")
  func earlyProbing() {
    let world = EngineWorld(seed: 88)
    let publisher = world.addPeer("publisher", publishes: [.video]) { $0.stream(.video).isPaused = true }
    world.connect()
    let stream = publisher.stream(.video)
    for _ in 0..<20 {
      var probe = RTPBytes(
        payloadType: publisher.numbers.vp8Retransmission!, sequence: stream.nextRetransmission.wire.rawValue, timestamp: 0,
        ssrc: stream.retransmissionSSRC.rawValue, payload: [], paddingByteCount: 200)
      probe.extensions.append(.init(publisher.numbers.mid, stream.mid))
      publisher.sendRTP(probe, index: stream.nextRetransmission, in: world)
      stream.nextRetransmission = stream.nextRetransmission + 1
    }
    world.run(for: .milliseconds(300))
    let received = publisher.feedback.reduce(0) { sum, entry in
      if case .transportFeedback(let feedback) = entry.packet { sum + feedback.statuses.count { $0.isReceived } } else { sum }
    }
    #expect(received == 20)
    // And the repair stream works once there is something to repair.
    stream.isPaused = false
    stream.nextFrameAt = world.now
    world.run(for: .milliseconds(500))
    publisher.uplink.lossPerMille = 300
    world.run(for: .milliseconds(500))
    publisher.uplink.lossPerMille = 0
    world.run(for: .milliseconds(500))
    #expect(world.engine.drops[.retransmissionUnwanted] == 20)
    #expect(world.engine.traffic.packetsIn > 60)
  }

  @Test("A peer that only receives is sent no feedback")
  func receiverGetsNoFeedback() {
    let (world, _, subscriber) = Self.pair(seed: 89)
    world.run(for: .seconds(Int64(5)))
    #expect(!subscriber.feedback.contains { if case .transportFeedback = $0.packet { true } else { false } })
    #expect(!subscriber.feedback.contains { if case .nack = $0.packet { true } else { false } })
  }

  @Test("A publisher that takes nothing but an estimate is told one, of all its sources, that its path carries", arguments: [false, true])
  func receiverEstimate(isReducedSize: Bool) throws {
    var numbers = PeerNumbers()
    numbers.transportSequenceNumber = nil
    numbers.others = [.absoluteSendTime: 5]
    numbers.videoFeedback = [.nack, .pictureLossIndication, .receiverEstimatedMaximumBitrate]
    numbers.audioFeedback = []
    numbers.reducedSizeRTCP = isReducedSize
    let (world, publisher, _) = Self.pair(seed: 88, numbers: numbers)
    for stream in publisher.published {
      // RFC 8285 and the extension's definition: 24 bits, 6.18 fixed point.
      stream.moreExtensions = { now in
        let ticks = UInt32(truncatingIfNeeded: now.nanoseconds / 1000 * 262_144 / 1_000_000)
        return [.init(5, [UInt8(ticks >> 16 & 0xFF), UInt8(ticks >> 8 & 0xFF), UInt8(ticks & 0xFF)])]
      }
    }
    // Half of what is sent fits.
    publisher.published.first { $0.kind == .video }?.payloadByteCount = 1000
    publisher.uplink.rate = .kilobitsPerSecond(300)
    world.run(for: .seconds(Int64(10)))
    let told = publisher.feedback.compactMap { entry -> (Bitrate, [SSRC])? in
      if case .maximumBitrate(let bitrate, let sources) = entry.packet { (bitrate, sources) } else { nil }
    }
    #expect(told.count >= 9)
    #expect(told.allSatisfy { Set($0.1) == Set(publisher.published.map(\.ssrc)) })
    let last = try #require(told.last).0
    #expect(last < .kilobitsPerSecond(310), "\(told.map(\.0))")
    #expect(publisher.rejections.isEmpty)
    #expect(world.violations.isEmpty)
  }

  @Test("Links without media report seldom and together, and soon once there is some")
  func quiet() throws {
    let (world, publisher, subscriber) = Self.pair(seed: 90)
    world.run(for: .seconds(Int64(5)))
    for stream in publisher.published { stream.isPaused = true }
    world.run(for: .seconds(Int64(10)))
    func reports(of peer: ScriptedPeer, since start: Instant) -> [Instant] {
      peer.compounds.filter { compound in
        compound.at > start
          && compound.packets.contains {
            switch $0 {
            case .senderReport, .receiverReport: true
            default: false
            }
          }
      }
      .map(\.at)
    }
    let still = world.now
    world.run(for: .seconds(Int64(60)))
    for peer in [publisher, subscriber] {
      let times = reports(of: peer, since: still)
      #expect((7...25).contains(times.count), "\(times.count) reports in a minute")
      // The engine's clock and the way to the peer.
      #expect(times.allSatisfy { ($0.nanoseconds % 1_000_000_000) < 200_000_000 })
    }
    let again = world.now
    for stream in publisher.published { (stream.isPaused, stream.nextFrameAt) = (false, world.now) }
    world.run(for: .seconds(Int64(1)))
    for peer in [publisher, subscriber] {
      let first = try #require(reports(of: peer, since: again).first)
      #expect(first - again < .milliseconds(300))
    }
    #expect(world.violations.isEmpty)
  }

  @Test("Who is told of every packet is told no estimate")
  func noReceiverEstimate() {
    var numbers = PeerNumbers()
    numbers.others = [.absoluteSendTime: 5]
    numbers.videoFeedback.insert(.receiverEstimatedMaximumBitrate)
    let (world, publisher, _) = Self.pair(seed: 89, numbers: numbers)
    world.run(for: .seconds(Int64(5)))
    #expect(!publisher.feedback.contains { if case .maximumBitrate = $0.packet { true } else { false } })
  }
}
