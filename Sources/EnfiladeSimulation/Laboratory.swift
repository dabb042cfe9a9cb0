// Runs a scenario in virtual time.

import EnfiladeCongestion
import EnfiladeWire

extension Scenario {
  /// Runs it. Complexity: O(*p* log *q*) for *p* packets of which *q* are under way.
  ///
  /// - Parameter seed: all randomness comes from it.
  public func run(seed: UInt64) -> SimulationResult { Laboratory(self, seed: seed).run() }
}

final class Laboratory {
  private enum Endpoint {
    case media(MediaSender, receiver: Int)
    case tcp(Int)
  }

  private let scenario: Scenario
  private let seed: UInt64
  private var now = 0.0
  private var events = SimulationEventQueue()
  private var links: [SimulatedLink]
  private var endpoints: [Endpoint] = []
  private var receivers: [MediaReceiver] = []
  private var tcps: [TCPFlow] = []
  private var timers: [Double]
  private var results: [FlowResult]
  private var propagation: [Double]
  private var deliveredBytes: [Int]
  private var lastDelivered: [Int]
  private var lastSent: [Int]
  private var worstDelay: [Double]
  private var hasStarted: [Bool]
  private var isPaused: [Bool]

  init(_ scenario: Scenario, seed: UInt64) {
    self.scenario = scenario
    self.seed = seed
    var seeds = SeededRandom(seed: seed)
    links = scenario.links.map { SimulatedLink($0, seed: seeds.next()) }
    let count = scenario.flows.count
    timers = Array(repeating: .infinity, count: count)
    results = scenario.flows.map { FlowResult(name: $0.name) }
    propagation = scenario.flows.map { flow in
      flow.forward.reduce(flow.extraOneWayDelayMilliseconds) { $0 + scenario.links[$1].oneWayDelayMilliseconds } / 1000
    }
    deliveredBytes = Array(repeating: 0, count: count)
    lastDelivered = deliveredBytes
    lastSent = deliveredBytes
    worstDelay = Array(repeating: 0, count: count)
    hasStarted = Array(repeating: false, count: count)
    isPaused = hasStarted
    for (index, flow) in scenario.flows.enumerated() {
      let seed = seeds.next()
      switch flow.kind {
      case .media(let model):
        endpoints.append(.media(MediaSender(model, flow: index, start: flow.startSeconds, seed: seed), receiver: receivers.count))
        receivers.append(MediaReceiver(model))
      case .longTCP:
        endpoints.append(.tcp(tcps.count))
        tcps.append(TCPFlow(meanPauseSeconds: nil, seed: seed))
      case .shortTCP(let pause):
        endpoints.append(.tcp(tcps.count))
        tcps.append(TCPFlow(meanPauseSeconds: pause, seed: seed))
      }
    }
  }

  func run() -> SimulationResult {
    for (index, flow) in scenario.flows.enumerated() {
      schedule(index, at: flow.startSeconds)
      if flow.endSeconds.isFinite { events.schedule(.timer(flow: index), at: flow.endSeconds) }
      if let pause = flow.pause {
        events.schedule(.timer(flow: index), at: pause.lowerBound)
        events.schedule(.timer(flow: index), at: pause.upperBound)
      }
    }
    events.schedule(.sample, at: SimulationResult.sampleSeconds)
    while let event = events.popFirst(), event.time <= scenario.durationSeconds + 1e-9 {
      now = event.time
      switch event.action {
      case .packet(let packet): handle(packet)
      case .timer(let flow): handleTimer(flow)
      case .sample: sample()
      }
    }
    finish()
    return SimulationResult(scenario: scenario, seed: seed, flows: results)
  }

  // MARK: Time

  private func schedule(_ flow: Int, at time: Double) {
    guard time < timers[flow] - 1e-12 else { return }
    timers[flow] = time
    events.schedule(.timer(flow: flow), at: max(time, now))
  }

  private func isActive(_ flow: Int) -> Bool {
    let model = scenario.flows[flow]
    return now >= model.startSeconds - 1e-9 && now < model.endSeconds - 1e-9
  }

  private func handleTimer(_ flow: Int) {
    if timers[flow] <= now + 1e-12 { timers[flow] = .infinity }
    guard isActive(flow) else {
      if case .media(let sender, _) = endpoints[flow] { sender.isPaused = true }
      return
    }
    let pauses = scenario.flows[flow].pause.map { $0.contains(now) && now < $0.upperBound - 1e-9 } ?? false
    switch endpoints[flow] {
    case .media(let sender, _):
      if pauses { sender.isPaused = true }
      if isPaused[flow], !pauses { sender.resume(at: now) }
      isPaused[flow] = pauses
      sender.handleTimeout(at: now)
      hasStarted[flow] = true
    case .tcp(let index):
      if !hasStarted[flow] {
        hasStarted[flow] = true
        tcps[index].start(at: now)
      }
      tcps[index].handleTimeout(at: now)
    }
    drain(flow)
  }

  /// Sends whatever a flow has to send, at both of its ends, and sets its timer.
  private func drain(_ flow: Int) {
    switch endpoints[flow] {
    case .media(let sender, let receiver):
      for packet in sender.takeOutbox() { forward(packet) }
      while let report = receivers[receiver].pollReport(at: now) {
        // RTCP, SRTCP's trailer and tag.
        forward(SimulatedPacket(flow: flow, isForward: false, byteCount: report.count + 14, content: .report(report)))
      }
      let missing = receivers[receiver].pollMissing(at: now)
      if !missing.isEmpty { sendMissing(missing, flow) }
      if isActive(flow) { schedule(flow, at: sender.nextDeadline) }
      if let deadline = receivers[receiver].nextDeadline { schedule(flow, at: deadline) }
    case .tcp(let index):
      if isActive(flow) {
        for segment in tcps[index].pollSegments() {
          forward(
            SimulatedPacket(
              flow: flow, isForward: true, byteCount: TCPFlow.segmentByteCount, content: .segment(segment), created: now, sent: now))
        }
        if let deadline = tcps[index].nextDeadline { schedule(flow, at: deadline) }
      }
    }
  }

  private func sendMissing(_ missing: [Int64], _ flow: Int) {
    forward(SimulatedPacket(flow: flow, isForward: false, byteCount: 30 + 4 * missing.count, content: .nack(missing)))
  }

  // MARK: Packets

  /// Puts a packet on the next hop of its way.
  private func forward(_ packet: SimulatedPacket) {
    let flow = scenario.flows[packet.flow]
    let path = packet.isForward ? flow.forward : flow.backward
    var packet = packet
    let arrivals = links[path[packet.hop]].arrivals(byteCount: packet.byteCount, at: now)
    if arrivals.first == nil, case .media = packet.content, !packet.isRetransmission { results[packet.flow].lostPacketCount += 1 }
    packet.hop += 1
    let extra = packet.hop == path.count ? flow.extraOneWayDelayMilliseconds / 1000 : 0
    if let first = arrivals.first { events.schedule(.packet(packet), at: first + extra) }
    if let second = arrivals.second { events.schedule(.packet(packet), at: second + extra) }
  }

  private func handle(_ packet: SimulatedPacket) {
    let flow = scenario.flows[packet.flow]
    let path = packet.isForward ? flow.forward : flow.backward
    guard packet.hop == path.count else { return forward(packet) }
    switch endpoints[packet.flow] {
    case .media(let sender, let receiver):
      switch packet.content {
      case .media, .padding: receive(packet, receiver)
      case .report(let bytes): sender.handleReport(bytes, at: now)
      case .nack(let sequences): sender.handleMissing(sequences, at: now)
      case .keyFrameRequest: sender.handleKeyFrameRequest()
      case .segment, .acknowledgement: break
      }
    case .tcp(let index):
      switch packet.content {
      case .segment(let number):
        let acknowledged = tcps[index].handleSegment(number)
        deliveredBytes[packet.flow] = tcps[index].deliveredByteCount
        forward(
          SimulatedPacket(
            flow: packet.flow, isForward: false, byteCount: TCPFlow.acknowledgementByteCount, content: .acknowledgement(acknowledged)))
      case .acknowledgement(let number): tcps[index].handleAcknowledgement(number, at: now)
      default: break
      }
    }
    drain(packet.flow)
  }

  private func receive(_ packet: SimulatedPacket, _ receiver: Int) {
    let arrival = receivers[receiver].handle(packet, at: now)
    if case .media = packet.content, arrival.isNew {
      deliveredBytes[packet.flow] += packet.byteCount
      if !packet.isRetransmission {
        let delay = max(0, (now - packet.created - propagation[packet.flow]) * 1000)
        results[packet.flow].delays.append(DelaySample(seconds: now, milliseconds: delay))
        worstDelay[packet.flow] = max(worstDelay[packet.flow], delay)
      }
    }
    if !arrival.missing.isEmpty { sendMissing(arrival.missing, packet.flow) }
    if arrival.wantsKeyFrame {
      forward(SimulatedPacket(flow: packet.flow, isForward: false, byteCount: 30, content: .keyFrameRequest))
    }
  }

  // MARK: Results

  private func sample() {
    for flow in scenario.flows.indices {
      var sample = FlowSample()
      sample.seconds = now
      if case .media(let sender, _) = endpoints[flow] {
        sample.target = hasStarted[flow] ? sender.target : 0
        sample.sent = Double(sender.sentByteCount - lastSent[flow]) * 8 / SimulationResult.sampleSeconds
        lastSent[flow] = sender.sentByteCount
        sample.layer = sender.layer
        sample.mode = Int(sender.controller.delay.mode.rawValue)
      }
      sample.delivered = Double(deliveredBytes[flow] - lastDelivered[flow]) * 8 / SimulationResult.sampleSeconds
      lastDelivered[flow] = deliveredBytes[flow]
      sample.delayMilliseconds = worstDelay[flow]
      worstDelay[flow] = 0
      results[flow].samples.append(sample)
    }
    events.schedule(.sample, at: now + SimulationResult.sampleSeconds)
  }

  private func finish() {
    for flow in scenario.flows.indices {
      guard case .media(let sender, let receiver) = endpoints[flow] else { continue }
      results[flow].targets = sender.targets
      results[flow].sentPacketCount = sender.firstTimePacketCount
      results[flow].allPacketCount = sender.packetCount
      results[flow].undelayedPacketCount = Int(sender.pacer.immediateCount)
      results[flow].paddingByteCount = sender.paddingByteCount
      results[flow].frameCount = receivers[receiver].shownCount
      results[flow].longestFreezeMilliseconds = receivers[receiver].longestGap * 1000
      results[flow].layerChanges = sender.layerChanges
      results[flow].unpaidUpgradeCount = sender.unpaidUpgradeCount
    }
  }
}
