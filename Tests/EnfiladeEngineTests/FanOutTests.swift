// One publisher, many subscribers: each gets a stream of its own with the same media in it (RFC 7667 §3.7).

import EnfiladeEngine
import EnfiladeTestSupport
import EnfiladeTransport
import EnfiladeWire
import Testing

@Suite("Fan-out")
struct FanOutTests {
  /// A publisher of both kinds and subscribers with numbers of their own.
  private static func room(seed: UInt64, subscribers: Int = 2, profile: SRTPProfile = .aeadAES128GCM) -> (
    world: EngineWorld, publisher: ScriptedPeer, subscribers: [ScriptedPeer]
  ) {
    let world = EngineWorld(seed: seed)
    world.handshakes.profile = profile
    let publisher = world.addPeer("publisher", publishes: [.audio, .video])
    let peers = (0..<subscribers).map { number in
      var numbers = PeerNumbers()
      numbers.opus = UInt8(100 + number)
      numbers.vp8 = UInt8(120 - number)
      numbers.vp8Retransmission = UInt8(50 - number)
      numbers.mid = UInt8(9 + number)
      numbers.audioLevel = UInt8(5 - number)
      numbers.transportSequenceNumber = nil
      return world.addPeer("subscriber \(number)", receives: [.audio, .video], numbers: numbers)
    }
    world.connect()
    for peer in peers {
      world.subscribe(peer, to: publisher, .audio)
      world.subscribe(peer, to: publisher, .video)
    }
    return (world, publisher, peers)
  }

  @Test(
    "Each subscriber gets its own SSRC, payload type and contiguous numbers, and the publisher's payload byte for byte",
    arguments: SRTPProfile.allCases)
  func ownStreams(profile: SRTPProfile) throws {
    let (world, publisher, subscribers) = Self.room(seed: 20, profile: profile)
    world.run(for: .seconds(Int64(3)))
    for subscriber in subscribers {
      for kind in MediaKind.allCases {
        let slot = subscriber.slot(kind)
        let packets = subscriber.packets(on: slot)
        #expect(packets.count > 140)
        let type = kind == .audio ? subscriber.numbers.opus : subscriber.numbers.vp8
        #expect(packets.allSatisfy { $0.rtp.payloadType == type && $0.rtp.ssrc == slot.ssrc.rawValue })
        #expect(packets[0].index.rawValue < 0x8000)
        for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
        var previous: (mine: UInt32, theirs: UInt32)?
        for packet in packets {
          let origin = try #require(world.origin(of: packet))
          #expect(origin.publication == publisher.stream(kind).publication)
          let sent = try #require(publisher.stream(kind).sent[origin.index.wire.rawValue])
          #expect(packet.payload == sent.payload)
          #expect(packet.rtp.marker == sent.marker)
          // Levelled with its neighbours, if at all.
          #expect(packet.rtp.paddingByteCount <= 16)
          if let previous { #expect(packet.rtp.timestamp &- previous.mine == origin.timestamp &- previous.theirs) }
          previous = (packet.rtp.timestamp, origin.timestamp)
        }
      }
      #expect(subscriber.strayCount == 0 && subscriber.rejections.isEmpty)
    }
    #expect(subscribers[0].slot(.audio).ssrc != subscribers[1].slot(.audio).ssrc)
    #expect(world.violations.isEmpty)
  }

  @Test("Packets carry the section's MID until the subscriber has reported on the SSRC, and then no more (RFC 9143 §15.1)")
  func midUntilReported() throws {
    let (world, _, subscribers) = Self.room(seed: 21)
    subscribers[1].sendsReports = false
    world.run(for: .seconds(Int64(4)))
    for kind in MediaKind.allCases {
      let reporting = subscribers[0].packets(on: subscribers[0].slot(kind))
      let tags = reporting.map { $0.rtp[subscribers[0].numbers.mid] }
      let first = try #require(tags.firstIndex(of: nil))
      #expect(first > 0)
      #expect(tags[..<first].allSatisfy { $0 == subscribers[0].slot(kind).mid })
      #expect(tags[first...].allSatisfy { $0 == nil })
      let silent = subscribers[1].packets(on: subscribers[1].slot(kind))
      #expect(silent.allSatisfy { $0.rtp[subscribers[1].numbers.mid] == subscribers[1].slot(kind).mid })
    }
  }

  @Test("The audio level travels under each subscriber's own number, and the publisher's MID and transport-wide number do not")
  func extensionsAreRemapped() {
    let (world, _, subscribers) = Self.room(seed: 22)
    world.run(for: .seconds(Int64(3)))
    for subscriber in subscribers {
      let packets = subscriber.packets(on: subscriber.slot(.audio))
      #expect(packets.allSatisfy { $0.rtp[subscriber.numbers.audioLevel] == [0x23] })
      // Nothing but the level, and the MID at the beginning.
      #expect(packets.allSatisfy { $0.rtp.extensions.count == ($0.rtp[subscriber.numbers.mid] == nil ? 1 : 2) })
      let video = subscriber.packets(on: subscriber.slot(.video))
      #expect(video.last?.rtp.extensions.isEmpty == true)
    }
  }

  @Test("A publication goes to a hundred subscribers, each with contiguous numbers")
  func hundred() {
    let world = EngineWorld(seed: 23, linkCapacity: 128)
    let publisher = world.addPeer("publisher", publishes: [.video])
    let subscribers = (0..<100).map { world.addPeer("\($0)", receives: [.video]) }
    world.connect()
    for subscriber in subscribers { world.subscribe(subscriber, to: publisher, .video) }
    world.run(for: .seconds(Int64(1)))
    for subscriber in subscribers {
      let packets = subscriber.packets(on: subscriber.slot(.video))
      #expect(packets.count >= 60)
      for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
    }
    // The packets of a frame come in one batch and leave as one run: two of one size and one that is a byte longer.
    #expect(world.largestRun >= 2)
    #expect(world.violations.isEmpty)
  }

  @Test("Packets that the kernel joined are taken apart again", arguments: [1, 2, 7, 40])
  func joined(count: Int) throws {
    let world = EngineWorld(seed: 29)
    let publisher = world.addPeer("publisher", publishes: [.audio])
    let subscriber = world.addPeer("subscriber", receives: [.audio])
    world.connect()
    world.subscribe(subscriber, to: publisher, .audio)
    let stream = publisher.stream(.audio)
    stream.isPaused = true
    world.run(for: .milliseconds(100))
    let session = try #require(publisher.session)
    var message: [UInt8] = []
    var size = 0
    for position in 0..<count {
      // The last may be shorter.
      let payload = TaggedPayload.opus(tag: UInt64(7_000_000 + position), byteCount: position == count - 1 ? 60 : 80)
      let packet = RTPBytes(
        payloadType: publisher.numbers.opus, sequence: stream.next.wire.rawValue, timestamp: UInt32(position * 960),
        ssrc: stream.ssrc.rawValue,
        extensions: [.init(publisher.numbers.mid, stream.mid)], payload: payload)
      let sealed = publisher.protector.protect(
        packet.bytes, headerByteCount: packet.headerByteCount, ssrc: stream.ssrc, index: stream.next, isRTCP: false, session: session)
      stream.next = stream.next + 1
      if position == 0 { size = try #require(sealed).count }
      message += try #require(sealed)
    }
    world.inject(message, from: publisher.address, segmentByteCount: count > 1 ? size : 0)
    world.run(for: .milliseconds(20))
    let packets = subscriber.packets(on: subscriber.slot(.audio))
    #expect(packets.suffix(count).map(\.tag) == (0..<count).map { UInt64(7_000_000 + $0) })
    for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
  }

  @Test("Packets that differ by a few bytes are padded to one size and leave in one message, if that is wanted", arguments: [true, false])
  func levelledRuns(isLevelled: Bool) {
    let world = EngineWorld(seed: 28, levelsRuns: isLevelled)
    let publisher = world.addPeer("publisher", publishes: [.video]) { peer in
      peer.stream(.video).packetsPerFrame = 12
      peer.stream(.video).payloadByteCount = 1000
    }
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .milliseconds(300))
    publisher.stream(.video).isPaused = true
    world.run(for: .milliseconds(100))
    let before = subscriber.packets(on: subscriber.slot(.video)).count
    let messages = world.engine.traffic.messagesOut
    let stream = publisher.stream(.video)
    var sizes: [Int] = []
    for position in 0..<12 {
      sizes.append(1000 + (position * 5) % 13)
      let payload = TaggedPayload.vp8(
        tag: UInt64(8_000_000 + position), isFirst: position == 0, isKeyframe: false, byteCount: sizes[position])
      publisher.send(payload, of: stream, marker: position == 11, timestamp: stream.timestamp(at: world.now), in: world)
    }
    world.run(for: .milliseconds(25))
    let packets = subscriber.packets(on: subscriber.slot(.video)).dropFirst(before)
    #expect(packets.map(\.payload.count) == sizes)
    let sent = Set(stream.sent.values.map(\.payload))
    for packet in packets { #expect(sent.contains(packet.payload)) }
    if isLevelled {
      #expect(packets.dropLast().allSatisfy { $0.rtp.payload.count + $0.rtp.paddingByteCount == 1012 })
      #expect(world.engine.traffic.messagesOut - messages <= 2)
    } else {
      #expect(packets.allSatisfy { $0.rtp.paddingByteCount == 0 })
      #expect(world.engine.traffic.messagesOut - messages > 4)
    }
    #expect(world.violations.isEmpty)
  }

  @Test("What is published before anybody subscribes is announced once, and forwarded to nobody")
  func nobodySubscribes() {
    let world = EngineWorld(seed: 24)
    let publisher = world.addPeer("publisher", publishes: [.audio, .video])
    world.connect()
    world.run(for: .seconds(Int64(1)))
    let started = world.events.compactMap { if case .mediaStarted(let key, let format) = $0.event { (key, format) } else { nil } }
    #expect(started.count == 2)
    #expect(started.contains { $0.0 == publisher.stream(.audio).publication && $0.1 == .opus })
    #expect(started.contains { $0.0 == publisher.stream(.video).publication && $0.1 == .vp8 })
    #expect(world.engine.traffic.packetsOut == 0)
    // The histories hold what came; no more than they may.
    #expect(world.engine.census.leasedSlots <= Limits.audioHistoryPacketCount + Limits.videoHistoryPacketCount)
  }

  @Test("A source without a MID finds its section by the payload type, where only one section has it")
  func byPayloadType() {
    let world = EngineWorld(seed: 25)
    let publisher = world.addPeer("publisher", publishes: [.audio, .video]) { peer in
      for stream in peer.published { stream.carriesMID = false }
    }
    let subscriber = world.addPeer("subscriber", receives: [.audio, .video])
    world.connect()
    world.subscribe(subscriber, to: publisher, .audio)
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(1)))
    #expect(!subscriber.packets(on: subscriber.slot(.audio)).isEmpty)
    #expect(!subscriber.packets(on: subscriber.slot(.video)).isEmpty)
  }

  @Test("Without a MID, and with two sections of one payload type, a source is nobody's")
  func ambiguousSource() {
    let world = EngineWorld(seed: 26)
    world.addPeer("publisher", publishes: [.audio, .audio]) { peer in
      for stream in peer.published { stream.carriesMID = false }
    }
    world.connect()
    world.run(for: .seconds(Int64(1)))
    #expect(world.engine.drops[.unknownSource] > 40)
    #expect(world.engine.census.inboundStreams == 0)
    #expect(world.engine.census.leasedSlots == 0)
  }

  @Test("Packets of a payload type that was not negotiated are dropped and counted")
  func unknownPayloadType() {
    let world = EngineWorld(seed: 27)
    world.addPeer("publisher", publishes: [.audio]) { $0.published[0].payloadType = 77 }
    world.connect()
    world.run(for: .seconds(Int64(1)))
    #expect(world.engine.drops[.unknownPayloadType] > 40)
    #expect(world.engine.census.leasedSlots == 0)
  }
}
