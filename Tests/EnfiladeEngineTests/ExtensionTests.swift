// Header extensions from end to end: each is said to every peer under its own number, in its own form, and by its own rule (RFC 8285).

import EnfiladeCongestion
import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Testing

/// How a peer's extensions are written.
enum ExtensionStyle: String, CaseIterable, CustomTestStringConvertible {
  case oneByte
  /// Identifiers beyond the one-byte form.
  case twoByte
  /// Small identifiers, and `a=extmap-allow-mixed`.
  case mixed
  var testDescription: String { rawValue }
  var isTwoByte: Bool { self == .twoByte }
}

@Suite("Header extensions")
struct ExtensionTests {
  private static let kinds: [ExtensionKind] = [
    .absoluteSendTime, .absoluteCaptureTime, .videoOrientation, .playoutDelay, .videoLayersAllocation, .frameMarking,
  ]

  /// A peer's numbers: others than those of the peer before.
  private static func numbers(_ style: ExtensionStyle, shift: UInt8, transport: Bool = true) -> PeerNumbers {
    var numbers = PeerNumbers()
    numbers.allowsMixedExtensions = style == .mixed
    let base: UInt8 = style.isTwoByte ? 40 : 1
    // Twelve numbers, turned by `shift`.
    func identifier(_ place: UInt8) -> UInt8 { base + (place + shift) % 13 }
    numbers.mid = identifier(0)
    numbers.rid = identifier(1)
    numbers.repairedRid = identifier(2)
    numbers.audioLevel = identifier(3)
    numbers.dependencyDescriptor = identifier(4)
    numbers.transportSequenceNumber = transport ? identifier(5) : nil
    for (place, kind) in kinds.enumerated() { numbers.others[kind] = identifier(6 + UInt8(place)) }
    numbers.opusRetransmission = 112
    numbers.av1 = 45
    return numbers
  }

  private struct Pair {
    let world: EngineWorld
    let publisher: ScriptedPeer
    let subscriber: ScriptedPeer

    init(
      seed: UInt64, from: ExtensionStyle, to: ExtensionStyle, shards: Int = 1, transport: Bool = false,
      _ prepare: (ScriptedPeer) -> Void = { _ in }
    ) {
      world = EngineWorld(seed: seed, shards: shards, congestion: transport ? CongestionProfile() : nil)
      publisher = world.addPeer("publisher", publishes: [.audio, .video], numbers: ExtensionTests.numbers(from, shift: 0), prepare)
      subscriber = world.addPeer(
        "subscriber", receives: [.audio, .video], numbers: ExtensionTests.numbers(to, shift: 5, transport: transport))
      for stream in publisher.published { stream.usesTwoByteForm = from.isTwoByte }
      world.connect()
      for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind) }
    }

    func received(_ kind: MediaKind) -> [ReceivedPacket] {
      subscriber.packets(on: subscriber.slot(kind)) + subscriber.retransmissions(on: subscriber.slot(kind)).filter { !$0.payload.isEmpty }
    }

    /// Asks for everything that came again.
    func repairAll(_ kind: MediaKind) {
      let slot = subscriber.slot(kind)
      for packet in subscriber.packets(on: slot).suffix(40) { subscriber.sendNACK([packet.rtp.sequence], of: slot, in: world) }
      world.run(for: .milliseconds(100))
    }
  }

  private static let pairs: [(ExtensionStyle, ExtensionStyle)] = ExtensionStyle.allCases.flatMap { from in
    ExtensionStyle.allCases.map { (from, $0) }
  }

  @Test("Level, orientation and playout delay are passed on as they are, under the receiver's numbers and in its form", arguments: pairs)
  func passedOn(from: ExtensionStyle, to: ExtensionStyle) {
    let pair = Pair(seed: 900, from: from, to: to)
    let theirs = pair.publisher.numbers
    pair.publisher.stream(.video).moreExtensions = { _ in
      [.init(theirs.others[.videoOrientation]!, [0x0B]), .init(theirs.others[.playoutDelay]!, [0x00, 0xA0, 0x14])]
    }
    pair.publisher.stream(.audio).audioLevel = 0x9C
    pair.world.run(for: .seconds(Int64(2)))
    let mine = pair.subscriber.numbers
    // The first few were made before anybody said what they should carry.
    let video = pair.received(.video).dropFirst(3)
    #expect(video.count > 50)
    #expect(
      video.allSatisfy { $0.rtp[mine.others[.videoOrientation]] == [0x0B] && $0.rtp[mine.others[.playoutDelay]] == [0x00, 0xA0, 0x14] })
    let audio = pair.received(.audio).dropFirst(2)
    #expect(audio.count > 50 && audio.allSatisfy { $0.rtp[mine.audioLevel] == [0x9C] })
    // Whoever has small numbers is sent the short form, allowed or not: nothing here needs the long one.
    #expect((Array(video) + Array(audio)).allSatisfy { $0.rtp.usesTwoByteForm == to.isTwoByte })
    // The first packets tell the section, and it is the receiver's (RFC 9143 §15.1).
    #expect(pair.received(.video).first?.rtp[mine.mid] == pair.subscriber.slot(.video).mid)
    #expect(pair.world.violations.isEmpty)
  }

  @Test(
    "What is said to the engine alone ends here: encodings' names, allocations, frame marking, transport-wide numbers", arguments: pairs)
  func terminated(from: ExtensionStyle, to: ExtensionStyle) {
    let pair = Pair(seed: 901, from: from, to: to)
    let theirs = pair.publisher.numbers
    pair.publisher.stream(.video).moreExtensions = { _ in
      [
        .init(theirs.others[.videoLayersAllocation]!, [0x01, 0x00, 0x64]), .init(theirs.others[.frameMarking]!, [0xC0]),
        .init(theirs.others[.absoluteSendTime]!, [1, 2, 3]), .init(theirs.rid, Array("x".utf8)),
      ]
    }
    pair.world.run(for: .seconds(Int64(2)))
    let mine = pair.subscriber.numbers
    let allowed: Set<UInt8> = [mine.mid, mine.others[.absoluteSendTime]!]
    let packets = pair.received(.video)
    #expect(packets.count > 50)
    #expect(packets.allSatisfy { Set($0.rtp.extensions.map(\.identifier)).isSubset(of: allowed) })
    #expect(packets.allSatisfy { $0.rtp[mine.others[.absoluteSendTime]] != [1, 2, 3] })
  }

  @Test(
    "The time of sending is ours, also of what is sent again; it is left out where transport-wide numbers tell the same", arguments: pairs)
  func sendTime(from: ExtensionStyle, to: ExtensionStyle) throws {
    let pair = Pair(seed: 902, from: from, to: to)
    let theirs = pair.publisher.numbers
    for stream in pair.publisher.published {
      stream.moreExtensions = { _ in [.init(theirs.others[.absoluteSendTime]!, [0xAB, 0xCD, 0xEF])] }
    }
    pair.subscriber.downlink.delay = .milliseconds(10)
    pair.world.run(for: .seconds(Int64(1)))
    pair.repairAll(.video)
    #expect(pair.subscriber.retransmissions(on: pair.subscriber.slot(.video)).count > 20)
    for kind in MediaKind.allCases {
      for packet in pair.received(kind) {
        let data = try #require(packet.rtp[pair.subscriber.numbers.others[.absoluteSendTime]])
        let sent = pair.world.wallClock.ntp(at: packet.at - .milliseconds(10))
        // Six bits of seconds and eighteen of their fraction.
        #expect(data == big(sent.rawValue >> 14 & 0xFF_FFFF, 3))
      }
    }
    let other = Pair(seed: 903, from: from, to: to, transport: true)
    other.world.run(for: .seconds(Int64(1)))
    #expect(other.received(.video).count > 50)
    #expect(other.received(.video).allSatisfy { $0.rtp[other.subscriber.numbers.others[.absoluteSendTime]] == nil })
    #expect(other.received(.video).allSatisfy { $0.rtp[other.subscriber.numbers.transportSequenceNumber] != nil })
  }

  @Test("A capture time keeps its clock, and its offset is moved to the clock that our reports are on", arguments: pairs, [1, 2])
  func captureTime(_ styles: (ExtensionStyle, ExtensionStyle), shards: Int) throws {
    let pair = Pair(seed: 904, from: styles.0, to: styles.1, shards: shards) {
      $0.wallOffset = .milliseconds(5_250)
      $0.uplink.delay = .milliseconds(2)
    }
    let (world, publisher) = (pair.world, pair.publisher)
    let identifier = publisher.numbers.others[.absoluteCaptureTime]!
    // Captured elsewhere, by a clock that is a second and a half ahead of the publisher's.
    let offset = UInt64(3) << 31
    var captured: [[UInt8]] = []
    publisher.stream(.video).moreExtensions = { now in
      let clock = (world.wallClock.ntp(at: now) + publisher.wallOffset).rawValue &+ offset
      captured.append(big(clock, 8))
      return [.init(identifier, big(clock, 8) + big(offset, 8))]
    }
    publisher.stream(.audio).moreExtensions = { now in
      [.init(identifier, big((world.wallClock.ntp(at: now) + publisher.wallOffset).rawValue, 8))]
    }
    world.run(for: .seconds(Int64(2)))
    pair.repairAll(.video)
    let mine = pair.subscriber.numbers.others[.absoluteCaptureTime]
    var known: [Int64: [UInt8]] = [:]
    var longCount = 0
    for packet in pair.received(.video) {
      guard let data = packet.rtp[mine] else { continue }
      #expect(captured.contains(Array(data[0..<8])))
      let sequence = packet.originalSequence ?? packet.rtp.sequence
      if let first = known.updateValue(data, forKey: Int64(sequence)) { #expect(first == data) }
      guard data.count == 16 else { continue }
      longCount += 1
      // Capture clock = our clock + offset: what was captured when the packet was made, read on our clock, is that moment.
      let moved = number(data[0..<8]) &- number(data[8..<16])
      let made = pair.world.wallClock.ntp(at: packet.at)
      if packet.originalSequence == nil {
        let age = made - NTPTimestamp(rawValue: moved)
        #expect(age >= .milliseconds(5) && age <= .milliseconds(25), "\(age.microseconds) µs")
      }
    }
    // Before the publisher's first report nobody can tell; after it everything has the offset.
    #expect(longCount > 50)
    #expect(pair.received(.video).last?.rtp[mine]?.count == 16)
    // Sound says no offset, and none is made up.
    #expect(pair.received(.audio).allSatisfy { ($0.rtp[mine]?.count ?? 8) == 8 } && pair.received(.audio).last?.rtp[mine]?.count == 8)
    #expect(world.violations.isEmpty)
  }

  @Test("Before a publisher's first report an offset of its capture clock is taken out", arguments: pairs)
  func captureTimeBeforeReport(from: ExtensionStyle, to: ExtensionStyle) {
    let pair = Pair(seed: 905, from: from, to: to) { $0.sendsReports = false }
    let identifier = pair.publisher.numbers.others[.absoluteCaptureTime]!
    let orientation = pair.publisher.numbers.others[.videoOrientation]!
    pair.publisher.stream(.video).moreExtensions = { _ in
      [.init(identifier, [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9]), .init(orientation, [2])]
    }
    pair.world.run(for: .seconds(Int64(1)))
    let packets = pair.received(.video).dropFirst(3)
    let mine = pair.subscriber.numbers.others
    #expect(packets.count > 30)
    #expect(
      packets.allSatisfy { $0.rtp[mine[.absoluteCaptureTime]] == [1, 2, 3, 4, 5, 6, 7, 8] && $0.rtp[mine[.videoOrientation]] == [2] })
  }

  @Test("Transport-wide numbers are the publisher's to us: they are reported on, in either form", arguments: ExtensionStyle.allCases)
  func transportWide(style: ExtensionStyle) {
    let pair = Pair(seed: 906, from: style, to: .oneByte)
    pair.world.run(for: .seconds(Int64(2)))
    let reported = pair.publisher.feedback.count { if case .transportFeedback = $0.packet { true } else { false } }
    #expect(reported > 10)
    #expect(pair.publisher.transportArrivals.count > 150)
  }

  @Test("Encodings and their repair are told apart by name, in either form", arguments: ExtensionStyle.allCases, [1, 2])
  func encodings(style: ExtensionStyle, shards: Int) throws {
    let world = EngineWorld(seed: 907, shards: shards)
    var streams: [PublishedStream] = []
    let publisher = world.addPeer("publisher", numbers: Self.numbers(style, shift: 0)) {
      streams = world.addSimulcast(["low", "mid", "high"], to: $0)
    }
    for stream in streams { stream.usesTwoByteForm = style.isTwoByte }
    let subscriber = world.addPeer("subscriber", receives: [.video], numbers: Self.numbers(.oneByte, shift: 3))
    world.connect()
    world.subscribe(subscriber, to: publisher, .video)
    world.run(for: .seconds(Int64(2)))
    publisher.uplink.lossPerMille = 100
    let before = subscriber.packets(on: subscriber.slot(.video)).count
    world.run(for: .seconds(Int64(2)))
    publisher.uplink.lossPerMille = 0
    world.run(for: .milliseconds(500))
    let packets = subscriber.packets(on: subscriber.slot(.video)).dropFirst(before).sorted { $0.index < $1.index }
    #expect(packets.count > 100)
    #expect(packets.allSatisfy { world.origin(of: $0)?.ssrc == streams[2].ssrc })
    for (one, next) in zip(packets, packets.dropFirst()) { #expect(next.index - one.index == 1) }
  }

  @Test("A video layers allocation is a hint: an encoding that it leaves out is not waited for", arguments: ExtensionStyle.allCases)
  func allocation(style: ExtensionStyle) {
    let world = EngineWorld(seed: 908)
    var streams: [PublishedStream] = []
    let publisher = world.addPeer("publisher", numbers: Self.numbers(style, shift: 0)) {
      streams = world.addSimulcast(["q", "h", "f"], to: $0)
    }
    let identifier = publisher.numbers.others[.videoLayersAllocation]!
    // Three encodings: all on; 100, 300 and 900 kbit/s.
    var allocation: [UInt8] = [0x21, 0x00, 100, 0xAC, 0x02, 0x84, 0x07]
    for stream in streams {
      stream.usesTwoByteForm = style.isTwoByte
      stream.moreExtensions = { _ in [.init(identifier, allocation)] }
    }
    let subscriber = world.addPeer("subscriber", receives: [.video])
    world.connect()
    world.subscribe(subscriber, to: publisher, .video)
    func current() -> SSRC? { subscriber.packets(on: subscriber.slot(.video)).last.flatMap { world.origin(of: $0)?.ssrc } }
    world.run(for: .seconds(Int64(3)))
    #expect(current() == streams[2].ssrc)
    // Masks of each encoding's own: the third is off, though its last packets still come.
    allocation = [0x20, 0x11, 0x00, 0x00, 100, 0xAC, 0x02]
    world.run(for: .seconds(Int64(2)))
    #expect(current() == streams[1].ssrc)
    allocation = [0x21, 0x00, 100, 0xAC, 0x02, 0x84, 0x07]
    world.run(for: .seconds(Int64(3)))
    #expect(current() == streams[2].ssrc)
  }

  /// A key frame of L1T2 that brings its structure; see appendix A.8.3 of the AV1 RTP payload format. Its templates have the numbers 5 to 7.
  private static func structure(frame: UInt16) -> [UInt8] {
    [0xC5] + big(UInt64(frame), 2) + [0x80, 0xA1, 0x1E, 0xA8, 0x51, 0x41, 0x01, 0x0C, 0x09, 0xFC, 0x05, 0x9C]
  }

  @Test("A dependency descriptor goes on where the subscriber's last one was, and says what is sent", arguments: pairs)
  func dependencyDescriptor(from: ExtensionStyle, to: ExtensionStyle) throws {
    let pair = Pair(seed: 909, from: from, to: to) { $0.stream(.video).isPaused = true }
    let stream = pair.publisher.stream(.video)
    stream.payloadType = 45
    let identifier = try #require(pair.publisher.numbers.dependencyDescriptor)
    var number: UInt32 = 0
    func send(_ descriptor: [UInt8]) {
      stream.moreExtensions = { _ in [.init(identifier, descriptor)] }
      number += 1
      pair.publisher.send(
        [0x10] + [UInt8](repeating: UInt8(number), count: 60), of: stream, marker: true, timestamp: number * 3000, in: pair.world)
      pair.world.run(for: .milliseconds(33))
    }
    pair.world.run(for: .milliseconds(50))
    for descriptor in [Self.structure(frame: 100), [0xC7, 0, 101], [0xC6, 0, 102]] as [[UInt8]] { send(descriptor) }
    let slot = pair.subscriber.slot(.video)
    pair.world.perform(.setTarget(slot.key, LayerTarget(isPaused: true)))
    for descriptor in [[0xC7, 0, 103], [0xC6, 0, 104]] as [[UInt8]] { send(descriptor) }
    pair.world.perform(.setTarget(slot.key, LayerTarget()))
    for descriptor in [Self.structure(frame: 500), [0xC7, 0x01, 0xF5], [0xC6, 0x01, 0xF6]] as [[UInt8]] { send(descriptor) }
    let descriptors = pair.subscriber.packets(on: slot).compactMap { $0.rtp[pair.subscriber.numbers.dependencyDescriptor] }
    #expect(pair.subscriber.packets(on: slot).map { $0.payload[1] } == [1, 2, 3, 6, 7, 8])
    let numbers = descriptors.map { Int($0[1]) << 8 | Int($0[2]) }
    #expect(numbers == (0..<6).map { numbers[0] + $0 })
    // The structure came with the key frames alone, and with it which of its decode targets are sent.
    for (place, descriptor) in descriptors.enumerated() {
      #expect(descriptor[0] & 0xC0 == 0xC0)
      if place % 3 == 0 { #expect(descriptor[3] & 0xC0 == 0xC0) } else { #expect(descriptor.count == 3) }
    }
  }
}
