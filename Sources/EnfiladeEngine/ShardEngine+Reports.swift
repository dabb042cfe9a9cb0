// RTCP out: sender and receiver reports in time, and feedback to publishers at once (RFC 3550 §6, RFC 4585, RFC 5104).

import EnfiladeCongestion
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeTransport
import EnfiladeWire

extension ShardEngine {
  /// Bytes of one RTCP datagram before protection.
  private static var rtcpByteCount: Int { 1200 }
  /// Reports go out about once a second: often enough for lip-sync to settle at once, and far below 5 % of any media (RFC 3550 §6.2).
  static var reportInterval: TimeDelta { .seconds(Int64(1)) }
  /// A link without media either way has nothing to say; it says so at the fixed minimum interval (RFC 3550 §6.2), and those of a shard
  /// together: a room in which nobody speaks wakes a shard a few times in a minute and not fifty times in a second.
  static var quietReportInterval: TimeDelta { .seconds(Int64(5)) }
  static var quietReportGrid: TimeDelta { .seconds(Int64(1)) }

  /// Writes all RTCP that a link is owed now.
  mutating func writeRTCP(_ link: Int, session: ProtectorSession, at now: Instant) {
    if links[link].nextReport <= now {
      writeReports(link, session: session, at: now)
      tellDecisions(ofLink: link, at: now)
      links[link].isQuiet = !links[link].hasMedia
      links[link].hasMedia = false
      // RFC 3550 §6.2: spread over half to one and a half intervals, so that reports of many links do not fall together.
      let spread = Double.random(in: 0.5..<1.5, using: &random)
      if links[link].isQuiet {
        let (next, grid) = (now + .seconds(Self.quietReportInterval.seconds * spread), Self.quietReportGrid.nanoseconds)
        links[link].nextReport = Instant(nanoseconds: (next.nanoseconds / grid + 1) * grid)
      } else {
        links[link].nextReport = now + .seconds(Self.reportInterval.seconds * spread)
      }
    }
    writeFeedback(link, session: session, at: now)
    reschedule(link, at: now)
  }

  // MARK: Reports

  /// There is media, or something else to tell: a link that was quiet reports soon.
  @inline(__always)
  mutating func noteMedia(of link: Int, at now: Instant) {
    links[link].hasMedia = true
    if links[link].isQuiet { endQuiet(of: link, at: now) }
  }

  mutating func endQuiet(of link: Int, at now: Instant) {
    guard links[link].isQuiet else { return }
    links[link].isQuiet = false
    links[link].nextReport = min(links[link].nextReport, now + .milliseconds(100))
    deadlines.advance(links[link].nextReport, for: link)
  }

  /// One compound, or several: a sender report for each outgoing stream that has sent, the first with report blocks, and SDES.
  private mutating func writeReports(_ link: Int, session: ProtectorSession, at now: Instant) {
    reportBlocks.removeAll(keepingCapacity: true)
    for position in 0..<links[link].sources.count where !links[link].sources[position].isRetransmission {
      guard reportBlocks.count < RTCPWriter.maximumCount else { break }
      let stream = Int(links[link].sources[position].inbound)
      reportBlocks.append(inbound[stream].statistics.makeReport(of: inbound[stream].ssrc, at: now))
    }
    var next = 0
    var isFirst = true
    repeat {
      guard egress.hasRoom else { return }
      var writer = rtcpWriter()
      var wroteAny = false
      while next < links[link].outbound.count, writer.count < Self.rtcpByteCount - 400 - reportBlocks.count * ReportBlock.byteCount {
        let stream = Int(links[link].outbound[next])
        next += 1
        guard let info = makeSenderInfo(stream, at: now) else { continue }
        if wroteAny { reportBlocks.removeAll(keepingCapacity: true) }
        _ = RTCPWriter.senderReport(info, reportBlocks: reportBlocks.span, into: &writer)
        // Each source by its name: receivers tie streams together by it (RFC 3550 §6.5.1).
        _ = RTCPWriter.sourceDescription(ssrc: info.ssrc, cname: canonicalName.rawBytes, into: &writer)
        wroteAny = true
      }
      if !wroteAny {
        guard isFirst else { return }
        _ = RTCPWriter.receiverReport(ssrc: links[link].localSSRC, reportBlocks: reportBlocks.span, into: &writer)
        _ = RTCPWriter.sourceDescription(ssrc: links[link].localSSRC, cname: canonicalName.rawBytes, into: &writer)
      }
      reportBlocks.removeAll(keepingCapacity: true)
      isFirst = false
      commitRTCP(byteCount: writer.count, link: link, session: session)
    } while next < links[link].outbound.count
  }

  /// What an outgoing stream says of itself, on the publisher's time line moved to ours, so that audio and video of one publisher stay together.
  private mutating func makeSenderInfo(_ stream: Int, at now: Instant) -> SenderInfo? {
    guard outbound[stream].statistics.packetCount > 0, outbound[stream].publication >= 0 else { return nil }
    guard let current = forwardedInbound(of: stream) else { return nil }
    let local = configuration.wallClock.ntp(at: now)
    let publisher = publisherClock(of: current)
    guard let timestamp = inbound[current].clock.timestamp(now: now, local: local, publisher: publisher) else { return nil }
    return outbound[stream].statistics.makeInformation(
      of: outbound[stream].ssrc, ntp: local, timestamp: outbound[stream].forwarder.rewriter.outgoingTimestamp(of: timestamp))
  }

  /// The clock of whoever publishes an inbound stream, here or at its home.
  func publisherClock(of stream: Int) -> PublisherClock {
    inbound[stream].mirrored?.publisherClock ?? links[inbound[stream].link].publisherClock
  }

  // MARK: Feedback

  private mutating func writeFeedback(_ link: Int, session: ProtectorSession, at now: Instant) {
    for position in 0..<links[link].sources.count where !links[link].sources[position].isRetransmission {
      let stream = Int(links[link].sources[position].inbound)
      guard egress.hasRoom else { return oweRTCP(link) }
      if inbound[stream].nack.nextDeadline <= now { writeNACK(stream, link: link, session: session, at: now) }
      writeKeyframeRequest(stream, link: link, session: session, at: now)
    }
    while let deadline = links[link].recorder?.nextDeadline, deadline <= now {
      guard egress.hasRoom else { return oweRTCP(link) }
      var writer = feedbackWriter(link)
      let (sender, target) = (links[link].localSSRC, links[link].feedbackTarget)
      guard links[link].recorder?.pollFeedback(into: &writer, senderSSRC: sender, mediaSSRC: target, at: now) == true else { return }
      commitRTCP(byteCount: writer.count, link: link, session: session)
    }
    writeEstimate(link, session: session, at: now)
  }

  /// What arrives, as one number (draft-alvestrand-rmcat-remb-03 §2.2).
  private mutating func writeEstimate(_ link: Int, session: ProtectorSession, at now: Instant) {
    guard let deadline = estimateDeadline(of: link), deadline <= now else { return }
    guard egress.hasRoom else { return oweRTCP(link) }
    var sources: [SSRC] = []
    for position in 0..<links[link].sources.count where !links[link].sources[position].isRetransmission {
      sources.append(links[link].sources[position].ssrc)
    }
    guard let bitrate = pollEstimate(of: link, at: now) else { return }
    var writer = feedbackWriter(link)
    RTCPWriter.maximumBitrate(senderSSRC: links[link].localSSRC, bitrate: bitrate, sources: sources.span, into: &writer)
    commitRTCP(byteCount: writer.count, link: link, session: session)
  }

  private mutating func writeNACK(_ stream: Int, link: Int, session: ProtectorSession, at now: Instant) {
    var lost: [SequenceNumber] = []
    inbound[stream].nack.roundTripTime = links[link].roundTripTime
    let action = inbound[stream].nack.pollDue(at: now) { lost.append($0.wire) }
    if case .requestKeyframe = action { requestKeyframe(of: stream, for: .unrecoveredLoss, at: now) }
    // What is dropped because it is too much is not asked for again: that would be more.
    guard !links[link].policer.isOver(at: now) else { return }
    var rest = lost[...]
    while !rest.isEmpty, egress.hasRoom {
      var writer = feedbackWriter(link)
      let written = RTCPWriter.genericNACK(
        senderSSRC: links[link].localSSRC, mediaSSRC: inbound[stream].ssrc, lost: Array(rest).span, into: &writer)
      guard written > 0 else { return }
      rest = rest.dropFirst(written)
      commitRTCP(byteCount: writer.count, link: link, session: session)
    }
  }

  private mutating func writeKeyframeRequest(_ stream: Int, link: Int, session: ProtectorSession, at now: Instant) {
    guard let request = inbound[stream].keyframeRequest ?? inbound[stream].keyframes.pollRequest(at: now) else { return }
    inbound[stream].keyframeRequest = nil
    guard egress.hasRoom else { return }
    var writer = feedbackWriter(link)
    if inbound[stream].feedback.contains(.pictureLossIndication) {
      _ = RTCPWriter.pictureLossIndication(
        PictureLossIndication(senderSSRC: links[link].localSSRC, mediaSSRC: inbound[stream].ssrc), into: &writer)
    } else if inbound[stream].feedback.contains(.fullIntraRequest) {
      let entries = [FullIntraRequestEntry(ssrc: inbound[stream].ssrc, commandSequenceNumber: request.sequenceNumber)]
      _ = RTCPWriter.fullIntraRequest(senderSSRC: links[link].localSSRC, entries: entries.span, into: &writer)
    } else {
      return
    }
    traffic.keyframeRequestsOut &+= 1
    commitRTCP(byteCount: writer.count, link: link, session: session)
  }

  // MARK: Writing

  @_lifetime(immortal)
  private func rtcpWriter() -> ByteWriter {
    // Sound: the caller checked `hasRoom`, and commits or abandons the bytes before anybody else writes.
    let place = unsafe MutableRawSpan(_unsafeStart: egress.next, byteCount: Self.rtcpByteCount)
    return unsafe ByteWriter(_overrideLifetime(place, copying: ()))
  }

  /// A writer that begins as the peer wants feedback to begin: bare, or behind an empty report (RFC 5506 §3.3, RFC 3550 §6.1).
  @_lifetime(immortal)
  private func feedbackWriter(_ link: Int) -> ByteWriter {
    var writer = rtcpWriter()
    if !links[link].reducedSizeRTCP {
      _ = RTCPWriter.receiverReport(ssrc: links[link].localSSRC, reportBlocks: Span(), into: &writer)
      _ = RTCPWriter.sourceDescription(ssrc: links[link].localSSRC, cname: canonicalName.rawBytes, into: &writer)
    }
    return writer
  }

  /// Makes a job of the RTCP that stands at the stage's next place. Its first eight bytes stay in clear (RFC 3711 §3.4).
  private mutating func commitRTCP(byteCount: Int, link: Int, session: ProtectorSession) {
    guard byteCount >= 8 else { return }
    // Sound: written just now.
    let start = unsafe egress.next
    let job = unsafe ProtectJob(
      session: session, isRTCP: true, headerByteCount: 8, payloadByteCount: byteCount - 8, ssrc: links[link].localSSRC,
      index: ExtendedSequenceNumber(0), payload: UnsafeRawPointer(start + 8), destination: start)
    let path = links[link].plain?.hasReportSocket == true ? Self.reportPathBit : 0
    egress.append(job, link: Int32(link) | path, isUrgent: true, overheadByteCount: links[link].profile.rtcpOverheadByteCount)
  }
}
