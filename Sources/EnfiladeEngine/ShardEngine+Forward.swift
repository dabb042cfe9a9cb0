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
    let source = inbound[stream].serial
    var position = 0
    while position < publications[publication].subscribers.count {
      forward(run, of: source, to: Int(publications[publication].subscribers[position]), at: now)
      position += 1
    }
    for index in run { inbound[stream].newestForwarded = max(inbound[stream].newestForwarded, packets[index].sequence) }
  }

  private mutating func forward(_ run: Range<Int>, of source: UInt32, to stream: Int, at now: Instant) {
    let link = outbound[stream].link
    var first = records.count
    for index in run {
      let isBeginning = outbound[stream].source != source
      if isBeginning {
        attachRecords(from: first, to: link)
        first = records.count
        guard begin(at: index, in: run, of: source, stream: stream, at: now) else { continue }
      }
      place(index, in: stream, at: now)
      guard isBeginning, outbound[stream].kind == .video else { continue }
      attachRecords(from: first, to: link)
      replay(after: index, in: stream, at: now)
      first = records.count
    }
    attachRecords(from: first, to: link)
  }

  /// Lets an outgoing stream follow a source from this packet on, if one can begin there.
  private mutating func begin(at index: Int, in run: Range<Int>, of source: UInt32, stream: Int, at now: Instant) -> Bool {
    guard outbound[stream].payloadTypes.payloadType(for: packets[index].format) != nil else {
      drops.count(.codecNotNegotiated)
      return false
    }
    guard wantedInbound(of: stream) == Int(packets[index].inbound) else {
      drops.count(.otherEncoding)
      return false
    }
    // A decoder can only begin at a key frame, whoever sent the last picture.
    guard packets[index].startsKeyframe || outbound[stream].kind == .audio else {
      if packets[index].view.payloadByteCount > 0 { requestKeyframe(of: Int(packets[index].inbound), for: .newSubscriber, at: now) }
      drops.count(.waitingForKeyframe)
      return false
    }
    var newestForwarded = inbound[Int(packets[index].inbound)].newestForwarded
    for earlier in run.lowerBound..<index { newestForwarded = max(newestForwarded, packets[earlier].sequence) }
    // Nobody begins behind what came before: it would be sent what it has, or miss what will not come again.
    let goesBack =
      outbound[stream].lastSource == source && packets[index].sequence <= outbound[stream].rewriter.newestInput
      || outbound[stream].kind == .audio && packets[index].sequence < newestForwarded
    guard !goesBack else {
      drops.count(.olderThanSwitch)
      return false
    }
    outbound[stream].source = source
    outbound[stream].lastSource = source
    outbound[stream].stretch &+= 1
    outbound[stream].rewriter.switchSource(
      at: packets[index].sequence, timestamp: packets[index].view.timestamp, clockRate: packets[index].format.clockRate, now: now)
    return true
  }

  /// Numbers a packet in an outgoing stream, remembers it for repair, and leaves a record that belongs to no link yet.
  private mutating func place(_ index: Int, in stream: Int, at now: Instant) {
    let verdict = outbound[stream].place(
      packets[index].sequence, timestamp: packets[index].view.timestamp, format: packets[index].format,
      payloadByteCount: packets[index].view.payloadByteCount, at: now)
    switch verdict {
    case .placed(let placement, let payloadType):
      append(
        EgressRecord(
          stream: Int32(stream), packet: Int32(index), payloadType: payloadType, isRetransmission: false, sequence: placement.sequence,
          timestamp: placement.timestamp))
    case .dropped(let reason): drops.count(reason)
    }
  }

  /// Gives who begins with a key frame the rest of it that is here already: packets overtake one another, and the first may have been lost
  /// and asked for again.
  private mutating func replay(after index: Int, in stream: Int, at now: Instant) {
    let source = Int(packets[index].inbound)
    let end = packets.count
    var last = packets[index].sequence
    while let entry = inbound[source].history.next(after: last) {
      last = entry.sequence
      // What is still to be decided in this turn comes by itself.
      let isPending = (index + 1..<end).contains {
        !packets[$0].isRepair && packets[$0].inbound == Int32(source) && packets[$0].sequence == entry.sequence
      }
      guard !isPending else { continue }
      guard outbound[stream].payloadTypes.payloadType(for: entry.metadata.format) != nil else {
        outbound[stream].rewriter.leaveOut(entry.sequence)
        continue
      }
      guard let recalled = recall(entry, of: source) else { return }
      let first = records.count
      place(recalled, in: stream, at: now)
      attachRecords(from: first, to: outbound[stream].link)
    }
  }

  /// Puts a packet of a history into this turn, for one subscriber alone, and gives its place; `nil` when the turn is full.
  mutating func recall(_ entry: PacketHistory<HistoryNote>.Entry, of source: Int) -> Int? {
    let start = Int(entry.metadata.start)
    let byteCount = Int(entry.metadata.byteCount)
    // Sound: the history's reference keeps the slot; nothing is inserted into it in this function.
    guard packets.count < packets.capacity, let bytes = unsafe slab.lentBytes(of: entry.handle, from: start, count: byteCount),
      case .success(let view) = RTPPacketView.parse(bytes)
    else {
      drops.count(.egressFull)
      return nil
    }
    let extensions = RTPExtensions(view, in: bytes, map: inbound[source].extensions)
    slab.retain(entry.handle)
    packets.append(
      Packet(
        handle: entry.handle, start: start, byteCount: byteCount, inbound: Int32(source), format: entry.metadata.format,
        startsKeyframe: false,
        isRepair: true, sequence: entry.sequence, view: view, extensions: extensions))
    return packets.count - 1
  }

  /// Puts a record at the end of its link's list.
  mutating func append(_ record: EgressRecord, link: Int) {
    let first = records.count
    append(record)
    attachRecords(from: first, to: link)
  }

  /// Puts a record behind the others, as the successor of the one before it.
  private mutating func append(_ record: EgressRecord) {
    guard records.count < records.capacity else { return drops.count(.egressFull) }
    var record = record
    record.next = Int32(records.count + 1)
    record.payloadByteCount = UInt16(packets[Int(record.packet)].view.payloadByteCount)
    records.append(record)
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
    publications[publication].encodings[inbound[Int(stream)].encoding] == stream
  }

  /// The inbound stream whose packets an outgoing one carries; `nil` before the first, and when that stream has ended.
  func forwardedInbound(of stream: Int) -> Int? {
    let publication = Int(outbound[stream].publication)
    guard publication >= 0 else { return nil }
    for encoding in 0..<PublicationState.encodingCapacity {
      let candidate = Int(publications[publication].encodings[encoding])
      if candidate >= 0, inbound[candidate].serial == outbound[stream].source { return candidate }
    }
    return nil
  }

  /// The inbound stream that an outgoing one is to carry; `nil` when nothing has begun.
  func wantedInbound(of stream: Int) -> Int? {
    let publication = Int(outbound[stream].publication)
    guard publication >= 0 else { return nil }
    for encoding in (0..<PublicationState.encodingCapacity).reversed() {
      let candidate = Int(publications[publication].encodings[encoding])
      if candidate >= 0 { return candidate }
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
