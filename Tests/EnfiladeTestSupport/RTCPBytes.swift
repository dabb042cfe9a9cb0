// RTCP as a peer reads it: every packet of a datagram as a value that a test can keep.

package import EnfiladeRTP
package import EnfiladeWire

/// One packet of a compound.
package enum ReceivedRTCP: Hashable, Sendable {
  case senderReport(SenderInfo, [ReportBlock])
  case receiverReport(SSRC, [ReportBlock])
  /// Sources with their canonical names.
  case sourceDescription([SSRC: String])
  case goodbye([SSRC])
  case nack(media: SSRC, lost: [UInt16])
  case pictureLoss(media: SSRC)
  case fullIntraRequest([FullIntraRequestEntry])
  case transportFeedback(ReceivedTransportFeedback)
  case maximumBitrate(Bitrate, sources: [SSRC])
  case other

  /// Every packet of a clear datagram, in order; `nil` when it is not RTCP.
  package static func parse(_ bytes: [UInt8], isReducedSizeAllowed: Bool) -> [ReceivedRTCP]? {
    guard RTCPReader.validate(bytes.rawBytes, isReducedSizeAllowed: isReducedSizeAllowed) == nil else { return nil }
    var result: [ReceivedRTCP] = []
    var reader = RTCPReader(bytes.rawBytes)
    while let packet = reader.next() { result.append(ReceivedRTCP(packet)) }
    return reader.malformedCount == 0 && reader.unknownCount == 0 ? result : nil
  }

  private init(_ packet: borrowing RTCPPacket) {
    switch packet {
    case .senderReport(let report):
      self = .senderReport(report.info, (0..<report.reportBlocks.count).map { report.reportBlocks[$0] })
    case .receiverReport(let report):
      self = .receiverReport(report.ssrc, (0..<report.reportBlocks.count).map { report.reportBlocks[$0] })
    case .sourceDescription(let description):
      var names: [SSRC: String] = [:]
      var items = description.items()
      while let item = items.next() {
        if item.type == SourceDescriptionItem.cname { names[item.ssrc] = String(decoding: item.text.copyToArray(), as: UTF8.self) }
      }
      self = .sourceDescription(names)
    case .goodbye(let goodbye):
      self = .goodbye((0..<goodbye.sources.count).map { goodbye.sources[$0] })
    case .genericNACK(let nack):
      var lost: [UInt16] = []
      var numbers = nack.lost()
      while let number = numbers.next() { lost.append(number.rawValue) }
      self = .nack(media: nack.mediaSSRC, lost: lost)
    case .pictureLossIndication(let indication):
      self = .pictureLoss(media: indication.mediaSSRC)
    case .fullIntraRequest(let request):
      self = .fullIntraRequest((0..<request.count).map { request[$0] })
    case .transportFeedback(let feedback):
      var statuses: [TransportFeedbackStatus] = []
      var walk = feedback.statuses()
      while let status = walk.next() { statuses.append(status) }
      self = .transportFeedback(
        ReceivedTransportFeedback(count: feedback.feedbackCount, referenceTime: feedback.referenceTime, statuses: statuses))
    case .maximumBitrate(let estimate):
      self = .maximumBitrate(estimate.bitrate, sources: (0..<estimate.sources.count).map { estimate.sources[$0] })
    case .applicationDefined, .congestionControlFeedback:
      self = .other
    }
  }
}

/// Transport-wide feedback as a sender's estimator sees it.
package struct ReceivedTransportFeedback: Hashable, Sendable {
  package var count: UInt8
  package var referenceTime: UInt32
  package var statuses: [TransportFeedbackStatus]

  /// Arrival on the receiver's clock, rounded to 250 µs; `nil` for what was not received.
  package func arrival(of status: TransportFeedbackStatus) -> Instant? {
    guard status.isReceived, let ticks = status.ticks else { return nil }
    return Instant(nanoseconds: Int64(referenceTime) * 64_000_000 + Int64(ticks) * 250_000)
  }
}
