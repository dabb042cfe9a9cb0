// What a downlink carries: numbered, reported, paced and shared out, in virtual time before a modelled bottleneck.

import EnfiladeCongestion
import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

@Suite("Downlinks")
struct DownlinkTests {
  /// Publishers of sound, about 40 kbit/s with all headers, and of three encodings: about 125, 530 and 1,600 kbit/s at 25 frames a second.
  struct Room {
    let world: EngineWorld
    var publishers: [ScriptedPeer] = []
    var encodings: [[PublishedStream]] = []
    var subscribers: [ScriptedPeer] = []

    init(
      seed: UInt64, shards: Int = 1, publishers count: Int = 3, subscribers subscriberCount: Int = 1,
      congestion: CongestionProfile? = CongestionProfile(), reporting: ReportingStyle = .transportWide
    ) {
      world = EngineWorld(seed: seed, shards: shards, slotCount: 8192, congestion: congestion)
      for number in 0..<count {
        var streams: [PublishedStream] = []
        publishers.append(
          world.addPeer("publisher \(number)", publishes: [.audio]) { peer in
            streams = world.addSimulcast(["q", "h", "f"], to: peer)
            for (stream, shape) in zip(streams, [(1, 560), (3, 833), (7, 1071)]) {
              (stream.packetsPerFrame, stream.payloadByteCount) = shape
            }
            peer.stream(.audio).payloadByteCount = 40
            // Frames of different publishers do not come at the same moment.
            for stream in peer.published { stream.nextFrameAt = stream.nextFrameAt + .milliseconds(Int64(number) * 7) }
          })
        encodings.append(streams)
      }
      let kinds = [MediaKind](repeating: .audio, count: count) + [MediaKind](repeating: .video, count: count)
      for number in 0..<subscriberCount {
        subscribers.append(
          world.addPeer("subscriber \(number)", receives: kinds) { peer in
            peer.report(reporting)
            peer.sendsNACK = true
            peer.downlink = VirtualLink(delay: .milliseconds(25))
          })
      }
      world.connect()
      for subscriber in subscribers {
        for (number, publisher) in publishers.enumerated() {
          for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind, slot: number) }
        }
      }
    }

    /// Which encodings a subscriber was sent last, one for each publisher; −1 for none in the last half second.
    func shown(to subscriber: ScriptedPeer) -> [Int] {
      publishers.indices.map { number in
        guard let packet = subscriber.packets(on: subscriber.slot(.video, number)).last, let origin = world.origin(of: packet),
          world.now - packet.at < .milliseconds(500)
        else { return -1 }
        return encodings[number].firstIndex { $0.ssrc == origin.ssrc } ?? -1
      }
    }

    /// Delays above the path's own of the sound that a subscriber got since `start`, and how many packets never came.
    func sound(of subscriber: ScriptedPeer, since start: Instant) -> (delays: [TimeDelta], missing: Int) {
      var delays: [TimeDelta] = []
      var missing = 0
      for number in publishers.indices {
        let packets = subscriber.packets(on: subscriber.slot(.audio, number)).filter { $0.at >= start }
        var previous: ReceivedPacket?
        for packet in packets {
          if let previous { missing += max(0, Int(packet.index - previous.index) - 1) }
          previous = packet
          guard let origin = world.origin(of: packet) else { continue }
          delays.append(packet.at - origin.captured - .milliseconds(35))
        }
      }
      return (delays, missing)
    }

    /// The longest pause between frames of one picture that came whole enough to be shown.
    func longestPause(of subscriber: ScriptedPeer, since start: Instant) -> TimeDelta {
      var longest = TimeDelta.zero
      for number in publishers.indices {
        var times = subscriber.packets(on: subscriber.slot(.video, number)).map(\.at).filter { $0 >= start }
        times.sort()
        for (one, next) in zip(times, times.dropFirst()) { longest = max(longest, next - one) }
        if let last = times.last { longest = max(longest, world.now - last) }
      }
      return longest
    }

    func report(of subscriber: ScriptedPeer) -> DownlinkReport {
      world.engines[world.shard(of: subscriber)].downlinkReport(of: subscriber.link)!
    }

    func expectAllHome() {
      for peer in world.peers { world.removeLink(of: peer) }
      for shard in world.engines.indices {
        let census = world.engines[shard].census
        #expect(census == ShardEngine.Census(), "shard \(shard)")
      }
      #expect(world.violations.isEmpty)
    }
  }

  private static func percentile(_ values: [TimeDelta], _ share: Double) -> TimeDelta {
    let sorted = values.sorted()
    return sorted.isEmpty ? .zero : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
  }

  // MARK: Numbers

  @Test("Every packet of a controlled link has the next transport-wide number: sound, video, retransmissions and padding")
  func numbers() {
    let room = Room(seed: 700, publishers: 1)
    let subscriber = room.subscribers[0]
    room.world.run(for: .seconds(Int64(4)))
    let numbers = subscriber.transportNumbers.map(\.number)
    #expect(numbers.count > 400)
    for (one, next) in zip(numbers, numbers.dropFirst()) { #expect(next == one &+ 1) }
    #expect(subscriber.retransmissionCount + subscriber.emptyCount > 0)
    room.expectAllHome()
  }

  @Test("Without congestion control no packet has a transport-wide number")
  func numberless() {
    let room = Room(seed: 701, publishers: 1, congestion: nil)
    room.world.run(for: .seconds(Int64(2)))
    #expect(room.subscribers[0].transportNumbers.isEmpty)
    #expect(room.shown(to: room.subscribers[0]) == [2])
    #expect(room.world.engine.traffic.paddingPacketsOut == 0)
    room.expectAllHome()
  }

  // MARK: The estimate

  @Test(
    "On a wide link the best of everybody is there within seconds, in either format of reports",
    arguments: [ReportingStyle.transportWide, .byStream])
  func ramp(reporting: ReportingStyle) {
    let room = Room(seed: 702, reporting: reporting)
    let subscriber = room.subscribers[0]
    subscriber.downlink.rate = .megabitsPerSecond(20)
    room.world.run(for: .seconds(Int64(6)))
    #expect(room.shown(to: subscriber) == [2, 2, 2])
    let report = room.report(of: subscriber)
    #expect(report.congestion.estimate > .megabitsPerSecond(5))
    #expect(report.congestion.roundTrip < .milliseconds(200))
    #expect(report.slots.allSatisfy { $0.allocation.reason == .satisfied })
    let sound = room.sound(of: subscriber, since: .zero)
    #expect(sound.missing == 0)
    #expect(Self.percentile(sound.delays, 0.99) < .milliseconds(40))
    room.expectAllHome()
  }

  @Test("Who promises reports of packets and never sends one is served by its estimate", arguments: [500, 6_000])
  func estimateInstead(kilobits: Int64) {
    let room = Room(seed: 704, publishers: 1, reporting: .estimateInstead(.kilobitsPerSecond(kilobits)))
    let subscriber = room.subscribers[0]
    room.world.run(for: .seconds(Int64(40)))
    let report = room.report(of: subscriber)
    print("promised reports, an estimate of \(kilobits) kbit/s: estimate \(report.congestion.estimate)")
    #expect(report.feedback == .transportWide)
    #expect(room.shown(to: subscriber) == [kilobits == 500 ? 0 : 2])
    #expect(report.congestion.estimate <= .kilobitsPerSecond(kilobits))
    #expect(report.congestion.estimate >= .kilobitsPerSecond(kilobits == 500 ? 490 : 2_000))
    room.expectAllHome()
  }

  @Test("Who promises reports of packets and never sends one is served by the losses of its receiver reports", arguments: [true, false])
  func lossInstead(isWide: Bool) {
    let room = Room(seed: 705, publishers: 1, reporting: .nothing)
    let subscriber = room.subscribers[0]
    subscriber.measuresLoss = true
    subscriber.downlink.rate = isWide ? .megabitsPerSecond(20) : .kilobitsPerSecond(400)
    room.world.run(for: .seconds(Int64(40)))
    let report = room.report(of: subscriber)
    print("promised reports, isWide \(isWide): estimate \(report.congestion.estimate), shown \(room.shown(to: subscriber))")
    #expect(report.congestion.estimate > .kilobitsPerSecond(100))
    if isWide {
      #expect(report.congestion.estimate > .megabitsPerSecond(2))
      #expect(room.shown(to: subscriber) == [2])
    } else {
      #expect(report.congestion.estimate < .kilobitsPerSecond(800))
      #expect(room.shown(to: subscriber) == [0])
    }
    room.expectAllHome()
  }

  @Test("A peer's own estimate bounds what it is sent, when it reports no packets", arguments: [500, 6_000])
  func receiverEstimate(kilobits: Int64) {
    let room = Room(seed: 703, publishers: 1, reporting: .estimate(.kilobitsPerSecond(kilobits)))
    let subscriber = room.subscribers[0]
    room.world.run(for: .seconds(Int64(40)))
    #expect(room.shown(to: subscriber) == [kilobits == 500 ? 0 : 2])
    let estimate = room.report(of: subscriber).congestion.estimate
    #expect(estimate <= .kilobitsPerSecond(kilobits))
    #expect(estimate >= .kilobitsPerSecond(kilobits == 500 ? 490 : 2_000))
    room.expectAllHome()
  }

  @Test(
    "What a link's congestion control takes of memory is bounded, before and behind a bottleneck",
    arguments: [
      ReportingStyle.transportWide, .byStream,
    ])
  func memory(reporting: ReportingStyle) {
    let room = Room(seed: 717, reporting: reporting)
    let subscriber = room.subscribers[0]
    room.world.run(for: .seconds(Int64(5)))
    let free = room.report(of: subscriber).memoryByteCount
    subscriber.downlink.rate = .kilobitsPerSecond(600)
    room.world.run(for: .seconds(Int64(10)))
    let congested = room.report(of: subscriber).memoryByteCount
    print("congestion control of one link, \(reporting): \(free) bytes, \(congested) after it was congested")
    #expect(free > 30_000)
    // With reports by stream each of the nine streams has a table of its own.
    #expect(congested < (reporting == .transportWide ? 100_000 : 300_000))
    room.expectAllHome()
  }

  // MARK: The bottleneck

  @Test(
    "3 Mbit/s, 600 kbit/s, 3 Mbit/s: sound goes on, layers go down at once and come back", arguments: [1, 2], [704, 705, 706] as [UInt64])
  func bottleneck(shards: Int, seed: UInt64) {
    let room = Room(seed: seed, shards: shards)
    let (world, subscriber) = (room.world, room.subscribers[0])
    subscriber.downlink.rate = .megabitsPerSecond(3)
    // As the shapers of access links have it: nothing is lost for a second.
    subscriber.downlink.queue = .seconds(Int64(1))
    world.run(for: .seconds(Int64(15)))
    let before = room.shown(to: subscriber)
    // 3 Mbit/s carries one of 1,500 and two of 500, or three of 500 and little less.
    #expect(before.reduce(0, +) >= 3)
    let start = world.now
    subscriber.downlink.rate = .kilobitsPerSecond(600)
    world.run(for: .seconds(Int64(3)))
    var longest = TimeDelta.zero
    for _ in 0..<170 {
      world.run(for: .milliseconds(100))
      longest = max(longest, subscriber.downlink.waiting(at: world.now))
    }
    #expect(longest < .milliseconds(300))
    #expect(room.shown(to: subscriber) == [0, 0, 0])
    let low = room.report(of: subscriber)
    #expect(low.congestion.estimate < .kilobitsPerSecond(750))
    #expect(low.congestion.estimate > .kilobitsPerSecond(300))
    #expect(low.slots.allSatisfy { $0.allocation.reason == .limitedByBandwidth })
    subscriber.downlink.rate = .megabitsPerSecond(3)
    world.run(for: .seconds(Int64(10)))
    #expect(room.shown(to: subscriber).reduce(0, +) >= before.reduce(0, +) - 1)
    let sound = room.sound(of: subscriber, since: start)
    #expect(Double(sound.missing) <= Double(sound.delays.count) * 0.01)
    #expect(Self.percentile(sound.delays, 0.95) < .milliseconds(600))
    let settled = room.sound(of: subscriber, since: start + .seconds(Int64(3)))
    #expect(Self.percentile(settled.delays, 0.95) < .milliseconds(200))
    #expect(room.longestPause(of: subscriber, since: start) < .milliseconds(1_500))
    room.expectAllHome()
  }

  @Test(
    "The same with temporal layers and key frames ten times as large as others, from publishers that take a while to make them",
    arguments: zip([1, 2, 2], [710, 711, 712] as [UInt64]))
  func bottleneckWithLargeKeyFrames(shards: Int, seed: UInt64) {
    let room = Room(seed: seed, shards: shards)
    let (world, subscriber) = (room.world, room.subscribers[0])
    for (publisher, streams) in zip(room.publishers, room.encodings) {
      publisher.keyframeDelay = .milliseconds(100)
      for stream in streams {
        stream.keyframePacketCount = 10 * stream.packetsPerFrame
        stream.hasTemporalLayers = true
      }
    }
    subscriber.downlink.rate = .megabitsPerSecond(3)
    subscriber.downlink.queue = .seconds(Int64(1))
    world.run(for: .seconds(Int64(20)))
    let before = room.shown(to: subscriber)
    #expect(before.allSatisfy { $0 >= 1 })
    let start = world.now
    subscriber.downlink.rate = .kilobitsPerSecond(600)
    var drained = TimeDelta.zero
    var longest = TimeDelta.zero
    for _ in 0..<100 {
      world.run(for: .milliseconds(100))
      let queue = subscriber.downlink.waiting(at: world.now)
      if world.now - start <= .seconds(Int64(3)) {
        if queue > .milliseconds(300) { drained = world.now - start }
      } else {
        longest = max(longest, queue)
      }
    }
    let sound = room.sound(of: subscriber, since: start)
    let pause = room.longestPause(of: subscriber, since: start)
    print("queue below 300 ms after \(drained), at most \(longest) from 3 s on; pause \(pause); sound missing \(sound.missing)")
    #expect(longest < .milliseconds(300))
    #expect(pause < .milliseconds(500))
    #expect(Double(sound.missing) <= Double(sound.delays.count) * 0.01)
    #expect(room.shown(to: subscriber).allSatisfy { $0 >= 0 })
    room.expectAllHome()
  }

  @Test("One bad downlink of ten changes nothing for the other nine", arguments: [1, 2])
  func oneOfTen(shards: Int) {
    // The same room twice; in one of them a link is bad.
    let rooms = [false, true].map { isBad in
      let room = Room(seed: 710, shards: shards, publishers: 2, subscribers: 10)
      for subscriber in room.subscribers { subscriber.downlink.rate = .megabitsPerSecond(10) }
      room.world.run(for: .seconds(Int64(8)))
      if isBad { room.subscribers[3].downlink = VirtualLink(delay: .milliseconds(60), lossPerMille: 50, rate: .kilobitsPerSecond(300)) }
      room.world.run(for: .seconds(Int64(10)))
      return room
    }
    #expect(rooms[1].shown(to: rooms[1].subscribers[3]).reduce(0, +) <= 0)
    let since = rooms[0].world.now - .seconds(Int64(10))
    for number in rooms[0].subscribers.indices where number != 3 {
      let (good, bad) = (rooms[0].subscribers[number], rooms[1].subscribers[number])
      #expect(rooms[1].shown(to: bad) == [2, 2])
      for slot in 0..<2 {
        func numbers(_ room: Room, _ peer: ScriptedPeer) -> [Int64] {
          peer.packets(on: peer.slot(.video, slot)).filter { $0.at >= since }.map(\.index.rawValue)
        }
        let (one, other) = (numbers(rooms[0], good), numbers(rooms[1], bad))
        #expect(one.count > 1_000)
        #expect(one == other)
      }
      let sound = rooms[1].sound(of: bad, since: since)
      #expect(sound.missing == 0)
      #expect(Self.percentile(sound.delays, 1) < .milliseconds(20))
    }
    for room in rooms { room.expectAllHome() }
  }

  @Test("What waits for a bad downlink is dropped when its publisher is removed, and goes home")
  func removalWhileWaiting() {
    let room = Room(seed: 711, shards: 2)
    let (world, subscriber) = (room.world, room.subscribers[0])
    subscriber.downlink.rate = .megabitsPerSecond(3)
    world.run(for: .seconds(Int64(10)))
    subscriber.downlink.rate = .kilobitsPerSecond(100)
    var hasWaited = false
    for _ in 0..<200 {
      world.run(for: .milliseconds(5))
      let waiting = (0..<2).reduce(0) { $0 + world.engines[$1].census.waitingPackets }
      guard waiting > 0 else { continue }
      hasWaited = true
      break
    }
    #expect(hasWaited)
    for publisher in room.publishers { world.removeLink(of: publisher) }
    let removed = world.now
    // What had left before is still under way.
    world.run(for: .seconds(Int64(3)))
    let late = subscriber.received.values.joined().filter { $0.at > removed + .milliseconds(400) && !$0.payload.isEmpty }
    #expect(late.isEmpty)
    room.expectAllHome()
  }

  @Test("What was decided in a turn in which its publisher is removed does not wait for the pacer", arguments: [1, 2])
  func removalWithinATurn(shards: Int) throws {
    let room = Room(seed: 717, shards: shards)
    let (world, subscriber) = (room.world, room.subscribers[0])
    subscriber.downlink.rate = .megabitsPerSecond(3)
    world.run(for: .seconds(Int64(10)))
    subscriber.downlink.rate = .kilobitsPerSecond(100)
    let shard = world.shard(of: subscriber)
    for _ in 0..<200 where world.engines[shard].census.waitingPackets == 0 { world.run(for: .milliseconds(5)) }
    try #require(world.engines[shard].census.waitingPackets > 0)
    // The pacer is shut, and a busy shard has not sent what it decided, when the command comes.
    for (publisher, encodings) in zip(room.publishers, room.encodings) {
      for stream in encodings { publisher.sendFrame(of: stream, at: world.now, in: world) }
      world.takeWithoutDraining(until: world.now + .milliseconds(50))
      world.removeLink(of: publisher)
    }
    world.run(for: .seconds(Int64(3)))
    room.expectAllHome()
  }

  @Test("What waits for a slot is dropped when the slot is emptied, or shows somebody else", arguments: [1, 2], [false, true])
  func emptyingWhileWaiting(shards: Int, showsOther: Bool) throws {
    let room = Room(seed: 716, shards: shards, publishers: 4)
    let (world, subscriber) = (room.world, room.subscribers[0])
    world.perform(.bind(subscriber.slot(.video, 3).key, nil))
    subscriber.downlink.rate = .megabitsPerSecond(3)
    world.run(for: .seconds(Int64(10)))
    subscriber.downlink.rate = .kilobitsPerSecond(100)
    let shard = world.shard(of: subscriber)
    // Until something waits that came from one of the first three.
    for _ in 0..<200 where world.engines[shard].census.waitingPackets == 0 { world.run(for: .milliseconds(5)) }
    let waiting = world.engines[shard].census.waitingPackets
    try #require(waiting > 0)
    let dropped = world.engines[shard].drops[.endedSource]
    // From here on the link loses nothing.
    subscriber.downlink.queue = .seconds(Int64(10))
    for slot in 0..<3 {
      let other = showsOther ? room.encodings[3][0].publication : nil
      world.perform(.bind(subscriber.slot(.video, slot).key, other))
    }
    // A link keeps the order: what leaves from now on arrives behind what is on it.
    let last = world.now + subscriber.downlink.waiting(at: world.now) + subscriber.downlink.delay
    world.run(for: .seconds(Int64(3)))
    let former = Set(room.encodings[0..<3].joined().map(\.ssrc))
    let late = (0..<3).flatMap { subscriber.packets(on: subscriber.slot(.video, $0)) }.filter { packet in
      guard packet.at > last, let origin = world.origin(of: packet) else { return false }
      return former.contains(origin.ssrc)
    }
    #expect(late.isEmpty)
    let drops = world.engines[shard].drops[.endedSource] - dropped
    print("waited: \(waiting), dropped when their slots changed: \(drops), sent all the same: \(late.count)")
    #expect(drops == UInt64(waiting))
    // Where others were numbered behind them, empty packets have their numbers, and nobody asks for them.
    let fillers = (0..<3).flatMap { subscriber.packets(on: subscriber.slot(.video, $0)) }.filter { $0.at > last && $0.payload.isEmpty }
    #expect(fillers.count == (showsOther ? waiting : 0))
    room.expectAllHome()
  }

  // MARK: Policies

  @Test("Sound only means no picture, and takes effect at once")
  func audioOnly() {
    let room = Room(seed: 712, publishers: 1)
    let (world, subscriber) = (room.world, room.subscribers[0])
    world.run(for: .seconds(Int64(3)))
    #expect(room.shown(to: subscriber) == [2])
    var policy = AllocationPolicy()
    policy.isAudioOnly = true
    world.perform(.setPolicy(subscriber.link, policy))
    world.run(for: .seconds(Int64(2)))
    #expect(room.shown(to: subscriber) == [-1])
    #expect(room.report(of: subscriber).slots.first?.allocation.reason == .audioOnly)
    #expect(room.sound(of: subscriber, since: .zero).missing == 0)
    world.perform(.setPolicy(subscriber.link, AllocationPolicy()))
    world.run(for: .seconds(Int64(3)))
    #expect(room.shown(to: subscriber) == [2])
    room.expectAllHome()
  }

  @Test("Who is pinned is shown better than the others, where not everybody can be")
  func pinned() {
    let room = Room(seed: 713)
    let (world, subscriber) = (room.world, room.subscribers[0])
    subscriber.downlink.rate = .kilobitsPerSecond(2_400)
    var target = LayerTarget()
    target.role = .pinned
    world.perform(.setTarget(subscriber.slot(.video, 1).key, target))
    for number in [0, 2] {
      target.role = .thumbnail
      world.perform(.setTarget(subscriber.slot(.video, number).key, target))
    }
    world.run(for: .seconds(Int64(25)))
    let shown = room.shown(to: subscriber)
    #expect(shown[1] == 2)
    #expect(shown[0] < 2 && shown[2] < 2)
    room.expectAllHome()
  }

  @Test("The application hears what changes, and not more than once a second for each slot")
  func events() {
    let room = Room(seed: 714)
    let (world, subscriber) = (room.world, room.subscribers[0])
    subscriber.downlink.rate = .megabitsPerSecond(3)
    world.run(for: .seconds(Int64(10)))
    subscriber.downlink.rate = .kilobitsPerSecond(600)
    world.run(for: .seconds(Int64(10)))
    for slot in subscriber.slots where slot.kind == .video {
      let told = world.events.compactMap { entry -> (at: Instant, allocation: SlotAllocation)? in
        if case .allocationChanged(slot.key, let allocation) = entry.event { (entry.at, allocation) } else { nil }
      }
      #expect(told.count >= 2)
      for (one, next) in zip(told, told.dropFirst()) { #expect(next.at - one.at >= .seconds(Int64(1))) }
      #expect(told.last?.allocation.reason == .limitedByBandwidth)
    }
    room.expectAllHome()
  }

  @Test("A publisher that stopped what nobody could be sent is asked for it again when there is room")
  func dormant() {
    let room = Room(seed: 715, publishers: 1)
    let (world, subscriber) = (room.world, room.subscribers[0])
    func wanted() -> UInt8 {
      world.events.compactMap { if case .encodingsWanted(_, let mask) = $0.event { mask } else { nil } }.last ?? 0b111
    }
    func follow() {
      for (index, stream) in room.encodings[0].enumerated() {
        let isPaused = wanted() >> UInt8(index) & 1 == 0
        if stream.isPaused, !isPaused { stream.wantsKeyframe = true }
        if stream.isPaused, !isPaused { stream.nextFrameAt = world.now }
        stream.isPaused = isPaused
      }
    }
    subscriber.downlink.rate = .kilobitsPerSecond(400)
    for _ in 0..<100 {
      world.run(for: .milliseconds(200))
      follow()
    }
    #expect(room.shown(to: subscriber) == [0])
    #expect(wanted() == 0b001)
    subscriber.downlink.rate = .megabitsPerSecond(10)
    for _ in 0..<100 {
      world.run(for: .milliseconds(200))
      follow()
    }
    #expect(room.shown(to: subscriber) == [2])
    room.expectAllHome()
  }
}
