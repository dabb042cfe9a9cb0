// RTCP in: what publishers say of their streams and what subscribers say of ours.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeTransport
import EnfiladeWire

extension ShardEngine {
  /// Takes an opened RTCP datagram.
  mutating func handleRTCP(in handle: PacketHandle, byteCount: Int, link: Int, at now: Instant) {
    guard let borrowed = slab.bytes(of: handle, count: byteCount) else { return }
    // The slot is not written and not given back while this datagram is walked; the reader must not hold the whole engine meanwhile.
    let bytes = unsafe _overrideLifetime(borrowed, copying: ())
    // Reduced size is taken whether negotiated or not: the datagram is authenticated, and being strict here helps nobody.
    if RTCPReader.validate(bytes, isReducedSizeAllowed: true) != nil { return drops.count(.rtcpMalformed) }
    var reader = RTCPReader(bytes)
    while let packet = reader.next() {
      switch packet {
      case .senderReport(let report):
        handleSenderReport(report.info, link: link, at: now)
        for index in 0..<report.reportBlocks.count { handleReportBlock(report.reportBlocks[index], link: link, at: now) }
      case .receiverReport(let report):
        for index in 0..<report.reportBlocks.count { handleReportBlock(report.reportBlocks[index], link: link, at: now) }
      case .goodbye(let goodbye):
        for index in 0..<goodbye.sources.count { handleGoodbye(goodbye.sources[index], link: link) }
      case .genericNACK(let nack):
        var lost = nack.lost()
        while let number = lost.next() { handleLost(number, of: nack.mediaSSRC, link: link, at: now) }
      case .pictureLossIndication(let indication):
        handleKeyframeRequest(for: indication.mediaSSRC, link: link, at: now)
      case .fullIntraRequest(let request):
        for index in 0..<request.count { handleKeyframeRequest(for: request[index].ssrc, link: link, at: now) }
      case .sourceDescription, .applicationDefined, .maximumBitrate, .transportFeedback, .congestionControlFeedback:
        break
      }
    }
    if reader.malformedCount > 0 { drops.count(.rtcpMalformed, by: UInt64(reader.malformedCount)) }
  }

  private mutating func handleSenderReport(_ info: SenderInfo, link: Int, at now: Instant) {
    guard let source = links[link].source(info.ssrc), !source.isRetransmission else { return }
    let stream = Int(source.inbound)
    inbound[stream].statistics.handleSenderReport(ntp: info.ntp, at: now)
    inbound[stream].clock.handleSenderReport(ntp: info.ntp, timestamp: info.rtpTimestamp)
    links[link].publisherClock.handleSenderReport(ntp: info.ntp, local: configuration.wallClock.ntp(at: now), at: now)
  }

  private mutating func handleReportBlock(_ block: ReportBlock, link: Int, at now: Instant) {
    guard let stream = outboundStream(block.ssrc, link: link) else { return }
    outbound[stream].isKnownToPeer = true
    outbound[stream].statistics.handleReport(block, at: configuration.wallClock.ntp(at: now))
    if let trip = outbound[stream].statistics.roundTripTime { links[link].roundTripTime = trip }
  }

  private mutating func handleGoodbye(_ ssrc: SSRC, link: Int) {
    guard let source = links[link].source(ssrc), !source.isRetransmission else { return }
    endInbound(Int(source.inbound))
  }

  private mutating func handleKeyframeRequest(for ssrc: SSRC, link: Int, at now: Instant) {
    guard let stream = outboundStream(ssrc, link: link), outbound[stream].publication >= 0 else {
      return drops.count(.rtcpUnknownTarget)
    }
    let current = publications[Int(outbound[stream].publication)].currentInbound
    if current >= 0 { requestKeyframe(of: Int(current), at: now) }
  }

  /// A subscriber misses one of our packets: it is made again from the shared history, if that is still of use.
  private mutating func handleLost(_ number: SequenceNumber, of ssrc: SSRC, link: Int, at now: Instant) {
    guard let stream = outboundStream(ssrc, link: link), outbound[stream].retransmissionSSRC != nil, outbound[stream].publication >= 0 else {
      return drops.count(.rtcpUnknownTarget)
    }
    let current = Int(publications[Int(outbound[stream].publication)].currentInbound)
    guard current >= 0, let place = outbound[stream].map.source(of: number), place.source == inbound[current].serial,
      let entry = inbound[current].history.entry(for: place.input)
    else { return drops.count(.retransmissionNotInHistory) }
    guard let payloadType = outbound[stream].payloadTypes.retransmissionPayloadType(for: entry.note.format) else {
      return drops.count(.codecNotNegotiated)
    }
    let byteCount = Int(entry.note.byteCount)
    guard outbound[stream].responder.shouldAnswer(place.output, byteCount: byteCount, roundTripTime: links[link].roundTripTime, at: now) else {
      return drops.count(.retransmissionTooOften)
    }
    let start = Int(entry.note.start)
    guard packets.count < packets.capacity, let whole = slab.bytes(of: entry.handle, count: start + byteCount) else {
      return drops.count(.egressFull)
    }
    let bytes = whole.extracting(start..<start + byteCount)
    guard case .success(let view) = RTPPacketView.parse(bytes) else { return }
    let extensions = RTPExtensions(view, in: bytes, map: inbound[current].extensions)
    slab.retain(entry.handle)
    packets.append(
      Packet(
        handle: entry.handle, start: start, byteCount: byteCount, inbound: Int32(current), format: entry.note.format, startsKeyframe: false,
        isRepair: true, sequence: place.input, view: view, extensions: extensions))
    append(
      EgressRecord(
        stream: Int32(stream), packet: Int32(packets.count - 1), payloadType: payloadType, isRetransmission: true, sequence: place.output,
        timestamp: outbound[stream].rewriter.outgoingTimestamp(of: view.timestamp)), link: link)
  }

  /// Which of a link's outgoing streams has this SSRC.
  private func outboundStream(_ ssrc: SSRC, link: Int) -> Int? {
    for position in 0..<links[link].outbound.count {
      let stream = Int(links[link].outbound[position])
      if outbound[stream].ssrc == ssrc { return stream }
    }
    return nil
  }
}
