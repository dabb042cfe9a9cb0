// A small WebRTC client on a real socket, with real cryptography: it offers, connects, sends Opus- and VP8-shaped media and keeps what it gets.
// It has no thread of its own; whoever holds it calls ``pump()``.

import EnfiladeCongestion
import EnfiladeDTLS
import EnfiladeIO
import EnfiladeRTP
package import EnfiladeSDP
import EnfiladeSRTP
import EnfiladeSTUN
package import EnfiladeTransport
package import EnfiladeWire

/// One client, one peer connection.
package final class TestClient {
  /// A media section of its offer.
  package struct Section {
    package var mid: String
    package var kind: MediaKind
    package var direction: MediaDirection
    package var source: SSRC
    package var retransmissionSource: SSRC
    /// What the answer says that we are sent here.
    package var remoteSource: SSRC?
    package var remoteRetransmissionSource: SSRC?
    package var isAccepted = false
  }

  package enum TestClientError: Error {
    case noCandidate
    case noCredentials
  }

  package let name: String
  package private(set) var sections: [Section] = []
  package private(set) var state = ICEState.new
  package var handshakeState: HandshakeState { handshake?.state ?? .idle }
  package var isConnected: Bool { session != nil && agent?.selectedAddress != nil }

  // What it sends.
  package var isSending = false
  /// Makes the payloads of its sound, one every 20 ms; `nil` sends what no decoder takes.
  package var makeOpus: (() -> [UInt8])?
  /// How loud its sound says it is (RFC 6464), in −dBov, up to 127; `nil` says nothing.
  package var audioLevel: UInt8?
  package private(set) var sentCounts: [String: Int] = [:]
  package private(set) var keyframeCounts: [String: Int] = [:]

  // What it got.
  package private(set) var received: [SSRC: [ReceivedPacket]] = [:]
  package private(set) var feedback: [ReceivedRTCP] = []
  package private(set) var rejections: [ProtectionOutcome: Int] = [:]
  package private(set) var datagramCount = 0
  private var recorder = ReceivedPacketRecorder()

  package let address: SocketAddress
  private let socket: UDPSocket
  private let batch = ReceiveBatch()
  private var random: SeededRandom
  private var credentials: EnfiladeSTUN.ICECredentials
  private var agent: ICEControllingAgent?
  private let factory: OpenSSLHandshakeFactory
  private var handshake: (any Handshake)?
  private let protector = LibSRTPProtector()
  private var session: ProtectorSession?
  private var sessionVersion: UInt64 = 0
  private var outgoing: [String: Outgoing] = [:]
  private var nextReportAt = Instant.zero
  private let clock = wallClock()
  private var remoteUfrag = ""
  /// Whether it connects to passive TCP candidates (RFC 6544), and to no others.
  private let usesTCP: Bool
  private var stream: StreamSocket?
  private var streamAddress: SocketAddress?
  private var streamInput: [UInt8] = []
  private var streamOutput: [UInt8] = []
  /// Whether it leaves what comes over TCP where it is.
  package var isReading = true

  /// The state of one stream that is sent.
  private struct Outgoing {
    var next: ExtendedSequenceNumber
    var nextRetransmission = ExtendedSequenceNumber(1)
    var timestamp: UInt32
    var nextFrameAt: Instant
    var wantsKeyframe = true
    var tag: UInt64
    var sent: [UInt16: RTPBytes] = [:]
  }

  static let opusType: UInt8 = 111
  static let vp8Type: UInt8 = 96
  static let vp8RetransmissionType: UInt8 = 97
  static let midIdentifier: UInt8 = 4
  static let levelIdentifier: UInt8 = 5

  /// A client on a free loopback port.
  package init(name: String, profiles: [SRTPProfile] = SRTPProfile.negotiated, usesTCP: Bool = false) throws {
    self.name = name
    self.usesTCP = usesTCP
    socket = try UDPSocket(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: 0))
    address = socket.localAddress
    factory = try OpenSSLHandshakeFactory(profiles: profiles)
    random = SeededRandom(seed: osRandom())
    credentials = .make(using: &random)
  }

  // MARK: Describing

  package func addSection(_ kind: MediaKind, _ direction: MediaDirection) {
    let mid = String(sections.count)
    func source() -> SSRC { SSRC(UInt32(truncatingIfNeeded: random.next() | 1)) }
    sections.append(Section(mid: mid, kind: kind, direction: direction, source: source(), retransmissionSource: source()))
    outgoing[mid] = Outgoing(
      next: ExtendedSequenceNumber(Int64(random.next() & 0x7FFF)), timestamp: UInt32(truncatingIfNeeded: random.next()),
      nextFrameAt: MonotonicClock.now, tag: random.next() << 20)
  }

  package func setDirection(_ direction: MediaDirection, of mid: String) {
    guard let index = sections.firstIndex(where: { $0.mid == mid }) else { return }
    sections[index].direction = direction
  }

  /// Takes new ICE credentials for the next offer (RFC 8445 §9).
  package func restartICE() { credentials = .make(using: &random) }

  package var ufrag: String { credentials.ufragText }
  package var password: String { credentials.passwordText }

  package func offer() throws -> String {
    sessionVersion += 1
    let fingerprint = factory.localFingerprint
    let transport = LocalTransport(
      credentials: EnfiladeSDP.ICECredentials(ufrag: credentials.ufragText, password: credentials.passwordText), isLite: false,
      fingerprint: SDPAttribute.Fingerprint(algorithm: fingerprint.algorithm, digest: fingerprint.digest),
      candidates: [SDPAttribute.Candidate(host: address, foundation: "1", priority: 2_130_706_431)])
    let described = sections.map { section in
      OfferBuilder.Section(
        mid: section.mid, kind: section.kind, direction: section.direction,
        codecs: section.kind == .audio
          ? [.opus(payloadType: Self.opusType)]
          : [.video(.vp8, payloadType: Self.vp8Type, retransmission: Self.vp8RetransmissionType)],
        extensions: [
          SDPAttribute.ExtMap(id: UInt16(Self.midIdentifier), uri: ExtensionKind.mid.uri),
          SDPAttribute.ExtMap(id: 3, uri: ExtensionKind.transportSequenceNumber.uri),
        ] + (section.kind == .audio ? [SDPAttribute.ExtMap(id: UInt16(Self.levelIdentifier), uri: ExtensionKind.audioLevel.uri)] : []),
        source: LocalSource(
          ssrc: section.source, retransmission: section.kind == .video ? section.retransmissionSource : nil, cname: name, streamID: name,
          trackID: "\(name)-\(section.mid)"))
    }
    return try OfferBuilder(sessionID: 77, sessionVersion: sessionVersion, transport: transport, sections: described).offer().text
  }

  /// Takes the answer to the last offer.
  package func accept(_ text: String) throws {
    let answer = try Answer(parsing: text, offerSectionCount: sections.count)
    for index in sections.indices {
      guard let section = answer.section(mid: sections[index].mid) else { continue }
      sections[index].isAccepted = !section.isRejected
      guard section.direction.sends, let source = section.primarySources.first?.ssrc else {
        sections[index].remoteSource = nil
        continue
      }
      sections[index].remoteSource = source
      sections[index].remoteRetransmissionSource = section.retransmission(of: source)
    }
    guard let remote = answer.transport.credentials else { throw TestClientError.noCredentials }
    let wanted = answer.transport.candidates.filter { usesTCP ? $0.isPassiveTCP : $0.isUDP }
    let addresses = wanted.compactMap(\.socketAddress).filter { ($0.low == 0x7F00_0001 && !$0.isIPv6) || ($0.low == 1 && $0.isIPv6) }
    if usesTCP, stream == nil, let first = addresses.first { stream = try StreamSocket(connectingTo: first) }
    try take(ufrag: remote.ufrag, password: remote.password, addresses: addresses)
    if handshake == nil {
      handshake = factory.makeHandshake(
        role: answer.weAreActive ? .active : .passive,
        remoteFingerprints: answer.transport.fingerprints.map { CertificateFingerprint(algorithm: $0.algorithm, digest: $0.digest) })
    }
  }

  /// Takes the answer to a restart by fragment (RFC 8840 §9).
  package func acceptFragment(_ text: String) throws {
    let fragment = try TrickleFragment(parsing: text)
    guard let remote = fragment.effectiveCredentials else { throw TestClientError.noCredentials }
    try take(ufrag: remote.ufrag, password: remote.password, addresses: [])
  }

  private func take(ufrag: String, password: String, addresses: [SocketAddress]) throws {
    if let first = addresses.first { streamAddress = first }
    guard let remote = EnfiladeSTUN.ICECredentials(ufrag: ufrag, password: password) else { throw TestClientError.noCredentials }
    let now = MonotonicClock.now
    if agent == nil {
      guard !addresses.isEmpty else { throw TestClientError.noCandidate }
      agent = ICEControllingAgent(local: credentials, remote: remote, random: SeededRandom(seed: random.next()), at: now)
      for (position, address) in addresses.enumerated() { agent?.addRemoteCandidate(address, priority: 1000 - UInt32(position)) }
    } else if ufrag != remoteUfrag {
      _ = agent?.restart(local: credentials, remote: remote, at: now)
    }
    remoteUfrag = ufrag
  }

  // MARK: Running

  /// Takes what has come, sends what is due. Never waits.
  package func pump() {
    receiveAll()
    let now = MonotonicClock.now
    runAgent(at: now)
    if let handshake {
      if agent?.selectedAddress != nil { handshake.start(at: now) }
      if let deadline = handshake.nextDeadline, deadline <= now { handshake.handleTimeout(at: now) }
      drainHandshake()
      if session == nil, let keys = handshake.keyingMaterial { session = try? protector.openSession(keys) }
    }
    guard isConnected else { return }
    if nextReportAt <= now {
      nextReportAt = now + .milliseconds(500)
      sendReports(at: now)
    }
    while let deadline = recorder.nextDeadline, deadline <= now {
      sendRTCP { _ = recorder.pollFeedback(into: &$0, senderSSRC: SSRC(1), mediaSSRC: SSRC(2), at: now) }
    }
    guard isSending else { return }
    for section in sections where section.direction.sends && section.isAccepted {
      while let at = outgoing[section.mid]?.nextFrameAt, at <= now { sendFrame(section) }
    }
  }

  /// Says goodbye, in the handshake.
  package func close() {
    handshake?.close(at: MonotonicClock.now)
    drainHandshake()
  }

  /// Sends anything, to where the engine is.
  package func sendRaw(_ bytes: [UInt8]) {
    guard let destination = agent?.selectedAddress else { return }
    send(bytes, to: destination)
  }

  private func send(_ bytes: [UInt8], to destination: SocketAddress) {
    if usesTCP {
      streamOutput += [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
      return flushStream()
    }
    var copy = bytes
    copy.withUnsafeMutableBytes { buffer in
      guard let base = buffer.baseAddress else { return }
      var datagram = OutgoingDatagram(base: base, byteCount: buffer.count, to: destination)
      withUnsafePointer(to: &datagram) { _ = socket.send(UnsafeBufferPointer(start: $0, count: 1)) }
    }
  }

  /// Breaks the connection off without a word in any protocol but TCP's.
  package func dropStream() { stream = nil }

  private func flushStream() {
    guard let stream else { return streamOutput.removeAll() }
    while !streamOutput.isEmpty {
      guard case .bytes(let count) = streamOutput.withUnsafeBytes({ stream.send($0) }) else { return }
      streamOutput.removeFirst(count)
    }
  }

  private func receiveStream() {
    guard isReading, let stream, let source = agent?.selectedAddress ?? streamAddress else { return }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while case .bytes(let count) = buffer.withUnsafeMutableBytes({ stream.receive(into: $0) }) {
      streamInput += buffer[..<count]
    }
    var offset = 0
    while case .frame(let range) = StreamFraming.next(in: streamInput.rawBytes, at: offset) {
      handle(Array(streamInput[range]), from: source)
      offset = range.upperBound
    }
    streamInput.removeFirst(offset)
    flushStream()
  }

  private func runAgent(at now: Instant) {
    guard agent != nil else { return }
    if agent!.nextDeadline <= now { _ = agent!.handleTimeout(at: now) }
    while true {
      var destination: SocketAddress?
      let request = [UInt8].writing(capacity: 600) { writer in destination = agent!.pollTransmit(at: now, into: &writer) }
      guard let destination, let request else { break }
      send(request, to: destination)
    }
    state = agent!.state
  }

  private func drainHandshake() {
    guard let handshake, let destination = agent?.selectedAddress else { return }
    while true {
      var buffer = [UInt8](repeating: 0, count: Limits.handshakeMTU)
      var span = buffer.mutableSpan
      var bytes = span.mutableBytes
      let count = handshake.pollTransmit(into: &bytes)
      if count == 0 { return }
      send(Array(buffer.prefix(count)), to: destination)
    }
  }

  private func receiveAll() {
    if usesTCP { return receiveStream() }
    while true {
      let count = socket.receive(into: batch)
      guard count > 0 else { return }
      for position in 0..<count {
        let message = batch[position]
        for segment in 0..<message.segmentCount {
          let bytes = message.segment(at: segment)
          handle([UInt8](bytes), from: message.address)
        }
      }
    }
  }

  private func handle(_ bytes: [UInt8], from source: SocketAddress) {
    datagramCount += 1
    let now = MonotonicClock.now
    switch DatagramKind(bytes.rawBytes) {
    case .stun:
      if let message = STUNMessageView.parse(bytes.rawBytes).message {
        _ = agent?.handleMessage(message, in: bytes.rawBytes, from: source, at: now)
      }
    case .dtls: handshake?.handleDatagram(bytes.rawBytes, at: now)
    case .rtp: handleRTP(bytes, at: now)
    case .rtcp: handleRTCP(bytes)
    default: break
    }
  }
}

// MARK: - Media

extension TestClient {
  /// What came on a section's own SSRC, in order.
  package func packets(on mid: String) -> [ReceivedPacket] {
    guard let source = sections.first(where: { $0.mid == mid })?.remoteSource else { return [] }
    return received[source] ?? []
  }

  package func retransmissions(on mid: String) -> [ReceivedPacket] {
    guard let source = sections.first(where: { $0.mid == mid })?.remoteRetransmissionSource else { return [] }
    return received[source] ?? []
  }

  /// The packet it sent on a section with this tag in it.
  package func sentPayload(tag: UInt64, on mid: String) -> [UInt8]? {
    outgoing[mid]?.sent.values.first { TaggedPayload.tag(of: $0.payload) == tag }?.payload
  }

  private func sendFrame(_ section: Section) {
    guard var stream = outgoing[section.mid] else { return }
    let isKeyframe = section.kind == .video && stream.wantsKeyframe
    stream.wantsKeyframe = false
    if isKeyframe { keyframeCounts[section.mid, default: 0] += 1 }
    let count = section.kind == .audio ? 1 : 4
    for position in 0..<count {
      stream.tag += 1
      let payload =
        section.kind == .audio
        ? makeOpus?() ?? TaggedPayload.opus(tag: stream.tag, byteCount: 90)
        : TaggedPayload.vp8(tag: stream.tag, isFirst: position == 0, isKeyframe: isKeyframe, byteCount: 1000 + position)
      var packet = RTPBytes(
        payloadType: section.kind == .audio ? Self.opusType : Self.vp8Type, marker: section.kind == .video && position == count - 1,
        sequence: stream.next.wire.rawValue, timestamp: stream.timestamp, ssrc: section.source.rawValue,
        extensions: [.init(Self.midIdentifier, Array(section.mid.utf8))], payload: payload)
      if let audioLevel, section.kind == .audio {
        // Speech has dips.
        let level = packet.sequence % 8 == 0 ? min(127, audioLevel + 60) : audioLevel
        packet.extensions.append(.init(Self.levelIdentifier, [level]))
      }
      stream.sent[packet.sequence] = packet
      stream.sent[packet.sequence &- 500] = nil
      sendRTP(packet, index: stream.next)
      stream.next = stream.next + 1
      sentCounts[section.mid, default: 0] += 1
    }
    stream.timestamp &+= section.kind == .audio ? 960 : 3600
    stream.nextFrameAt = stream.nextFrameAt + (section.kind == .audio ? .milliseconds(20) : .milliseconds(40))
    // After a long pause it does not send all that it did not.
    if MonotonicClock.now - stream.nextFrameAt > .seconds(Int64(1)) { stream.nextFrameAt = MonotonicClock.now }
    outgoing[section.mid] = stream
  }

  private func sendRTP(_ packet: RTPBytes, index: ExtendedSequenceNumber) {
    guard let session, let destination = agent?.selectedAddress else { return }
    let sealed = protector.protect(
      packet.bytes, headerByteCount: packet.headerByteCount, ssrc: SSRC(packet.ssrc), index: index, isRTCP: false, session: session)
    if let sealed { send(sealed, to: destination) }
  }

  /// A sealed packet that the engine would take, for a test that damages it.
  package func sealedSample(of mid: String) -> [UInt8]? {
    guard let session, let stream = outgoing[mid], let packet = stream.sent.values.first else { return nil }
    return protector.protect(
      packet.bytes, headerByteCount: packet.headerByteCount, ssrc: SSRC(packet.ssrc), index: stream.next + 5000, isRTCP: false,
      session: session)
  }

  package func sendRTCP(_ write: (inout ByteWriter) -> Void) {
    guard let session, let destination = agent?.selectedAddress, let clear = [UInt8].writing(capacity: 1200, write), !clear.isEmpty,
      let sealed = protector.protect(clear, headerByteCount: 8, isRTCP: true, session: session)
    else { return }
    send(sealed, to: destination)
  }

  /// Asks for a key frame of what a section shows.
  package func sendPictureLoss(on mid: String) {
    guard let source = sections.first(where: { $0.mid == mid })?.remoteSource else { return }
    sendRTCP { RTCPWriter.pictureLossIndication(PictureLossIndication(senderSSRC: SSRC(1), mediaSSRC: source), into: &$0) }
  }

  package func sendNACK(_ numbers: [UInt16], on mid: String) {
    guard let source = sections.first(where: { $0.mid == mid })?.remoteSource else { return }
    let lost = numbers.map { SequenceNumber($0) }
    sendRTCP { RTCPWriter.genericNACK(senderSSRC: SSRC(1), mediaSSRC: source, lost: lost.span, into: &$0) }
  }

  private func sendReports(at now: Instant) {
    for section in sections where sentCounts[section.mid] != nil {
      guard let stream = outgoing[section.mid] else { continue }
      let info = SenderInfo(
        ssrc: section.source, ntp: clock.ntp(at: now), rtpTimestamp: RTPTimestamp(stream.timestamp),
        packetCount: UInt32(sentCounts[section.mid] ?? 0), octetCount: 0)
      sendRTCP { RTCPWriter.senderReport(info, reportBlocks: Span(), into: &$0) }
    }
    var blocks: [ReportBlock] = []
    for section in sections {
      guard let source = section.remoteSource, let newest = received[source]?.last else { continue }
      blocks.append(
        ReportBlock(
          ssrc: source, fractionLost: 0, cumulativeLost: 0,
          extendedHighestSequenceNumber: UInt32(truncatingIfNeeded: newest.index.rawValue), jitter: 0, lastSenderReport: 0,
          delaySinceLastSenderReport: 0))
    }
    sendRTCP { RTCPWriter.receiverReport(ssrc: SSRC(1), reportBlocks: blocks.span, into: &$0) }
  }

  private func handleRTP(_ bytes: [UInt8], at now: Instant) {
    guard let session else { return }
    let opened = protector.unprotect(bytes, isRTCP: false, session: session)
    guard opened.outcome == .done, let rtp = RTPBytes(opened.bytes) else {
      rejections[opened.outcome, default: 0] += 1
      return
    }
    if let data = rtp[3] { recorder.record(UInt16(truncatingIfNeeded: number(data[...])), at: now) }
    var packet = ReceivedPacket(at: now, index: opened.index, rtp: rtp, originalSequence: nil, payload: rtp.payload, tag: nil)
    if rtp.payloadType == Self.vp8RetransmissionType, rtp.payload.count >= 2 {
      packet.originalSequence = UInt16(number(rtp.payload[0..<2]))
      packet.payload = Array(rtp.payload.dropFirst(2))
    }
    packet.tag = TaggedPayload.tag(of: packet.payload)
    received[SSRC(rtp.ssrc), default: []].append(packet)
  }

  private func handleRTCP(_ bytes: [UInt8]) {
    guard let session else { return }
    let opened = protector.unprotect(bytes, isRTCP: true, session: session)
    guard opened.outcome == .done, let packets = ReceivedRTCP.parse(opened.bytes, isReducedSizeAllowed: true) else {
      rejections[opened.outcome, default: 0] += 1
      return
    }
    feedback += packets
    for packet in packets {
      switch packet {
      case .pictureLoss(let media):
        if let mid = sections.first(where: { $0.source == media })?.mid { outgoing[mid]?.wantsKeyframe = true }
      case .fullIntraRequest(let entries):
        for entry in entries {
          if let mid = sections.first(where: { $0.source == entry.ssrc })?.mid { outgoing[mid]?.wantsKeyframe = true }
        }
      case .nack(let media, let lost):
        guard let section = sections.first(where: { $0.source == media }) else { continue }
        for number in lost { retransmit(number, section) }
      default: break
      }
    }
  }

  private func retransmit(_ number: UInt16, _ section: Section) {
    guard section.kind == .video, var packet = outgoing[section.mid]?.sent[number], let index = outgoing[section.mid]?.nextRetransmission
    else {
      return
    }
    outgoing[section.mid]?.nextRetransmission = index + 1
    packet.payloadType = Self.vp8RetransmissionType
    packet.payload = big(UInt64(packet.sequence), 2) + packet.payload
    packet.ssrc = section.retransmissionSource.rawValue
    packet.sequence = index.wire.rawValue
    sendRTP(packet, index: index)
  }
}
