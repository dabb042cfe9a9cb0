// One run of load, from the first offer to the last deletion, on the calling thread.
//
//   publishers join ─▶ media flows ─▶ subscribers join ─▶ warm-up ─▶ measured window ─▶ sessions deleted
//
// Probes wake the thread when something arrives. The other subscribers are read in turn, each once in ``LoadOptions/sweepInterval``.

import EnfiladeIO
import EnfiladeTransport
import EnfiladeWire

/// Runs a load against one server.
package final class LoadRun {
  /// Called when the measured window begins and ends; for reading the server's processor time.
  package var windowBegins: () -> Void = {}
  package var windowEnds: () -> Void = {}

  private let options: LoadOptions
  private let signaling: any Signaling
  private let context: LoadContext
  private let poller: Poller
  private var clients: [LoadClient] = []
  private var publishers: [LoadClient] = []
  private var subscribers: [LoadClient] = []
  /// Subscribers that are read in turn.
  private var swept: [LoadClient] = []
  private var sweepPosition = 0
  private var sweepsDue = 0
  private var nextSweepAt = Instant.distantFuture
  private var nextTickAt = Instant.zero

  /// How often deadlines are looked at: much finer than any of them.
  private static let tick = TimeDelta.milliseconds(10)
  /// Sweeps come in this many parts, so that none holds up the publishers for long.
  private static let sweepParts = 4
  /// Sockets read between two looks at what is due.
  private static let sweepsPerTurn = 4
  /// Media before the first subscriber: the server learns the sources.
  private static let publisherLead = TimeDelta.milliseconds(500)

  package init(_ options: LoadOptions, signaling: any Signaling) throws(LoadError) {
    let counts = [options.publisherCount, options.subscriberCount, options.memberCount]
    guard counts.allSatisfy((0...LoadOptions.clientLimit).contains), counts.reduce(0, +) <= LoadOptions.clientLimit,
      options.publisherCount + options.memberCount >= 1
    else { throw .badOption("at least one who publishes, and at most \(LoadOptions.clientLimit) clients") }
    guard options.sendsAudio || options.sendsVideo else { throw .badOption("neither audio nor video") }
    self.options = options
    self.signaling = signaling
    context = try LoadContext(options)
    do {
      poller = try Poller()
    } catch {
      throw .system("\(error)")
    }
  }

  /// Does it all. Sessions are deleted whatever happens.
  package func run() throws(LoadError) -> LoadReport {
    var report = LoadReport()
    do {
      try measure(&report)
    } catch {
      _ = leave()
      throw error
    }
    report.undeletedSessionCount = leave()
    return report
  }

  // MARK: Phases

  private func measure(_ report: inout LoadReport) throws(LoadError) {
    let begin = MonotonicClock.now
    for index in 0..<options.publisherCount {
      let client = try join(.publisher, index, isProbe: false) { client throws(LoadError) in try signaling.publish(client) }
      client.isSending = true
      publishers.append(client)
    }
    turn(for: Self.publisherLead)
    for index in 0..<options.subscriberCount {
      let isProbe = isProbe(index, of: options.subscriberCount)
      let client = try join(.subscriber, index, isProbe: isProbe) { client throws(LoadError) in try signaling.subscribe(client) }
      addSubscriber(client)
    }
    for index in 0..<options.memberCount {
      let isProbe = isProbe(index, of: options.memberCount)
      let client = try join(.member, index, isProbe: isProbe) { client throws(LoadError) in try signaling.enter(client, options.stage) }
      client.isSending = true
      publishers.append(client)
      addSubscriber(client)
    }
    report.joinSeconds = (MonotonicClock.now - begin).seconds
    try signaling.keepAlive()
    turn(for: options.warmUp)
    measureWindow(&report)
  }

  private func measureWindow(_ report: inout LoadReport) {
    sweepAll()
    context.resetMeasurements()
    let before = Tally(publishers, subscribers)
    let processorBefore = MonotonicClock.threadProcessorTime
    let begin = MonotonicClock.now
    windowBegins()
    turn(for: options.duration)
    windowEnds()
    let end = MonotonicClock.now
    let processorTime = MonotonicClock.threadProcessorTime - processorBefore
    sweepAll()
    let after = Tally(publishers, subscribers)
    report.memberCount = options.memberCount
    after.write(since: before, into: &report)
    report.publisherCount = publishers.count - options.memberCount
    report.subscriberCount = subscribers.count - options.memberCount
    report.profile = (subscribers.first ?? publishers.first)?.profile?.registeredName ?? ""
    report.seconds = (end - begin).seconds
    report.clientProcessorSeconds = processorTime.seconds
    report.openedPacketCount = context.openedCount
    report.rejectedPacketCount = context.unopenedCount
    report.unstampedPacketCount = context.unstampedCount
    report.replayedPacketCount = context.replayedCount
    report.videoLatency = LoadReport.Latency(context.videoLatency)
    report.audioLatency = LoadReport.Latency(context.audioLatency)
  }

  private func leave() -> Int {
    // First by signaling: a server may forget a session that says goodbye in DTLS, and then knows nothing to delete.
    let refusedCount = signaling.leaveAll()
    let now = MonotonicClock.now
    for client in clients { client.close(at: now) }
    return refusedCount
  }

  private func join(
    _ role: LoadClient.Role, _ index: Int, isProbe: Bool, by exchange: (LoadClient) throws(LoadError) -> Void
  ) throws(LoadError) -> LoadClient {
    let client = try LoadClient(role, index: index, isProbe: isProbe, context: context)
    do {
      try poller.watch(client.socket.descriptor, for: .readable, token: UInt64(clients.count))
    } catch {
      throw .system("\(error)")
    }
    clients.append(client)
    try exchange(client)
    let deadline = MonotonicClock.now + options.connectTimeout
    while !client.isConnected {
      guard MonotonicClock.now < deadline else {
        throw .notConnected(client: client.name, ice: client.states.ice, handshake: client.states.handshake)
      }
      turn(for: .milliseconds(1))
    }
    return client
  }

  private func addSubscriber(_ client: LoadClient) {
    subscribers.append(client)
    guard !client.isProbe else { return }
    poller.forget(client.socket.descriptor)
    swept.append(client)
    if nextSweepAt == .distantFuture { nextSweepAt = MonotonicClock.now }
  }

  /// Probes are spread evenly, so that both who is served first and who is served last are among them.
  private func isProbe(_ index: Int, of all: Int) -> Bool {
    let count = min(options.probeCount, all)
    return count > 0 && (index + 1) * count / all > index * count / all
  }

  // MARK: The loop

  private func turn(for span: TimeDelta) {
    let end = MonotonicClock.now + span
    while true {
      let now = MonotonicClock.now
      if now >= end { return }
      var wake = end
      for publisher in publishers {
        publisher.sendDue(at: now)
        wake = min(wake, publisher.nextPacketDue)
      }
      if nextTickAt <= now {
        nextTickAt = now + Self.tick
        for client in clients where client.deadline <= now { client.handleTimeout(at: now) }
      }
      wake = min(wake, nextTickAt)
      sweep(at: now)
      wake = sweepsDue > 0 ? now : min(wake, nextSweepAt)
      let eventCount = poller.wait(timeout: wake - MonotonicClock.now)
      for position in 0..<eventCount { clients[Int(poller.event(at: position).token)].receive() }
    }
  }

  private func sweep(at now: Instant) {
    if nextSweepAt <= now {
      sweepsDue = min(swept.count, sweepsDue + (swept.count + Self.sweepParts - 1) / Self.sweepParts)
      nextSweepAt = now + options.sweepInterval / Int64(Self.sweepParts)
    }
    for _ in 0..<min(sweepsDue, Self.sweepsPerTurn) {
      sweepPosition = (sweepPosition + 1) % swept.count
      swept[sweepPosition].receive()
      sweepsDue -= 1
    }
  }

  private func sweepAll() {
    for client in clients { client.receive() }
  }
}

/// The counts of all clients at one moment.
private struct Tally {
  var sentPackets: UInt64 = 0
  var sentBytes: UInt64 = 0
  var keyframes = 0
  var keyframeRequests = 0
  var retransmitted: UInt64 = 0
  var videoStreams = 0
  var received: UInt64 = 0
  var receivedBytes: UInt64 = 0
  var retransmissions: UInt64 = 0
  var stray: UInt64 = 0
  /// What the numbers say was sent to each subscriber's each source.
  var expected: UInt64 = 0
  /// Packets of sources that a subscriber is sent one of: without simulcast all.
  var forwardable: UInt64 = 0
  let subscriberCount: Int

  init(_ publishers: [LoadClient], _ subscribers: [LoadClient]) {
    subscriberCount = subscribers.count
    for publisher in publishers {
      // Of several encodings a subscriber gets one; the largest is what the ratio is told against.
      var largestVideo: UInt64 = 0
      for stream in publisher.outgoing {
        sentPackets += stream.packetCount
        sentBytes += stream.byteCount
        keyframes += stream.traffic.keyframeCount
        keyframeRequests += stream.keyframeRequestCount
        retransmitted += stream.retransmissionCount
        if stream.kind == .video {
          videoStreams += 1
          largestVideo = max(largestVideo, stream.packetCount)
        } else {
          forwardable += stream.packetCount
        }
      }
      forwardable += largestVideo
    }
    for subscriber in subscribers {
      stray += subscriber.strayCount
      for stream in subscriber.incoming {
        if stream.role == .retransmission {
          retransmissions += stream.packetCount
        } else {
          received += stream.packetCount
          receivedBytes += stream.byteCount
          expected += stream.expectedCount
        }
      }
    }
  }

  func write(since before: Tally, into report: inout LoadReport) {
    report.sentPacketCount = sentPackets - before.sentPackets
    report.sentByteCount = sentBytes - before.sentBytes
    report.sentVideoStreamCount = videoStreams
    report.keyframeCount = keyframes - before.keyframes
    report.keyframeRequestCount = keyframeRequests - before.keyframeRequests
    report.retransmittedCount = retransmitted - before.retransmitted
    report.receivedPacketCount = received - before.received
    report.receivedByteCount = receivedBytes - before.receivedBytes
    report.receivedRetransmissionCount = retransmissions - before.retransmissions
    report.strayPacketCount = stray - before.stray
    let expectedInWindow = expected &- before.expected
    // Repetitions can bring more than the numbers promise.
    report.lostPacketCount = expectedInWindow > report.receivedPacketCount ? expectedInWindow - report.receivedPacketCount : 0
    let offered = report.memberCount > 0 ? 0 : (forwardable - before.forwardable) * UInt64(subscriberCount)
    report.deliveredRatio = offered == 0 ? 0 : Double(report.receivedPacketCount) / Double(offered)
  }
}
