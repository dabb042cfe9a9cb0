// A peer of the engine in virtual time: it checks, shakes hands, publishes, receives, and answers feedback as a browser would.

package import EnfiladeEngine
package import EnfiladeRTP
package import EnfiladeSTUN
package import EnfiladeTransport
package import EnfiladeWire

/// Which numbers a peer gives to formats and extensions.
package struct PeerNumbers: Sendable {
  package var opus: UInt8 = 111
  package var opusRetransmission: UInt8?
  package var red: UInt8?
  package var vp8: UInt8 = 96
  package var vp8Retransmission: UInt8? = 97
  package var av1: UInt8?
  package var h264: UInt8?
  package var h264Retransmission: UInt8?
  package var mid: UInt8 = 4
  package var rid: UInt8 = 13
  package var repairedRid: UInt8 = 14
  package var audioLevel: UInt8 = 1
  package var dependencyDescriptor: UInt8?
  /// Extensions beside those that every peer has.
  package var others: [ExtensionKind: UInt8] = [:]
  /// RFC 8285 §6.
  package var allowsMixedExtensions = false
  package var transportSequenceNumber: UInt8? = 3
  package var videoFeedback: FeedbackCapabilities = [.nack, .pictureLossIndication, .fullIntraRequest, .transportWide]
  package var audioFeedback: FeedbackCapabilities = [.transportWide]
  package var reducedSizeRTCP = true
  /// Encodings are told apart by a group of sources (RFC 5576 §4.2, semantics SIM) that the description names, and packets name neither them
  /// nor their section.
  package var groupsEncodingsBySource = false

  package init() {}

  package func formats(_ kind: MediaKind) -> [NegotiatedFormat] {
    switch kind {
    case .audio:
      [
        NegotiatedFormat(
          format: .opus, payloadType: PayloadType(opus), retransmissionPayloadType: opusRetransmission.map { PayloadType($0) },
          feedback: audioFeedback)
      ] + (red.map { [NegotiatedFormat(format: .red, payloadType: PayloadType($0), feedback: audioFeedback)] } ?? [])
    case .video:
      [(MediaFormat.vp8, vp8 as UInt8?, vp8Retransmission), (.av1, av1, nil), (.h264ConstrainedBaseline, h264, h264Retransmission)]
        .compactMap { format, number, retransmission in
          number.map {
            NegotiatedFormat(
              format: format, payloadType: PayloadType($0), retransmissionPayloadType: retransmission.map { PayloadType($0) },
              feedback: videoFeedback)
          }
        }
    }
  }

  package func extensions(_ kind: MediaKind) -> ExtensionMap {
    var map = ExtensionMap()
    map[.mid] = mid
    if kind == .audio { map[.audioLevel] = audioLevel }
    if kind == .video {
      map[.rid] = rid
      map[.repairedRid] = repairedRid
      map[.dependencyDescriptor] = dependencyDescriptor
    }
    map[.transportSequenceNumber] = transportSequenceNumber
    for (extensionKind, identifier) in others { map[extensionKind] = identifier }
    return map
  }
}

/// A section through which a peer receives.
package struct PeerSlot: Sendable {
  package var key: SlotKey
  package var mid: [UInt8]
  package var kind: MediaKind
  package var ssrc: SSRC
  package var retransmissionSSRC: SSRC
}

/// One remote endpoint. The world calls it; what it sends goes through the world.
package final class ScriptedPeer {
  package let link: LinkID
  package let name: String
  package var numbers: PeerNumbers
  package var random: SeededRandom
  package var address: SocketAddress
  package var uplink = VirtualLink()
  package var downlink = VirtualLink()

  // ICE and the handshake.
  package var credentials: ICECredentials
  package var engineCredentials: ICECredentials
  package let certificate: NullHandshakeFactory
  package let handshake: NullHandshake
  package let protector = NullProtector()
  package var session: ProtectorSession?
  package var isChecking = true
  package var nextCheckAt = Instant.zero
  package var checkInterval = TimeDelta.seconds(Int64(4))
  package var answeredCheckCount = 0
  package var refusals: [STUNErrorCode] = []

  // Media out.
  package var published: [PublishedStream] = []
  package var answersNACK = true
  package var answersKeyframeRequests = true
  /// How long the encoder takes from a request to the key frame.
  package var keyframeDelay = TimeDelta.zero
  package var sendsReports = true
  /// What its receiver reports say it loses, in 256ths.
  package var reportedLoss: UInt8 = 0
  /// Receiver reports say what was lost, and not ``reportedLoss``.
  package var measuresLoss = false
  var reportedArrivals: [SSRC: (Int64, Int)] = [:]
  package var nextReportAt = Instant.distantFuture
  package var nextTransportNumber: UInt16 = 0
  /// Transport-wide numbers that reached the engine, in order, with the moment.
  package var transportArrivals: [(number: UInt16, at: Instant)] = []
  /// How far this peer's wall clock is ahead of the world's.
  package var wallOffset = TimeDelta.zero

  // Media in.
  package var slots: [PeerSlot] = []
  package var received: [SSRC: [ReceivedPacket]] = [:]
  package var feedback: [(at: Instant, packet: ReceivedRTCP)] = []
  package var compounds: [(at: Instant, packets: [ReceivedRTCP])] = []
  package var sendsNACK = false
  package var nextNACKAt = Instant.distantFuture
  var missing: [SSRC: MissingNumbers] = [:]
  package var retransmissionCount = 0
  /// Empty packets on retransmission streams: a probe's.
  package var emptyCount = 0
  package var reporting = ReportingStyle.nothing
  var reporter = ArrivalReporter()
  /// Transport-wide numbers that came, in order, with the moment.
  package var transportNumbers: [(number: UInt16, at: Instant)] = []
  package var rejections: [ProtectionOutcome: Int] = [:]
  package var strayCount = 0
  /// Datagrams of any kind that came.
  package var datagramCount = 0

  init(
    link: LinkID, name: String, address: SocketAddress, numbers: PeerNumbers, credentials: ICECredentials,
    engineCredentials: ICECredentials,
    engineFingerprint: CertificateFingerprint, profile: SRTPProfile, random: SeededRandom
  ) {
    self.link = link
    self.name = name
    self.address = address
    self.numbers = numbers
    self.credentials = credentials
    self.engineCredentials = engineCredentials
    self.random = random
    certificate = NullHandshakeFactory(seed: self.random.next(), profile: profile)
    handshake = certificate.makeHandshake(role: .active, remoteFingerprints: [engineFingerprint]) as! NullHandshake
  }

  // MARK: Look

  package var isConnected: Bool { session != nil }

  /// The stream of a kind that it publishes.
  package func stream(_ kind: MediaKind) -> PublishedStream { published.first { $0.kind == kind }! }
  package func slot(_ kind: MediaKind, _ number: Int = 0) -> PeerSlot { slots.filter { $0.kind == kind }[number] }
  /// What came on a slot's own SSRC.
  package func packets(on slot: PeerSlot) -> [ReceivedPacket] { received[slot.ssrc] ?? [] }
  package func retransmissions(on slot: PeerSlot) -> [ReceivedPacket] { received[slot.retransmissionSSRC] ?? [] }

  package var media: MediaConfiguration {
    MediaConfiguration(
      receive: published.enumerated().filter { index, stream in
        // Encodings of one section follow one another; the first stands for all.
        index == 0 || published[index - 1].publication != stream.publication
      }.map { _, stream in
        let encodings = published.filter { $0.publication == stream.publication && !$0.rid.isEmpty }
        let isGroup = numbers.groupsEncodingsBySource
        return ReceiveSection(
          publication: stream.publication, mid: stream.mid, kind: stream.kind, formats: numbers.formats(stream.kind),
          extensions: numbers.extensions(stream.kind), encodingCount: max(1, encodings.count), rids: isGroup ? [] : encodings.map(\.rid),
          sources: isGroup ? encodings.map(\.ssrc) : [], retransmissionSources: isGroup ? encodings.map(\.retransmissionSSRC) : [])
      },
      send: slots.map { slot in
        SendSection(
          slot: slot.key, mid: slot.mid, kind: slot.kind, formats: numbers.formats(slot.kind), extensions: numbers.extensions(slot.kind),
          allowsMixedExtensions: numbers.allowsMixedExtensions, source: slot.ssrc, retransmissionSource: slot.retransmissionSSRC)
      }, reducedSizeRTCP: numbers.reducedSizeRTCP)
  }

  package var nextDeadline: Instant {
    var next = min(isChecking ? nextCheckAt : .distantFuture, handshake.nextDeadline ?? .distantFuture)
    guard isConnected else { return next }
    for stream in published where !stream.isPaused { next = min(next, stream.nextFrameAt) }
    if sendsReports { next = min(next, nextReportAt) }
    if sendsNACK { next = min(next, nextNACKAt) }
    return min(next, nextReporting)
  }

  // MARK: Time

  func handleTimeout(at now: Instant, in world: EngineWorld) {
    if isChecking, nextCheckAt <= now {
      nextCheckAt = now + checkInterval
      world.transmit(check(nominates: true), from: self)
    }
    if let deadline = handshake.nextDeadline, deadline <= now { handshake.handleTimeout(at: now) }
    drainHandshake(at: now, in: world)
    guard isConnected else { return }
    for stream in published where !stream.isPaused && stream.nextFrameAt <= now {
      stream.nextFrameAt = stream.nextFrameAt + stream.interval
      sendFrame(of: stream, at: now, in: world)
    }
    if sendsReports, nextReportAt <= now {
      nextReportAt = now + .seconds(Int64(1))
      sendReports(at: now, in: world)
    }
    if nextReporting <= now { sendArrivalReports(at: now, in: world) }
    if sendsNACK, nextNACKAt <= now {
      nextNACKAt = now + .milliseconds(20)
      sendNACKs(at: now, in: world)
    }
  }

  // MARK: Datagrams

  func handleDatagram(_ bytes: [UInt8], at now: Instant, in world: EngineWorld) {
    datagramCount += 1
    switch DatagramKind(bytes.rawBytes) {
    case .stun: handleSTUN(bytes, at: now, in: world)
    case .dtls:
      handshake.handleDatagram(bytes.rawBytes, at: now)
      drainHandshake(at: now, in: world)
    case .rtp: handleRTP(bytes, at: now)
    case .rtcp: handleRTCP(bytes, at: now, in: world)
    default: strayCount += 1
    }
  }

  /// A connectivity or consent check.
  package func check(nominates: Bool) -> [UInt8] {
    let transaction = STUNTransactionID(using: &random)
    let (theirs, ours, key) = (engineCredentials.ufrag, credentials.ufrag, engineCredentials.key)
    return [UInt8].writing(capacity: 256) { writer in
      STUNComposer.bindingRequest(
        transaction, receiverUfrag: theirs.rawBytes, senderUfrag: ours.rawBytes, priority: 1_862_270_975,
        role: .controlling(tieBreaker: 7), useCandidate: nominates, key: key, into: &writer)
    }!
  }

  private func handleSTUN(_ bytes: [UInt8], at now: Instant, in world: EngineWorld) {
    guard let message = STUNMessageView.parse(bytes.rawBytes).message else { return strayCount += 1 }
    if let code = message.errorCode { return refusals.append(code) }
    guard message.hasValidMessageIntegrity(in: bytes.rawBytes, key: engineCredentials.key) else { return strayCount += 1 }
    answeredCheckCount += 1
    handshake.start(at: now)
    drainHandshake(at: now, in: world)
  }

  private func drainHandshake(at now: Instant, in world: EngineWorld) {
    while let datagram = Self.next(from: handshake) { world.transmit(datagram, from: self) }
    guard session == nil, let keys = handshake.keyingMaterial else { return }
    session = try? protector.openSession(keys)
    nextReportAt = now + .milliseconds(100)
    nextNACKAt = now + .milliseconds(20)
    for stream in published { stream.nextFrameAt = now + stream.interval }
  }

  private static func next(from handshake: NullHandshake) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: Limits.handshakeMTU)
    var span = buffer.mutableSpan
    var bytes = span.mutableBytes
    let count = handshake.pollTransmit(into: &bytes)
    return count == 0 ? nil : Array(buffer.prefix(count))
  }
}

/// The numbers of one incoming stream that have not come.
struct MissingNumbers {
  var newest: Int64
  /// When each was asked for last, and how often.
  var numbers: [Int64: (askedAt: Instant, attempts: Int)] = [:]
}
