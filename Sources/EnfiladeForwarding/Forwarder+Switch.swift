// Where one layer gives way to another, and one encoding to the next.

package import EnfiladeWire

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
      guard encoding.details.layers.epoch == frame.epoch else { return }
      let layer =
        wanted.encoding == encoding.index
        ? encoding.details.layers.layer(spatialID: wanted.layer.spatialID, temporalID: wanted.layer.temporalID)
        : encoding.details.layers.layer(spatialID: point.spatialID, temporalID: point.temporalID)
      if let layer { change(to: OperatingPoint(layer, epoch: frame.epoch), at: frame, now: now) }
      needsKeyPicture = false
      return
    }
    guard frame.epoch == point.epoch, encoding.details.layers.epoch == point.epoch else { return }
    guard wanted.encoding == encoding.index else {
      if isNarrowing { thin(at: packet, of: encoding, now: now) }
      return
    }
    if wanted.layer.spatialID == point.spatialID, wanted.layer.decodeTarget == point.decodeTarget {
      // The highest temporal layer stands for all above it too; which that is changes as layers are discovered.
      current.points.rename(to: OperatingPoint(wanted.layer, epoch: point.epoch))
      needsKeyPicture = false
      return
    }
    let isNewPicture = packet.timestamp != newestInputTimestamp
    let step = OperatingPoint(wanted.layer, epoch: point.epoch)
    if wanted.layer.spatialID == point.spatialID {
      needsKeyPicture = false
      let isPossible = step.hasMoreFrames(than: point) ? canRise(to: step, at: frame) : isNewPicture && isWhole(step, at: frame, encoding)
      if isPossible { change(to: step, at: frame, now: now) }
      return
    }
    guard isNewPicture else { return }
    if wanted.layer.spatialID < point.spatialID {
      if isWhole(step, at: frame, encoding) { return change(to: step, at: frame, now: now) }
      thin(at: packet, of: encoding, now: now)
    }
    needsKeyPicture = true
  }

  /// A smaller picture takes a key picture; until that comes, fewer frames of the larger one save most of what the path does not carry. Where
  /// only the place has become smaller, a few frames a second for a moment would be a freeze for nothing.
  private mutating func thin(at packet: borrowing ForwardPacket, of encoding: borrowing Encoding, now: Instant) {
    let point = current.points.current
    guard reason == .budget, packet.timestamp != newestInputTimestamp,
      let lowest = encoding.details.layers.layer(spatialID: point.spatialID, temporalID: 0),
      lowest.spatialID == point.spatialID, lowest.temporalID < point.temporalID
    else { return }
    let lower = OperatingPoint(lowest, epoch: point.epoch)
    if isWhole(lower, at: packet.frame, encoding) { change(to: lower, at: packet.frame, now: now) }
  }

  /// More frames from here on: the target calls this frame a switch, and what it refers to went out.
  private func canRise(to step: OperatingPoint, at frame: FrameInfo) -> Bool {
    // A frame that is missing counts as left out: were it to come late, it might turn out not to be decodable.
    frame.indication(step.decodeTarget) == FrameInfo.switchable
      && frame.references & ~current.ledger.forwardedFrames(before: frame.number) == 0
  }

  /// Less from here on: everything of the lower target since the last key picture went out, as far as it came.
  private func isWhole(_ step: OperatingPoint, at frame: FrameInfo, _ encoding: borrowing Encoding) -> Bool {
    // What is replayed may be older than what is remembered of the encoding.
    guard encoding.details.reader.history.newest &- frame.number < Int64(FrameHistory.capacity) / 2,
      let members = encoding.details.reader.history.members(of: step.decodeTarget, before: frame.number)
    else { return false }
    return members & ~current.ledger.forwardedFrames(before: frame.number) == 0
  }

  private mutating func change(to point: OperatingPoint, at frame: FrameInfo, now: Instant) {
    guard point != current.points.current else { return }
    // From the lowest layer of the picture on, which may have been overtaken by this one; but what more frames lean on went out before.
    let isRise = point.hasMoreFrames(than: current.points.current)
    let first = isRise ? frame.number : frame.number &- Int64(frame.spatialID)
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
    guard encoding.details.layers.epoch == frame.epoch,
      let layer = encoding.details.layers.layer(
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
    let arrived = replayedArrival ?? now
    if let found = alignment(of: timestamp, of: encoding, arrived: arrived) { return found }
    timestampRefusals += 1
    if timestampRefusals <= Limits.timestampRefusalCount {
      wish = nil
      return nil
    }
    return (rewriter.arrivalOffset(of: timestamp, clockRate: encoding.clockRate, now: arrived), 0)
  }

  /// The same, without counting how often it failed.
  private func alignment(of timestamp: RTPTimestamp, of encoding: borrowing Encoding, arrived: Instant) -> (offset: UInt32, skew: UInt32)? {
    let arrival = rewriter.arrivalOffset(of: timestamp, clockRate: encoding.clockRate, now: arrived)
    guard rewriter.hasOutput, let timelineBase, let line = encoding.timelineOffset else { return (arrival, 0) }
    let offset = timelineBase &+ line
    let rate = Int64(encoding.clockRate)
    // How far reports and arrival are apart: beyond a network's delay the reports are wrong.
    let disagreement = Int64(Int32(bitPattern: offset &- arrival))
    guard abs(disagreement) <= Limits.timestampDisagreement.milliseconds * rate / 1000 else { return (arrival, 0) }
    let ahead = RTPTimestamp(timestamp.rawValue &+ offset).distance(from: rewriter.newestTimestamp)
    if ahead > 0 { return (offset, 0) }
    let skew = Int64(1 - ahead)
    return skew <= Limits.timestampSkew.milliseconds * rate / 1000 ? (offset, UInt32(truncatingIfNeeded: skew)) : nil
  }

  // MARK: Out of the history

  /// Whether the newest key picture of an encoding that is not sent can be begun with now, though it came a while ago: it is what is wanted,
  /// nothing behind it was sent, and time would not go back.
  package func canReplay(_ span: KeyframeSpan, of encoding: borrowing Encoding, at now: Instant) -> Bool {
    guard let wanted, wanted.serial == encoding.serial, encoding.serial != serial else { return false }
    if encoding.serial == previous.serial, span.start <= rewriter.previous.newestInput { return false }
    guard rewriter.hasOutput else { return true }
    // What came before the newest that was sent would be shown after it; without a common time line nobody knows by how much.
    let lead = span.startedAt - rewriter.newestAt
    guard lead > .zero || timelineBase != nil && encoding.timelineOffset != nil && lead >= .zero - Limits.timestampSkew else {
      return false
    }
    return alignment(of: span.timestamp, of: encoding, arrived: span.startedAt) != nil
  }

  /// The next packet that is offered begins a replay, and came when `arrived` says; `nil` once it has been offered.
  package mutating func setReplayedArrival(_ arrived: Instant?) { replayedArrival = arrived }

  /// A packet was sent out of the history that came when `arrived` says. What comes after it in time is measured from there: it was sent later
  /// than it came, and a stream that gives way to another in the midst of a replay would lose as much time as it is behind.
  package mutating func noteReplayed(arrived: Instant, at now: Instant) {
    if rewriter.newestAt == now { rewriter.newestAt = arrived }
  }

  /// What was wished for has not come: the wish may be made again at once.
  package mutating func renewWish() { wish = nil }
}
