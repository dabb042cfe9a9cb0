// A joiner's first picture out of the history: the last key picture and what follows it, paced, until the subscriber has caught up. Nobody
// upstream is asked.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeTransport
import EnfiladeWire

extension ShardEngine {
  /// How soon a replay that found the turn full tries again.
  private static var replayRetryInterval: TimeDelta { .milliseconds(1) }

  /// Serves an outgoing stream that waits for a key picture of `source` from the history, if there is one that will do.
  ///
  /// - Returns: `false` when the publisher has to be asked.
  mutating func startReplay(of source: Int, for stream: Int, at now: Instant) -> Bool {
    guard outbound[stream].kind == .video, let span = inbound[source].encoding.keyframeSpan,
      !publications[inbound[source].publication].isMuted, let newest = inbound[source].history.newest,
      inbound[source].history.find(span.start) != nil, Self.canReplay(span, inbound, source, outbound, stream, at: now)
    else { return false }
    let link = outbound[stream].link
    let bitrate = Self.bitrate(of: inbound[source].encoding, over: span, at: now)
    let replay = KeyframeReplay(
      span, serial: inbound[source].encoding.serial, newest: newest, asking: askingTime(of: source, at: now),
      pace: replayPace(to: link, of: bitrate), bitrate: bitrate, at: now)
    guard let replay else { return false }
    outbound[stream].replay = replay
    traffic.replays &+= 1
    newReplays.append(Int32(link))
    return true
  }

  private static func canReplay(
    _ span: KeyframeSpan, _ inbound: borrowing Pool<InboundStream>, _ source: Int, _ outbound: borrowing Pool<OutboundStream>,
    _ stream: Int,
    at now: Instant
  ) -> Bool {
    outbound[stream].forwarder.canReplay(span, of: inbound[source].encoding, at: now)
  }

  /// What an encoding has taken of late: what was measured for its layers together, or since its key picture.
  private static func bitrate(of encoding: borrowing Encoding, over span: KeyframeSpan, at now: Instant) -> Bitrate {
    var highest = Bitrate.zero
    for index in 0..<encoding.details.layers.count { highest = max(highest, encoding.details.layers[index].bitrate) }
    // The key picture itself is no measure of what follows it.
    let following = DataSize.bytes(span.byteCount - span.pictureByteCount).rate(over: max(.milliseconds(200), now - span.startedAt))
    return max(highest, following)
  }

  /// How long a key picture takes that is asked for now: the way to the publisher and back, and its encoder.
  private func askingTime(of source: Int, at now: Instant) -> TimeDelta {
    let link = inbound[source].link
    let trip = link >= 0 ? links[link].roundTripTime : Limits.assumedRoundTripTime
    return trip + Limits.keyframeEncodingTime
  }

  /// What a replay may take of a subscriber's path.
  private func replayPace(to link: Int, of bitrate: Bitrate) -> Bitrate {
    let fast = Bitrate.bitsPerSecond(bitrate.bitsPerSecond * Limits.replaySpeed)
    return min(Limits.replayPaceCeiling, max(Limits.replayPaceFloor, fast))
  }

  // MARK: Running

  /// Whether a packet of this turn is left to the replay that runs for a stream.
  func isLeftToReplay(_ packet: Int, for stream: Int) -> Bool {
    guard let replay = outbound[stream].replay, inbound[Int(packets[packet].inbound)].encoding.serial == replay.serial else { return false }
    // What comes late, behind the replay, takes its place at once.
    return packets[packet].sequence > replay.last
  }

  /// Begins the replays of this turn.
  mutating func pollNewReplays(at now: Instant) {
    for position in 0..<newReplays.count {
      let link = Int(newReplays[position])
      guard links.contains(link), canSend(to: link) else { continue }
      pollReplays(of: link, at: now)
      deadlines.advance(links[link].nextReplay, for: link)
    }
    newReplays.removeAll(keepingCapacity: true)
  }

  /// Sends what is due of a link's replays.
  mutating func pollReplays(of link: Int, at now: Instant) {
    var next = Instant.distantFuture
    for position in 0..<links[link].outbound.count {
      let stream = Int(links[link].outbound[position])
      guard outbound[stream].isReplaying else { continue }
      pollReplay(for: stream, at: now)
      if let replay = outbound[stream].replay { next = min(next, replay.nextDeadline) }
    }
    links[link].nextReplay = next
  }

  private mutating func pollReplay(for stream: Int, at now: Instant) {
    guard let source = replayedInbound(of: stream) else { return endReplay(for: stream, at: now) }
    while true {
      guard packets.count < packets.capacity, !records.isFull else {
        outbound[stream].replay?.postpone(until: now + Self.replayRetryInterval)
        return
      }
      let isFirst = outbound[stream].replay?.isAtStart ?? false
      guard let entry = Self.pollReplay(&outbound, stream, inbound, source, at: now) else { break }
      // What could not be read is not sent; if it can be one day, it comes late.
      guard !entry.metadata.isUnread, let recalled = recall(entry, of: source) else { continue }
      if isFirst { outbound[stream].forwarder.setReplayedArrival(inbound[source].encoding.keyframeSpan?.startedAt ?? now) }
      decideAlone(recalled, of: source, for: stream, at: now)
      outbound[stream].forwarder.setReplayedArrival(nil)
      // The forwarder has the last word: it may want something else by now, or have gone elsewhere.
      guard outbound[stream].forwarder.serial == inbound[source].encoding.serial else {
        outbound[stream].replay = nil
        return requestKeyframe(of: source, for: .newSubscriber, at: now)
      }
      if let span = inbound[source].encoding.keyframeSpan {
        let arrived = span.arrival(
          of: packets[recalled].view.timestamp, clockRate: inbound[source].encoding.clockRate, before: now)
        outbound[stream].forwarder.noteReplayed(arrived: arrived, at: now)
      }
    }
    if let newest = inbound[source].history.newest, outbound[stream].replay?.isFinished(newest: newest) ?? true {
      outbound[stream].replay = nil
    }
  }

  /// Two tables at once, of which one is changed.
  private static func pollReplay(
    _ outbound: inout Pool<OutboundStream>, _ stream: Int, _ inbound: borrowing Pool<InboundStream>, _ source: Int, at now: Instant
  ) -> PacketHistory<HistoryNote>.Entry? {
    outbound[stream].replay?.poll(inbound[source].history, byteCount: { Int($0.byteCount) }, at: now)
  }

  /// The inbound stream that is replayed, if it is there and still to be sent.
  private func replayedInbound(of stream: Int) -> Int? {
    let publication = Int(outbound[stream].publication)
    guard publication >= 0, !publications[publication].isMuted, let replay = outbound[stream].replay else { return nil }
    for encoding in 0..<Limits.encodingCount {
      let candidate = Int(publications[publication].encodings[encoding])
      guard candidate >= 0, inbound[candidate].encoding.serial == replay.serial else { continue }
      let isWanted = outbound[stream].forwarder.wanted?.serial == replay.serial
      return replay.isAtStart && !isWanted || !replay.isAtStart && outbound[stream].forwarder.serial != replay.serial ? nil : candidate
    }
    return nil
  }

  /// What was replayed is gone, or not wanted any more: what is wanted now is wished for anew.
  private mutating func endReplay(for stream: Int, at now: Instant) {
    outbound[stream].replay = nil
    outbound[stream].forwarder.renewWish()
    askForKeyframe(for: stream, at: now)
  }
}
