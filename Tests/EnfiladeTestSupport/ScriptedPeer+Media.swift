// What a scripted peer sends and how it takes what comes.

import EnfiladeRTP
import EnfiladeTransport
package import EnfiladeWire

extension ScriptedPeer {
  // MARK: Sending

  /// Sends one frame now, whatever the script says.
  package func sendFrame(of stream: PublishedStream, at now: Instant, in world: EngineWorld) {
    let captured = now - stream.captureDelay
    if let due = stream.keyframeDueAt, due <= now {
      stream.keyframeDueAt = nil
      stream.wantsKeyframe = true
    }
    let isKeyframe = stream.kind == .video && stream.wantsKeyframe
    stream.wantsKeyframe = false
    stream.frameCount += 1
    if isKeyframe { stream.keyframeCount += 1 }
    var packetCount = isKeyframe ? stream.keyframePacketCount ?? stream.packetsPerFrame : stream.packetsPerFrame
    // A group of four, as encoders in use make it: its bits lie 1.6, 0.8, 0.8 and 0.8 times their average.
    if isKeyframe { stream.layerPlace = 0 }
    let temporalID: UInt8 = [0, 2, 1, 2][stream.layerPlace]
    let isSync = stream.layerPlace == 1 || stream.layerPlace == 2
    if stream.hasTemporalLayers {
      if temporalID == 0 { stream.tl0 &+= 1 }
      stream.picture &+= 1
      stream.layerPlace = (stream.layerPlace + 1) % 4
    }
    let scale = !stream.hasTemporalLayers || isKeyframe ? 1 : temporalID == 0 ? 1.6 : 0.8
    let frameByteCount = Double(stream.payloadByteCount * packetCount) * scale
    if scale != 1 { packetCount = max(1, Int((frameByteCount / 1100).rounded(.up))) }
    for position in 0..<packetCount {
      let isFirst = position == 0
      let tag = world.makeTag()
      let timestamp = stream.timestamp(at: captured)
      world.tags[tag] = TaggedPacket(
        publication: stream.publication, ssrc: stream.ssrc, index: stream.next, timestamp: timestamp, captured: captured,
        isKeyframeStart: isFirst && isKeyframe)
      // Sizes differ by a byte or so, as encoders' do.
      let size = Int(frameByteCount) / packetCount + (position == packetCount - 1 ? 1 : 0)
      let payload =
        stream.kind == .audio
        ? TaggedPayload.opus(tag: tag, byteCount: size)
        : stream.hasTemporalLayers
          ? TaggedPayload.vp8(
            tag: tag, isFirst: isFirst, isKeyframe: isKeyframe, picture: stream.picture, tl0: stream.tl0, temporalID: temporalID,
            isSync: isSync, byteCount: size)
          : TaggedPayload.vp8(tag: tag, isFirst: isFirst, isKeyframe: isKeyframe, byteCount: size)
      send(payload, of: stream, marker: stream.kind == .video && position == packetCount - 1, timestamp: timestamp, in: world)
    }
  }

  /// Sends the next packet of a stream, with this payload.
  package func send(
    _ payload: [UInt8], of stream: PublishedStream, marker: Bool = false, timestamp: UInt32, paddingByteCount: Int = 0,
    in world: EngineWorld
  ) {
    var packet = RTPBytes(
      payloadType: stream.payloadType, marker: marker, sequence: stream.next.wire.rawValue, timestamp: timestamp,
      ssrc: stream.ssrc.rawValue,
      payload: payload, paddingByteCount: paddingByteCount)
    if stream.carriesMID, !numbers.groupsEncodingsBySource { packet.extensions.append(.init(numbers.mid, stream.mid)) }
    if !stream.rid.isEmpty, !numbers.groupsEncodingsBySource { packet.extensions.append(.init(numbers.rid, stream.rid)) }
    if stream.kind == .audio, let level = stream.audioLevel { packet.extensions.append(.init(numbers.audioLevel, [level])) }
    if let more = stream.moreExtensions { packet.extensions += more(world.now) }
    packet.usesTwoByteForm = stream.usesTwoByteForm
    stream.sent[packet.sequence] = packet
    // Two thousand are more than anybody asks for.
    stream.sent[packet.sequence &- 2000] = nil
    stream.sentCount += 1
    let index = stream.next
    stream.next = index + 1
    sendRTP(packet, index: index, in: world)
  }

  /// Protects and sends a packet, with the next transport-wide number.
  package func sendRTP(_ packet: RTPBytes, index: ExtendedSequenceNumber, in world: EngineWorld) {
    guard let session else { return }
    var packet = packet
    var transportNumber: UInt16?
    if let identifier = numbers.transportSequenceNumber {
      packet.extensions.append(.init(identifier, big(UInt64(nextTransportNumber), 2)))
      transportNumber = nextTransportNumber
      nextTransportNumber &+= 1
    }
    let sealed = protector.protect(
      packet.bytes, headerByteCount: packet.headerByteCount, ssrc: SSRC(packet.ssrc), index: index, isRTCP: false, session: session)
    world.transmit(sealed!, from: self, transportNumber: transportNumber)
  }

  /// Sends a packet again on the repair stream (RFC 4588 §4).
  package func retransmit(_ number: UInt16, of stream: PublishedStream, in world: EngineWorld) {
    guard let original = stream.sent[number], let payloadType = stream.retransmissionPayloadType else { return }
    var packet = original
    packet.payloadType = payloadType
    packet.ssrc = stream.retransmissionSSRC.rawValue
    packet.sequence = stream.nextRetransmission.wire.rawValue
    packet.payload = big(UInt64(original.sequence), 2) + original.payload
    packet.extensions.removeAll { $0.identifier == numbers.rid }
    if !stream.rid.isEmpty, !numbers.groupsEncodingsBySource { packet.extensions.append(.init(numbers.repairedRid, stream.rid)) }
    let index = stream.nextRetransmission
    stream.nextRetransmission = index + 1
    sendRTP(packet, index: index, in: world)
  }

  /// Protects and sends RTCP.
  package func sendRTCP(in world: EngineWorld, _ write: (inout ByteWriter) -> Void) {
    guard let session, let clear = [UInt8].writing(capacity: 1400, write), !clear.isEmpty else { return }
    world.transmit(protector.protect(clear, headerByteCount: 8, isRTCP: true, session: session)!, from: self)
  }

  /// A sender report of each stream, and a report block for each source received.
  package func sendReports(at now: Instant, in world: EngineWorld) {
    let wall = world.wallClock.ntp(at: now) + wallOffset
    for stream in published where stream.sentCount > 0 {
      let info = SenderInfo(
        ssrc: stream.ssrc, ntp: wall, rtpTimestamp: RTPTimestamp(stream.timestamp(at: now)), packetCount: UInt32(stream.sentCount),
        octetCount: 0)
      sendRTCP(in: world) { writer in
        RTCPWriter.senderReport(info, reportBlocks: Span(), into: &writer)
        RTCPWriter.sourceDescription(ssrc: stream.ssrc, cname: Array(name.utf8).rawBytes, into: &writer)
      }
    }
    var blocks: [ReportBlock] = []
    for slot in slots {
      guard let newest = received[slot.ssrc]?.last, blocks.count < RTCPWriter.maximumCount else { continue }
      let report = feedback.last { entry in
        if case .senderReport(let info, _) = entry.packet { return info.ssrc == slot.ssrc }
        return false
      }
      var lastReport: UInt32 = 0
      var delay: UInt32 = 0
      if let report, case .senderReport(let info, _) = report.packet {
        lastReport = info.ntp.compact
        delay = UInt32(clamping: (now - report.at).microseconds * 65_536 / 1_000_000)
      }
      let fraction = measuresLoss ? measureLoss(of: slot.ssrc) : reportedLoss
      blocks.append(
        ReportBlock(
          ssrc: slot.ssrc, fractionLost: fraction, cumulativeLost: 0,
          extendedHighestSequenceNumber: UInt32(truncatingIfNeeded: newest.index.rawValue), jitter: 0, lastSenderReport: lastReport,
          delaySinceLastSenderReport: delay))
    }
    guard !blocks.isEmpty else { return }
    sendRTCP(in: world) { RTCPWriter.receiverReport(ssrc: SSRC(1), reportBlocks: blocks.span, into: &$0) }
  }

  /// The share of a source's packets that has not come since the last report (RFC 3550 §6.4.1), in 256ths.
  private func measureLoss(of source: SSRC) -> UInt8 {
    guard let packets = received[source], let newest = packets.map(\.index.rawValue).max() else { return 0 }
    let last = reportedArrivals[source] ?? (packets[0].index.rawValue - 1, 0)
    reportedArrivals[source] = (newest, packets.count)
    let expected = newest - last.0
    let missing = expected - Int64(packets.count - last.1)
    return expected > 0 ? UInt8(clamping: max(0, missing) * 256 / expected) : 0
  }

  /// Asks for a key frame of what a slot carries.
  package func sendPictureLoss(_ slot: PeerSlot, in world: EngineWorld) {
    sendRTCP(in: world) {
      RTCPWriter.pictureLossIndication(PictureLossIndication(senderSSRC: SSRC(1), mediaSSRC: slot.ssrc), into: &$0)
    }
  }

  /// Asks for packets of what a slot carries.
  package func sendNACK(_ numbers: [UInt16], of slot: PeerSlot, in world: EngineWorld) {
    let lost = numbers.map { SequenceNumber($0) }
    sendRTCP(in: world) { RTCPWriter.genericNACK(senderSSRC: SSRC(1), mediaSSRC: slot.ssrc, lost: lost.span, into: &$0) }
  }

  package func sendGoodbye(_ sources: [SSRC], in world: EngineWorld) {
    sendRTCP(in: world) { RTCPWriter.goodbye(sources.span, into: &$0) }
  }

  func sendNACKs(at now: Instant, in world: EngineWorld) {
    for slot in slots {
      guard var state = missing[slot.ssrc] else { continue }
      var due: [Int64] = []
      for (number, entry) in state.numbers where now - entry.askedAt >= .milliseconds(60) {
        if entry.attempts >= 20 {
          state.numbers[number] = nil
        } else {
          state.numbers[number] = (now, entry.attempts + 1)
          due.append(number)
        }
      }
      missing[slot.ssrc] = state
      if !due.isEmpty { sendNACK(due.sorted().map { UInt16(truncatingIfNeeded: $0) }, of: slot, in: world) }
    }
  }

  // MARK: Receiving

  func handleRTP(_ bytes: [UInt8], at now: Instant) {
    guard let session else { return strayCount += 1 }
    let opened = protector.unprotect(bytes, isRTCP: false, session: session)
    guard opened.outcome == .done, let rtp = RTPBytes(opened.bytes) else {
      rejections[opened.outcome, default: 0] += 1
      return
    }
    let ssrc = SSRC(rtp.ssrc)
    noteArrival(rtp, index: opened.index, at: now)
    var packet = ReceivedPacket(at: now, index: opened.index, rtp: rtp, originalSequence: nil, payload: rtp.payload, tag: nil)
    if let slot = slots.first(where: { $0.retransmissionSSRC == ssrc }) {
      // Padding alone is a probe's.
      if rtp.payload.isEmpty, rtp.paddingByteCount > 0 { return emptyCount += 1 }
      retransmissionCount += 1
      guard rtp.payload.count >= 2 else { return strayCount += 1 }
      packet.originalSequence = UInt16(number(rtp.payload[0..<2]))
      packet.payload = Array(rtp.payload.dropFirst(2))
      if let state = missing[slot.ssrc] {
        let wide = state.newest + Int64(Int16(bitPattern: packet.originalSequence! &- UInt16(truncatingIfNeeded: state.newest)))
        missing[slot.ssrc]?.numbers[wide] = nil
      }
    } else if slots.contains(where: { $0.ssrc == ssrc }) {
      note(opened.index.rawValue, of: ssrc, at: now)
    } else {
      strayCount += 1
    }
    packet.tag = TaggedPayload.tag(of: packet.payload)
    received[ssrc, default: []].append(packet)
  }

  private func note(_ index: Int64, of ssrc: SSRC, at now: Instant) {
    guard sendsNACK else { return }
    guard var state = missing[ssrc] else {
      missing[ssrc] = MissingNumbers(newest: index)
      return
    }
    if index > state.newest {
      for number in state.newest + 1..<index { state.numbers[number] = (now - .milliseconds(40), 0) }
      state.newest = index
    } else {
      state.numbers[index] = nil
    }
    missing[ssrc] = state
  }

  func handleRTCP(_ bytes: [UInt8], at now: Instant, in world: EngineWorld) {
    guard let session else { return strayCount += 1 }
    let opened = protector.unprotect(bytes, isRTCP: true, session: session)
    guard opened.outcome == .done, let packets = ReceivedRTCP.parse(opened.bytes, isReducedSizeAllowed: numbers.reducedSizeRTCP) else {
      rejections[opened.outcome, default: 0] += 1
      return
    }
    compounds.append((now, packets))
    for packet in packets {
      feedback.append((now, packet))
      switch packet {
      case .nack(let media, let lost) where answersNACK:
        guard let stream = published.first(where: { $0.ssrc == media }) else { continue }
        for number in lost { retransmit(number, of: stream, in: world) }
      case .pictureLoss(let media) where answersKeyframeRequests:
        askForKeyframe(of: media, at: now)
      case .fullIntraRequest(let entries) where answersKeyframeRequests:
        for entry in entries { askForKeyframe(of: entry.ssrc, at: now) }
      default: break
      }
    }
  }

  private func askForKeyframe(of source: SSRC, at now: Instant) {
    guard let stream = published.first(where: { $0.ssrc == source }) else { return }
    if keyframeDelay > .zero { stream.keyframeDueAt = stream.keyframeDueAt ?? now + keyframeDelay } else { stream.wantsKeyframe = true }
  }
}
