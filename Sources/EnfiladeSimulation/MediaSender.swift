// A synthetic publisher together with the forwarder's side of one subscriber: source, pacer, congestion control.

import EnfiladeCongestion
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeWire

final class MediaSender {
  static let packetByteCount = 1200
  static let historyCount = 1024

  let model: MediaModel
  private let flow: Int
  private var random: SeededRandom
  private(set) var controller: CongestionController
  private(set) var pacer: Pacer
  private var nextTransportNumber: Int64 = 1
  private var nextVideoNumber: Int64 = 0
  private var nextAudioNumber: Int64 = 0
  private var nextSequence: Int64 = 0
  private var nextFrame = 0
  private var nextFrameTime: Double
  private var nextAudioTime: Double
  /// Targets on their way to the encoder.
  private var commands: [(time: Double, bitsPerSecond: Double)] = []
  private var encoderRate: Double
  private var needsKeyFrame = true
  private var waiting: [Int32: SimulatedPacket] = [:]
  private var nextWaiting: Int32 = 0
  private var history: [SimulatedPacket?]
  /// Bits of repair in the last second, smoothed.
  private var repairRate = 0.0
  private var lastRepairUpdate = 0.0
  private var outbox: [SimulatedPacket] = []
  private let isLayered: Bool
  private var layers: LayeredSource
  var isPaused = false

  // Told to the laboratory.
  private(set) var sentByteCount = 0
  private(set) var paddingByteCount = 0
  private(set) var packetCount = 0
  private(set) var firstTimePacketCount = 0
  private(set) var targets: [FlowResult.TargetChange] = []

  init(_ model: MediaModel, flow: Int, start: Double, seed: UInt64) {
    self.model = model
    self.flow = flow
    random = SeededRandom(seed: seed)
    var profile = model.control == .enfilade ? CongestionProfile() : CongestionProfile.reference
    profile.start = Bitrate(bitsPerSecond: Int64(model.startKilobits * 1000))
    controller = CongestionController(profile: profile)
    pacer = Pacer(target: profile.start, factor: profile.pacingFactor)
    nextFrameTime = start + random.uniform() / model.framesPerSecond
    nextAudioTime = model.audioKilobits > 0 ? start + random.uniform() * 0.02 : .infinity
    encoderRate = model.startKilobits * 1000
    history = Array(repeating: nil, count: Self.historyCount)
    switch model.source {
    case .adaptive(_, let maximum):
      isLayered = false
      layers = LayeredSource(kilobits: [0], isScalable: false, start: .infinity)
      // An encoder can use this much, and the headroom that keeps it from being limited by noise.
      controller.setUsefulMaximum(Bitrate(bitsPerSecond: Int64((maximum + model.audioKilobits) * 1100)))
    case .layers(let kilobits, let isScalable):
      isLayered = true
      layers = LayeredSource(kilobits: kilobits, isScalable: isScalable, start: start)
      controller.setUsefulMaximum(Bitrate(bitsPerSecond: Int64((kilobits[kilobits.count - 1] + model.audioKilobits) * 1200)))
    }
  }

  private static func instant(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }
  private static func seconds(_ instant: Instant) -> Double? {
    instant == .distantFuture ? nil : Double(instant.nanoseconds) * 1e-9
  }

  var target: Double { Double(controller.target.bitsPerSecond) }

  var nextDeadline: Double {
    var deadline = isPaused ? .infinity : min(nextFrameTime, nextAudioTime)
    if let pacing = Self.seconds(pacer.nextDeadline) { deadline = min(deadline, pacing) }
    if let control = Self.seconds(controller.nextDeadline) { deadline = min(deadline, control) }
    if isLayered, !isPaused { deadline = min(deadline, layers.nextDeadline) }
    return deadline
  }

  /// The source starts again.
  func resume(at now: Double) {
    isPaused = false
    nextFrameTime = now
    if model.audioKilobits > 0 { nextAudioTime = now }
    needsKeyFrame = true
  }

  // MARK: Told

  func handleTimeout(at now: Double) {
    let instant = Self.instant(now)
    if instant >= controller.nextDeadline { controller.handleTimeout(at: instant) }
    drainController(now)
    if !isPaused {
      while nextAudioTime <= now {
        sendAudio(now)
        nextAudioTime += 0.02
      }
      while nextFrameTime <= now {
        sendFrame(now)
        nextFrameTime += 1 / model.framesPerSecond
      }
    }
    if isLayered { reallocate(now) }
    drainPacer(now)
  }

  func handleReport(_ bytes: [UInt8], at now: Double) {
    let instant = Self.instant(now)
    var reader = RTCPReader(bytes.rawBytes)
    while let packet = reader.next() {
      switch packet {
      case .transportFeedback(let feedback): controller.handleFeedback(feedback, at: instant)
      case .congestionControlFeedback(let feedback): controller.handleFeedback(feedback, at: instant)
      default: break
      }
    }
    drainController(now)
    if isLayered { reallocate(now) }
    drainPacer(now)
  }

  func handleMissing(_ sequences: [Int64], at now: Double) {
    for sequence in sequences {
      guard var packet = history[Int(sequence) & (Self.historyCount - 1)], packet.sequence == sequence else { continue }
      packet.isRetransmission = true
      offer(packet, .retransmission, now)
    }
    drainPacer(now)
  }

  func handleKeyFrameRequest() { needsKeyFrame = true }

  /// Packets to put on the path.
  func takeOutbox() -> [SimulatedPacket] {
    defer { outbox.removeAll(keepingCapacity: true) }
    return outbox
  }

  // MARK: Inside

  private func drainController(_ now: Double) {
    if let target = controller.pollTarget() {
      pacer.setTarget(target, at: Self.instant(now))
      let rate = Double(target.bitsPerSecond)
      targets.append(FlowResult.TargetChange(seconds: now, bitsPerSecond: rate))
      // Repair is paid from the same target.
      commands.append((now + model.reactionMilliseconds / 1000, max(0, rate - model.audioKilobits * 1000 - repairRate)))
    }
    pacer.setRestrained(controller.isOverfull, at: Self.instant(now))
    while let probe = controller.pollProbe() { pacer.begin(probe, at: Self.instant(now)) }
  }

  private func drainPacer(_ now: Double) {
    let instant = Self.instant(now)
    while let departure = pacer.poll(at: instant) {
      switch departure {
      case .packet(let name, _, let purpose, let probe):
        if let packet = waiting.removeValue(forKey: name) { send(packet, purpose, probe, now) }
      case .padding(let byteCount, let probe):
        let padding = SimulatedPacket(flow: flow, isForward: true, byteCount: byteCount, content: .padding, created: now)
        send(padding, .padding, probe, now)
      case .expired(let name, _):
        waiting[name] = nil
        needsKeyFrame = true
      }
    }
  }

  private func offer(_ packet: SimulatedPacket, _ purpose: PacketPurpose, _ now: Double) {
    let name = nextWaiting
    nextWaiting &+= 1
    switch pacer.admit(name, byteCount: packet.byteCount, purpose: purpose, at: Self.instant(now)) {
    case .now(let probe): send(packet, purpose, probe, now)
    case .queued: waiting[name] = packet
    case .full: needsKeyFrame = true
    }
  }

  private func send(_ packet: SimulatedPacket, _ purpose: PacketPurpose, _ probe: ProbeID, _ now: Double) {
    var packet = packet
    packet.sent = now
    packet.transportNumber = nextTransportNumber
    nextTransportNumber += 1
    let number = ExtendedSequenceNumber(packet.transportNumber)
    let ssrc: SSRC
    if packet.isAudio {
      packet.streamNumber = nextAudioNumber
      nextAudioNumber += 1
      ssrc = StreamReportGenerator.audioSSRC
    } else {
      packet.streamNumber = nextVideoNumber
      nextVideoNumber += 1
      ssrc = StreamReportGenerator.videoSSRC
    }
    controller.handleSent(number, byteCount: packet.byteCount, purpose: purpose, probe: probe, at: Self.instant(now))
    if model.feedback == .byStream {
      controller.handleSent(ssrc, SequenceNumber(UInt16(truncatingIfNeeded: packet.streamNumber)), number: number)
    }
    packetCount += 1
    sentByteCount += packet.byteCount
    switch purpose {
    case .padding: paddingByteCount += packet.byteCount
    case .retransmission:
      let elapsed = now - lastRepairUpdate
      lastRepairUpdate = now
      repairRate = max(0, repairRate * max(0, 1 - elapsed)) + Double(packet.byteCount) * 8
    case .audio, .video: firstTimePacketCount += 1
    }
    outbox.append(packet)
    drainController(now)
  }

  private func sendAudio(_ now: Double) {
    let size = Int(model.audioKilobits * 1000 * 0.02 / 8)
    var packet = SimulatedPacket(flow: flow, isForward: true, byteCount: size, content: .media, created: now)
    packet.isAudio = true
    offer(packet, .audio, now)
  }

  private func sendFrame(_ now: Double) {
    let noise = 1 + model.frameNoise * (2 * random.uniform() - 1)
    if isLayered {
      if needsKeyFrame {
        needsKeyFrame = false
        layers.requestKeyFrame(at: now)
      }
      let frame = layers.frame(framesPerSecond: model.framesPerSecond, noise: noise, keyFrameFactor: model.keyFrameFactor, at: now)
      packetize(frame.byteCount, isKey: frame.isKey, layer: frame.layer, now)
      return
    }
    guard case .adaptive(let minimum, let maximum) = model.source else { return }
    while let first = commands.first, first.time <= now {
      encoderRate = first.bitsPerSecond
      commands.removeFirst()
    }
    let rate = min(max(encoderRate, minimum * 1000), maximum * 1000)
    // Adaptive encoders answer a request within their rate: the frame is as large as the others.
    packetize(Int(rate / model.framesPerSecond / 8 * noise), isKey: needsKeyFrame, layer: -1, now)
    needsKeyFrame = false
  }

  private func packetize(_ byteCount: Int, isKey: Bool, layer: Int, _ now: Double) {
    let total = max(byteCount, 100)
    let count = (total + Self.packetByteCount - 1) / Self.packetByteCount
    for index in 0..<count {
      let size = total / count + (index < total % count ? 1 : 0)
      var packet = SimulatedPacket(flow: flow, isForward: true, byteCount: size, content: .media, created: now)
      packet.sequence = nextSequence
      packet.frame = nextFrame
      packet.frameByteCount = total
      packet.isKeyFrame = isKey
      packet.isEndOfFrame = index == count - 1
      packet.layer = layer
      nextSequence += 1
      history[Int(packet.sequence) & (Self.historyCount - 1)] = packet
      offer(packet, .video, now)
    }
    nextFrame += 1
  }

  private func reallocate(_ now: Double) {
    let reserved = Bitrate(bitsPerSecond: Int64(model.audioKilobits * 1000 + repairRate))
    let budget = BandwidthAllocator.Budget(
      estimate: controller.sustainedTarget, proven: controller.provenRate(at: Self.instant(now)), reserved: reserved)
    if let demand = layers.allocate(budget, at: now) { controller.handleDemand(demand, at: Self.instant(now)) }
    drainController(now)
  }

  // MARK: Told to the laboratory

  var layer: Int { isLayered ? layers.current : -1 }
  var layerChanges: [FlowResult.LayerChange] { isLayered ? layers.changes : [] }
  var unpaidUpgradeCount: Int { layers.unpaidUpgradeCount }
}
