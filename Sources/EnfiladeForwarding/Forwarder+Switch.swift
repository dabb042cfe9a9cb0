// Where one layer gives way to another, and one encoding to the next.

import EnfiladeWire

extension Forwarder {
  // MARK: Within a structure

  /// A new frame begins: takes the step towards the wanted layer that a decoder survives here, if there is one.
  mutating func move(
    towards wanted: LayerCatalog.Candidate, at packet: borrowing ForwardPacket, of encoding: borrowing Encoding, now: Instant
  ) {
    let frame = packet.frame
    let point = current.points.current
    if frame.flags.contains(.startsKeyPicture) {
      // Everything can begin here. While another encoding is awaited, this one goes on as it is.
      guard encoding.layers.epoch == frame.epoch else { return }
      let layer =
        wanted.encoding == encoding.index
        ? encoding.layers.layer(spatialID: wanted.layer.spatialID, temporalID: wanted.layer.temporalID)
        : encoding.layers.layer(spatialID: point.spatialID, temporalID: point.temporalID)
      if let layer { change(to: OperatingPoint(layer, epoch: frame.epoch), at: frame, now: now) }
      needsKeyPicture = false
      return
    }
    guard wanted.encoding == encoding.index, frame.epoch == point.epoch, encoding.layers.epoch == point.epoch else { return }
    if wanted.layer.spatialID == point.spatialID,
      wanted.layer.temporalID == point.temporalID || wanted.layer.decodeTarget == point.decodeTarget
    {
      // The highest temporal layer stands for all above it too; which that is changes as layers are discovered.
      let same = OperatingPoint(wanted.layer, epoch: point.epoch)
      if same != point { current.points.change(to: same, from: frame.number) }
      needsKeyPicture = false
      return
    }
    let isNewPicture = packet.timestamp != newestInputTimestamp
    let step = OperatingPoint(wanted.layer, epoch: point.epoch)
    if wanted.layer.spatialID == point.spatialID {
      needsKeyPicture = false
      let isPossible =
        wanted.layer.temporalID > point.temporalID ? canRise(to: step, at: frame) : isNewPicture && isWhole(step, at: frame, encoding)
      if isPossible { change(to: step, at: frame, now: now) }
      return
    }
    guard isNewPicture else { return }
    if wanted.layer.spatialID < point.spatialID {
      if isWhole(step, at: frame, encoding) { return change(to: step, at: frame, now: now) }
      // The smaller picture takes a key picture; until then fewer frames save most of it.
      if let lowest = encoding.layers.layer(spatialID: point.spatialID, temporalID: 0), lowest.spatialID == point.spatialID,
        lowest.temporalID < point.temporalID
      {
        let lower = OperatingPoint(lowest, epoch: point.epoch)
        if isWhole(lower, at: frame, encoding) { change(to: lower, at: frame, now: now) }
      }
    }
    needsKeyPicture = true
  }

  /// More frames from here on: the target calls this frame a switch, and what it refers to went out.
  private func canRise(to step: OperatingPoint, at frame: FrameInfo) -> Bool {
    // A frame that is missing counts as left out: were it to come late, it might turn out not to be decodable.
    frame.indication(step.decodeTarget) == FrameInfo.switchable
      && frame.references & ~current.ledger.forwardedFrames(before: frame.number) == 0
  }

  /// Less from here on: everything of the lower target since the last key picture went out, as far as it came.
  private func isWhole(_ step: OperatingPoint, at frame: FrameInfo, _ encoding: borrowing Encoding) -> Bool {
    guard let members = encoding.reader.history.members(of: step.decodeTarget, before: frame.number) else { return false }
    return members & ~current.ledger.forwardedFrames(before: frame.number) == 0
  }

  private mutating func change(to point: OperatingPoint, at frame: FrameInfo, now: Instant) {
    guard point != current.points.current else { return }
    // From the lowest layer of the picture on, which may have been overtaken by this one.
    let first = point.spatialID == current.points.current.spatialID ? frame.number : frame.number &- Int64(frame.spatialID)
    current.points.change(to: point, from: first)
    current.needsAnnouncement = true
    log.append(
      DecisionLog.Entry(
        at: now, kind: .switched, reason: reason, encoding: encoding, spatialID: point.spatialID, temporalID: point.temporalID))
  }

  // MARK: To another encoding

  /// A packet of an encoding that is not sent: a stretch begins here, or nothing does.
  mutating func begin(
    _ packet: borrowing ForwardPacket, of encoding: borrowing Encoding, at now: Instant, into sent: inout SentPacket
  ) -> ForwardVerdict {
    guard let wanted else { return .drop(.notWanted) }
    let isWanted = encoding.index == wanted.encoding
    let isAcceptable = serial == 0 && acceptableEncodings >> encoding.index & 1 != 0
    guard isWanted || isAcceptable else { return .drop(serial == 0 ? .waitingForKeyframe : .otherEncoding) }
    guard !packet.isEmpty, packet.frame.flags.contains(.startsKeyPicture) else {
      return .drop(serial == 0 ? .waitingForKeyframe : .otherEncoding)
    }
    let frame = packet.frame
    guard encoding.layers.epoch == frame.epoch,
      let layer = encoding.layers.layer(
        spatialID: isWanted ? wanted.layer.spatialID : 0, temporalID: isWanted ? wanted.layer.temporalID : .max)
    else { return .drop(.otherStructure) }
    // Nobody begins behind what came before: it would be sent what it has, or miss what will not come again.
    if encoding.serial == previous.serial, packet.sequence <= rewriter.previous.newestInput { return .drop(.tooOld) }
    guard let alignment = align(packet.timestamp, of: encoding, at: now) else { return .drop(.timestampBehind) }

    let skew = alignment.skew
    if serial != 0 {
      previous = current
      rewriter.beginStretch(at: packet.sequence, timestampOffset: alignment.offset &+ skew, skew: skew)
    } else {
      // The stretch that was stopped is the one before already.
      rewriter.restartStretch(at: packet.sequence, timestampOffset: alignment.offset &+ skew, skew: skew)
    }
    timelineBase = encoding.timelineOffset.map { alignment.offset &- $0 } ?? timelineBase
    timestampRefusals = 0
    let point = OperatingPoint(layer, epoch: frame.epoch)
    current = Passage(encoding, point: point, from: frame.number)
    newestInputTimestamp = packet.timestamp
    isBroken = false
    needsKeyPicture = false
    log.append(
      DecisionLog.Entry(
        at: now, kind: .switched, reason: reason, encoding: encoding.index, spatialID: point.spatialID, temporalID: point.temporalID))
    let verdict = follow(packet, of: encoding, at: now, into: &sent)
    guard case .forward(let output) = verdict else { return verdict }
    return .begin(output)
  }

  /// How a new encoding's timestamps are moved; `nil` when its key picture is so old that time would go back, and a newer one can be had.
  private mutating func align(_ timestamp: RTPTimestamp, of encoding: borrowing Encoding, at now: Instant) -> (
    offset: UInt32, skew: UInt32
  )? {
    let arrival = rewriter.arrivalOffset(of: timestamp, clockRate: encoding.clockRate, now: now)
    guard rewriter.hasOutput, let timelineBase, let line = encoding.timelineOffset else { return (arrival, 0) }
    let offset = timelineBase &+ line
    let rate = Int64(encoding.clockRate)
    // How far reports and arrival are apart: beyond a network's delay the reports are wrong.
    let disagreement = Int64(Int32(bitPattern: offset &- arrival))
    guard abs(disagreement) <= Limits.timestampDisagreement.milliseconds * rate / 1000 else { return (arrival, 0) }
    let ahead = RTPTimestamp(timestamp.rawValue &+ offset).distance(from: rewriter.newestTimestamp)
    if ahead > 0 { return (offset, 0) }
    let skew = Int64(1 - ahead)
    if skew <= Limits.timestampSkew.milliseconds * rate / 1000 { return (offset, UInt32(truncatingIfNeeded: skew)) }
    timestampRefusals += 1
    if timestampRefusals <= Limits.timestampRefusalCount {
      wish = nil
      return nil
    }
    return (arrival, 0)
  }
}
