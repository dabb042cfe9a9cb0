// RTCP packets as views on the bytes they came in (RFC 3550 §6.4–6.7, RFC 4585 §6, RFC 5104 §4.3.1).

package import EnfiladeWire

/// The numbers of RTCP packet types and feedback formats.
package enum RTCPNumber {
  package static let senderReport: UInt8 = 200
  package static let receiverReport: UInt8 = 201
  package static let sourceDescription: UInt8 = 202
  package static let goodbye: UInt8 = 203
  package static let applicationDefined: UInt8 = 204
  package static let transportLayerFeedback: UInt8 = 205
  package static let payloadSpecificFeedback: UInt8 = 206
  package static let extendedReport: UInt8 = 207

  /// Formats of transport-layer feedback.
  package static let genericNACK: UInt8 = 1
  package static let congestionControlFeedback: UInt8 = 11
  package static let transportWideFeedback: UInt8 = 15
  /// Formats of payload-specific feedback.
  package static let pictureLossIndication: UInt8 = 1
  package static let fullIntraRequest: UInt8 = 4
  package static let applicationLayerFeedback: UInt8 = 15
}

/// One packet of a compound.
package enum RTCPPacket: ~Escapable {
  case senderReport(SenderReport)
  case receiverReport(ReceiverReport)
  case sourceDescription(SourceDescription)
  case goodbye(Goodbye)
  case applicationDefined(ApplicationDefined)
  case genericNACK(GenericNACK)
  case pictureLossIndication(PictureLossIndication)
  case fullIntraRequest(FullIntraRequest)
  case maximumBitrate(ReceiverEstimatedMaximumBitrate)
  case transportFeedback(TransportFeedback)
  case congestionControlFeedback(CongestionControlFeedback)
}

// MARK: - Reports

/// What a sender says of itself (RFC 3550 §6.4.1).
package struct SenderInfo: Hashable, Sendable {
  package var ssrc: SSRC
  package var ntp: NTPTimestamp
  package var rtpTimestamp: RTPTimestamp
  package var packetCount: UInt32
  /// Payload bytes, without headers and padding.
  package var octetCount: UInt32

  package static let byteCount = 24

  package init(ssrc: SSRC, ntp: NTPTimestamp, rtpTimestamp: RTPTimestamp, packetCount: UInt32, octetCount: UInt32) {
    self.ssrc = ssrc
    self.ntp = ntp
    self.rtpTimestamp = rtpTimestamp
    self.packetCount = packetCount
    self.octetCount = octetCount
  }
}

/// How one source is received (RFC 3550 §6.4.1).
package struct ReportBlock: Hashable, Sendable {
  package var ssrc: SSRC
  /// In 256ths.
  package var fractionLost: UInt8
  /// Signed 24 bits: duplicates make it negative.
  package var cumulativeLost: Int32
  package var extendedHighestSequenceNumber: UInt32
  /// In ticks of the stream's clock.
  package var jitter: UInt32
  /// The compact NTP time of the last sender report, or zero.
  package var lastSenderReport: UInt32
  /// In 65536ths of a second.
  package var delaySinceLastSenderReport: UInt32

  package static let byteCount = 24

  package init(
    ssrc: SSRC, fractionLost: UInt8, cumulativeLost: Int32, extendedHighestSequenceNumber: UInt32, jitter: UInt32,
    lastSenderReport: UInt32, delaySinceLastSenderReport: UInt32
  ) {
    self.ssrc = ssrc
    self.fractionLost = fractionLost
    self.cumulativeLost = max(-0x80_0000, min(0x7F_FFFF, cumulativeLost))
    self.extendedHighestSequenceNumber = extendedHighestSequenceNumber
    self.jitter = jitter
    self.lastSenderReport = lastSenderReport
    self.delaySinceLastSenderReport = delaySinceLastSenderReport
  }

  init(_ bytes: RawSpan, at offset: Int) {
    ssrc = SSRC(bytes.loadUInt32(at: offset))
    fractionLost = bytes.loadUInt8(at: offset + 4)
    cumulativeLost = Int32(bitPattern: bytes.loadUInt24(at: offset + 5) << 8) >> 8
    extendedHighestSequenceNumber = bytes.loadUInt32(at: offset + 8)
    jitter = bytes.loadUInt32(at: offset + 12)
    lastSenderReport = bytes.loadUInt32(at: offset + 16)
    delaySinceLastSenderReport = bytes.loadUInt32(at: offset + 20)
  }

  /// The round-trip time this block closes (RFC 3550 §6.4.1), or `nil` when it answers no sender report or the clocks disagree.
  package func roundTripTime(at now: NTPTimestamp) -> TimeDelta? {
    guard lastSenderReport != 0 else { return nil }
    let ticks = Int32(bitPattern: now.compact &- lastSenderReport &- delaySinceLastSenderReport)
    guard ticks >= 0 else { return nil }
    return TimeDelta(nanoseconds: (Int64(ticks) * 1_000_000_000) >> 16)
  }
}

/// The report blocks of one packet.
package struct ReportBlocks: ~Escapable {
  private let bytes: RawSpan
  package let count: Int

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, count: Int) {
    self.bytes = bytes
    self.count = count
  }

  /// Traps outside `0..<count`.
  package subscript(index: Int) -> ReportBlock {
    precondition(index >= 0 && index < count)
    return ReportBlock(bytes, at: index * ReportBlock.byteCount)
  }
}

package struct SenderReport: ~Escapable {
  package let info: SenderInfo
  package let reportBlocks: ReportBlocks

  @_lifetime(copy body)
  init?(body: RawSpan, count: Int) {
    guard body.byteCount >= SenderInfo.byteCount + count * ReportBlock.byteCount else { return nil }
    info = SenderInfo(
      ssrc: SSRC(body.loadUInt32(at: 0)), ntp: NTPTimestamp(rawValue: body.loadUInt64(at: 4)),
      rtpTimestamp: RTPTimestamp(body.loadUInt32(at: 12)), packetCount: body.loadUInt32(at: 16), octetCount: body.loadUInt32(at: 20))
    reportBlocks = ReportBlocks(body.extracting(SenderInfo.byteCount..<body.byteCount), count: count)
  }
}

package struct ReceiverReport: ~Escapable {
  package let ssrc: SSRC
  package let reportBlocks: ReportBlocks

  @_lifetime(copy body)
  init?(body: RawSpan, count: Int) {
    guard body.byteCount >= 4 + count * ReportBlock.byteCount else { return nil }
    ssrc = SSRC(body.loadUInt32(at: 0))
    reportBlocks = ReportBlocks(body.extracting(4..<body.byteCount), count: count)
  }
}

// MARK: - Sources

/// A list of SSRCs in a packet.
package struct SourceList: ~Escapable {
  private let bytes: RawSpan
  package let count: Int

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, count: Int) {
    self.bytes = bytes
    self.count = count
  }

  /// Traps outside `0..<count`.
  package subscript(index: Int) -> SSRC {
    precondition(index >= 0 && index < count)
    return SSRC(bytes.loadUInt32(at: index * 4))
  }
}

/// One item of a source description.
package struct SourceDescriptionItem: ~Escapable {
  package let ssrc: SSRC
  /// 1 is CNAME (RFC 3550 §12.2).
  package let type: UInt8
  package let text: RawSpan

  package static let cname: UInt8 = 1

  @_lifetime(copy text)
  init(ssrc: SSRC, type: UInt8, text: RawSpan) {
    self.ssrc = ssrc
    self.type = type
    self.text = text
  }
}

/// RFC 3550 §6.5: chunks of items; walked item by item.
package struct SourceDescription: ~Escapable {
  private let body: RawSpan
  package let chunkCount: Int

  @_lifetime(copy body)
  init?(body: RawSpan, count: Int) {
    self.body = body
    chunkCount = count
    var items = Items(body, chunkCount: count)
    while items.next() != nil {}
    guard !items.isMalformed else { return nil }
  }

  @_lifetime(copy self)
  package func items() -> Items { Items(body, chunkCount: chunkCount) }

  package struct Items: ~Escapable {
    private let body: RawSpan
    private var offset = 0
    private var chunksLeft: Int
    private var ssrc: SSRC?
    package private(set) var isMalformed = false

    @_lifetime(copy body)
    init(_ body: RawSpan, chunkCount: Int) {
      self.body = body
      chunksLeft = chunkCount
    }

    @_lifetime(copy self)
    package mutating func next() -> SourceDescriptionItem? {
      while !isMalformed {
        guard let ssrc else {
          guard chunksLeft > 0 else { return nil }
          chunksLeft -= 1
          guard offset + 4 <= body.byteCount else {
            isMalformed = true
            return nil
          }
          self.ssrc = SSRC(body.loadUInt32(at: offset))
          offset += 4
          continue
        }
        guard offset < body.byteCount else {
          isMalformed = true
          return nil
        }
        let type = body.loadUInt8(at: offset)
        if type == 0 {
          // The end of the chunk: null bytes up to the next word, at least one.
          offset = (offset + 4) & ~3
          self.ssrc = nil
          guard offset <= body.byteCount else {
            isMalformed = true
            return nil
          }
          continue
        }
        guard offset + 2 <= body.byteCount, offset + 2 + Int(body.loadUInt8(at: offset + 1)) <= body.byteCount else {
          isMalformed = true
          return nil
        }
        let start = offset + 2
        offset = start + Int(body.loadUInt8(at: offset + 1))
        return SourceDescriptionItem(ssrc: ssrc, type: type, text: body.extracting(start..<offset))
      }
      return nil
    }
  }
}

/// RFC 3550 §6.6.
package struct Goodbye: ~Escapable {
  package let sources: SourceList
  /// Empty when none was given.
  package let reason: RawSpan

  @_lifetime(copy body)
  init?(body: RawSpan, count: Int) {
    guard body.byteCount >= count * 4 else { return nil }
    sources = SourceList(body, count: count)
    let rest = body.extracting(count * 4..<body.byteCount)
    if rest.byteCount == 0 {
      reason = rest
    } else {
      let length = Int(rest.loadUInt8(at: 0))
      guard 1 + length <= rest.byteCount else { return nil }
      reason = rest.extracting(1..<1 + length)
    }
  }
}

/// RFC 3550 §6.7.
package struct ApplicationDefined: ~Escapable {
  package let subtype: UInt8
  package let ssrc: SSRC
  /// Four ASCII letters.
  package let name: UInt32
  package let data: RawSpan

  @_lifetime(copy body)
  init?(body: RawSpan, count: Int) {
    guard body.byteCount >= 8 else { return nil }
    subtype = UInt8(truncatingIfNeeded: count)
    ssrc = SSRC(body.loadUInt32(at: 0))
    name = body.loadUInt32(at: 4)
    data = body.extracting(8..<body.byteCount)
  }
}

// MARK: - Feedback

/// RFC 4585 §6.2.1: sequence numbers that were not received.
package struct GenericNACK: ~Escapable {
  package let senderSSRC: SSRC
  package let mediaSSRC: SSRC
  private let entries: RawSpan

  @_lifetime(copy body)
  init?(body: RawSpan) {
    guard body.byteCount >= 12 else { return nil }
    senderSSRC = SSRC(body.loadUInt32(at: 0))
    mediaSSRC = SSRC(body.loadUInt32(at: 4))
    entries = body.extracting(8..<body.byteCount)
  }

  /// The number of PID/BLP pairs.
  package var entryCount: Int { entries.byteCount / 4 }

  @_lifetime(copy self)
  package func lost() -> Lost { Lost(entries) }

  /// Walks the sequence numbers in the order of the wire.
  package struct Lost: ~Escapable {
    private let entries: RawSpan
    private var offset = 0
    private var packetID: UInt16 = 0
    private var bitmask: UInt16 = 0

    @_lifetime(copy entries)
    init(_ entries: RawSpan) { self.entries = entries }

    @_lifetime(self: copy self)
    package mutating func next() -> SequenceNumber? {
      if bitmask != 0 {
        let bit = bitmask.trailingZeroBitCount
        bitmask &= bitmask &- 1
        return SequenceNumber(packetID &+ UInt16(bit) &+ 1)
      }
      guard offset + 4 <= entries.byteCount else { return nil }
      packetID = entries.loadUInt16(at: offset)
      bitmask = entries.loadUInt16(at: offset + 2)
      offset += 4
      return SequenceNumber(packetID)
    }
  }
}

/// RFC 4585 §6.3.1.
package struct PictureLossIndication: Hashable, Sendable {
  package var senderSSRC: SSRC
  package var mediaSSRC: SSRC

  package init(senderSSRC: SSRC, mediaSSRC: SSRC) {
    self.senderSSRC = senderSSRC
    self.mediaSSRC = mediaSSRC
  }

  init?(body: RawSpan) {
    guard body.byteCount >= 8 else { return nil }
    senderSSRC = SSRC(body.loadUInt32(at: 0))
    mediaSSRC = SSRC(body.loadUInt32(at: 4))
  }
}

/// One stream of which a decoder refresh point is asked.
package struct FullIntraRequestEntry: Hashable, Sendable {
  package var ssrc: SSRC
  /// A repetition carries the number of the original.
  package var commandSequenceNumber: UInt8

  package init(ssrc: SSRC, commandSequenceNumber: UInt8) {
    self.ssrc = ssrc
    self.commandSequenceNumber = commandSequenceNumber
  }
}

/// RFC 5104 §4.3.1.
package struct FullIntraRequest: ~Escapable {
  package let senderSSRC: SSRC
  private let entries: RawSpan

  @_lifetime(copy body)
  init?(body: RawSpan) {
    guard body.byteCount >= 16 else { return nil }
    senderSSRC = SSRC(body.loadUInt32(at: 0))
    entries = body.extracting(8..<body.byteCount)
  }

  package var count: Int { entries.byteCount / 8 }

  /// Traps outside `0..<count`.
  package subscript(index: Int) -> FullIntraRequestEntry {
    precondition(index >= 0 && index < count)
    return FullIntraRequestEntry(
      ssrc: SSRC(entries.loadUInt32(at: index * 8)), commandSequenceNumber: entries.loadUInt8(at: index * 8 + 4))
  }
}

/// The receiver's estimate of what it can take, "REMB" (draft-alvestrand-rmcat-remb-03 §2).
package struct ReceiverEstimatedMaximumBitrate: ~Escapable {
  package let senderSSRC: SSRC
  package let bitrate: Bitrate
  package let sources: SourceList

  /// "REMB" in ASCII.
  package static let name: UInt32 = 0x5245_4D42

  @_lifetime(copy body)
  init?(body: RawSpan) {
    guard body.byteCount >= 16, body.loadUInt32(at: 8) == Self.name else { return nil }
    let count = Int(body.loadUInt8(at: 12))
    guard body.byteCount == 16 + 4 * count else { return nil }
    let packed = body.loadUInt24(at: 13)
    let mantissa = Int64(packed & 0x3_FFFF)
    let exponent = Int64(packed >> 18)
    // The product must be a number of bits per second that we can count with.
    guard exponent < 63, mantissa <= Int64.max >> exponent else { return nil }
    senderSSRC = SSRC(body.loadUInt32(at: 0))
    bitrate = Bitrate(bitsPerSecond: mantissa << exponent)
    sources = SourceList(body.extracting(16..<body.byteCount), count: count)
  }
}
