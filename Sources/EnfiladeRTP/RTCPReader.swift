// Walks the packets of an RTCP datagram, compound (RFC 3550 §6.1) or reduced-size (RFC 5506).

import EnfiladeWire

/// Why a datagram is not RTCP.
package enum RTCPParseFailure: UInt8, Error, Hashable, Sendable, CaseIterable {
  /// Fewer bytes than a header, or not a multiple of four.
  case badLength
  /// The version of some packet is not 2.
  case badVersion
  /// A packet's length runs past the end.
  case truncated
  /// A packet before the last has padding, or the padding count does not fit.
  case badPadding
  /// The first packet is not a report, and reduced size was not negotiated.
  case notCompound
}

/// Gives the packets of a datagram one by one. What it does not know, and what is malformed inside a packet, is skipped and counted;
/// what breaks the framing ends the walk.
package struct RTCPReader: ~Escapable {
  private let bytes: RawSpan
  private var offset = 0
  /// Packets of types or formats we do not know.
  package private(set) var unknownCount = 0
  /// Packets of known types whose contents contradict themselves.
  package private(set) var malformedCount = 0

  @_lifetime(copy bytes)
  package init(_ bytes: RawSpan) { self.bytes = bytes }

  /// The header checks of RFC 3550 §A.2 over the whole datagram; `nil` when they hold.
  package static func validate(_ bytes: RawSpan, isReducedSizeAllowed: Bool) -> RTCPParseFailure? {
    guard bytes.byteCount >= 4, bytes.byteCount & 3 == 0 else { return .badLength }
    let type = bytes.loadUInt8(at: 1)
    if !isReducedSizeAllowed, type != RTCPNumber.senderReport, type != RTCPNumber.receiverReport { return .notCompound }
    var offset = 0
    while offset < bytes.byteCount {
      switch RTCPFrame.parse(bytes, at: offset) {
      case .success(let frame): offset = frame.end
      case .failure(let failure): return failure
      }
    }
    return nil
  }

  @_lifetime(copy self)
  package mutating func next() -> RTCPPacket? {
    while offset < bytes.byteCount {
      guard case .success(let frame) = RTCPFrame.parse(bytes, at: offset) else {
        malformedCount += 1
        offset = bytes.byteCount
        return nil
      }
      offset = frame.end
      guard frame.isKnown(in: bytes) else {
        unknownCount += 1
        continue
      }
      if let packet = Self.packet(frame, body: bytes.extracting(frame.bodyStart..<frame.bodyEnd)) { return packet }
      malformedCount += 1
    }
    return nil
  }

  @_lifetime(copy body)
  private static func packet(_ frame: RTCPFrame, body: RawSpan) -> RTCPPacket? {
    let count = Int(frame.count)
    switch frame.type {
    case RTCPNumber.senderReport:
      guard let report = SenderReport(body: body, count: count) else { return nil }
      return .senderReport(report)
    case RTCPNumber.receiverReport:
      guard let report = ReceiverReport(body: body, count: count) else { return nil }
      return .receiverReport(report)
    case RTCPNumber.sourceDescription:
      guard let description = SourceDescription(body: body, count: count) else { return nil }
      return .sourceDescription(description)
    case RTCPNumber.goodbye:
      guard let goodbye = Goodbye(body: body, count: count) else { return nil }
      return .goodbye(goodbye)
    case RTCPNumber.applicationDefined:
      guard let application = ApplicationDefined(body: body, count: count) else { return nil }
      return .applicationDefined(application)
    case RTCPNumber.transportLayerFeedback:
      return transportLayerFeedback(frame.count, body: body)
    default:
      return payloadSpecificFeedback(frame.count, body: body)
    }
  }

  @_lifetime(copy body)
  private static func transportLayerFeedback(_ format: UInt8, body: RawSpan) -> RTCPPacket? {
    switch format {
    case RTCPNumber.genericNACK:
      guard let nack = GenericNACK(body: body) else { return nil }
      return .genericNACK(nack)
    case RTCPNumber.transportWideFeedback:
      guard let feedback = TransportFeedback(body: body) else { return nil }
      return .transportFeedback(feedback)
    default:
      guard let feedback = CongestionControlFeedback(body: body) else { return nil }
      return .congestionControlFeedback(feedback)
    }
  }

  @_lifetime(copy body)
  private static func payloadSpecificFeedback(_ format: UInt8, body: RawSpan) -> RTCPPacket? {
    switch format {
    case RTCPNumber.pictureLossIndication:
      guard let indication = PictureLossIndication(body: body) else { return nil }
      return .pictureLossIndication(indication)
    case RTCPNumber.fullIntraRequest:
      guard let request = FullIntraRequest(body: body) else { return nil }
      return .fullIntraRequest(request)
    default:
      guard let estimate = ReceiverEstimatedMaximumBitrate(body: body) else { return nil }
      return .maximumBitrate(estimate)
    }
  }
}

/// One packet's place in a datagram.
struct RTCPFrame {
  var type: UInt8
  /// The five bits that are a count or a feedback format.
  var count: UInt8
  var bodyStart: Int
  /// Before the padding.
  var bodyEnd: Int
  var end: Int

  static func parse(_ bytes: RawSpan, at offset: Int) -> Result<RTCPFrame, RTCPParseFailure> {
    guard offset + 4 <= bytes.byteCount else { return .failure(.badLength) }
    let word = bytes.loadUInt32(at: offset)
    guard word >> 30 == 2 else { return .failure(.badVersion) }
    let end = offset + 4 + 4 * Int(word & 0xFFFF)
    guard end <= bytes.byteCount else { return .failure(.truncated) }
    var padding = 0
    if word & 0x2000_0000 != 0 {
      // Only the last packet may be padded (RFC 3550 §6.4.1), and a count of zero would not count itself.
      guard end == bytes.byteCount, end > offset + 4 else { return .failure(.badPadding) }
      padding = Int(bytes.loadUInt8(at: end - 1))
      guard padding != 0, padding <= end - offset - 4 else { return .failure(.badPadding) }
    }
    return .success(
      RTCPFrame(
        type: UInt8(truncatingIfNeeded: word >> 16), count: UInt8(truncatingIfNeeded: word >> 24 & 0x1F), bodyStart: offset + 4,
        bodyEnd: end - padding, end: end))
  }

  func isKnown(in bytes: RawSpan) -> Bool {
    switch type {
    case RTCPNumber.senderReport...RTCPNumber.applicationDefined: return true
    case RTCPNumber.transportLayerFeedback:
      return count == RTCPNumber.genericNACK || count == RTCPNumber.transportWideFeedback || count == RTCPNumber.congestionControlFeedback
    case RTCPNumber.payloadSpecificFeedback:
      if count == RTCPNumber.applicationLayerFeedback {
        return bodyEnd - bodyStart >= 12 && bytes.loadUInt32(at: bodyStart + 8) == ReceiverEstimatedMaximumBitrate.name
      }
      return count == RTCPNumber.pictureLossIndication || count == RTCPNumber.fullIntraRequest
    default: return false
    }
  }
}
