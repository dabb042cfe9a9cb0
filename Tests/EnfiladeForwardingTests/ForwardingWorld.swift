// A publisher, a bad network, the forwarding of one publication, and its subscribers, in virtual time and from a seed.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire

struct WorldOptions: Sendable {
  var description: Description
  var mode: ScalabilityMode
  var encodingCount = 1
  var seed: UInt64
  var milliseconds = 4000
  var subscriberCount = 2
  /// In percent of packets.
  var lossPercent: UInt64 = 3
  /// In percent of lost packets: those that never come.
  var unrepairedPercent: UInt64 = 0
  var reorderPercent: UInt64 = 5
  var duplicatePercent: UInt64 = 2
  var paddingPercent: UInt64 = 3
  var changesTargets = true
  var pauses = true
  var restarts = true
  var firstReportAt = 0
  /// Whether who waits for a key picture is served out of the history, as joiners are; all but the first subscriber come later then.
  var replays = false
}

/// What a subscriber is sent out of an encoding's history.
struct WorldReplay {
  var encoding: Int
  var serial: UInt32
  var span: KeyframeSpan
  /// The last packet that was offered.
  var last: Int64
  var isAtStart: Bool { last < span.start.rawValue }
}

/// An outgoing stream with what its link would keep of it.
struct WorldSubscriber: ~Copyable {
  var forwarder: Forwarder
  var map = SequenceMap<SentPacket>(placeholder: .placeholder)
  var copies: [OutgoingCopy] = []
  var byOutput: [Int64: OutgoingCopy] = [:]
  var dropCounts: [ForwardDrop: Int] = [:]
  var keyframeWishes = 0
  var joinsAt = 0
  var replay: WorldReplay?
  var replayCount = 0
  /// Larger pictures entered, each of which may cost a key frame.
  var switchedAt: [(milliseconds: Int, encoding: UInt8, spatialID: UInt8, temporalID: UInt8)] = []

  init(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    forwarder = Forwarder(
      firstSequence: UInt16(truncatingIfNeeded: random.next() & 1 == 0 ? 0x7FFF &- random.next() % 50 : random.next()),
      firstTimestamp: UInt32(truncatingIfNeeded: random.next() & 1 == 0 ? (1 << 32) - 1 - random.next() % 90_000 : random.next()))
  }
}

struct WorldEncoding: ~Copyable {
  var state: Encoding
  var source: MediaSource
  var requester = KeyframeRequester()
  var unwrapper = SequenceUnwrapper()
  var stored: [Int64: StoredPacket] = [:]
  var newest: Int64 = .min
  var keyPending = true
  var keyAt: [Int] = []
  var pausedUntil = 0
}

struct ForwardingWorld: ~Copyable {
  private struct Arrival {
    var at: Int
    var order: Int
    var encoding: Int
    var serial: UInt32
    var packet: SourcePacket
  }

  let options: WorldOptions
  var random: SeededRandom
  var encodings = UniqueArray<WorldEncoding>()
  /// Histories of encodings that were replaced: repair reads from them still.
  var retired: [UInt32: [Int64: StoredPacket]] = [:]
  var subscribers = UniqueArray<WorldSubscriber>()
  var timeline = EncodingTimeline(clockRate: 90_000)
  var catalog = LayerCatalog()
  var lostForEver: Set<UInt64> = []
  /// Frames of sources that were replaced before all of it had arrived.
  var cutOff: Set<UInt64> = []
  var resumeAt: [Int] = []
  var keyAskedAt: [[Int]] = Array(repeating: [], count: 4)
  var problems: [String] = []
  var now = 0
  private var arrivals: [Arrival] = []
  private var order = 0
  private var nextSerial: UInt32 = 1

  var instant: Instant { Instant(nanoseconds: Int64(now) * 1_000_000 + 1_000_000_000) }
  static func identity(_ truth: FrameTruth) -> UInt64 { UInt64(truth.source) << 32 | UInt64(truth.frame) }

  init(_ options: WorldOptions) {
    self.options = options
    random = SeededRandom(seed: options.seed &* 7919 &+ 1)
    for index in 0..<options.encodingCount { encodings.append(Self.makeEncoding(index, serial: UInt32(index + 1), options)) }
    nextSerial = UInt32(options.encodingCount + 1)
    resumeAt = Array(repeating: .max, count: options.subscriberCount)
    for index in 0..<options.subscriberCount {
      subscribers.append(WorldSubscriber(seed: options.seed &+ UInt64(index) &* 1000))
      if options.replays, index > 0 { subscribers[index].joinsAt = 300 + Int(random.next() % 2500) }
    }
  }

  private static func makeEncoding(_ index: Int, serial: UInt32, _ options: WorldOptions) -> WorldEncoding {
    let shift = options.encodingCount - 1 - index
    return WorldEncoding(
      state: Encoding(serial: serial, index: UInt8(index), codec: options.description.codec),
      source: MediaSource(
        description: options.description, mode: options.mode, source: serial, width: 1280 >> shift, height: 720 >> shift,
        packetsPerFrame: 1 + index, seed: options.seed &* 31 &+ UInt64(serial)))
  }

  // MARK: Running

  mutating func run() {
    while now < options.milliseconds {
      if now % 33 == 0 { capture() }
      if now % 1000 == options.firstReportAt % 1000, now >= options.firstReportAt { report() }
      deliver()
      if now % 100 == 0 { choose() }
      if options.changesTargets, random.next() % 700 == 0 { changeTarget() }
      if options.restarts, random.next() % 3000 == 0 { restart() }
      if options.pauses, options.encodingCount > 1, random.next() % 2500 == 0 {
        encodings[Int(random.next() % UInt64(encodings.count))].pausedUntil = now + 1700
      }
      for index in resumeAt.indices where resumeAt[index] <= now {
        resumeAt[index] = .max
        subscribers[index].forwarder.setTarget(LayerTarget())
        choose()
      }
      for index in 0..<encodings.count where keyAskedAt[index].contains(where: { $0 <= now }) {
        keyAskedAt[index].removeAll { $0 <= now }
        encodings[index].keyPending = true
      }
      ask()
      replay()
      if random.next() % 20 == 0 { checkRepair() }
      now += 1
    }
  }

  /// One picture of every encoding, each after a time of its own in the encoder and on the way.
  mutating func capture() {
    for index in 0..<encodings.count where encodings[index].pausedUntil <= now {
      let wasPaused = encodings[index].pausedUntil > 0
      if wasPaused { encodings[index].pausedUntil = 0 }
      let isKey = encodings[index].keyPending || wasPaused
      encodings[index].keyPending = false
      if isKey { encodings[index].keyAt.append(now) }
      if random.next() % 100 < options.paddingPercent {
        let padding = encodings[index].source.padding(at: now)
        send(padding, of: index, delay: 4)
      }
      let encodingDelay = 3 + 2 * index + Int(random.next() % 3)
      for packet in encodings[index].source.picture(at: now, isKey: isKey) { send(packet, of: index, delay: encodingDelay) }
    }
  }

  private mutating func send(_ packet: SourcePacket, of index: Int, delay: Int) {
    var at = now + delay
    if random.next() % 100 < options.lossPercent {
      if random.next() % 100 < options.unrepairedPercent {
        lostForEver.insert(Self.identity(packet.truth))
        // Repair gives up, and asks for a key frame instead.
        keyAskedAt[index].append(now + 200)
        return
      }
      at += 40 + Int(random.next() % 120)
    } else if random.next() % 100 < options.reorderPercent {
      at += 1 + Int(random.next() % 30)
    }
    func enqueue(_ at: Int) {
      arrivals.append(Arrival(at: at, order: order, encoding: index, serial: encodings[index].state.serial, packet: packet))
      order += 1
    }
    enqueue(at)
    if random.next() % 100 < options.duplicatePercent { enqueue(at + Int(random.next() % 60)) }
  }

  /// What arrives until now, in the order of arrival.
  mutating func takeDue() -> [(Int, UInt32, SourcePacket)] {
    var due: [Arrival] = []
    arrivals.removeAll {
      guard $0.at <= now else { return false }
      due.append($0)
      return true
    }
    due.sort { ($0.at, $0.order) < ($1.at, $1.order) }
    return due.map { ($0.encoding, $0.serial, $0.packet) }
  }

  mutating func report() {
    for index in 0..<encodings.count {
      let ntp = NTPTimestamp(rawValue: 1 << 62) + .milliseconds(Int64(now))
      encodings[index].state.timelineOffset = timeline.handleSenderReport(
        ntp: ntp, timestamp: RTPTimestamp(encodings[index].source.timestamp(now)))
    }
  }

  mutating func choose() {
    catalog.removeAll()
    let at = instant
    Self.gather(encodings, into: &catalog, at: at)
    for index in 0..<subscribers.count where now >= subscribers[index].joinsAt {
      subscribers[index].forwarder.choose(from: catalog, at: at)
    }
  }

  private static func gather(_ encodings: borrowing UniqueArray<WorldEncoding>, into catalog: inout LayerCatalog, at now: Instant) {
    for index in 0..<encodings.count { catalog.add(encodings[index].state, at: now) }
  }

  mutating func changeTarget() {
    let index = Int(random.next() % UInt64(subscribers.count))
    var target = LayerTarget()
    switch random.next() % 6 {
    case 0: (target.maximumWidth, target.maximumHeight) = (320, 180)
    case 1: (target.maximumWidth, target.maximumHeight) = (640, 360)
    case 2: target.maximumFrameRate = random.next() & 1 == 0 ? 8 : 15
    case 3: target.budget = .kilobitsPerSecond(Int64(20 + random.next() % 200))
    case 4 where options.pauses:
      target.isPaused = true
      resumeAt[index] = now + 600
    default: break
    }
    subscribers[index].forwarder.setTarget(target)
    guard now >= subscribers[index].joinsAt else { return }
    let at = instant
    subscribers[index].forwarder.choose(from: catalog, at: at)
  }

  /// Another run of an encoder: a new source in its place, or new counters in the old one.
  mutating func restart() {
    let index = Int(random.next() % UInt64(encodings.count))
    if random.next() & 1 == 0 {
      encodings[index].source.restartCounters()
      return
    }
    retired[encodings[index].state.serial] = encodings[index].stored
    encodings[index] = Self.makeEncoding(index, serial: nextSerial, options)
    encodings[index].state.timelineOffset = timeline.handleSenderReport(
      ntp: NTPTimestamp(rawValue: 1 << 62) + .milliseconds(Int64(now)), timestamp: RTPTimestamp(encodings[index].source.timestamp(now)))
    nextSerial += 1
  }

  /// Wishes for key frames, through one requester for each encoding; 50 ms later the next picture is one.
  mutating func ask() {
    for index in 0..<subscribers.count where now >= subscribers[index].joinsAt {
      // What is wished for is on its way out of the history.
      if let replay = subscribers[index].replay, replay.serial == subscribers[index].forwarder.wanted?.serial, replay.isAtStart { continue }
      guard let encoding = subscribers[index].forwarder.pollKeyframeWish(at: instant) else { continue }
      subscribers[index].keyframeWishes += 1
      if options.replays, startReplay(of: Int(encoding), for: index) { continue }
      if case .send = encodings[Int(encoding)].requester.request(.layerSwitch, at: instant) { requestKey(Int(encoding)) }
    }
    for index in 0..<encodings.count where encodings[index].requester.pollRequest(at: instant) != nil { requestKey(index) }
  }

  mutating func requestKey(_ index: Int) { encodings[index].keyPending = true }
}
