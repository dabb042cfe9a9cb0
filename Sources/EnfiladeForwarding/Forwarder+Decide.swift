// The decision on each packet. Subscribers of one layer take one path: a comparison, a shift, and the numbering.

package import EnfiladeWire

extension Forwarder {
  /// What becomes of a packet of `encoding`. After one that begins a stretch, the caller offers what it has of later packets of that encoding in
  /// its history: they may have overtaken the beginning.
  ///
  /// - Parameter sent: what goes out, when the verdict is that something does. Written in place, because this is asked for every packet and
  ///   subscriber.
  package mutating func decide(
    _ packet: borrowing ForwardPacket, of encoding: borrowing Encoding, at now: Instant, into sent: inout SentPacket
  ) -> ForwardVerdict {
    if encoding.serial == current.serial { return follow(packet, of: encoding, at: now, into: &sent) }
    if encoding.serial == previous.serial, packet.sequence <= rewriter.previous.newestInput {
      return followPrevious(packet, of: encoding, into: &sent)
    }
    return begin(packet, of: encoding, at: now, into: &sent)
  }

  /// Leaves a packet out that the subscriber cannot read, so that what follows closes up.
  package mutating func leaveOut(_ packet: borrowing ForwardPacket, of encoding: borrowing Encoding) {
    if encoding.serial == current.serial { rewriter.leaveOut(packet.sequence) }
  }

  // MARK: The stretch that runs

  mutating func follow(
    _ packet: borrowing ForwardPacket, of encoding: borrowing Encoding, at now: Instant, into sent: inout SentPacket
  ) -> ForwardVerdict {
    if packet.isEmpty {
      return isOfPrevious(packet, of: encoding)
        ? followPrevious(packet, of: encoding, into: &sent) : omit(packet, for: .padding, into: &sent)
    }
    let frame = packet.frame
    guard frame.flags.contains(.isNumbered) else {
      return frame.indication(current.points.current.decodeTarget) == FrameInfo.notPresent
        ? omit(packet, for: .layer, into: &sent) : place(packet, of: encoding, at: now, into: &sent)
    }
    switch current.ledger.standing(of: frame.number) {
    case .forwarded: return place(packet, of: encoding, at: now, into: &sent)
    case .dropped: return omit(packet, for: .layer, into: &sent)
    case .tooOld: return omit(packet, for: .tooOld, into: &sent)
    case .late:
      if isOfPrevious(packet, of: encoding) { return followPrevious(packet, of: encoding, into: &sent) }
      let reason = current.lateRefusal(of: frame)
      current.ledger.note(frame.number, isForwarded: reason == nil, closesGap: false)
      if let reason { return omit(packet, for: reason, into: &sent) }
      rewriter.noteForwarded(frame, closedCount: current.ledger.closedCount(after: frame.number))
      return place(packet, of: encoding, at: now, into: &sent)
    case .new:
      if let wanted { move(towards: wanted, at: packet, of: encoding, now: now) }
      newestInputTimestamp = packet.timestamp
      if frame.flags.contains(.startsKeyPicture) { current.keyFrame = frame.number }
      return settle(packet, of: encoding, at: now, into: &sent)
    }
  }

  /// Decides a new frame at the first of its packets that came.
  private mutating func settle(
    _ packet: borrowing ForwardPacket, of encoding: borrowing Encoding, at now: Instant, into sent: inout SentPacket
  ) -> ForwardVerdict {
    let frame = packet.frame
    if let reason = current.refusal(of: frame, at: current.points.current) {
      if reason != .layer, frame.temporalID == 0 { isBroken = true }
      let closesGap = frame.flags.contains(.closesPictureGaps)
      current.ledger.note(frame.number, isForwarded: false, closesGap: closesGap)
      if closesGap { rewriter.current.pictureOffset &-= 1 }
      if frame.flags.contains(.carriesStructure) { current.needsStructure = true }
      return omit(packet, for: reason, into: &sent)
    }
    if frame.flags.contains(.startsKeyPicture) { isBroken = false }
    if current.needsAlignment { rewriter.alignPictures(with: frame) }
    current.needsAlignment = false
    if current.needsAnnouncement { current.announcingFrame = frame.number }
    current.needsAnnouncement = false
    if current.needsStructure, !frame.flags.contains(.carriesStructure) { current.noteStructure(with: frame.number) }
    current.needsStructure = false
    current.ledger.note(frame.number, isForwarded: true, closesGap: false)
    rewriter.noteForwarded(frame, closedCount: 0)
    return place(packet, of: encoding, at: now, into: &sent)
  }

  // MARK: The stretch before

  /// Whether a packet of the source that is sent is from before it was paused.
  private func isOfPrevious(_ packet: borrowing ForwardPacket, of encoding: borrowing Encoding) -> Bool {
    guard encoding.serial == previous.serial else { return false }
    return packet.sequence <= rewriter.previous.newestInput
  }

  private mutating func followPrevious(
    _ packet: borrowing ForwardPacket, of encoding: borrowing Encoding, into sent: inout SentPacket
  ) -> ForwardVerdict {
    let frame = packet.frame
    var isWanted = !packet.isEmpty
    if isWanted, frame.flags.contains(.isNumbered) {
      switch previous.ledger.standing(of: frame.number) {
      case .forwarded: break
      case .late:
        isWanted = previous.lateRefusal(of: frame) == nil
        previous.ledger.note(frame.number, isForwarded: isWanted, closesGap: false)
      // A frame that had not begun when the next stretch did is part of the past.
      case .new, .dropped, .tooOld: isWanted = false
      }
    }
    guard isWanted else {
      guard case .hole(let output) = rewriter.leaveOutOfPrevious(packet.sequence) else { return .drop(.tooOld) }
      return fill(packet, at: output, generation: previous.serial, timestampOffset: rewriter.previous.timestampOffset, into: &sent)
    }
    guard let placement = rewriter.placeInPrevious(packet.sequence, timestamp: packet.timestamp) else { return .drop(.duplicate) }
    copy(packet, placed: placement, in: rewriter.previous, passage: previous, of: encoding, into: &sent)
    return .forward(placement.sequence)
  }

  // MARK: Numbering

  private mutating func place(
    _ packet: borrowing ForwardPacket, of encoding: borrowing Encoding, at now: Instant, into sent: inout SentPacket
  ) -> ForwardVerdict {
    guard let placement = rewriter.place(packet.sequence, timestamp: packet.timestamp, now: now) else { return .drop(.duplicate) }
    if timelineBase == nil, let offset = encoding.timelineOffset {
      timelineBase = rewriter.current.timestampOffset &- rewriter.current.skew &- offset
    }
    copy(packet, placed: placement, in: rewriter.current, passage: current, of: encoding, into: &sent)
    return .forward(placement.sequence)
  }

  private func copy(
    _ packet: borrowing ForwardPacket, placed: StreamRewriter.Placement, in stretch: borrowing StreamRewriter.Stretch,
    passage: borrowing Passage,
    of encoding: borrowing Encoding, into result: inout SentPacket
  ) {
    let frame = packet.frame
    var sent = SentPacket(
      generation: UInt16(truncatingIfNeeded: passage.serial), input: packet.sequence, timestamp: placed.timestamp)
    // Made in registers, and written once.
    defer { result = sent }
    if packet.marker { sent.flags.insert(.marker) }
    if frame.flags.contains(.hasPicture) {
      var picture = frame.picture &+ stretch.pictureOffset
      if frame.flags.contains(.closesPictureGaps) { picture &+= passage.ledger.closedCount(after: frame.number) }
      sent.pictureID = UInt16(truncatingIfNeeded: picture) & 0x7FFF
      sent.tl0PictureIndex = frame.tl0PictureIndex &+ stretch.tl0Offset
      sent.detail = (frame.keyIndex &+ stretch.keyIndexOffset) & 0x1F
      sent.flags.insert(.rewritesPicture)
    }
    guard frame.flags.contains(.marksSpatialLayers) else { return }
    let point = passage.points.point(at: frame.number)
    // The picture ends here for this subscriber, whatever comes above.
    if frame.flags.contains(.endsFrame), frame.spatialID == point.spatialID { sent.flags.insert(.marker) }
    guard frame.flags.contains(.usesDependencyDescriptor) else { return }
    sent.frameNumber = UInt16(truncatingIfNeeded: frame.number &+ stretch.frameOffset)
    sent.flags.insert(.rewritesDependency)
    guard frame.flags.contains(.startsFrame), encoding.details.layers.epoch == point.epoch else { return }
    let bringsStructure = passage.bringsStructure(frame.number)
    // A frame that was overtaken may be the first that the receiver decodes of what was chosen by then.
    let isOvertaken = frame.number < passage.ledger.newest
    let isFirst = frame.number == passage.announcingFrame
    let isAnnouncing = isOvertaken || isFirst
    // A late frame that only a later choice wants is told of with that choice.
    let isMember = frame.indication(point.decodeTarget) != FrameInfo.notPresent
    guard bringsStructure || isAnnouncing || !isMember || frame.flags.contains(.carriesStructure) else { return }
    if bringsStructure { sent.flags.insert(.bringsStructure) }
    let announced = isMember ? point : passage.points.current
    sent.activeDecodeTargets = encoding.details.layers.subset(of: announced.decodeTarget) & encoding.details.reader.activeDecodeTargets
    sent.detail = UInt8(truncatingIfNeeded: max(1, encoding.details.layers.count) - 1) & 0x1F
  }

  /// Leaves a packet out; where its number has been left open for it, that is filled.
  private mutating func omit(_ packet: borrowing ForwardPacket, for reason: ForwardDrop, into sent: inout SentPacket) -> ForwardVerdict {
    guard case .hole(let output) = rewriter.leaveOut(packet.sequence) else { return .drop(reason) }
    if output > rewriter.newestOutput { rewriter.newestOutput = output }
    return fill(packet, at: output, generation: current.serial, timestampOffset: rewriter.current.timestampOffset, into: &sent)
  }

  private func fill(
    _ packet: borrowing ForwardPacket, at output: ExtendedSequenceNumber, generation: UInt32, timestampOffset: UInt32,
    into sent: inout SentPacket
  ) -> ForwardVerdict {
    sent = SentPacket(
      generation: UInt16(truncatingIfNeeded: generation), input: packet.sequence,
      timestamp: RTPTimestamp(packet.timestamp.rawValue &+ timestampOffset))
    sent.flags = .isFiller
    return .fill(output)
  }
}
