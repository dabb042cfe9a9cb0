// What subscribers report of their packets: sealed ahead of time, as transport-wide feedback.

import EnfiladeRTP
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire

/// Reports of every subscriber of a room, in buffers that are used again. Everything has arrived, each packet some time after it was sent.
final class ArrivalReports {
  struct SealedReport {
    var base: UnsafeMutableRawPointer
    var byteCount: Int
  }

  private let room: Room
  private let sessions: [ProtectorSession]
  private let protector: any PacketProtector
  private let storage: UnsafeMutableRawPointer
  private var reports: [SealedReport] = []
  private var feedbackCounts: [UInt8]
  /// What each subscriber has got since its last report.
  private var arrivals: [[TransportArrival]]
  private var unwrappers: [SequenceUnwrapper]
  /// When the last packet came.
  private var arrived: [Instant]
  /// Of packets that carry no number: what the report would call the newest.
  private var counters: [Int64]
  private var positions: [SocketAddress: Int] = [:]
  private static let placeByteCount = 1_500
  /// The way takes so long, and a message's packets arrive so far apart: a link of 88 Mbit/s for packets of 1,100 bytes.
  private static let path = TimeDelta.milliseconds(20)
  private static let spacing = TimeDelta.microseconds(100)

  init(_ room: Room, protector: any PacketProtector) throws {
    self.room = room
    self.protector = protector
    sessions = try room.subscribers.map { try protector.openSession($0.keys) }
    feedbackCounts = [UInt8](repeating: 0, count: room.subscribers.count)
    arrivals = [[TransportArrival]](repeating: [], count: room.subscribers.count)
    unwrappers = [SequenceUnwrapper](repeating: SequenceUnwrapper(), count: room.subscribers.count)
    arrived = [Instant](repeating: .zero, count: room.subscribers.count)
    counters = [Int64](repeating: 0, count: room.subscribers.count)
    for (position, subscriber) in room.subscribers.enumerated() { positions[subscriber.address] = position }
    storage = .allocate(byteCount: room.subscribers.count * Self.placeByteCount, alignment: 64)
  }

  deinit { storage.deallocate() }

  var count: Int { reports.count }
  subscript(position: Int) -> SealedReport { reports[position] }

  /// Notes what was sent, as having arrived. Packets without numbers are numbered here, so that reports are the same with them and without.
  func note(_ messages: Span<SentMessage>) {
    for index in messages.indices {
      let message = messages[index]
      guard let position = positions[message.address] else { continue }
      counters[position] += Int64(message.packetCount)
      let newest =
        message.isNumbered
        ? unwrappers[position].unwrap(SequenceNumber(message.newest)) : ExtendedSequenceNumber(counters[position])
      for packet in 0..<Int(message.packetCount) {
        // A frame of two messages comes through the same link as one of one.
        arrived[position] = max(message.sent + Self.path, arrived[position] + Self.spacing)
        arrivals[position].append(
          TransportArrival(sequenceNumber: newest - (Int(message.packetCount) - 1 - packet), arrival: arrived[position]))
      }
    }
  }

  /// Writes a report for every subscriber about everything that it got.
  func fill() {
    reports.removeAll(keepingCapacity: true)
    for position in room.subscribers.indices {
      let base = storage + position * Self.placeByteCount
      feedbackCounts[position] &+= 1
      var writer = ByteWriter(MutableRawSpan(_unsafeStart: base, byteCount: Self.placeByteCount - 64))
      let own = arrivals[position]
      if let first = own.first {
        _ = RTCPWriter.transportFeedback(
          senderSSRC: room.subscribers[position].source, mediaSSRC: SSRC(1), feedbackCount: feedbackCounts[position],
          base: first.sequenceNumber, arrivals: own.span, into: &writer)
      } else {
        RTCPWriter.receiverReport(ssrc: room.subscribers[position].source, reportBlocks: Span(), into: &writer)
      }
      arrivals[position] = []
      reports.append(SealedReport(base: base, byteCount: seal(position, clearByteCount: writer.count, at: base)))
    }
  }

  private func seal(_ position: Int, clearByteCount: Int, at base: UnsafeMutableRawPointer) -> Int {
    var job = ProtectJob(
      session: sessions[position], isRTCP: true, headerByteCount: 8, payloadByteCount: clearByteCount - 8,
      ssrc: room.subscribers[position].source, index: ExtendedSequenceNumber(0), payload: UnsafeRawPointer(base + 8), destination: base)
    withUnsafeMutablePointer(to: &job) { protector.protect(UnsafeMutableBufferPointer(start: $0, count: 1)) }
    precondition(job.outcome == .done, "a subscriber could not seal its report")
    return Int(job.resultByteCount)
  }
}
