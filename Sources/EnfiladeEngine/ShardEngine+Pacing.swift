// When the packets of a controlled link leave: at once as long as its pacer is open, in its order and time when it is not.

import EnfiladeCongestion
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeTransport
import EnfiladeWire

extension ShardEngine {
  /// Writes what a link's pacer lets go, and holds back the rest.
  ///
  /// - Returns: `false` when the stage ran out of room before the end.
  mutating func writePaced(_ link: Int, session: ProtectorSession, at now: Instant) -> Bool {
    let downlink = Int(links[link].downlink)
    let overhead = links[link].profile.rtpOverheadByteCount
    links[link].owesDepartures = false
    departures.begin(at: downlinks[downlink].nextNumber, isByStream: downlinks[downlink].feedback == .byStream)
    defer {
      downlinks[downlink].nextNumber = departures.number
      departures.end()
    }
    let credit = downlinks[downlink].pacer.openByteCount(at: now)
    var next = write(upTo: credit, from: links[link].firstRecord, link: link, session: session, overhead: overhead, at: now)
    let isQuiet = settleOpen(downlink, at: now)
    links[link].firstRecord = next
    // Nothing waits and nothing is tried out: the usual case ends here.
    if next < 0, isQuiet { return true }
    while next >= 0, egress.hasRoom {
      let record = records[Int(next)]
      next = record.next
      admit(record, link: link, downlink: downlink, session: session, overhead: overhead, at: now)
    }
    links[link].firstRecord = next
    guard next < 0, releaseWaiting(link: link, downlink: downlink, session: session, overhead: overhead, at: now) else { return false }
    drainController(link, at: now)
    deadlines.move(downlinks[downlink].nextDeadline, for: link)
    return true
  }

  /// Tells a link's pacer and controller what was written while the pacer was open.
  ///
  /// - Returns: whether nothing else is to be done, and no deadline has moved.
  @inline(__always)
  private mutating func settleOpen(_ downlink: Int, at now: Instant) -> Bool {
    guard departures.packetCount > 0 else { return downlinks[downlink].pacer.isFree }
    let isQuiet = Self.noteOpen(&departures, in: &downlinks[downlink], at: now)
    departures.restart()
    return isQuiet
  }

  private static func noteOpen(_ departures: inout Departures, in downlink: inout LinkCongestion, at now: Instant) -> Bool {
    // An idle controller begins to look at the time with the first packet, and the very first one starts probes.
    let wasIdle = downlink.controller.nextUpdate == .distantFuture
    downlink.pacer.handleImmediate(packetCount: departures.packetCount, byteCount: departures.byteCount)
    note(&departures, in: &downlink, probe: .none, at: now)
    return !wasIdle && downlink.pacer.isFree
  }

  /// Tells the link's controller what was written since the last time.
  private mutating func settleDepartures(_ downlink: Int, probe: ProbeID = .none, at now: Instant) {
    guard departures.packetCount > 0 else { return }
    Self.note(&departures, in: &downlinks[downlink], probe: probe, at: now)
    departures.restart()
  }

  private static func note(_ departures: inout Departures, in downlink: inout LinkCongestion, probe: ProbeID, at now: Instant) {
    departures.endRun()
    downlink.noteFirstDeparture(at: now)
    if departures.reservedByteCount > 0 { downlink.noteReserved(byteCount: departures.reservedByteCount) }
    downlink.controller.handleSent(departures.first, departures.runs.span, probe: probe, at: now)
    if departures.unnumberedByteCount > 0 {
      downlink.controller.handleUnreportedSending(byteCount: departures.unnumberedByteCount, at: now)
    }
  }

  /// Asks the pacer about one packet.
  private mutating func admit(
    _ record: EgressRecord, link: Int, downlink: Int, session: ProtectorSession, overhead: Int, at now: Instant
  ) {
    let stream = Int(record.stream)
    guard outbound.contains(stream), outbound[stream].link == link else { return }
    guard inbound.contains(Int(packets[Int(record.packet)].inbound)) else {
      // Its source ended in this turn, and may not be here any more when its time comes.
      write(record, level: 0, link: link, session: session, overhead: overhead, at: now)
      return settleDepartures(downlink, at: now)
    }
    let purpose: PacketPurpose = record.isRetransmission ? .retransmission : outbound[stream].kind == .audio ? .audio : .video
    guard !waiting.isFull || purpose == .audio else { return drops.count(.pacerFull) }
    let byteCount = Int(record.payloadByteCount) + Self.usualHeaderByteCount + overhead
    let name = waiting.isFull ? -1 : waiting.nextName
    switch downlinks[downlink].pacer.admit(name, byteCount: byteCount, purpose: purpose, at: now) {
    case .now(let probe):
      write(record, level: 0, link: link, session: session, overhead: overhead, at: now)
      settleDepartures(downlink, probe: probe, at: now)
    case .queued: hold(record, ssrc: outbound[stream].ssrc)
    case .full: drops.count(.pacerFull)
    }
  }

  /// A fixed header and a transport-wide number: what a packet is taken to need before its header is written.
  private static var usualHeaderByteCount: Int { 20 }

  /// Keeps a packet of this turn beyond the turn.
  private mutating func hold(_ record: EgressRecord, ssrc: SSRC) {
    let index = Int(record.packet)
    let source = Int(packets[index].inbound)
    slab.retain(packets[index].handle)
    waiting.insert(
      .init(
        record: record, handle: packets[index].handle, note: HistoryNote(packets[index]), sequence: packets[index].sequence,
        inbound: packets[index].inbound, serial: inbound[source].serial, ssrc: ssrc))
  }

  /// Sends what has waited long enough, and what a probe wants sent.
  ///
  /// - Returns: `false` when the stage ran out of room before the end.
  private mutating func releaseWaiting(link: Int, downlink: Int, session: ProtectorSession, overhead: Int, at now: Instant) -> Bool {
    while true {
      guard egress.hasRoom else { return false }
      // The turn's own room: what is left goes in the next one, which is due at once.
      guard packets.count < packets.capacity else { return true }
      switch downlinks[downlink].pacer.poll(at: now) {
      case nil: return true
      case .packet(let name, _, _, let probe):
        guard let record = takeWaiting(name, link: link) else { continue }
        write(record, level: 0, link: link, session: session, overhead: overhead, at: now)
        settleDepartures(downlink, probe: probe, at: now)
      case .padding(let byteCount, let probe):
        writePadding(byteCount, link: link, downlink: downlink, session: session, overhead: overhead, at: now)
        settleDepartures(downlink, probe: probe, at: now)
      case .expired(let name, _):
        let packet = waiting.remove(name)
        slab.release(packet.handle)
        drops.count(.pacerExpired)
        breakPicture(of: packet, link: link, at: now)
      }
    }
  }

  /// A picture lost a packet that will not be sent any more: nothing that leans on it is of use, so that the next one is a key picture.
  private mutating func breakPicture(of packet: WaitingPackets.Waiting, link: Int, at now: Instant) {
    let stream = Int(packet.record.stream)
    guard !packet.record.isRetransmission, outbound.contains(stream), outbound[stream].link == link, outbound[stream].ssrc == packet.ssrc,
      isShown(packet)
    else { return }
    outbound[stream].brokenGeneration = packet.record.sent.generation
    outbound[stream].forwarder.endSource(outbound[stream].forwarder.serial, at: now)
    askForKeyframe(for: stream, at: now)
  }

  /// Whether a packet that waited belongs to the stretch that its stream sends now.
  private func isShown(_ packet: WaitingPackets.Waiting) -> Bool {
    packet.record.sent.generation == UInt16(truncatingIfNeeded: outbound[Int(packet.record.stream)].forwarder.serial)
  }

  /// Brings a packet that waited into this turn, with its hold on its slot; `nil` when it is not to be sent any more. Where a stream shows
  /// something else by now, others were numbered behind it: an empty packet takes its number, so that nobody asks for it.
  private mutating func takeWaiting(_ name: Int32, link: Int) -> EgressRecord? {
    let packet = waiting.remove(name)
    let stream = Int(packet.record.stream)
    let isWanted = isStillWanted(packet)
    if !isWanted { drops.count(.endedSource) }
    guard outbound.contains(stream), outbound[stream].link == link, outbound[stream].ssrc == packet.ssrc,
      isWanted || (outbound[stream].publication >= 0 && !packet.record.isRetransmission)
    else {
      slab.release(packet.handle)
      return nil
    }
    let start = Int(packet.note.start)
    let byteCount = Int(packet.note.byteCount)
    // Sound: the waiting packet's hold keeps the slot, and becomes the turn's.
    guard let bytes = unsafe slab.lentBytes(of: packet.handle, from: start, count: byteCount),
      case .success(let view) = RTPPacketView.parse(bytes)
    else {
      slab.release(packet.handle)
      drops.count(.egressFull)
      return nil
    }
    packets.append(
      Packet(
        handle: packet.handle, start: start, byteCount: byteCount, inbound: isWanted ? packet.inbound : -1, format: packet.note.format,
        frame: packet.note.frame, isRepair: true, sequence: packet.sequence, view: view,
        extensions: isWanted ? RTPExtensions(view, in: bytes, map: inbound[Int(packet.inbound)].extensions) : RTPExtensions()))
    var record = packet.record
    record.next = -1
    record.packet = Int32(packets.count - 1)
    if !isWanted {
      record.sent.flags = .isFiller
      record.payloadByteCount = 0
    }
    return record
  }

  /// Whether the media of a packet that waited is still what its stream shows.
  private func isStillWanted(_ packet: WaitingPackets.Waiting) -> Bool {
    let stream = Int(packet.record.stream)
    let source = Int(packet.inbound)
    guard outbound.contains(stream), inbound.contains(source), inbound[source].serial == packet.serial,
      Int(outbound[stream].publication) == inbound[source].publication, !publications[inbound[source].publication].isMuted
    else { return false }
    if outbound[stream].brokenGeneration == packet.record.sent.generation, !isShown(packet) { return false }
    // The structure that it brings is known only as long as it is in force.
    return !packet.record.sent.flags.contains(.bringsStructure) || packet.note.frame.epoch == inbound[source].encoding.details.reader.epoch
  }

  /// Drops everything that waits for a link.
  mutating func discardWaiting(of link: Int) {
    guard links[link].downlink >= 0 else { return }
    while let name = downlinks[Int(links[link].downlink)].pacer.removeWaiting() {
      slab.release(waiting.remove(name).handle)
      drops.count(.noPath)
    }
  }

  // MARK: Padding

  /// How far back a probe looks for packets to repeat, and how small those may be that are worth it.
  private static var repeatableCount: Int { 48 }
  private static var repeatablePayloadByteCount: Int { 400 }

  /// Sends `byteCount` bytes that nobody needs, on a retransmission stream: packets that were sent lately, which mend a loss nobody has told of
  /// yet, and empty ones where there are none (RFC 4588 §4).
  private mutating func writePadding(
    _ byteCount: Int, link: Int, downlink: Int, session: ProtectorSession, overhead: Int, at now: Instant
  ) {
    guard let stream = paddingStream(of: link) else { return }
    departures.isPadding = true
    defer { departures.isPadding = false }
    var left = byteCount
    while left > 0, egress.hasRoom, packets.count < packets.capacity {
      let before = egress.usedByteCount
      if let record = repetition(of: stream, downlink: downlink) {
        write(record, level: 0, link: link, session: session, overhead: overhead, at: now)
      } else {
        writeEmpty(stream, link: link, session: session, overhead: overhead, at: now)
      }
      let written = egress.usedByteCount - before
      guard written > 0 else { return }
      traffic.paddingPacketsOut &+= 1
      left -= written
    }
  }

  /// The link's retransmission stream that padding goes out on: of what is shown, or of anything.
  private func paddingStream(of link: Int) -> Int? {
    var found: Int?
    for position in 0..<links[link].outbound.count {
      let stream = Int(links[link].outbound[position])
      guard outbound[stream].kind == .video, outbound[stream].retransmissionSSRC != nil,
        outbound[stream].payloadTypes.anyRetransmissionPayloadType != nil
      else { continue }
      if outbound[stream].map.newestSent != nil { return stream }
      found = found ?? stream
    }
    return found
  }

  /// A record that sends one of the last packets again; `nil` when there is none of a useful size.
  private mutating func repetition(of stream: Int, downlink: Int) -> EgressRecord? {
    guard outbound[stream].publication >= 0, !publications[Int(outbound[stream].publication)].isMuted,
      let newest = outbound[stream].map.newestSent
    else { return nil }
    for _ in 0..<8 {
      let back = downlinks[downlink].repetition
      downlinks[downlink].repetition = (back + 1) % Self.repeatableCount
      let output = newest - back
      guard output.rawValue >= 0, let found = findSent(output, of: stream), !found.origin.isFiller,
        Int(found.entry.metadata.byteCount) >= Self.repeatablePayloadByteCount,
        let payloadType = outbound[stream].payloadTypes.retransmissionPayloadType(for: found.entry.metadata.format),
        let recalled = recall(found.entry, of: found.source)
      else { continue }
      var record = EgressRecord(stream: Int32(stream), packet: Int32(recalled))
      record.payloadType = payloadType
      record.isRetransmission = true
      record.sequence = output
      record.sent = found.origin
      record.payloadByteCount = UInt16(packets[recalled].view.payloadByteCount)
      return record
    }
    return nil
  }

  /// Writes a retransmission packet with nothing in it but padding.
  private mutating func writeEmpty(_ stream: Int, link: Int, session: ProtectorSession, overhead: Int, at now: Instant) {
    guard let ssrc = outbound[stream].retransmissionSSRC, let payloadType = outbound[stream].payloadTypes.anyRetransmissionPayloadType
    else { return }
    let sequence = outbound[stream].nextRetransmission
    outbound[stream].nextRetransmission = sequence + 1
    let isNumbered = outbound[stream].plan.map[.transportSequenceNumber] != nil
    let header = OutgoingHeader(
      ssrc: ssrc, timestamp: outbound[stream].forwarder.rewriter.newestTimestamp, sequenceNumber: sequence.wire, payloadType: payloadType,
      marker: false, carriesMID: !outbound[stream].isKnownToPeer, transportSequenceNumber: isNumbered ? departures.wireNumber : nil,
      hasPadding: true)
    // Sound: the stage has room for a whole slot at `next`.
    let destination = unsafe egress.next
    var room = unsafe MutableRawSpan(_unsafeStart: destination, byteCount: Limits.slotByteCount)
    guard let headerByteCount = RTPHeaderWriter.write(header, plan: outbound[stream].plan, into: &room),
      RTPPadding.write(byteCount: Self.emptyByteCount, at: headerByteCount, in: &room)
    else { return }
    let job = unsafe ProtectJob(
      session: session, isRTCP: false, headerByteCount: headerByteCount, payloadByteCount: Self.emptyByteCount, ssrc: ssrc, index: sequence,
      payload: UnsafeRawPointer(destination + headerByteCount), destination: destination)
    if departures.isByStream { noteStreamNumber(ssrc, sequence.wire, link: link) }
    departures.note(
      byteCount: headerByteCount + Self.emptyByteCount + overhead, purpose: .padding,
      isNumbered: isNumbered || departures.isByStream)
    egress.append(job, link: Int32(link), isUrgent: false, overheadByteCount: overhead)
  }

  /// As much as one byte can count (RFC 3550 §5.1).
  private static var emptyByteCount: Int { 255 }

  /// For peers that give feedback by stream: under which of the link's numbers a packet leaves. Before it is noted.
  mutating func noteStreamNumber(_ ssrc: SSRC, _ sequence: SequenceNumber, link: Int) {
    let number = departures.number
    downlinks[Int(links[link].downlink)].controller.handleSent(ssrc, sequence, number: number)
  }
}
