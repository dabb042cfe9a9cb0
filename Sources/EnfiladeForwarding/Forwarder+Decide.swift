// The decision on each packet. Subscribers of one layer take one path: a comparison, a shift, and the numbering.

package import EnfiladeWire

extension Forwarder {
  /// What becomes of a packet of `encoding`. After the packet that begins a stretch (``serial`` changes), the caller offers what it has of
  /// later packets of that encoding in its history: they may have overtaken the beginning.
  package mutating func decide(_ packet: ForwardPacket, of encoding: borrowing Encoding, at now: Instant) -> ForwardVerdict {
    if encoding.serial == serial { return follow(packet, of: encoding, at: now) }
    if encoding.serial == previousSerial, packet.sequence <= rewriter.previous.newestInput { return followPrevious(packet) }
    return begin(packet, of: encoding, at: now)
  }

  /// Leaves a packet out that the subscriber cannot read, so that what follows closes up.
  package mutating func leaveOut(_ packet: ForwardPacket, of encoding: borrowing Encoding) {
    if encoding.serial == serial { rewriter.leaveOut(packet.sequence) }
  }

  // MARK: The stretch that runs

  private mutating func follow(_ packet: ForwardPacket, of encoding: borrowing Encoding, at now: Instant) -> ForwardVerdict {
    if packet.isEmpty { return omit(packet, for: .padding) }
    let frame = packet.frame
    guard frame.flags.contains(.isNumbered) else {
      return frame.indication(points.current.decodeTarget) == FrameInfo.notPresent
        ? omit(packet, for: .layer) : place(packet, of: encoding, point: points.current, at: now)
    }
    switch ledger.standing(of: frame.number) {
    case .forwarded:
      return place(packet, of: encoding, point: points.point(at: frame.number) ?? points.current, at: now)
    case .dropped:
      return omit(packet, for: .layer)
    case .tooOld:
      return omit(packet, for: .tooOld)
    case .late:
      guard let point = points.point(at: frame.number) else { return omit(packet, for: .tooOld) }
      return settle(packet, point: point, of: encoding, isNewest: false, at: now)
    case .new:
      if let wanted { move(towards: wanted, at: packet, of: encoding, now: now) }
      newestInputTimestamp = packet.timestamp
      return settle(packet, point: points.current, of: encoding, isNewest: true, at: now)
    }
  }

  /// Decides a frame at the first of its packets that came.
  private mutating func settle(
    _ packet: ForwardPacket, point: OperatingPoint, of encoding: borrowing Encoding, isNewest: Bool, at now: Instant
  ) -> ForwardVerdict {
    let frame = packet.frame
    let reason = judge(frame, point: point, in: ledger)
    if let reason {
      if reason != .layer, frame.temporalID == 0 { isBroken = true }
      let closesGap = isNewest && frame.flags.contains(.closesPictureGaps)
      ledger.note(frame.number, isForwarded: false, closesGap: closesGap)
      if closesGap { rewriter.current.pictureOffset &-= 1 }
      return omit(packet, for: reason)
    }
    if isNewest {
      if frame.flags.contains(.startsKeyPicture) { isBroken = false }
      // A publisher that starts anew counts from elsewhere; to the subscriber the counters go on.
      if frame.flags.contains(.startsKeyPicture), frame.number &- ledger.newest > Self.restartDistance {
        rewriter.alignPictures(with: frame)
      }
    }
    ledger.note(frame.number, isForwarded: true, closesGap: false)
    if isNewest { rewriter.noteNewest(frame) }
    return place(packet, of: encoding, point: point, at: now)
  }

  /// A gap of frames as long as this in front of a key picture is no loss.
  private static var restartDistance: Int64 { 1024 }

  /// Why a frame is not for this decode target, or `nil` when it is.
  @inline(__always)
  private func judge(_ frame: FrameInfo, point: OperatingPoint, in ledger: FrameLedger) -> ForwardDrop? {
    guard frame.epoch == point.epoch else { return .otherStructure }
    guard frame.indication(point.decodeTarget) != FrameInfo.notPresent else { return .layer }
    return frame.references & ledger.droppedFrames(before: frame.number) == 0 ? nil : .undecodable
  }

  // MARK: The stretch before

  private mutating func followPrevious(_ packet: ForwardPacket) -> ForwardVerdict {
    let frame = packet.frame
    var isWanted = !packet.isEmpty
    var point = previousPoints.current
    if isWanted, frame.flags.contains(.isNumbered) {
      switch previousLedger.standing(of: frame.number) {
      case .forwarded: point = previousPoints.point(at: frame.number) ?? point
      case .late:
        if let then = previousPoints.point(at: frame.number), judge(frame, point: then, in: previousLedger) == nil {
          point = then
        } else {
          isWanted = false
        }
        previousLedger.note(frame.number, isForwarded: isWanted, closesGap: false)
      // A frame that had not begun when the next stretch did is part of the past.
      case .new, .dropped, .tooOld: isWanted = false
      }
    }
    guard isWanted else {
      guard case .hole(let output) = rewriter.leaveOutOfPrevious(packet.sequence) else { return .drop(.tooOld) }
      return fill(packet, at: output, generation: previousSerial, timestampOffset: rewriter.previous.timestampOffset)
    }
    guard let placement = rewriter.placeInPrevious(packet.sequence, timestamp: packet.timestamp) else { return .drop(.duplicate) }
    return .forward(
      placement.sequence,
      copy(packet, placed: placement, in: rewriter.previous, ledger: previousLedger, point: point, generation: previousSerial))
  }

  // MARK: Numbering

  func copy(
    _ packet: ForwardPacket, placed: StreamRewriter.Placement, in stretch: StreamRewriter.Stretch, ledger: FrameLedger,
    point: OperatingPoint, generation: UInt32
  ) -> SentPacket {
    let frame = packet.frame
    var sent = SentPacket(
      generation: UInt16(truncatingIfNeeded: generation), input: packet.sequence, timestamp: placed.timestamp)
    if packet.marker { sent.flags.insert(.marker) }
    // The picture ends here for this subscriber, whatever comes above.
    if frame.flags.contains([.marksSpatialLayers, .endsFrame]), frame.spatialID == point.spatialID { sent.flags.insert(.marker) }
    if frame.flags.contains(.hasPicture) {
      var picture = frame.picture &+ stretch.pictureOffset
      if frame.flags.contains(.closesPictureGaps) { picture &+= ledger.closedCount(after: frame.number) }
      sent.pictureID = UInt16(truncatingIfNeeded: picture) & 0x7FFF
      sent.tl0PictureIndex = frame.tl0PictureIndex &+ stretch.tl0Offset
      sent.detail = (frame.keyIndex &+ stretch.keyIndexOffset) & 0x1F
      sent.flags.insert(.rewritesPicture)
    }
    if frame.flags.contains(.usesDependencyDescriptor) {
      sent.frameNumber = UInt16(truncatingIfNeeded: frame.number &+ stretch.frameOffset)
      sent.flags.insert(.rewritesDependency)
    }
    return sent
  }

  mutating func place(
    _ packet: ForwardPacket, of encoding: borrowing Encoding, point: OperatingPoint, at now: Instant
  ) -> ForwardVerdict {
    guard let placement = rewriter.place(packet.sequence, timestamp: packet.timestamp, now: now) else { return .drop(.duplicate) }
    if timelineBase == nil, let offset = encoding.timelineOffset {
      timelineBase = rewriter.current.timestampOffset &- rewriter.current.skew &- offset
    }
    var sent = copy(packet, placed: placement, in: rewriter.current, ledger: ledger, point: point, generation: serial)
    let frame = packet.frame
    if frame.flags.contains([.usesDependencyDescriptor, .startsFrame]),
      frame.flags.contains(.carriesStructure) || frame.number == announcingFrame, encoding.layers.epoch == point.epoch
    {
      sent.activeDecodeTargets = encoding.layers.subset(of: point.decodeTarget) & encoding.reader.activeDecodeTargets
      sent.detail = UInt8(truncatingIfNeeded: max(1, encoding.layers.count) - 1) & 0x1F
    }
    return .forward(placement.sequence, sent)
  }

  /// Leaves a packet out; where its number has been left open for it, that is filled.
  private mutating func omit(_ packet: ForwardPacket, for reason: ForwardDrop) -> ForwardVerdict {
    guard case .hole(let output) = rewriter.leaveOut(packet.sequence) else { return .drop(reason) }
    if output > rewriter.newestOutput { rewriter.newestOutput = output }
    return fill(packet, at: output, generation: serial, timestampOffset: rewriter.current.timestampOffset)
  }

  private func fill(_ packet: ForwardPacket, at output: ExtendedSequenceNumber, generation: UInt32, timestampOffset: UInt32)
    -> ForwardVerdict
  {
    var sent = SentPacket(
      generation: UInt16(truncatingIfNeeded: generation), input: packet.sequence,
      timestamp: RTPTimestamp(packet.timestamp.rawValue &+ timestampOffset))
    sent.flags = .isFiller
    return .fill(output, sent)
  }
}
