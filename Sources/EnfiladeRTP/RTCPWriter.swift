// Builds RTCP packets one behind the other into a caller's buffer (RFC 3550 §6, RFC 4585 §6, RFC 5104 §4.3.1).

package import EnfiladeWire

/// Each function appends one whole packet, or, when it does not fit, nothing, and says which.
package enum RTCPWriter {
  /// The most report blocks, sources or chunks that the count of five bits can say.
  package static let maximumCount = 31

  /// - Returns: whether the packet fits. More than 31 blocks never do.
  @discardableResult @_lifetime(writer: copy writer)
  package static func senderReport(_ info: SenderInfo, reportBlocks: Span<ReportBlock>, into writer: inout ByteWriter) -> Bool {
    let body = SenderInfo.byteCount + reportBlocks.count * ReportBlock.byteCount
    guard begin(RTCPNumber.senderReport, reportBlocks.count, bodyByteCount: body, into: &writer) else { return false }
    writer.writeUInt32(info.ssrc.rawValue)
    writer.writeUInt64(info.ntp.rawValue)
    writer.writeUInt32(info.rtpTimestamp.rawValue)
    writer.writeUInt32(info.packetCount)
    writer.writeUInt32(info.octetCount)
    write(reportBlocks, into: &writer)
    return true
  }

  @discardableResult @_lifetime(writer: copy writer)
  package static func receiverReport(ssrc: SSRC, reportBlocks: Span<ReportBlock>, into writer: inout ByteWriter) -> Bool {
    let body = 4 + reportBlocks.count * ReportBlock.byteCount
    guard begin(RTCPNumber.receiverReport, reportBlocks.count, bodyByteCount: body, into: &writer) else { return false }
    writer.writeUInt32(ssrc.rawValue)
    write(reportBlocks, into: &writer)
    return true
  }

  /// One chunk with one CNAME of at most 255 bytes.
  @discardableResult @_lifetime(writer: copy writer)
  package static func sourceDescription(ssrc: SSRC, cname: RawSpan, into writer: inout ByteWriter) -> Bool {
    // At least one null byte ends the chunk.
    let body = (4 + 2 + cname.byteCount + 1 + 3) & ~3
    guard cname.byteCount <= 255, begin(RTCPNumber.sourceDescription, 1, bodyByteCount: body, into: &writer) else { return false }
    writer.writeUInt32(ssrc.rawValue)
    writer.writeUInt8(SourceDescriptionItem.cname)
    writer.writeUInt8(UInt8(truncatingIfNeeded: cname.byteCount))
    writer.writeBytes(cname)
    writer.writeZeros(body - 6 - cname.byteCount)
    return true
  }

  /// - Parameter reason: at most 255 bytes of UTF-8; empty for none.
  @discardableResult @_lifetime(writer: copy writer)
  package static func goodbye(_ sources: Span<SSRC>, reason: RawSpan = RawSpan(), into writer: inout ByteWriter) -> Bool {
    let text = reason.byteCount == 0 ? 0 : (1 + reason.byteCount + 3) & ~3
    guard reason.byteCount <= 255, begin(RTCPNumber.goodbye, sources.count, bodyByteCount: 4 * sources.count + text, into: &writer)
    else { return false }
    for index in sources.indices { writer.writeUInt32(sources[index].rawValue) }
    if reason.byteCount != 0 {
      writer.writeUInt8(UInt8(truncatingIfNeeded: reason.byteCount))
      writer.writeBytes(reason)
      writer.writeZeros(text - 1 - reason.byteCount)
    }
    return true
  }

  /// - Parameter data: a multiple of four bytes.
  @discardableResult @_lifetime(writer: copy writer)
  package static func applicationDefined(
    subtype: UInt8, ssrc: SSRC, name: UInt32, data: RawSpan, into writer: inout ByteWriter
  ) -> Bool {
    guard data.byteCount & 3 == 0, begin(RTCPNumber.applicationDefined, Int(subtype), bodyByteCount: 8 + data.byteCount, into: &writer)
    else { return false }
    writer.writeUInt32(ssrc.rawValue)
    writer.writeUInt32(name)
    writer.writeBytes(data)
    return true
  }

  /// Packs `lost`, in ascending order, into as few PID/BLP pairs as it takes.
  ///
  /// - Returns: how many sequence numbers the packet says; the rest did not fit. Zero when nothing was written.
  @discardableResult @_lifetime(writer: copy writer)
  package static func genericNACK(
    senderSSRC: SSRC, mediaSSRC: SSRC, lost: Span<SequenceNumber>, into writer: inout ByteWriter
  ) -> Int {
    let entriesThatFit = (writer.capacity - writer.count - 12) / 4
    guard entriesThatFit > 0, !lost.isEmpty, writer.count <= 0xFFFF else { return 0 }
    let start = writer.count
    _ = begin(RTCPNumber.transportLayerFeedback, Int(RTCPNumber.genericNACK), bodyByteCount: 8, into: &writer)
    writer.writeUInt32(senderSSRC.rawValue)
    writer.writeUInt32(mediaSSRC.rawValue)
    var index = 0
    var entryCount = 0
    while index < lost.count, entryCount < min(entriesThatFit, 0xFFFF - 2) {
      let packetID = lost[index]
      var bitmask: UInt16 = 0
      index += 1
      while index < lost.count {
        let distance = lost[index].distance(from: packetID)
        guard distance >= 0, distance <= 16 else { break }
        // The same number twice is said once.
        if distance > 0 { bitmask |= 1 << UInt16(distance - 1) }
        index += 1
      }
      writer.writeUInt16(packetID.rawValue)
      writer.writeUInt16(bitmask)
      entryCount += 1
    }
    writer.patchUInt16(UInt16(truncatingIfNeeded: 2 + entryCount), at: start + 2)
    return index
  }

  @discardableResult @_lifetime(writer: copy writer)
  package static func pictureLossIndication(_ indication: PictureLossIndication, into writer: inout ByteWriter) -> Bool {
    guard
      begin(
        RTCPNumber.payloadSpecificFeedback, Int(RTCPNumber.pictureLossIndication), bodyByteCount: 8, into: &writer)
    else { return false }
    writer.writeUInt32(indication.senderSSRC.rawValue)
    writer.writeUInt32(indication.mediaSSRC.rawValue)
    return true
  }

  @discardableResult @_lifetime(writer: copy writer)
  package static func fullIntraRequest(
    senderSSRC: SSRC, entries: Span<FullIntraRequestEntry>, into writer: inout ByteWriter
  ) -> Bool {
    guard !entries.isEmpty,
      begin(
        RTCPNumber.payloadSpecificFeedback, Int(RTCPNumber.fullIntraRequest), bodyByteCount: 8 + 8 * entries.count, into: &writer)
    else { return false }
    writer.writeUInt32(senderSSRC.rawValue)
    // The media source is unused and zero (RFC 5104 §4.3.1.2).
    writer.writeUInt32(0)
    for index in entries.indices {
      writer.writeUInt32(entries[index].ssrc.rawValue)
      writer.writeUInt32(UInt32(entries[index].commandSequenceNumber) << 24)
    }
    return true
  }

  /// The bitrate is rounded down to 18 significant bits.
  ///
  /// - Parameter sources: at most 255.
  @discardableResult @_lifetime(writer: copy writer)
  package static func maximumBitrate(
    senderSSRC: SSRC, bitrate: Bitrate, sources: Span<SSRC>, into writer: inout ByteWriter
  ) -> Bool {
    guard sources.count <= 255,
      begin(
        RTCPNumber.payloadSpecificFeedback, Int(RTCPNumber.applicationLayerFeedback), bodyByteCount: 16 + 4 * sources.count,
        into: &writer)
    else { return false }
    let value = UInt64(max(0, bitrate.bitsPerSecond))
    let exponent = max(0, 64 - value.leadingZeroBitCount - 18)
    writer.writeUInt32(senderSSRC.rawValue)
    writer.writeUInt32(0)
    writer.writeUInt32(ReceiverEstimatedMaximumBitrate.name)
    writer.writeUInt32(UInt32(sources.count) << 24 | UInt32(exponent) << 18 | UInt32(value >> UInt64(exponent)))
    for index in sources.indices { writer.writeUInt32(sources[index].rawValue) }
    return true
  }

  // MARK: Parts

  /// Writes the header of a packet whose body has `bodyByteCount` bytes, a multiple of four, if all of it fits.
  @_lifetime(writer: copy writer)
  static func begin(_ type: UInt8, _ count: Int, bodyByteCount: Int, isPadded: Bool = false, into writer: inout ByteWriter) -> Bool {
    guard count <= maximumCount, bodyByteCount / 4 <= 0xFFFF, writer.capacity - writer.count >= 4 + bodyByteCount else { return false }
    writer.writeUInt8(0x80 | (isPadded ? 0x20 : 0) | UInt8(truncatingIfNeeded: count))
    writer.writeUInt8(type)
    writer.writeUInt16(UInt16(truncatingIfNeeded: bodyByteCount / 4))
    return true
  }

  @_lifetime(writer: copy writer)
  private static func write(_ reportBlocks: Span<ReportBlock>, into writer: inout ByteWriter) {
    for index in reportBlocks.indices {
      let block = reportBlocks[index]
      writer.writeUInt32(block.ssrc.rawValue)
      writer.writeUInt8(block.fractionLost)
      writer.writeUInt24(UInt32(bitPattern: block.cumulativeLost))
      writer.writeUInt32(block.extendedHighestSequenceNumber)
      writer.writeUInt32(block.jitter)
      writer.writeUInt32(block.lastSenderReport)
      writer.writeUInt32(block.delaySinceLastSenderReport)
    }
  }
}
