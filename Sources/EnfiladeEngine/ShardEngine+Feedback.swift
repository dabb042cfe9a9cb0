// RTCP in: what publishers say of their streams and what subscribers say of ours.

import EnfiladeCongestion
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeTransport
import EnfiladeWire

extension ShardEngine {
  /// Takes an opened RTCP datagram.
  mutating func handleRTCP(in handle: PacketHandle, byteCount: Int, link: Int, at now: Instant) {
    // Sound: the batch's reference keeps the slot until the caller gives it back.
    guard let bytes = unsafe slab.lentBytes(of: handle, count: byteCount) else { return }
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
        handleKeyframeRequest(for: indication.mediaSSRC, reason: .pictureLoss, link: link, at: now)
      case .fullIntraRequest(let request):
        for index in 0..<request.count { handleKeyframeRequest(for: request[index].ssrc, reason: .fullIntraRequest, link: link, at: now) }
      case .transportFeedback(let feedback): handleTransportFeedback(feedback, link: link, at: now)
      case .congestionControlFeedback(let feedback): handleStreamFeedback(feedback, link: link, at: now)
      case .maximumBitrate(let estimate): handleReceiverEstimate(estimate.bitrate, link: link, at: now)
      case .sourceDescription, .applicationDefined: break
      }
    }
    if reader.malformedCount > 0 { drops.count(.rtcpMalformed, by: UInt64(reader.malformedCount)) }
  }

  private mutating func handleSenderReport(_ info: SenderInfo, link: Int, at now: Instant) {
    guard let source = links[link].source(info.ssrc), !source.isRetransmission else { return }
    let stream = Int(source.inbound)
    inbound[stream].statistics.handleSenderReport(ntp: info.ntp, at: now)
    inbound[stream].clock.handleSenderReport(ntp: info.ntp, timestamp: info.rtpTimestamp)
    let publication = inbound[stream].publication
    inbound[stream].encoding.timelineOffset = publications[publication].timeline?.handleSenderReport(
      ntp: info.ntp, timestamp: info.rtpTimestamp)
    links[link].publisherClock.handleSenderReport(ntp: info.ntp, local: configuration.wallClock.ntp(at: now), at: now)
    refreshClock(of: stream)
  }

  private mutating func handleReportBlock(_ block: ReportBlock, link: Int, at now: Instant) {
    guard let stream = outboundStream(block.ssrc, link: link) else { return }
    outbound[stream].isKnownToPeer = true
    handleReportedLoss(block, stream: stream, link: link, at: now)
    noteAudioLoss(block.fractionLost, of: stream, at: now)
    outbound[stream].statistics.handleReport(block, at: configuration.wallClock.ntp(at: now))
    if let trip = outbound[stream].statistics.roundTripTime { links[link].roundTripTime = trip }
  }

  private mutating func handleGoodbye(_ ssrc: SSRC, link: Int) {
    guard let source = links[link].source(ssrc), !source.isRetransmission else { return }
    let publication = inbound[Int(source.inbound)].publication
    // A publisher that pauses an encoding as it was told says goodbye as well, and comes back under the same source without naming it again.
    if publications[publication].encodingCount > 1,
      publications[publication].demand.wanted >> inbound[Int(source.inbound)].encoding.index & 1 == 0
    {
      return
    }
    endInbound(Int(source.inbound))
  }

  private mutating func handleKeyframeRequest(for ssrc: SSRC, reason: KeyframeRequester.Reason, link: Int, at now: Instant) {
    guard let stream = outboundStream(ssrc, link: link), outbound[stream].publication >= 0 else {
      return drops.count(.rtcpUnknownTarget)
    }
    if let current = forwardedInbound(of: stream) { return requestKeyframe(of: current, for: reason, at: now) }
    askForKeyframe(for: stream, at: now)
  }

  /// A subscriber misses one of our packets: it is made again from the shared history, if that is still of use.
  private mutating func handleLost(_ number: SequenceNumber, of ssrc: SSRC, link: Int, at now: Instant) {
    guard let stream = outboundStream(ssrc, link: link), outbound[stream].retransmissionSSRC != nil, outbound[stream].publication >= 0
    else {
      return drops.count(.rtcpUnknownTarget)
    }
    guard !publications[Int(outbound[stream].publication)].isMuted else { return drops.count(.publicationMuted) }
    guard let output = outbound[stream].map.widen(number), let found = findSent(output, of: stream) else {
      return drops.count(.retransmissionNotInHistory)
    }
    guard let payloadType = outbound[stream].payloadTypes.retransmissionPayloadType(for: found.entry.metadata.format) else {
      return drops.count(.codecNotNegotiated)
    }
    let byteCount = Int(found.entry.metadata.byteCount)
    outbound[stream].responder.roundTripTime = links[link].roundTripTime
    if links[link].downlink >= 0 {
      let downlink = Int(links[link].downlink)
      // What lies before a key picture that was sent since is of no use, and would only make the queue longer.
      let isOld = found.origin.generation != UInt16(truncatingIfNeeded: outbound[stream].forwarder.serial)
      if isOld, outbound[stream].kind == .video, downlinks[downlink].pacer.isBehind { return drops.count(.retransmissionTooOften) }
      // It is asked for again if it is still missed then.
      if downlinks[downlink].pacer.hasEnoughRepair { return drops.count(.retransmissionTooOften) }
      // A queue that has just grown shows there first.
      outbound[stream].responder.roundTripTime = max(links[link].roundTripTime, downlinks[downlink].controller.roundTrip)
    }
    guard outbound[stream].responder.decide(output, byteCount: byteCount, at: now) == .send else {
      return drops.count(.retransmissionTooOften)
    }
    guard let recalled = recall(found.entry, of: found.source) else { return }
    append(again: found.origin, as: output, packet: recalled, stream: stream, payloadType: payloadType, link: link)
  }

  /// What one of our packets was made from, and where that lies; `nil` when it was never sent or is forgotten.
  func findSent(
    _ output: ExtendedSequenceNumber, of stream: Int
  ) -> (origin: SentPacket, source: Int, entry: PacketHistory<HistoryNote>.Entry)? {
    guard let origin = outbound[stream].map.find(output), let source = inboundStream(generation: origin.generation, of: stream),
      let input = inbound[source].history.widen(origin.inputLow), let entry = inbound[source].history.find(input),
      // The structure that it brought is known only as long as it is in force.
      !origin.flags.contains(.bringsStructure) || entry.metadata.frame.epoch == inbound[source].encoding.details.reader.epoch
    else { return nil }
    return (origin, source, entry)
  }

  /// The encoding of what is bound to an outgoing stream whose serial number ends in `generation`.
  private func inboundStream(generation: UInt16, of stream: Int) -> Int? {
    let publication = Int(outbound[stream].publication)
    for encoding in 0..<Limits.encodingCount {
      let candidate = Int(publications[publication].encodings[encoding])
      if candidate >= 0, UInt16(truncatingIfNeeded: inbound[candidate].encoding.serial) == generation { return candidate }
    }
    return nil
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
