// Congestion control feedback for any sender (RFC 8888).

package import EnfiladeWire

/// The two ECN bits of an IP header (RFC 3168 §5).
package enum ExplicitCongestionNotification: UInt8, Hashable, Sendable, CaseIterable {
  case notCapable
  case capable1
  case capable0
  case congestionExperienced
}

/// What a report says of one packet (RFC 8888 §3.1).
package struct PacketMetric: Hashable, Sendable {
  package var isReceived: Bool
  package var ecn: ExplicitCongestionNotification
  /// 1024ths of a second before the report's time; two values are special.
  package var arrivalTimeOffset: UInt16

  /// The offset is 8189/1024 s or more.
  package static let offsetIsOver: UInt16 = 0x1FFE
  /// There is no arrival time, or it is after the report's.
  package static let offsetIsUnavailable: UInt16 = 0x1FFF

  package init(isReceived: Bool, ecn: ExplicitCongestionNotification = .notCapable, arrivalTimeOffset: UInt16 = 0) {
    self.isReceived = isReceived
    self.ecn = ecn
    self.arrivalTimeOffset = arrivalTimeOffset & 0x1FFF
  }

  /// - Parameter age: how long before the report's time the packet arrived.
  package init(receivedBefore age: TimeDelta, ecn: ExplicitCongestionNotification = .notCapable) {
    let ticks = age.nanoseconds < 0 ? Int64(Self.offsetIsUnavailable) : min(age.nanoseconds, 8_000_000_000) * 1024 / 1_000_000_000
    self.init(
      isReceived: true, ecn: ecn,
      arrivalTimeOffset: age.nanoseconds < 0 ? Self.offsetIsUnavailable : UInt16(min(ticks, Int64(Self.offsetIsOver))))
  }

  package init(rawValue: UInt16) {
    self.init(
      isReceived: rawValue & 0x8000 != 0, ecn: ExplicitCongestionNotification(rawValue: UInt8(rawValue >> 13 & 3)) ?? .notCapable,
      arrivalTimeOffset: rawValue)
  }

  /// A packet that was not received has no other bits (RFC 8888 §3.1).
  package var rawValue: UInt16 { isReceived ? 0x8000 | UInt16(ecn.rawValue) << 13 | arrivalTimeOffset : 0 }

  /// How long before the report's time the packet arrived, when that is known exactly.
  package var age: TimeDelta? {
    guard isReceived, arrivalTimeOffset < Self.offsetIsOver else { return nil }
    return TimeDelta(nanoseconds: Int64(arrivalTimeOffset) * 1_000_000_000 / 1024)
  }
}

/// The part of a report that is about one stream.
package struct StreamMetrics: ~Escapable {
  package let ssrc: SSRC
  package let beginSequenceNumber: SequenceNumber
  package let count: Int
  private let metrics: RawSpan

  @_lifetime(copy metrics)
  init(ssrc: SSRC, beginSequenceNumber: SequenceNumber, count: Int, metrics: RawSpan) {
    self.ssrc = ssrc
    self.beginSequenceNumber = beginSequenceNumber
    self.count = count
    self.metrics = metrics
  }

  /// The metric of `beginSequenceNumber + index`. Traps outside `0..<count`.
  package subscript(index: Int) -> PacketMetric {
    precondition(index >= 0 && index < count)
    return PacketMetric(rawValue: metrics.loadUInt16(at: 2 * index))
  }
}

/// RFC 8888 §3.1.
package struct CongestionControlFeedback: ~Escapable {
  package let senderSSRC: SSRC
  /// The middle 32 bits of the NTP time of the report.
  package let reportTimestamp: UInt32
  private let blocks: RawSpan

  /// The most packets that a stream's part may speak of (RFC 8888 §3.1).
  package static let maximumReportCount = 16_384

  @_lifetime(copy body)
  init?(body: RawSpan) {
    guard body.byteCount >= 8, body.byteCount & 3 == 0 else { return nil }
    senderSSRC = SSRC(body.loadUInt32(at: 0))
    reportTimestamp = body.loadUInt32(at: body.byteCount - 4)
    blocks = body.extracting(4..<body.byteCount - 4)
    var streams = Streams(blocks)
    while streams.next() != nil {}
    guard streams.isAtEnd else { return nil }
  }

  @_lifetime(copy self)
  package func streams() -> Streams { Streams(blocks) }

  package struct Streams: ~Escapable {
    private let blocks: RawSpan
    private var offset = 0

    @_lifetime(copy blocks)
    init(_ blocks: RawSpan) { self.blocks = blocks }

    var isAtEnd: Bool { offset == blocks.byteCount }

    @_lifetime(copy self)
    package mutating func next() -> StreamMetrics? {
      guard offset + 8 <= blocks.byteCount else { return nil }
      let count = Int(blocks.loadUInt16(at: offset + 6))
      let end = offset + 8 + ((2 * count + 3) & ~3)
      guard count <= CongestionControlFeedback.maximumReportCount, end <= blocks.byteCount else { return nil }
      let metrics = StreamMetrics(
        ssrc: SSRC(blocks.loadUInt32(at: offset)), beginSequenceNumber: SequenceNumber(blocks.loadUInt16(at: offset + 4)), count: count,
        metrics: blocks.extracting(offset + 8..<end))
      offset = end
      return metrics
    }
  }
}

/// Builds one report stream by stream: ``begin``, ``add`` for each stream, ``finish``. What does not fit is refused and leaves the
/// report as it was.
package struct CongestionControlFeedbackWriter: ~Copyable {
  private let start: Int

  /// `nil`, with nothing written, when there is no room for an empty report.
  @_lifetime(writer: copy writer)
  package init?(senderSSRC: SSRC, into writer: inout ByteWriter) {
    start = writer.count
    guard
      RTCPWriter.begin(
        RTCPNumber.transportLayerFeedback, Int(RTCPNumber.congestionControlFeedback), bodyByteCount: 8, into: &writer)
    else { return nil }
    writer.writeUInt32(senderSSRC.rawValue)
  }

  @_lifetime(writer: copy writer)
  package func add(
    ssrc: SSRC, beginSequenceNumber: SequenceNumber, metrics: Span<PacketMetric>, into writer: inout ByteWriter
  ) -> Bool {
    let byteCount = 8 + ((2 * metrics.count + 3) & ~3)
    // The report's timestamp, four bytes, must fit behind it, and the whole into a length of 16 bits.
    guard metrics.count <= CongestionControlFeedback.maximumReportCount, writer.capacity - writer.count >= byteCount + 4,
      writer.count - start + byteCount + 4 <= 4 * 0x1_0000
    else { return false }
    writer.writeUInt32(ssrc.rawValue)
    writer.writeUInt16(beginSequenceNumber.rawValue)
    writer.writeUInt16(UInt16(truncatingIfNeeded: metrics.count))
    for index in metrics.indices { writer.writeUInt16(metrics[index].rawValue) }
    if metrics.count & 1 != 0 { writer.writeUInt16(0) }
    return true
  }

  /// - Parameter timestamp: the compact NTP time that the offsets count back from.
  @_lifetime(writer: copy writer)
  package consuming func finish(timestamp: UInt32, into writer: inout ByteWriter) {
    writer.writeUInt32(timestamp)
    writer.patchUInt16(UInt16(truncatingIfNeeded: (writer.count - start) / 4 - 1), at: start + 2)
  }
}
