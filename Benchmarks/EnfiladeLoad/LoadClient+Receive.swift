// What comes in. Media is counted by its clear header; only probes and samples are opened.

import EnfiladeIO
import EnfiladeRTP
import EnfiladeSTUN
import EnfiladeTransport
import EnfiladeWire

/// What a negotiated payload type means to us.
enum PayloadRole: UInt8 {
  case unknown
  case audio
  case video
  case retransmission

  var kind: MediaKind? {
    switch self {
    case .audio: .audio
    case .video: .video
    case .unknown, .retransmission: nil
    }
  }
}

/// One source that is received.
struct IncomingStream {
  let source: SSRC
  let role: PayloadRole
  let first: ExtendedSequenceNumber
  var unwrapper = SequenceUnwrapper()
  var packetCount: UInt64 = 0
  var byteCount: UInt64 = 0
  /// Of the last sender report: its compact NTP time, and when it came.
  var lastReport: UInt32 = 0
  var lastReportAt = Instant.zero
  // At the last report of ours.
  var reportedExpected: UInt64 = 0
  var reportedReceived: UInt64 = 0

  init(source: SSRC, role: PayloadRole, first number: SequenceNumber) {
    self.source = source
    self.role = role
    first = unwrapper.unwrap(number)
  }

  /// How many packets the numbers say there were.
  var expectedCount: UInt64 { UInt64(max(0, (unwrapper.newest ?? first) - first + 1)) }
}

extension LoadClient {
  /// Packets of each source that every subscriber opens, until the order of the beginning has settled.
  private static let openedFromStart: UInt64 = 128

  /// Takes everything that has arrived.
  package func receive() {
    let batch = context.batch
    while true {
      let count = socket.receive(into: batch)
      guard count > 0 else { return }
      let now = MonotonicClock.now
      for position in 0..<count {
        let message = batch[position]
        for segment in 0..<message.segmentCount {
          take(UnsafeRawBufferPointer(message.segment(at: segment)), from: message.address, at: now)
        }
      }
      // Less than there was room for: the socket is empty.
      if count < batch.capacity { return }
    }
  }

  private func take(_ datagram: UnsafeRawBufferPointer, from source: SocketAddress, at now: Instant) {
    let bytes = datagram.bytes
    switch DatagramKind(bytes) {
    case .rtp: takeMedia(datagram, at: now)
    case .rtcp: takeControl(datagram, at: now)
    case .stun:
      takeSTUN(bytes, from: source, at: now)
      advance(at: now)
    case .dtls:
      handshake?.handleDatagram(bytes, at: now)
      advance(at: now)
    default: strayCount += 1
    }
  }

  private func takeSTUN(_ bytes: RawSpan, from source: SocketAddress, at now: Instant) {
    guard let message = STUNMessageView.parse(bytes).message else { return }
    if message.messageClass == .request {
      // A full agent checks back; a lite one never does. What it wants to know is that we hear it (RFC 8445 §7.3).
      guard message.method == .binding, message.hasValidMessageIntegrity(in: bytes, key: credentials.key) else { return }
      let answer = [UInt8].writing(capacity: 128) {
        STUNComposer.bindingSuccess(message.transactionID, mappedAddress: source, key: credentials.key, into: &$0)
      }
      if let answer { send(answer, to: source) }
    } else {
      _ = agent?.handleMessage(message, in: bytes, from: source, at: now)
    }
  }

  // MARK: Media

  private func takeMedia(_ datagram: UnsafeRawBufferPointer, at now: Instant) {
    let bytes = datagram.bytes
    guard let header = RTPFixedHeader.parse(bytes) else { return }
    receivedDatagramCount += 1
    let role = payloadRoles[Int(header.payloadType.rawValue)]
    guard role != .unknown, let position = stream(of: header, role: role, at: now) else {
      strayCount += 1
      return
    }
    _ = incoming[position].unwrapper.unwrap(header.sequenceNumber)
    incoming[position].packetCount += 1
    incoming[position].byteCount += UInt64(datagram.count)
    if let identifier = transportNumberIdentifier { recordArrival(bytes, identifier: identifier, media: header.ssrc, at: now) }

    guard let kind = role.kind else { return }
    // The beginning is opened as a whole: a packet that was overtaken by the first one may move the rollover counter, and who leaves it out
    // counts otherwise than the sender from then on (RFC 3711 §3.3.1).
    if !isProbe, incoming[position].packetCount > Self.openedFromStart {
      sinceVerified += 1
      guard context.options.verifyEvery > 0, sinceVerified >= context.options.verifyEvery else { return }
      sinceVerified = 0
    }
    open(datagram, kind: kind, at: now)
  }

  private func stream(of header: RTPFixedHeader, role: PayloadRole, at now: Instant) -> Int? {
    for position in incoming.indices where incoming[position].source == header.ssrc { return position }
    guard incoming.count < incomingLimit else { return nil }
    incoming.append(IncomingStream(source: header.ssrc, role: role, first: header.sequenceNumber))
    // A viewer that has just come needs a picture to begin with.
    if role == .video { sendPictureLoss(of: header.ssrc) }
    return incoming.count - 1
  }

  /// Decrypts one packet and reads its stamp.
  private func open(_ datagram: UnsafeRawBufferPointer, kind: MediaKind, at now: Instant) {
    guard let clear = unprotect(datagram, isRTCP: false) else { return }
    context.openedCount += 1
    guard case .success(let packet) = RTPPacketView.parse(clear.bytes) else { return }
    // Probing by the server: padding and nothing else.
    if packet.payloadByteCount == 0 { return }
    guard let sentAt = PacketStamp.read(packet.payload(in: clear.bytes), kind: kind) else {
      // Recorded pictures carry no stamp, and nor does what a browser sends to whom they are shown.
      if context.options.recordings.isEmpty { context.unstampedCount += 1 }
      return
    }
    guard isProbe else { return }
    if kind == .video { context.videoLatency.record(now - sentAt) } else { context.audioLatency.record(now - sentAt) }
  }

  /// Opens a packet into the shared buffer; counts it when that is not possible.
  func unprotect(_ datagram: UnsafeRawBufferPointer, isRTCP: Bool) -> UnsafeRawBufferPointer? {
    guard let session, let base = datagram.baseAddress, datagram.count <= LoadContext.bufferByteCount else { return nil }
    var job = UnprotectJob(
      session: session, isRTCP: isRTCP, source: base, sourceByteCount: datagram.count, destination: context.opened,
      capacity: LoadContext.bufferByteCount)
    withUnsafeMutablePointer(to: &job) { context.protector.unprotect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
    switch job.outcome {
    case .done: break
    case .replayed, .tooOld:
      context.replayedCount += 1
      return nil
    case .pending, .authenticationFailed, .malformed, .noKey:
      context.unopenedCount += 1
      return nil
    }
    return UnsafeRawBufferPointer(start: context.opened, count: Int(job.resultByteCount))
  }

  private func recordArrival(_ bytes: RawSpan, identifier: UInt8, media: SSRC, at now: Instant) {
    guard case .success(let packet) = RTPPacketView.parse(bytes), let element = packet.extensionElement(identifier, in: bytes),
      element.byteCount >= 2
    else { return }
    let data = element.data(in: bytes)
    if recorder == nil { recorder = TransportRecorder(media: media) }
    recorder?.record(UInt16(data.byte(at: 0)) << 8 | UInt16(data.byte(at: 1)), at: now)
    if let due = recorder?.nextDeadline { deadline = min(deadline, due) }
  }
}
