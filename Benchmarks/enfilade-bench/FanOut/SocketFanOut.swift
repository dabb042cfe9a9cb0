// A room over loopback: real shards with their threads and sockets, a feeder that plays the publishers, a socket for each subscriber.

import CAllocationCounter
import EnfiladeCongestion
import EnfiladeEngine
import EnfiladeIO
import EnfiladeLoad
import EnfiladeRuntime
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire
import Glibc
import Synchronization

/// How the sockets of a measurement behave.
struct SocketSettings {
  var receivers = ReceiverMode.coalescing
  var segmentsSend = true
  var pinsShard = false
  /// Frames of each publisher on their way at once when the shard is kept busy. With one, a turn of the shard is a frame, as a turn of the
  /// floor is; with more, the shard finds several and joins them into longer runs.
  var windowFrameCount = 1
  /// Subscribers sit on these in turn; publishers sit on the first.
  var shardCount = 1
  /// How long packets may wait for company when a shard is busy; zero never lets them wait.
  var longestWait = TimeDelta.zero
  /// Subscribers' links are controlled.
  var congestion: CongestionProfile?
  /// All subscribers that the feeder does not read report what arrives.
  var sendsReports = false
  /// Between two looks at the subscribers' sockets, in microseconds.
  var napMicroseconds: UInt32 = 200
  /// Subscribers that the feeder itself reads.
  var watchedCount = 8
}

/// Why a measurement over sockets did not begin.
struct SocketFanOutError: Error, CustomStringConvertible {
  var description: String
}

/// One room, fed as fast as its shards forward, or at a given rate.
final class SocketFanOut {
  private final class Connections: Sendable {
    let count = Atomic(0)
  }

  private let shape: RoomShape
  private let profile: SRTPProfile
  private let protectorName: String
  private let levelsRuns: Bool
  private let settings: SocketSettings
  private let room: Room
  private let receivers: Receivers
  private let publisherSockets: [UDPSocket]
  private let shards: [Shard]
  private let threads: [ShardThread]
  private let frames: SealedFrames
  private let reports: SubscriberReports
  private let floor: Floor
  private let floorSocket: UDPSocket
  private var watchers: [FrameWatcher]
  private let watchPoller: Poller
  private let connections = Connections()
  private var random: SeededRandom
  private var checkedAt = Instant.zero
  private var sentFrames = 0
  private var nextPacket = 0

  init(
    _ shape: RoomShape, profile: SRTPProfile, levelsRuns: Bool, settings: SocketSettings, seed: UInt64 = 1,
    makeProtector: () throws -> any PacketProtector
  ) throws {
    enfilade_raise_file_limit()
    self.shape = shape
    self.profile = profile
    self.levelsRuns = levelsRuns
    self.settings = settings
    var random = SeededRandom(seed: seed)
    let loopback = SocketAddress(ipv4: 0x7F00_0001, port: 0)
    let receivers = try Receivers(
      shape.subscribers, mode: settings.receivers, watchedCount: settings.watchedCount, napMicroseconds: settings.napMicroseconds)
    self.receivers = receivers
    let publisherSockets = try (0..<shape.publishers).map { _ in try UDPSocket(bindingTo: loopback) }
    self.publisherSockets = publisherSockets
    let room = Room(shape, profile: profile, using: &random) {
      $0 < shape.publishers ? publisherSockets[$0].localAddress : receivers.addresses[$0 - shape.publishers]
    }
    self.room = room
    let peers = try makeProtector()
    frames = try SealedFrames(room, frameLimit: max(1, min(64, 512 / (shape.packetsPerFrame * shape.publishers))), protector: peers)
    reports = try SubscriberReports(room, protector: peers)
    protectorName = peers.name
    var options = UDPSocket.Options()
    options.segmentsSend = settings.segmentsSend
    let connections = connections
    shards = try (0..<settings.shardCount).map { index in
      var configuration = ShardConfiguration(
        shard: UInt8(index), seed: seed + UInt64(index), wallClock: wallClock(),
        linkCapacity: max(64, shape.publishers + shape.subscribers))
      configuration.levelsRuns = levelsRuns
      configuration.congestion = settings.congestion
      return try Shard(
        configuration, bindingTo: loopback, options: options, processor: settings.pinsShard ? index : nil, protector: try makeProtector(),
        handshakes: ReadyHandshakeFactory(profile: profile), longestWait: settings.longestWait
      ) { event in
        if case .linkChanged(_, .connected) = event { connections.count.add(1, ordering: .relaxed) }
      }
    }
    try Shard.start(shards)
    let destination = shards[0].localAddress
    try receivers.start { read in
      guard settings.sendsReports else { return nil }
      return try ReceivedReports(read.map { room.subscribers[$0] }, protector: try makeProtector(), to: destination)
    }
    threads = shards.map(ShardThread.init)
    self.random = random
    watchPoller = try Poller()
    watchers = receivers.watched.map {
      FrameWatcher(receivers.sockets[$0], packetsPerFrame: shape.packetsPerFrame, source: room.subscribers[$0].source(of: 0))
    }
    // The last subscriber's packets alone wake the feeder: a wake-up is charged to whoever sends.
    try watchPoller.watch(receivers.sockets[shape.subscribers - 1].descriptor, for: .readable, token: 0)
    // The steady size of a packet: the engine adds no extension once the peer has reported.
    let sealed = shape.packetBytes - SealedFrames.headerByteCount + 12 + profile.rtpOverheadByteCount
    floor = try Floor(shape, profile: profile, protector: try makeProtector(), sealedByteCount: sealed, addresses: receivers.addresses)
    floorSocket = try UDPSocket(bindingTo: loopback, options: options)
    try begin()
  }

  func stop() {
    for shard in shards { shard.stop() }
    for shard in shards { shard.release() }
    receivers.stop()
  }

  // MARK: Setting up

  private func shard(ofSubscriber position: Int) -> Shard { shards[position % shards.count] }

  private func barrier() { for thread in threads { thread.barrier() } }

  private func begin() throws {
    for publisher in room.publishers { for command in publisher.joining { shards[0].post(command) } }
    barrier()
    for (position, subscriber) in room.subscribers.enumerated() {
      for command in subscriber.joining { shard(ofSubscriber: position).post(command) }
      for command in subscriber.subscribing(to: room.publishers) { shard(ofSubscriber: position).post(command) }
    }
    barrier()
    let memberCount = shape.publishers + shape.subscribers
    let end = MonotonicClock.now + .seconds(Int64(20))
    while connections.count.load(ordering: .relaxed) < memberCount {
      guard MonotonicClock.now < end else { throw SocketFanOutError(description: "not every member could connect to the shard") }
      check()
      barrier()
    }
    // The first picture, and the reports on it.
    frames.fill(frameCount: 1, startsKeyframe: true)
    nextPacket = 0
    sendFrame()
    guard awaitFrame(of: watchers.count - 1, until: MonotonicClock.now + .seconds(Int64(10))) else {
      throw SocketFanOutError(description: "the first picture did not reach the last subscriber")
    }
    for position in room.subscribers.indices { sendFromSubscriber(reports.report(of: position), position) }
    barrier()
    for position in watchers.indices {
      watchers[position].drain()
      watchers[position].restart()
    }
    sentFrames = 0
  }

  /// Renews everybody's consent (RFC 7675 §5.1).
  private func check() {
    checkedAt = MonotonicClock.now
    for (position, member) in room.publishers.enumerated() {
      send(member.check(using: &random), from: publisherSockets[position], to: shards[0])
    }
    for (position, member) in room.subscribers.enumerated() {
      sendFromSubscriber(member.check(using: &random), position)
      // So many checks at once would not fit the shard's buffer.
      if position % 256 == 255 { barrier() }
    }
  }

  private func keepConsent() {
    if MonotonicClock.now - checkedAt > .seconds(Int64(8)) { check() }
  }

  private func sendFromSubscriber(_ bytes: [UInt8], _ position: Int) {
    send(bytes, from: receivers.sockets[position], to: shard(ofSubscriber: position))
  }

  private func send(_ bytes: [UInt8], from socket: UDPSocket, to shard: Shard) {
    var bytes = bytes
    bytes.withUnsafeMutableBytes { buffer in
      var datagram = OutgoingDatagram(base: buffer.baseAddress!, byteCount: buffer.count, to: shard.localAddress)
      _ = withUnsafePointer(to: &datagram) { socket.send(UnsafeBufferPointer(start: $0, count: 1)) }
    }
  }

  // MARK: Feeding

  /// The next packet of the filling, or the first of the next one.
  private func nextSealed() -> SealedFrames.SealedPacket {
    if nextPacket == frames.packets.count {
      frames.fill(frameCount: frames.frameLimit)
      nextPacket = 0
    }
    defer { nextPacket += 1 }
    return frames.packets[nextPacket]
  }

  /// Sends the next packet alone.
  private func sendPacket() {
    let packet = nextSealed()
    var datagram = OutgoingDatagram(base: packet.base, byteCount: packet.byteCount, to: shards[0].localAddress)
    _ = withUnsafePointer(to: &datagram) { publisherSockets[packet.publisher].send(UnsafeBufferPointer(start: $0, count: 1)) }
  }

  /// Sends the next frame of every publisher. A frame goes out as one message where its packets are of one size, so that it arrives whole.
  private func sendFrame() {
    for publisher in publisherSockets.indices {
      var messages: [OutgoingDatagram] = []
      for _ in 0..<shape.packetsPerFrame {
        let packet = nextSealed()
        messages.append(OutgoingDatagram(base: packet.base, byteCount: packet.byteCount, to: shards[0].localAddress))
      }
      if shape.unevenBytes == 0, shape.packetsPerFrame > 1 { messages = [joined(messages)] }
      _ = messages.withUnsafeBufferPointer { publisherSockets[publisher].send($0) }
    }
    sentFrames += 1
  }

  private let joint = UnsafeMutableRawPointer.allocate(byteCount: 65_536, alignment: 64)
  deinit { joint.deallocate() }

  private func joined(_ messages: [OutgoingDatagram]) -> OutgoingDatagram {
    let size = Int(messages[0].byteCount)
    for (position, message) in messages.enumerated() { (joint + position * size).copyMemory(from: message.base, byteCount: size) }
    return OutgoingDatagram(base: joint, byteCount: size * messages.count, segmentByteCount: size, to: shards[0].localAddress)
  }

  /// Waits until a watched subscriber has the newest frame less the window; `false` when it does not come.
  private func awaitFrame(of watcher: Int, until end: Instant) -> Bool {
    while watchers[watcher].completeFrames == 0 {
      _ = watchPoller.wait(timeout: .milliseconds(10))
      for position in watchers.indices { watchers[position].drain() }
      if MonotonicClock.now > end { return false }
    }
    return true
  }

  /// Keeps the shard busy for `span`.
  private func saturate(for span: TimeDelta) {
    let end = MonotonicClock.now + span
    let last = watchers.count - 1
    var progressAt = MonotonicClock.now
    watchers[last].drain()
    watchers[last].restart()
    var sentSince = 0
    while MonotonicClock.now < end {
      while sentSince - watchers[last].completeFrames < settings.windowFrameCount {
        sendFrame()
        sentSince += 1
      }
      let before = watchers[last].completeFrames
      _ = watchPoller.wait(timeout: .milliseconds(5))
      for position in watchers.indices { watchers[position].drain() }
      if watchers[last].completeFrames > before {
        progressAt = MonotonicClock.now
      } else if MonotonicClock.now - progressAt > .milliseconds(50) {
        // The kernel dropped something on its way; count anew.
        watchers[last].restart()
        sentSince = 0
        progressAt = MonotonicClock.now
      }
    }
  }

  // MARK: Measuring

  /// What the shards' threads have done by now.
  private struct Books {
    var processorTime = TimeDelta.zero
    var usage = (user: TimeDelta.zero, system: TimeDelta.zero)
    var mallocs: Int64 = 0
    var packets: UInt64 = 0
    var messages: UInt64 = 0
  }

  /// - Parameter opens: what follows is measured, and not what went before. An answer allocates: it belongs to neither.
  private func books(opens: Bool) throws -> Books {
    var books = Books()
    for thread in threads {
      var mallocs = thread.allocationCount
      let usage = thread.usage
      guard let snapshot = thread.snapshot() else { throw SocketFanOutError(description: "a shard does not answer") }
      if opens { mallocs = thread.allocationCount }
      books.processorTime = books.processorTime + snapshot.processorTime
      books.usage = (books.usage.user + usage.user, books.usage.system + usage.system)
      books.mallocs += mallocs
      books.packets += snapshot.traffic.packetsOut
      books.messages += snapshot.traffic.messagesOut
    }
    return books
  }

  /// What forwarding has cost while `work` ran.
  private func measure(_ work: () -> Void) throws -> (round: ForwardingRound, mallocs: Int64, messages: UInt64) {
    let before = try books(opens: true)
    work()
    let after = try books(opens: false)
    let time = ProcessorTime(
      total: after.processorTime - before.processorTime, user: after.usage.user - before.usage.user,
      system: after.usage.system - before.usage.system)
    return (
      ForwardingRound(packets: Int(after.packets - before.packets), time: time), after.mallocs - before.mallocs,
      after.messages - before.messages
    )
  }

  /// Forwards as fast as it goes.
  func measureEngine(seconds: Double) throws -> (round: ForwardingRound, mallocs: Int64, messages: UInt64) {
    keepConsent()
    saturate(for: .milliseconds(50))
    barrier()
    return try measure { saturate(for: .seconds(seconds)) }
  }

  /// Forwards a given load.
  ///
  /// - Parameter gaps: nanoseconds between packets of a frame; `nil` sends a frame as one message.
  func measureLoad(
    framesPerSecond: Double, seconds: Double, gaps: ClosedRange<Int64>?
  ) throws -> (round: ForwardingRound, messages: UInt64, latencies: LatencyHistogram) {
    keepConsent()
    barrier()
    // Three busy threads would wait for one another where there are two processors.
    receivers.pause()
    defer { receivers.resume() }
    var latencies = LatencyHistogram()
    let measured = try measure { latencies = feed(framesPerSecond: framesPerSecond, seconds: seconds, gaps: gaps) }
    return (measured.round, measured.messages, latencies)
  }

  /// Forwards so many frames a second while receivers read and, where links are controlled, report.
  func measurePaced(framesPerSecond: Double, seconds: Double) throws -> ForwardingRound {
    receivers.resume()
    defer { receivers.pause() }
    keepConsent()
    barrier()
    return try measure {
      let interval = TimeDelta.seconds(1 / framesPerSecond)
      let end = MonotonicClock.now + .seconds(seconds)
      var due = MonotonicClock.now
      while due < end {
        let ahead = due - MonotonicClock.now
        if ahead > .zero { usleep(UInt32(ahead.nanoseconds / 1000)) }
        sendFrame()
        for position in watchers.indices { watchers[position].drain() }
        due = due + interval
      }
    }.round
  }

  /// Leaves the subscribers' sockets unread until the next measurement.
  func rest() { receivers.pause() }

  /// Lets every table and history reach its final size, and every kind of report be sent once.
  func warmUp() {
    saturate(for: .seconds(2.5))
    barrier()
  }

  private func measureFloor(seconds: Double) -> ForwardingRound {
    var time = ProcessorTime.zero
    var packets = 0
    while time.total.seconds < seconds {
      let before = ProcessorTime.ofThisThread
      packets += floor.run(frameCount: 4, socket: floorSocket)
      time += ProcessorTime.ofThisThread - before
      for position in watchers.indices { watchers[position].drain() }
    }
    return ForwardingRound(packets: packets, time: time)
  }

  /// Feeds `framesPerSecond` frames for `seconds`, and times each packet at the watched subscribers.
  private func feed(framesPerSecond: Double, seconds: Double, gaps: ClosedRange<Int64>?) -> LatencyHistogram {
    var latencies = LatencyHistogram()
    for position in watchers.indices {
      watchers[position].drain()
      watchers[position].restart()
    }
    // One for each packet of the first publisher.
    var stamps: [Instant] = []
    stamps.reserveCapacity((Int(framesPerSecond * seconds) + 16) * shape.packetsPerFrame)
    let interval = TimeDelta.seconds(1 / framesPerSecond)
    let end = MonotonicClock.now + .seconds(seconds)
    var frameDue = MonotonicClock.now
    var packetDue = frameDue
    var packetsLeft = 0
    while true {
      let now = MonotonicClock.now
      if packetsLeft > 0 || now < end, now >= max(frameDue, packetDue) {
        if let gaps {
          if packetsLeft == 0 { packetsLeft = shape.packetsPerFrame * shape.publishers }
          stamps.append(now)
          sendPacket()
          packetsLeft -= 1
          packetDue = now + .nanoseconds(Int64.random(in: gaps, using: &random))
        } else {
          stamps.append(contentsOf: repeatElement(now, count: shape.packetsPerFrame))
          sendFrame()
        }
        if packetsLeft == 0 {
          frameDue = frameDue + interval
          // A feeder that was held up does not send a burst nobody asked for.
          if frameDue < now { frameDue = now + interval }
        }
      }
      if now > end + .milliseconds(100) { break }
      for position in watchers.indices { watchers[position].drain(stamps, into: &latencies) }
    }
    return latencies
  }

  /// Everything `fanout` says.
  func run(seconds: Double, rounds: Int, latencyLoad: Double) throws -> FanOutReport {
    warmUp()
    _ = floor.run(frameCount: 4, socket: floorSocket)
    var engineRounds: [ForwardingRound] = []
    var floorRounds: [ForwardingRound] = []
    var mallocs: Int64 = 0
    var messages: UInt64 = 0
    for _ in 0..<rounds {
      let measured = try measureEngine(seconds: seconds)
      engineRounds.append(measured.round)
      mallocs += measured.mallocs
      messages += measured.messages
      floorRounds.append(measureFloor(seconds: seconds))
    }
    let packets = engineRounds.reduce(0) { $0 + $1.packets }
    let rate = median(engineRounds.map(\.packetsPerProcessorSecond))
    let framesPerSecond = rate * latencyLoad / Double(shape.forwardedPerFrame * shape.publishers)
    let latency =
      latencyLoad > 0
      ? LatencySummary(try measureLoad(framesPerSecond: framesPerSecond, seconds: max(1, seconds), gaps: nil).latencies) : nil
    let isCounting = enfilade_allocation_counting() != 0
    var report = FanOutReport(
      path: "over loopback", protector: protectorName, profile: profile.standardName, shape: shape, levelling: levelsRuns,
      segmentation: settings.segmentsSend, receivers: settings.receivers.rawValue,
      sealedPacketBytes: shape.packetBytes - SealedFrames.headerByteCount + 12 + profile.rtpOverheadByteCount,
      packetsPerMessage: Double(packets) / Double(messages), engine: engineRounds, floor: floorRounds, packetsPerProcessorSecond: 0,
      floorPacketsPerProcessorSecond: 0, ratioToFloor: 0, systemShare: 0, addedLatency: latency,
      latencyIs: "publisher's send to subscriber's receive, at \(Int(latencyLoad * 100)) % load", memoryBytesPerSubscriber: nil,
      mallocsPerPacket: isCounting ? Double(mallocs) / Double(packets) : nil, mallocs: isCounting ? mallocs : nil)
    report.summarize()
    return report
  }
}
