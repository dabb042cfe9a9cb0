// What a publisher sends.

import EnfiladeIO
import EnfiladeRTP
import EnfiladeTransport
package import EnfiladeWire

extension LoadClient {
  /// When the next packet is due; far away when nothing is sent.
  package var nextPacketDue: Instant {
    guard isSending, isConnected else { return .distantFuture }
    var due = Instant.distantFuture
    for stream in outgoing { due = min(due, stream.traffic.nextDue) }
    return due
  }

  /// Sends what is due.
  package func sendDue(at now: Instant) {
    guard isSending, isConnected else { return }
    for position in outgoing.indices {
      while outgoing[position].traffic.nextDue <= now {
        let packet = outgoing[position].traffic.take(at: now)
        send(packet, of: position)
        // Time that has been made up for by leaving packets out.
        if packet.due > now { break }
      }
    }
  }

  private func send(_ packet: ScheduledPacket, of position: Int) {
    let now = MonotonicClock.now
    let stream = outgoing[position]
    if packet.startsFrame { stream.pictureID = (stream.pictureID &+ 1) & 0x7FFF }
    let payload = writePayload(packet, stream, at: now)
    let number = stream.next
    stream.next = number + 1
    let timestamp = stream.timestampBase &+ packet.timestamp
    let marker = stream.kind == .video && packet.endsFrame
    let header = OutgoingHeader(
      ssrc: stream.source, timestamp: RTPTimestamp(timestamp), sequenceNumber: number.wire, payloadType: stream.payloadType, marker: marker,
      carriesMID: stream.packetCount < OutgoingStream.namedPacketCount, transportSequenceNumber: takeTransportNumber(stream))
    guard let headerByteCount = write(header, stream, at: now) else { return }
    let overhead = profile?.rtpOverheadByteCount ?? 0
    let smallest = (stream.kind == .video ? PacketStamp.videoPrefixByteCount : PacketStamp.audioPrefixByteCount) + PacketStamp.byteCount
    let payloadByteCount = stream.traffic.piece == nil ? max(smallest, packet.byteCount - headerByteCount - overhead) : packet.byteCount
    remember(number.wire, timestamp, marker, payloadByteCount, payload, stream)
    let sent = seal(
      headerByteCount: headerByteCount, payload: payload, payloadByteCount: payloadByteCount, ssrc: stream.source, index: number)
    stream.packetCount += 1
    stream.payloadByteCount += UInt64(payloadByteCount)
    stream.byteCount += UInt64(sent)
    stream.lastTimestamp = timestamp
    stream.lastSentAt = now
  }

  /// Writes what is in front of a packet's payload, and gives where the payload lies.
  private func writePayload(_ packet: ScheduledPacket, _ stream: OutgoingStream, at now: Instant) -> UnsafeRawPointer {
    switch stream.traffic {
    case .recorded(let traffic):
      PacketStamp.writeDescriptor(packet, pictureID: stream.pictureID, into: context.recorded)
      copy(traffic.piece, of: traffic.file, to: context.recorded + RecordedTraffic.descriptorByteCount)
      return UnsafeRawPointer(context.recorded)
    case .video(let traffic):
      PacketStamp.writeVideo(
        packet, pictureID: stream.pictureID, width: traffic.shape.width, height: traffic.shape.height, sentAt: now, into: context.filler)
    case .replay:
      PacketStamp.writeVideo(packet, pictureID: stream.pictureID, sentAt: now, into: context.filler)
    case .audio:
      PacketStamp.writeAudio(sentAt: now, into: context.filler)
    }
    return UnsafeRawPointer(context.filler)
  }

  private func copy(_ piece: RecordedTraffic.Piece, of file: IVFFile, to place: UnsafeMutableRawPointer) {
    file.frames[piece.frame].bytes.withUnsafeBytes { bytes in
      place.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[piece.range]).baseAddress!, byteCount: piece.range.count)
    }
  }

  /// Sends a packet again (RFC 4588 §4): the old number stands in front of the payload.
  func retransmit(_ number: SequenceNumber, of position: Int, at now: Instant) {
    let stream = outgoing[position]
    guard let type = stream.retransmissionType, !stream.history.isEmpty else {
      stream.unansweredCount += 1
      return
    }
    let sent = stream.history[Int(number.rawValue) % OutgoingStream.historyPacketCount]
    guard sent.sequenceNumber == number, sent.payloadByteCount > 0 else {
      stream.unansweredCount += 1
      return
    }
    let index = stream.nextRetransmission
    stream.nextRetransmission = index + 1
    let header = OutgoingHeader(
      ssrc: stream.retransmissionSource, timestamp: RTPTimestamp(sent.timestamp), sequenceNumber: index.wire, payloadType: type,
      marker: sent.marker, carriesMID: stream.retransmissionCount < OutgoingStream.namedPacketCount,
      transportSequenceNumber: takeTransportNumber(stream))
    guard let headerByteCount = write(header, stream, at: now) else { return }
    // Behind the header in the sealing buffer, where the protector takes it in place.
    let payload = context.sealed + headerByteCount
    payload.storeBytes(of: number.rawValue.bigEndian, as: UInt16.self)
    for offset in 0..<min(32, sent.payloadByteCount) { payload.storeBytes(of: sent.head[offset], toByteOffset: 2 + offset, as: UInt8.self) }
    if case .recorded(let traffic) = stream.traffic {
      copy(sent.piece, of: traffic.file, to: payload + 2 + RecordedTraffic.descriptorByteCount)
    } else if sent.payloadByteCount > 32 {
      (payload + 34).copyMemory(from: context.filler + 32, byteCount: sent.payloadByteCount - 32)
    }
    _ = seal(
      headerByteCount: headerByteCount, payload: UnsafeRawPointer(payload), payloadByteCount: sent.payloadByteCount + 2,
      ssrc: stream.retransmissionSource, index: index)
    stream.retransmissionCount += 1
  }

  private func takeTransportNumber(_ stream: OutgoingStream) -> UInt16? {
    guard stream.sendsTransportNumbers else { return nil }
    nextTransportNumber &+= 1
    return nextTransportNumber
  }

  private func write(_ header: OutgoingHeader, _ stream: OutgoingStream, at now: Instant) -> Int? {
    var template = header.carriesMID ? stream.named : nil
    if let levels = stream.levels {
      let syllable = Int(stream.packetCount % UInt64(max(1, levels.speaking.count)))
      template = context.isSpeaking(index, at: now) ? levels.speaking[syllable] : levels.silent
    }
    return (template?.bytes ?? []).withUnsafeBytes { bytes in
      var span = UnsafeMutableRawBufferPointer(start: context.sealed, count: 256).mutableBytes
      return RTPHeaderWriter.write(
        header, plan: stream.plan, copying: template?.extensions ?? RTPExtensions(), from: bytes.bytes, into: &span)
    }
  }

  /// Protects what has been written, sends it and gives its size.
  private func seal(
    headerByteCount: Int, payload: UnsafeRawPointer, payloadByteCount: Int, ssrc: SSRC, index: ExtendedSequenceNumber
  ) -> Int {
    guard let session, let destination else { return 0 }
    var job = ProtectJob(
      session: session, isRTCP: false, headerByteCount: headerByteCount, payloadByteCount: payloadByteCount, ssrc: ssrc, index: index,
      payload: payload, destination: context.sealed)
    withUnsafeMutablePointer(to: &job) { context.protector.protect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
    guard job.outcome == .done else { return 0 }
    send(context.sealed, byteCount: Int(job.resultByteCount), to: destination)
    return Int(job.resultByteCount)
  }

  private func remember(
    _ number: SequenceNumber, _ timestamp: UInt32, _ marker: Bool, _ payloadByteCount: Int, _ payload: UnsafeRawPointer,
    _ stream: OutgoingStream
  ) {
    guard stream.retransmissionType != nil, !stream.history.isEmpty else { return }
    var sent = OutgoingStream.Sent(sequenceNumber: number, timestamp: timestamp, marker: marker, payloadByteCount: payloadByteCount)
    for offset in 0..<32 { sent.head[offset] = payload.load(fromByteOffset: offset, as: UInt8.self) }
    if let piece = stream.traffic.piece { sent.piece = piece }
    stream.history[Int(number.rawValue) % OutgoingStream.historyPacketCount] = sent
  }
}
