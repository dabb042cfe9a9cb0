// One outgoing stream: which packets go, under which numbers, and why (RFC 7667 §3.7, Topo-SFM).

package import EnfiladeWire

/// Chooses layers, moves between them where a decoder survives it, and numbers what goes out.
///
///                     ┌───────────── key picture of the chosen encoding ──────────────┐
///                     ▼                                                               │
///     idle ──key picture──▶ forwarding ──another layer of the same structure──▶ forwarding
///      ▲                        │
///      └──paused, rebound───────┘
///
/// A layer of the same structure is entered upwards at a frame that its decode target calls a switch and whose references went out; and left
/// downwards where everything the lower target needs went out. All else takes a key picture, for which ``pollKeyframeWish(at:)`` asks.
package struct Forwarder: Sendable {
  package internal(set) var selector: LayerSelector
  package internal(set) var rewriter: StreamRewriter
  package internal(set) var log = DecisionLog()
  /// What is chosen; what is sent follows it at the next good frame.
  package internal(set) var wanted: LayerCatalog.Candidate?
  package internal(set) var reason = LayerReason.senderStopped
  var current = Passage()
  /// The one before: its last packets may still be on their way.
  var previous = Passage()
  var acceptableEncodings: UInt8 = .max
  /// What is missed of what its sender does not send, one bit each.
  var missedEncodings: UInt8 = 0
  /// What added to the publication's common time gives ours; unknown until the source's place in it is known.
  var timelineBase: UInt32?
  var timestampRefusals = 0
  /// The timestamp of the newest frame, at the source: where another begins, a picture begins.
  var newestInputTimestamp = RTPTimestamp(0)
  /// A frame that others need could not go out.
  var isBroken = false
  /// The chosen layer cannot be reached without a key picture.
  var needsKeyPicture = false
  /// Another encoding is chosen, with a smaller picture than the one that is sent.
  var isNarrowing = false
  var wish: (encoding: UInt8, at: Instant)?
  /// While the first packet of a replay is offered: when it came.
  var replayedArrival: Instant?

  /// - Parameters:
  ///   - firstSequence: the number of the first packet, random; its low 15 bits count.
  ///   - firstTimestamp: the first timestamp, random.
  package init(firstSequence: UInt16, firstTimestamp: UInt32, target: LayerTarget = LayerTarget()) {
    selector = LayerSelector(target: target)
    rewriter = StreamRewriter(firstSequence: firstSequence, firstTimestamp: firstTimestamp)
  }

  // MARK: Look

  package var target: LayerTarget { selector.target }
  /// The source that is sent, by ``Encoding/serial``; zero for none.
  package var serial: UInt32 { current.serial }
  /// The encoding that is sent, by ``Encoding/index``; meaningless while nothing is.
  package var encoding: UInt8 { current.encoding }
  /// The layer that is sent, when one is.
  package var point: OperatingPoint? { serial == 0 ? nil : current.points.current }
  /// Which encodings this subscriber needs its publisher to send, one bit each.
  package var demandedEncodings: UInt8 {
    var mask = missedEncodings
    if let wanted { mask |= 1 << wanted.encoding }
    if serial != 0, wanted != nil { mask |= 1 << encoding }
    return mask
  }

  // MARK: Verbs

  /// The subscriber wants, or may have, something else. ``choose(from:at:)`` makes it so.
  package mutating func setTarget(_ target: LayerTarget) {
    let allotment = selector.target.allotment
    selector.target = target
    // What is given stays given until the allocator has thought again.
    selector.target.allotment = allotment
  }

  /// Whether the subscriber takes the publication's format at all.
  package mutating func setCodecAccepted(_ isAccepted: Bool) { selector.isCodecAccepted = isAccepted }

  /// What an allocator may choose from for this subscriber; see ``LayerSelector/makeOptions(from:into:)``.
  package func makeOptions(from catalog: borrowing LayerCatalog, into options: inout LayerOptions) {
    selector.makeOptions(from: catalog, into: &options)
  }

  /// An allocator has given something else. ``choose(from:at:)`` makes it so.
  package mutating func setAllotment(_ allotment: LayerAllotment) { selector.target.allotment = allotment }

  /// Chooses anew, among what there is now.
  package mutating func choose(from catalog: borrowing LayerCatalog, at now: Instant) {
    let choice = selector.choose(from: catalog, at: now)
    // An encoding that fell silent for a moment goes on where it was; only a wish to stop ends a stretch.
    if choice.candidate == nil, choice.reason != .senderStopped { stop(choice.reason, at: now) }
    acceptableEncodings = choice.acceptableEncodings
    missedEncodings = choice.missedEncodings
    let isSame =
      wanted?.serial == choice.candidate?.serial && wanted?.layer.spatialID == choice.candidate?.layer.spatialID
      && wanted?.layer.temporalID == choice.candidate?.layer.temporalID
    if !isSame || reason != choice.reason {
      let layer = choice.candidate?.layer ?? Layer()
      log.append(
        DecisionLog.Entry(
          at: now, kind: choice.candidate == nil ? .stopped : .wanted, reason: choice.reason, encoding: choice.candidate?.encoding ?? 0,
          spatialID: layer.spatialID, temporalID: layer.temporalID))
    }
    if !isSame {
      needsKeyPicture = false
      wish = nil
    }
    wanted = choice.candidate
    reason = choice.reason
    isNarrowing = leadsToSmallerPicture(in: catalog)
  }

  /// Whether what is chosen is another encoding, and smaller than what is sent.
  private func leadsToSmallerPicture(in catalog: borrowing LayerCatalog) -> Bool {
    guard let wanted, serial != 0, wanted.serial != serial else { return false }
    let spatialID = current.points.current.spatialID
    for place in 0..<catalog.count where catalog[place].serial == serial && catalog[place].layer.spatialID == spatialID {
      return wanted.pixelCount < catalog[place].pixelCount
    }
    return false
  }

  /// The stream is bound to another publication: nothing is known of it, and its first picture is a key picture.
  ///
  /// - Parameter keepsTimeline: whether the other publication stands on the same line of time as the one before.
  package mutating func rebind(at now: Instant, keepsTimeline: Bool = false) {
    stop(.waitingForKeyframe, at: now)
    wanted = nil
    reason = .senderStopped
    wish = nil
    if !keepsTimeline { timelineBase = nil }
    acceptableEncodings = .max
    missedEncodings = 0
    selector = LayerSelector(target: selector.target)
  }

  /// The stretch ends; the next begins with a key picture.
  mutating func stop(_ reason: LayerReason, at now: Instant) {
    guard serial != 0 else { return }
    previous = current
    // What is still to come of it is placed as late packets of the stretch before.
    rewriter.beginStretch(at: ExtendedSequenceNumber(.max), timestampOffset: rewriter.current.timestampOffset, skew: 0)
    current.serial = 0
    isBroken = false
    needsKeyPicture = false
    log.append(DecisionLog.Entry(at: now, kind: .stopped, reason: reason, encoding: encoding, spatialID: 0, temporalID: 0))
  }

  /// The source with this serial number is over: what comes after it begins with a key picture.
  package mutating func endSource(_ ended: UInt32, at now: Instant) {
    if serial == ended { stop(.senderStopped, at: now) }
  }

  // MARK: Poll

  /// The encoding whose key frame is awaited, once for each wish and again when it stays away; `nil` when there is nothing to ask.
  package mutating func pollKeyframeWish(at now: Instant) -> UInt8? {
    guard let wanted else { return nil }
    let asked: UInt8
    if wanted.serial != serial {
      asked = wanted.encoding
    } else if isBroken || needsKeyPicture {
      asked = encoding
    } else {
      wish = nil
      return nil
    }
    if let wish, wish.encoding == asked, now - wish.at < Limits.keyframeWishInterval { return nil }
    if wish?.encoding != asked {
      log.append(
        DecisionLog.Entry(
          at: now, kind: .awaited, reason: isBroken && wanted.serial == serial ? .brokenReference : .waitingForKeyframe, encoding: asked,
          spatialID: wanted.layer.spatialID, temporalID: wanted.layer.temporalID))
    }
    wish = (asked, now)
    return asked
  }
}
