// From one packet to a record for each subscriber: gate, number, remember. Writing and encryption come later, together.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeTransport
import EnfiladeWire

extension ShardEngine {
  /// Decides packets of this turn until the records are full or all are decided.
  mutating func forwardPending(at now: Instant) {
    while nextPacket < packets.count {
      // A repair has its record already, and the stream of a packet that is withdrawn may be gone.
      if packets[nextPacket].isRepair {
        nextPacket += 1
        continue
      }
      let end = endOfRun(from: nextPacket)
      guard end > nextPacket else { return }
      forward(nextPacket..<end, at: now)
      nextPacket = end
    }
  }

  /// Where the packets of one stream that follow one another end, or those for which the records have room: none when they are full. An empty
  /// list of records always has room for one.
  private func endOfRun(from start: Int) -> Int {
    let stream = packets[start].inbound
    let fanOut = publications[inbound[Int(stream)].publication].subscribers.count
    let room = fanOut == 0 ? packets.count : (Self.recordCapacity - records.count) / fanOut
    let limit = min(packets.count, start + (records.isEmpty ? max(1, room) : room))
    var end = start
    while end < limit, packets[end].inbound == stream, !packets[end].isRepair { end += 1 }
    return end
  }

  /// Decides a run for each subscriber in turn, so that what is known of a subscriber is fetched once for a frame and not for each packet.
  private mutating func forward(_ run: Range<Int>, at now: Instant) {
    let stream = Int(packets[run.lowerBound].inbound)
    let publication = inbound[stream].publication
    guard isCurrent(Int32(stream), of: publication) else { return }
    guard !publications[publication].isMuted else { return drops.count(.publicationMuted, by: UInt64(run.count)) }
    var position = 0
    while position < publications[publication].subscribers.count {
      fetchAhead(of: position, in: publication)
      forward(run, of: stream, to: Int(publications[publication].subscribers[position]), at: now)
      position += 1
    }
  }

  /// Begins to bring in what the next subscribers' turn asks for, so that it is here by then: among hundreds of them it never is by itself.
  @inline(__always)
  private func fetchAhead(of position: Int, in publication: Int) {
    let count = publications[publication].subscribers.count
    if position + 2 < count { outbound.prefetch(Int(publications[publication].subscribers[position + 2]), byteCount: 2048) }
    if position + 1 < count {
      let next = Int(publications[publication].subscribers[position + 1])
      outbound[next].map.prefetchNext()
      links.prefetch(outbound[next].link, byteCount: 64)
    }
  }

  private mutating func forward(_ run: Range<Int>, of source: Int, to stream: Int, at now: Instant) {
    var first = records.count
    let isReplaying = outbound[stream].isReplaying
    for index in run {
      if isReplaying, isLeftToReplay(index, for: stream) { continue }
      guard decide(index, of: source, for: stream, at: now) else { continue }
      settleRecords(from: first, of: stream)
      catchUp(after: index, in: stream, at: now)
      first = records.count
    }
    settleRecords(from: first, of: stream)
  }

  /// Decides about a packet for one subscriber, and leaves a record that belongs to no link yet when it goes out.
  ///
  /// - Returns: whether the subscriber begins with this packet, and should have what overtook it.
  @inline(__always)
  private mutating func decide(_ index: Int, of source: Int, for stream: Int, at now: Instant) -> Bool {
    guard !records.isFull else {
      drops.count(.egressFull)
      return false
    }
    let last = records.add(stream: Int32(stream), packet: Int32(index))
    switch Self.decide(&outbound, stream, packets, index, inbound, source, into: &records[last], at: now) {
    case .send:
      if outbound[stream].redundancyDistance > 0 { addRedundancy(to: last) }
      return false
    case .begin: return outbound[stream].kind == .video
    case .drop(let reason):
      records.removeLast()
      drops.count(reason)
      // These last until a key frame comes: is one asked for?
      if reason == .waitingForKeyframe || reason == .undecodable { askForKeyframe(for: stream, at: now) }
      return false
    }
  }

  /// Several tables at once, of which one is changed: as parameters, they do not overlap.
  @inline(__always)
  private static func decide(
    _ outbound: inout Pool<OutboundStream>, _ stream: Int, _ packets: borrowing UniqueArray<Packet>, _ index: Int,
    _ inbound: borrowing Pool<InboundStream>, _ source: Int, into record: inout EgressRecord, at now: Instant
  ) -> OutboundStream.Decision {
    outbound[stream].decide(
      packets[index].forward, format: packets[index].format,
      payloadByteCount: packets[index].payloadByteCount(isStripped: outbound[stream].payloadTypes.stripsRedundancy),
      of: inbound[source].encoding, at: now, into: &record)
  }

  /// Gives who begins with a key frame the rest of it that is here already: packets overtake one another, and the first may have been lost
  /// and asked for again.
  private mutating func catchUp(after index: Int, in stream: Int, at now: Instant) {
    let source = Int(packets[index].inbound)
    let end = packets.count
    var last = packets[index].sequence
    while let entry = inbound[source].history.next(after: last) {
      last = entry.sequence
      // What is still to be decided in this turn comes by itself.
      let isPending = (index + 1..<end).contains {
        !packets[$0].isRepair && packets[$0].inbound == Int32(source) && packets[$0].sequence == entry.sequence
      }
      guard !isPending, !entry.metadata.isUnread else { continue }
      guard let recalled = recall(entry, of: source) else { return }
      decideAlone(recalled, of: source, for: stream, at: now)
    }
  }

  /// Decides about a packet that was recalled for one subscriber.
  mutating func decideAlone(_ packet: Int, of source: Int, for stream: Int, at now: Instant) {
    let first = records.count
    _ = decide(packet, of: source, for: stream, at: now)
    settleRecords(from: first, of: stream)
  }

  /// Puts a packet of a history into this turn, for one subscriber alone, and gives its place; `nil` when the turn is full.
  mutating func recall(_ entry: PacketHistory<HistoryNote>.Entry, of source: Int) -> Int? {
    guard packets.count < packets.capacity, var packet = remake(entry, of: source) else {
      drops.count(.egressFull)
      return nil
    }
    packet.isRepair = true
    slab.retain(entry.handle)
    packets.append(packet)
    return packets.count - 1
  }

  /// A packet of a history as it was when it came. Whoever keeps it takes a reference of its own.
  func remake(_ entry: PacketHistory<HistoryNote>.Entry, of source: Int) -> Packet? {
    let start = Int(entry.metadata.start)
    let byteCount = Int(entry.metadata.byteCount)
    // Sound: the history's reference keeps the slot; nothing is inserted into it in this function.
    guard let bytes = unsafe slab.lentBytes(of: entry.handle, from: start, count: byteCount),
      case .success(let view) = RTPPacketView.parse(bytes)
    else { return nil }
    var packet = Packet(
      handle: entry.handle, start: start, byteCount: byteCount, inbound: Int32(source), format: entry.metadata.format,
      frame: entry.metadata.frame, sequence: entry.sequence, view: view,
      extensions: RTPExtensions(view, in: bytes, map: inbound[source].extensions))
    if packet.format == .red { packet.redundancy = PrimaryBlock(view.payload(in: bytes)) }
    return packet
  }

  /// Leaves a record for a packet that was sent before, at the end of its link's list.
  mutating func append(
    again sent: SentPacket, as sequence: ExtendedSequenceNumber, packet: Int, stream: Int, payloadType: PayloadType, link: Int
  ) {
    guard !records.isFull else { return drops.count(.egressFull) }
    let index = records.add(stream: Int32(stream), packet: Int32(packet))
    records[index].payloadType = payloadType
    records[index].isRetransmission = true
    records[index].sequence = sequence
    records[index].sent = sent
    records[index].payloadByteCount = sent.isFiller ? 0 : UInt16(packets[packet].view.payloadByteCount)
    attachRecords(from: index, to: link)
  }

  /// Remembers what was decided for a stream, from `first` to the last, and puts it at the end of its link's list. Not packet by packet: a
  /// record that was just written would have to be waited for.
  private mutating func settleRecords(from first: Int, of stream: Int) {
    for index in first..<records.count { Self.remember(index, of: records, in: &outbound, stream) }
    attachRecords(from: first, to: outbound[stream].link)
  }

  @inline(__always)
  private static func remember(_ index: Int, of records: borrowing RecordList, in outbound: inout Pool<OutboundStream>, _ stream: Int) {
    outbound[stream].remember(records[index])
  }

  /// Puts the records from `first` to the last at the end of a link's list.
  private mutating func attachRecords(from first: Int, to link: Int) {
    let last = records.count - 1
    guard first <= last else { return }
    records[last].next = -1
    if links[link].lastRecord >= 0 {
      records[Int(links[link].lastRecord)].next = Int32(first)
    } else {
      links[link].firstRecord = Int32(first)
    }
    links[link].lastRecord = Int32(last)
    markDirty(link)
  }

  /// Whether an inbound stream is what its publication's encoding consists of now.
  func isCurrent(_ stream: Int32, of publication: Int) -> Bool {
    publications[publication].encodings[Int(inbound[Int(stream)].encoding.index)] == stream
  }

  /// The inbound stream whose packets an outgoing one carries; `nil` before the first, and when that stream has ended.
  func forwardedInbound(of stream: Int) -> Int? {
    let publication = Int(outbound[stream].publication)
    guard publication >= 0 else { return nil }
    for encoding in 0..<Limits.encodingCount {
      let candidate = Int(publications[publication].encodings[encoding])
      if candidate >= 0, inbound[candidate].encoding.serial == outbound[stream].forwarder.serial { return candidate }
    }
    return nil
  }

  /// Asks the publisher of an inbound stream for a key frame, as often as is good for it.
  mutating func requestKeyframe(of stream: Int, for reason: KeyframeRequester.Reason, at now: Instant) {
    guard inbound[stream].kind == .video else { return }
    guard inbound[stream].mirrored == nil else { return askHomeForKeyframe(of: stream, for: reason, at: now) }
    let link = inbound[stream].link
    inbound[stream].keyframes.roundTripTime = links[link].roundTripTime
    if case .send(let request) = inbound[stream].keyframes.request(reason, at: now) {
      inbound[stream].keyframeRequest = request
      oweRTCP(link)
    }
    deadlines.advance(inbound[stream].keyframes.nextDeadline, for: link)
  }
}
