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
      let fanOut = publications[inbound[Int(packets[nextPacket].inbound)].publication].subscribers.count
      if records.count > 0, records.count + fanOut > Self.recordCapacity { return }
      forward(nextPacket, at: now)
      nextPacket += 1
    }
  }

  private mutating func forward(_ index: Int, at now: Instant) {
    let publication = inbound[Int(packets[index].inbound)].publication
    guard !packets[index].isRepair, publications[publication].currentInbound == packets[index].inbound else { return }
    guard !publications[publication].isMuted else { return drops.count(.publicationMuted) }
    var position = 0
    while position < publications[publication].subscribers.count {
      forward(index, to: Int(publications[publication].subscribers[position]), at: now)
      position += 1
    }
  }

  private mutating func forward(_ index: Int, to stream: Int, at now: Instant) {
    let source = inbound[Int(packets[index].inbound)].serial
    guard let payloadType = outbound[stream].payloadTypes.payloadType(for: packets[index].format) else {
      return drops.count(.codecNotNegotiated)
    }
    if outbound[stream].source != source {
      // A decoder can only begin at a key frame, whoever sent the last picture.
      guard packets[index].startsKeyframe || outbound[stream].kind == .audio else {
        if packets[index].view.payloadByteCount > 0 { requestKeyframe(of: Int(packets[index].inbound), for: .newSubscriber, at: now) }
        return drops.count(.waitingForKeyframe)
      }
      outbound[stream].source = source
      outbound[stream].rewriter.switchSource(
        at: packets[index].sequence, timestamp: packets[index].view.timestamp, clockRate: packets[index].format.clockRate, now: now)
    }
    guard packets[index].view.payloadByteCount > 0 else {
      outbound[stream].rewriter.leaveOut(packets[index].sequence)
      return drops.count(.paddingOnly)
    }
    guard let placement = outbound[stream].rewriter.place(packets[index].sequence, timestamp: packets[index].view.timestamp, now: now) else {
      return drops.count(.olderThanSwitch)
    }
    outbound[stream].map.insert(
      placement.sequence, from: PacketSource(generation: UInt16(truncatingIfNeeded: source), input: packets[index].sequence))
    append(
      EgressRecord(
        stream: Int32(stream), packet: Int32(index), payloadType: payloadType, isRetransmission: false, sequence: placement.sequence,
        timestamp: placement.timestamp), link: outbound[stream].link)
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

  /// Asks the publisher of an inbound stream for a key frame, as often as is good for it.
  mutating func requestKeyframe(of stream: Int, for reason: KeyframeRequester.Reason, at now: Instant) {
    guard inbound[stream].kind == .video else { return }
    let link = inbound[stream].link
    inbound[stream].keyframes.roundTripTime = links[link].roundTripTime
    if case .send(let request) = inbound[stream].keyframes.request(reason, at: now) {
      inbound[stream].keyframeRequest = request
      oweRTCP(link)
    }
    deadlines.advance(inbound[stream].keyframes.nextDeadline, for: link)
  }
}
