// What subscribers say back: one receiver report each, after which the engine need not name their sections any more (RFC 9143 §15.1).

import EnfiladeRTP
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire

/// Seals receiver reports of every subscriber of a room.
struct SubscriberReports {
  private let room: Room
  private let sessions: [ProtectorSession]
  private let protector: any PacketProtector

  init(_ room: Room, protector: any PacketProtector) throws {
    self.room = room
    self.protector = protector
    sessions = try room.subscribers.map { try protector.openSession($0.keys) }
  }

  /// The report of the subscriber at `position`, about all of its slots.
  func report(of position: Int) -> [UInt8] {
    let member = room.subscribers[position]
    let blocks = member.slots.indices.prefix(31).map { slot in
      ReportBlock(
        ssrc: member.source(of: slot), fractionLost: 0, cumulativeLost: 0, extendedHighestSequenceNumber: 1, jitter: 1, lastSenderReport: 0,
        delaySinceLastSenderReport: 0)
    }
    var bytes = [UInt8].writing(capacity: 1_200) { writer in
      RTCPWriter.receiverReport(ssrc: member.source, reportBlocks: blocks.span, into: &writer)
    }!
    let clearByteCount = bytes.count
    bytes += [UInt8](repeating: 0, count: member.profile.rtcpOverheadByteCount)
    return bytes.withUnsafeMutableBytes { buffer in
      var job = ProtectJob(
        session: sessions[position], isRTCP: true, headerByteCount: 8, payloadByteCount: clearByteCount - 8, ssrc: member.source,
        index: ExtendedSequenceNumber(0), payload: UnsafeRawPointer(buffer.baseAddress! + 8), destination: buffer.baseAddress!)
      withUnsafeMutablePointer(to: &job) { protector.protect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
      precondition(job.outcome == .done, "a subscriber could not seal its report")
      return Array(buffer.prefix(Int(job.resultByteCount)))
    }
  }
}
