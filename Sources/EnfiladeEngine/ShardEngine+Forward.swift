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
      let fanOut = publications[inbound[Int(packets[nextPacket].inbound)].publication].subscribers.count
      if records.count > 0, records.count + fanOut > Self.recordCapacity { return }
      forward(nextPacket, at: now)
      nextPacket += 1
    }
  }

  private mutating func forward(_ index: Int, at now: Instant) {
    let publication = inbound[Int(packets[index].inbound)].publication
    guard isCurrent(packets[index].inbound, of: publication) else { return }
    guard !publications[publication].isMuted else { return drops.count(.publicationMuted) }
    var position = 0
    while position < publications[publication].subscribers.count {
      forward(index, to: Int(publications[publication].subscribers[position]), at: now)
      position += 1
    }
    let stream = Int(packets[index].inbound)
    inbound[stream].newestForwarded = max(inbound[stream].newestForwarded, packets[index].sequence)
  }

  private mutating func forward(_ index: Int, to stream: Int, at now: Instant) {
    let source = inbound[Int(packets[index].inbound)].serial
    let isBeginning = outbound[stream].source != source
    guard let payloadType = outbound[stream].payloadTypes.payloadType(for: packets[index].format) else {
      if !isBeginning { outbound[stream].rewriter.leaveOut(packets[index].sequence) }
      return drops.count(.codecNotNegotiated)
    }
    if isBeginning {
      // A decoder can only begin at a key frame, whoever sent the last picture.
      guard packets[index].startsKeyframe || outbound[stream].kind == .audio else {
        if packets[index].view.payloadByteCount > 0 { requestKeyframe(of: Int(packets[index].inbound), for: .newSubscriber, at: now) }
        return drops.count(.waitingForKeyframe)
      }
      // Nobody begins behind what came before: it would be sent what it has, or miss what will not come again.
      let goesBack =
        outbound[stream].lastSource == source && packets[index].sequence <= outbound[stream].rewriter.newestInput
        || outbound[stream].kind == .audio && packets[index].sequence < inbound[Int(packets[index].inbound)].newestForwarded
      guard !goesBack else { return drops.count(.olderThanSwitch) }
      outbound[stream].source = source
      outbound[stream].lastSource = source
      outbound[stream].stretch &+= 1
      outbound[stream].rewriter.switchSource(
        at: packets[index].sequence, timestamp: packets[index].view.timestamp, clockRate: packets[index].format.clockRate, now: now)
    }
    place(index, in: stream, payloadType: payloadType, at: now)
    if isBeginning, outbound[stream].kind == .video { replay(after: index, in: stream, at: now) }
  }

  /// Numbers a packet in an outgoing stream, and remembers it for repair.
  private mutating func place(_ index: Int, in stream: Int, payloadType: PayloadType, at now: Instant) {
    guard packets[index].view.payloadByteCount > 0 else {
      outbound[stream].rewriter.leaveOut(packets[index].sequence)
      return drops.count(.paddingOnly)
    }
    guard let placement = outbound[stream].rewriter.place(packets[index].sequence, timestamp: packets[index].view.timestamp, now: now)
    else {
      return drops.count(.olderThanSwitch)
    }
    outbound[stream].map.insert(
      placement.sequence,
      from: PacketSource(
        generation: UInt16(truncatingIfNeeded: outbound[stream].source), note: outbound[stream].stretch, input: packets[index].sequence))
    append(
      EgressRecord(
        stream: Int32(stream), packet: Int32(index), payloadType: payloadType, isRetransmission: false, sequence: placement.sequence,
        timestamp: placement.timestamp), link: outbound[stream].link)
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
      guard let payloadType = outbound[stream].payloadTypes.payloadType(for: entry.metadata.format) else {
        outbound[stream].rewriter.leaveOut(entry.sequence)
        continue
      }
      guard let recalled = recall(entry, of: source) else { return }
      place(recalled, in: stream, payloadType: payloadType, at: now)
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
    guard records.count < records.capacity else { return drops.count(.egressFull) }
    let index = Int32(records.count)
    records.append(record)
    if links[link].lastRecord >= 0 {
      records[Int(links[link].lastRecord)].next = index
    } else {
      links[link].firstRecord = index
    }
    links[link].lastRecord = index
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
