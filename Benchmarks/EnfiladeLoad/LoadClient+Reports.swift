// RTCP, out and in.

import EnfiladeCongestion
import EnfiladeIO
import EnfiladeRTP
import EnfiladeTransport
import EnfiladeWire

extension LoadClient {
  static let reportInterval = TimeDelta.seconds(Int64(1))

  // MARK: Out

  /// A sender report for each stream we send, or a receiver report on all that we get, with our name (RFC 3550 §6.1).
  func sendReports(at now: Instant) {
    let cname = Array("load-\(role.rawValue)-\(index)".utf8)
    for stream in outgoing where stream.packetCount > 0 {
      let info = SenderInfo(
        ssrc: stream.source, ntp: context.wallClock.ntp(at: now), rtpTimestamp: RTPTimestamp(stream.reportTimestamp(at: now)),
        packetCount: UInt32(truncatingIfNeeded: stream.packetCount), octetCount: UInt32(truncatingIfNeeded: stream.payloadByteCount))
      sendRTCP {
        RTCPWriter.senderReport(info, reportBlocks: Span(), into: &$0)
        RTCPWriter.sourceDescription(ssrc: stream.source, cname: cname.rawBytes, into: &$0)
      }
    }
    guard role != .publisher else { return }
    var blocks: [ReportBlock] = []
    for position in incoming.indices where incoming[position].role != .retransmission && blocks.count < RTCPWriter.maximumCount {
      blocks.append(incoming[position].report(at: now))
    }
    sendRTCP {
      RTCPWriter.receiverReport(ssrc: senderSSRC, reportBlocks: blocks.span, into: &$0)
      RTCPWriter.sourceDescription(ssrc: senderSSRC, cname: cname.rawBytes, into: &$0)
    }
  }

  func sendPictureLoss(of media: SSRC) {
    let indication = PictureLossIndication(senderSSRC: senderSSRC, mediaSSRC: media)
    sendRTCP {
      RTCPWriter.receiverReport(ssrc: senderSSRC, reportBlocks: Span(), into: &$0)
      RTCPWriter.pictureLossIndication(indication, into: &$0)
    }
  }

  func sendTransportFeedback(at now: Instant) {
    while let due = recorder?.nextDeadline, due <= now {
      var hasWritten = false
      sendRTCP { writer in
        guard let media = recorder?.media else { return }
        hasWritten = recorder?.arrivals.pollFeedback(into: &writer, senderSSRC: senderSSRC, mediaSSRC: media, at: now) ?? false
      }
      if !hasWritten { return }
    }
  }

  /// Seals one RTCP datagram and sends it.
  private func sendRTCP(_ write: (inout ByteWriter) -> Void) {
    guard let session, let destination, let clear = [UInt8].writing(capacity: 1200, write), clear.count >= 8 else { return }
    clear.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      // The first eight bytes stay in clear (RFC 3711 §3.4).
      context.sealed.copyMemory(from: base, byteCount: 8)
      var job = ProtectJob(
        session: session, isRTCP: true, headerByteCount: 8, payloadByteCount: bytes.count - 8, ssrc: senderSSRC,
        index: ExtendedSequenceNumber(0), payload: base + 8, destination: context.sealed)
      withUnsafeMutablePointer(to: &job) { context.protector.protect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
      if job.outcome == .done { send(context.sealed, byteCount: Int(job.resultByteCount), to: destination) }
    }
  }

  // MARK: In

  func takeControl(_ datagram: UnsafeRawBufferPointer, at now: Instant) {
    guard let clear = unprotect(datagram, isRTCP: true) else { return }
    // A retransmission is built where nothing of this lies, so the packet may be read while it is answered.
    guard RTCPReader.validate(clear.bytes, isReducedSizeAllowed: true) == nil else { return }
    var reader = RTCPReader(clear.bytes)
    while let packet = reader.next() {
      switch packet {
      case .senderReport(let report):
        if let position = incoming.firstIndex(where: { $0.source == report.info.ssrc }) {
          incoming[position].lastReport = report.info.ntp.compact
          incoming[position].lastReportAt = now
        }
      case .pictureLossIndication(let indication):
        requestKeyframe(of: indication.mediaSSRC)
      case .fullIntraRequest(let request):
        for position in 0..<request.count { requestKeyframe(of: request[position].ssrc) }
      case .genericNACK(let nack):
        guard let position = outgoing.firstIndex(where: { $0.source == nack.mediaSSRC }) else { continue }
        var lost = nack.lost()
        while let number = lost.next() { retransmit(number, of: position, at: now) }
      default:
        break
      }
    }
  }

  private func requestKeyframe(of source: SSRC) {
    guard let position = outgoing.firstIndex(where: { $0.source == source }) else { return }
    outgoing[position].requestKeyframe()
  }
}

extension IncomingStream {
  /// The block of the next receiver report (RFC 3550 §6.4.1).
  mutating func report(at now: Instant) -> ReportBlock {
    let expected = expectedCount
    let expectedSince = expected &- reportedExpected
    let lostSince = Int64(expectedSince) - Int64(packetCount &- reportedReceived)
    reportedExpected = expected
    reportedReceived = packetCount
    let fraction = expectedSince == 0 ? 0 : max(0, lostSince) * 256 / Int64(expectedSince)
    let delay = lastReport == 0 ? 0 : (now - lastReportAt).nanoseconds * 65_536 / 1_000_000_000
    return ReportBlock(
      ssrc: source, fractionLost: UInt8(clamping: fraction), cumulativeLost: Int32(clamping: Int64(expected) - Int64(packetCount)),
      extendedHighestSequenceNumber: UInt32(truncatingIfNeeded: (unwrapper.newest ?? first).rawValue), jitter: 0,
      lastSenderReport: lastReport, delaySinceLastSenderReport: UInt32(clamping: delay))
  }
}
