// What must hold for any bytes taken as RTCP. The fuzzer and the ordinary tests call the same function.

import EnfiladeRTP
import EnfiladeWire

/// Reads `bytes` as RTCP and builds what was understood again.
func rebuildRTCP(_ bytes: RawSpan) -> [UInt8] {
  // What is rebuilt is at most a little longer: an item of a description becomes a packet.
  [UInt8].writing(capacity: 64 + 16 * bytes.byteCount) { writer in
    var reader = RTCPReader(bytes)
    while let packet = reader.next() { rebuild(packet, into: &writer) }
  } ?? []
}

private func rebuild(_ packet: borrowing RTCPPacket, into writer: inout ByteWriter) {
  switch packet {
  case .senderReport(let report):
    let blocks = (0..<report.reportBlocks.count).map { report.reportBlocks[$0] }
    RTCPWriter.senderReport(report.info, reportBlocks: blocks.span, into: &writer)
  case .receiverReport(let report):
    let blocks = (0..<report.reportBlocks.count).map { report.reportBlocks[$0] }
    RTCPWriter.receiverReport(ssrc: report.ssrc, reportBlocks: blocks.span, into: &writer)
  case .sourceDescription(let description):
    var items = description.items()
    while let item = items.next() {
      if item.type == SourceDescriptionItem.cname { RTCPWriter.sourceDescription(ssrc: item.ssrc, cname: item.text, into: &writer) }
    }
  case .goodbye(let goodbye):
    let sources = (0..<goodbye.sources.count).map { goodbye.sources[$0] }
    RTCPWriter.goodbye(sources.span, reason: goodbye.reason, into: &writer)
  case .applicationDefined(let application):
    RTCPWriter.applicationDefined(
      subtype: application.subtype, ssrc: application.ssrc, name: application.name, data: application.data, into: &writer)
  case .genericNACK(let nack):
    var lost: [SequenceNumber] = []
    var iterator = nack.lost()
    while let number = iterator.next() { lost.append(number) }
    RTCPWriter.genericNACK(senderSSRC: nack.senderSSRC, mediaSSRC: nack.mediaSSRC, lost: lost.span, into: &writer)
  case .pictureLossIndication(let indication):
    RTCPWriter.pictureLossIndication(indication, into: &writer)
  case .fullIntraRequest(let request):
    let entries = (0..<request.count).map { request[$0] }
    RTCPWriter.fullIntraRequest(senderSSRC: request.senderSSRC, entries: entries.span, into: &writer)
  case .maximumBitrate(let estimate):
    let sources = (0..<estimate.sources.count).map { estimate.sources[$0] }
    RTCPWriter.maximumBitrate(senderSSRC: estimate.senderSSRC, bitrate: estimate.bitrate, sources: sources.span, into: &writer)
  case .transportFeedback(let feedback):
    let arrivals = arrivals(of: feedback)
    _ = RTCPWriter.transportFeedback(
      senderSSRC: feedback.senderSSRC, mediaSSRC: feedback.mediaSSRC, feedbackCount: feedback.feedbackCount,
      base: ExtendedSequenceNumber(Int64(feedback.baseSequenceNumber)), arrivals: arrivals.span, into: &writer)
  case .congestionControlFeedback(let feedback):
    guard let report = CongestionControlFeedbackWriter(senderSSRC: feedback.senderSSRC, into: &writer) else { return }
    var streams = feedback.streams()
    while let stream = streams.next() {
      let metrics = (0..<stream.count).map { stream[$0] }
      _ = report.add(ssrc: stream.ssrc, beginSequenceNumber: stream.beginSequenceNumber, metrics: metrics.span, into: &writer)
    }
    report.finish(timestamp: feedback.reportTimestamp, into: &writer)
  }
}

/// The packets a feedback says were received, at times on the receiver's clock.
func arrivals(of feedback: borrowing TransportFeedback) -> [TransportArrival] {
  var arrivals: [TransportArrival] = []
  var statuses = feedback.statuses()
  var number = ExtendedSequenceNumber(Int64(feedback.baseSequenceNumber))
  while let status = statuses.next() {
    if let ticks = status.ticks {
      arrivals.append(
        TransportArrival(
          sequenceNumber: number,
          arrival: .zero + TransportFeedback.tick * (Int64(feedback.referenceTime) * 256 + Int64(ticks))))
    }
    number = number + 1
  }
  return arrivals
}

/// `nil` when all is well, else what is not. What was understood of any bytes, built again, is understood the same: building is stable
/// from the first time on, frames well, and holds nothing that its own reader skips.
func violation(ofRTCP bytes: RawSpan) -> String? {
  let once = rebuildRTCP(bytes)
  if !once.isEmpty, let failure = RTCPReader.validate(once.rawBytes, isReducedSizeAllowed: true), failure != .badPadding {
    return "built \(once), which is \(failure)"
  }
  // Feedback is padded, and only the last packet may be: compounds with several are rebuilt piece by piece.
  var rest = once
  while !rest.isEmpty {
    let length = 4 + 4 * (Int(rest[2]) << 8 | Int(rest[3]))
    let piece = Array(rest[..<length])
    let again = rebuildRTCP(piece.rawBytes)
    if again != piece { return "\(piece) became \(again)" }
    rest.removeFirst(length)
  }
  return nil
}
