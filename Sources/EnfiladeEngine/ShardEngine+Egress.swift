// Datagrams out: control first, then link by link whatever this turn decided, written, encrypted and joined into runs.

import EnfiladeCongestion
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeTransport
package import EnfiladeWire

extension ShardEngine {
  /// Gives the next datagrams to send. Call it until it gives none; then the turn is over and its packets are let go.
  ///
  /// - Parameter batch: filled from empty; what it points to stays until the next call.
  /// - Returns: how many datagrams there are.
  package mutating func pollTransmit(into batch: inout UniqueArray<OutgoingDatagram>, at now: Instant) -> Int {
    advanceClock(to: now)
    batch.removeAll(keepingCapacity: true)
    if controlIsOut {
      control.removeAll()
      controlIsOut = false
    }
    if !control.isEmpty {
      for index in 0..<control.count { batch.append(control.datagram(at: index)) }
      controlIsOut = true
      return batch.count
    }
    while batch.isEmpty {
      if nextDirtyLink == dirtyLinks.count {
        // Everything decided so far is written: decide more, or end the turn.
        records.removeAll()
        dirtyLinks.removeAll(keepingCapacity: true)
        nextDirtyLink = 0
        forwardPending(at: now)
        if !newReplays.isEmpty { pollNewReplays(at: now) }
        guard !dirtyLinks.isEmpty else {
          endTurn()
          return 0
        }
      }
      while nextDirtyLink < dirtyLinks.count, egress.hasRoom {
        let link = Int(dirtyLinks[nextDirtyLink])
        fetchLinkAhead(of: nextDirtyLink)
        if link < 0 || writeLink(link, at: now) { nextDirtyLink += 1 }
      }
      flushEgress(into: &batch)
    }
    return batch.count
  }

  /// Begins to bring in what writing the next links asks for.
  @inline(__always)
  private func fetchLinkAhead(of position: Int) {
    if position + 3 < dirtyLinks.count { links.prefetch(Int(dirtyLinks[position + 3]), byteCount: 384) }
    if position + 2 < dirtyLinks.count, links.contains(Int(dirtyLinks[position + 2])) {
      let downlink = Int(links[Int(dirtyLinks[position + 2])].downlink)
      if downlink >= 0 {
        downlinks.prefetch(downlink, from: LinkCongestion.writtenOffset, byteCount: LinkCongestion.writtenByteCount)
      }
    }
    guard position + 1 < dirtyLinks.count, links.contains(Int(dirtyLinks[position + 1])) else { return }
    let first = links[Int(dirtyLinks[position + 1])].firstRecord
    fetchDownlink(of: Int(dirtyLinks[position + 1]))
    if first >= 0 { outbound.prefetch(Int(records[Int(first)].stream), from: OutboundStream.writtenOffset, byteCount: 192) }
  }

  /// Where the next packets of a controlled link will be noted.
  @inline(__always)
  private func fetchDownlink(of link: Int) {
    let downlink = Int(links[link].downlink)
    if downlink >= 0 { downlinks[downlink].prefetchNext() }
  }

  /// Lets go of the packets of this turn; those in a history stay.
  private mutating func endTurn() {
    for index in 0..<packets.count { slab.release(packets[index].handle) }
    preparedHeaders.forget(packets.count)
    packets.removeAll(keepingCapacity: true)
    nextPacket = 0
    publishLanes()
  }

  private mutating func flushEgress(into batch: inout UniqueArray<OutgoingDatagram>) {
    guard egress.jobCount > 0 else { return }
    egress.protect(with: protector)
    while let run = egress.nextRun() {
      let link = Int(run.link & ~Self.reportPathBit)
      guard links.contains(link),
        let destination = run.link & Self.reportPathBit == 0 ? links[link].selectedAddress : links[link].plain?.remoteReports
      else { continue }
      traffic.messagesOut &+= 1
      var datagram = unsafe OutgoingDatagram(
        base: run.base, byteCount: run.byteCount, segmentByteCount: run.segmentByteCount, to: destination)
      datagram.isUrgent = run.isUrgent
      batch.append(datagram)
    }
    let refused = egress.endFlush()
    if refused > 0 { drops.count(.protectFailed, by: UInt64(refused)) }
  }

  /// Writes what a link is owed.
  /// - Returns: `false` when the stage ran out of room before the end; call again after a flush.
  private mutating func writeLink(_ link: Int, at now: Instant) -> Bool {
    guard links.contains(link) else { return true }
    guard let session = links[link].session, links[link].selectedAddress != nil else {
      if links[link].firstRecord >= 0 { drops.count(.noPath) }
      links[link].firstRecord = -1
      links[link].lastRecord = -1
      links[link].isDirty = false
      links[link].owesRTCP = false
      links[link].owesDepartures = false
      discardWaiting(of: link)
      reschedule(link, at: now)
      return true
    }
    guard writeRecords(of: link, session: session, at: now) else { return false }
    links[link].lastRecord = -1
    // Writing may find more to say, or no room for the rest of it.
    while links[link].owesRTCP {
      guard egress.hasRoom else { return false }
      links[link].owesRTCP = false
      writeRTCP(link, session: session, at: now)
    }
    links[link].isDirty = false
    return true
  }

  /// Writes a link's packets, and counts them.
  /// - Returns: `false` when the stage ran out of room before the last.
  private mutating func writeRecords(of link: Int, session: ProtectorSession, at now: Instant) -> Bool {
    let jobsBefore = egress.jobCount
    let bytesBefore = egress.usedByteCount
    let isDone =
      links[link].downlink >= 0
      ? writePaced(link, session: session, at: now) : writeAtOnce(link, session: session, at: now)
    let packetCount = UInt64(egress.jobCount - jobsBefore)
    let byteCount = UInt64(egress.usedByteCount - bytesBefore)
    if packetCount > 0 { noteMedia(of: link, at: now) }
    links[link].packetsOut &+= packetCount
    links[link].bytesOut &+= byteCount
    traffic.packetsOut &+= packetCount
    traffic.bytesOut &+= byteCount
    return isDone
  }

  private mutating func writeAtOnce(_ link: Int, session: ProtectorSession, at now: Instant) -> Bool {
    let overhead = links[link].profile.rtpOverheadByteCount
    let next = write(upTo: .max, from: links[link].firstRecord, link: link, session: session, overhead: overhead, at: now)
    links[link].firstRecord = next
    return next < 0
  }

  /// Writes a link's records from `first` on until more than `byteLimit` bytes are written or the stage is full.
  ///
  /// - Returns: the first record that was not written, or −1.
  mutating func write(
    upTo byteLimit: Int, from first: Int32, link: Int, session: ProtectorSession, overhead: Int, at now: Instant
  ) -> Int32 {
    var next = first
    var levelled = 0
    var level = 0
    let before = egress.usedByteCount
    while next >= 0, egress.hasRoom, egress.usedByteCount - before < byteLimit {
      if levelled == 0 { (levelled, level) = levelSize(from: next) }
      levelled -= 1
      let record = records[Int(next)]
      next = record.next
      // The last of a run may be shorter.
      write(record, level: levelled > 0 ? level : 0, link: link, session: session, overhead: overhead, at: now)
    }
    return next
  }

  /// How many packets from `first` on are of nearly one size, and the largest payload among them; zero when they need no padding.
  ///
  /// Senders cut a frame into packets that differ by a byte or so. Padding (RFC 3550 §5.1) makes one run of them: a byte here and there for a
  /// system call's worth of work.
  func levelSize(from first: Int32) -> (count: Int, level: Int) {
    guard configuration.levelsRuns else { return (1, 0) }
    var index = first
    var smallest = Int.max
    var largest = 0
    var count = 0
    while index >= 0, count < OutgoingDatagram.segmentLimit {
      let size = Int(records[Int(index)].payloadByteCount)
      let tolerance = min(Self.levelTolerance, max(largest, size) / 64)
      guard !records[Int(index)].isRetransmission, count == 0 || max(largest, size) - min(smallest, size) <= tolerance else { break }
      smallest = min(smallest, size)
      largest = max(largest, size)
      count += 1
      index = records[Int(index)].next
    }
    return count > 1 && smallest != largest ? (count, largest) : (max(1, count), 0)
  }

  /// The most padding for one packet: what levelling may cost stays far below what it saves.
  private static var levelTolerance: Int { 16 }

  /// Writes one packet's header into the arena and makes a job of it.
  ///
  /// - Parameter level: the payload size that the run has, or zero for a packet that keeps its own.
  @inline(__always)
  mutating func write(_ record: EgressRecord, level: Int, link: Int, session: ProtectorSession, overhead: Int, at now: Instant) {
    let stream = Int(record.stream)
    guard outbound.contains(stream), outbound[stream].link == link else { return }
    let padding = record.sent.isFiller ? 1 : max(0, level - Int(record.payloadByteCount))
    var form = RedundancyForm.asIs
    if outbound[stream].kind == .audio, !record.sent.isFiller {
      form = audioForm(
        of: Int(record.packet), for: stream, payloadType: record.payloadType, isRetransmission: record.isRetransmission)
    }
    let key = PreparedHeaders.key(
      planClass: outbound[stream].planClass, payloadType: record.payloadType, marker: record.sent.marker, hasPadding: padding > 0,
      isStripped: form == .primary)
    guard !record.isRetransmission, form == .asIs || form == .primary,
      record.sent.flags.isDisjoint(with: [.isFiller, .rewritesDependency]), outbound[stream].isKnownToPeer,
      let place = preparedHeaders.find(Int(record.packet), key)
    else {
      return writeAnew(record, key, form, padding: padding, link: link, session: session, overhead: overhead, at: now)
    }
    let ssrc = outbound[stream].ssrc
    // Sound: the stage has room for a whole slot at `next`, and a place is only found in the turn that holds its packet.
    let destination = unsafe egress.next
    unsafe preparedHeaders.copy(
      Int(record.packet), to: destination, ssrc: ssrc, sequence: record.sequence.wire, timestamp: record.sent.timestamp)
    var job = unsafe ProtectJob(
      session: session, isRTCP: false, headerByteCount: Int(place.headerByteCount), payloadByteCount: Int(place.payloadByteCount),
      ssrc: ssrc, index: record.sequence, payload: place.payload, destination: destination)
    if record.sent.flags.contains(.rewritesPicture) { patch(&job, record) }
    if padding > 0 { pad(&job, by: padding) }
    outbound[stream].statistics.handleSent(payloadByteCount: Int(place.payloadByteCount), at: now)
    if departures.isOn {
      let isNumbered = place.transportOffset > 0
      if isNumbered {
        // Sound: inside the header that was just copied.
        unsafe destination.storeBytes(of: departures.wireNumber.bigEndian, toByteOffset: Int(place.transportOffset), as: UInt16.self)
      }
      noteDeparture(job, overhead, outbound[stream].kind == .audio ? .audio : .video, record.sequence, isNumbered: isNumbered, link: link)
    }
    egress.append(job, link: Int32(link), isUrgent: outbound[stream].kind == .audio, overheadByteCount: overhead)
  }

  /// The same for a header that is not prepared yet, or that one subscriber alone is sent.
  private mutating func writeAnew(
    _ record: EgressRecord, _ key: UInt32, _ form: RedundancyForm, padding: Int, link: Int, session: ProtectorSession, overhead: Int,
    at now: Instant
  ) {
    let stream = Int(record.stream)
    let index = Int(record.packet)
    // Sound: the turn's reference keeps the slot until the turn ends.
    guard let bytes = unsafe slab.lentBytes(of: packets[index].handle, from: packets[index].start, count: packets[index].byteCount) else {
      return
    }
    let ssrc = record.isRetransmission ? outbound[stream].retransmissionSSRC! : outbound[stream].ssrc
    var sequence = record.sequence
    if record.isRetransmission {
      sequence = outbound[stream].nextRetransmission
      outbound[stream].nextRetransmission = sequence + 1
    }
    let isNumbered = departures.isOn && outbound[stream].plan.map[.transportSequenceNumber] != nil
    let header = OutgoingHeader(
      ssrc: ssrc, timestamp: record.sent.timestamp, sequenceNumber: sequence.wire, payloadType: record.payloadType,
      marker: record.sent.marker, carriesMID: !outbound[stream].isKnownToPeer,
      transportSequenceNumber: isNumbered ? departures.wireNumber : nil, absoluteSendTime: sendTime(of: stream, at: now),
      hasPadding: padding > 0 && !record.isRetransmission)
    let payloadByteCount = record.sent.isFiller ? 0 : packets[index].payloadByteCount(isStripped: form == .primary)
    // Sound: the stage has room for a whole slot at `next`.
    let destination = unsafe egress.next
    var room = unsafe MutableRawSpan(_unsafeStart: destination, byteCount: Limits.slotByteCount)
    guard let headerByteCount = writeHeader(header, record, bytes, stream: stream, into: &room),
      headerByteCount + payloadByteCount + PayloadPatch.maximumGrowth + padding + 2 + overhead <= Limits.slotByteCount
    else { return drops.count(.egressFull) }
    let payload =
      unsafe slab.pointer(to: packets[index].handle)! + packets[index].start + packets[index].view.payloadOffset
      + (form == .primary ? Int(packets[index].redundancy?.offset ?? 0) : 0)
    var job = unsafe ProtectJob(
      session: session, isRTCP: false, headerByteCount: headerByteCount, payloadByteCount: payloadByteCount, ssrc: ssrc,
      index: sequence, payload: payload, destination: destination)
    let isShared =
      !record.isRetransmission && (form == .asIs || form == .primary) && outbound[stream].isKnownToPeer && outbound[stream].planClass != 0
      && record.sent.flags.isDisjoint(with: [.isFiller, .rewritesDependency])
    if isShared {
      unsafe preparedHeaders.remember(
        index, key, header: destination, headerByteCount: headerByteCount, isNumbered: isNumbered, payload: payload,
        payloadByteCount: payloadByteCount)
    }
    switch form {
    case .asIs, .primary: break
    case .renamed: rename(&job, record)
    case .made: guard makeRedundant(&job, record) else { return drops.count(.egressFull) }
    }
    if record.sent.flags.contains(.rewritesPicture) { patch(&job, record) }
    if record.isRetransmission {
      putInFront(record.sequence.wire, of: &job)
      if !departures.isPadding { traffic.retransmissionsOut &+= 1 }
    } else {
      if padding > 0 { pad(&job, by: padding) }
      outbound[stream].statistics.handleSent(payloadByteCount: payloadByteCount, at: now)
    }
    if departures.isOn {
      let purpose: PacketPurpose =
        departures.isPadding ? .padding : record.isRetransmission ? .retransmission : outbound[stream].kind == .audio ? .audio : .video
      noteDeparture(job, overhead, purpose, sequence, isNumbered: isNumbered, link: link)
    }
    egress.append(job, link: Int32(link), isUrgent: outbound[stream].kind == .audio, overheadByteCount: overhead)
  }

  /// Notes a packet of a controlled link for its congestion control.
  @inline(__always)
  private mutating func noteDeparture(
    _ job: ProtectJob, _ overhead: Int, _ purpose: PacketPurpose, _ sequence: ExtendedSequenceNumber, isNumbered: Bool, link: Int
  ) {
    let isCounted = isNumbered || departures.isByStream
    if departures.isByStream { noteStreamNumber(job.ssrc, sequence.wire, link: link) }
    departures.note(
      byteCount: Int(job.headerByteCount) + Int(job.payloadByteCount) + overhead, purpose: purpose, isNumbered: isCounted)
  }

  /// Writes a header, with the dependency descriptor that is this subscriber's own, if its packet has one.
  @_lifetime(room: copy room)
  private func writeHeader(
    _ header: OutgoingHeader, _ record: EgressRecord, _ bytes: RawSpan, stream: Int, into room: inout MutableRawSpan
  ) -> Int? {
    let index = Int(record.packet)
    guard record.sent.flags.contains(.rewritesDependency),
      let source = packets[index].extensions.data(of: .dependencyDescriptor, in: bytes)
    else {
      // A descriptor whose numbers are not rewritten would contradict those of the payload after the next switch: better none.
      var extensions = packets[index].extensions
      extensions.present.remove(ExtensionKinds(.dependencyDescriptor))
      guard
        let byteCount = RTPHeaderWriter.write(header, plan: outbound[stream].plan, copying: extensions, from: bytes, into: &room)
      else { return nil }
      // Whose voices are in a mixture.
      guard packets[index].view.csrcCount > 0 else { return byteCount }
      return RTPHeaderWriter.insertContributors(of: packets[index].view, in: bytes, intoHeaderOf: byteCount, in: &room)
    }
    var place = InlineArray<512, UInt8>(repeating: 0)
    var span = place.mutableSpan
    // Sound: every pattern of bits is a byte.
    var descriptor = unsafe span.mutableBytes
    var structure: DependencyStructureBits?
    if record.sent.flags.contains(.bringsStructure) {
      // Who brings it may have ended in this turn.
      guard inbound.contains(Int(packets[index].inbound)) else { return nil }
      structure = inbound[Int(packets[index].inbound)].encoding.details.reader.structureBits
    }
    guard let byteCount = record.sent.writeDependencyDescriptor(source, structure: structure, into: &descriptor) else { return nil }
    return RTPHeaderWriter.write(
      header, plan: outbound[stream].plan, copying: packets[index].extensions, from: bytes,
      dependencyDescriptor: descriptor.bytes.extracting(0..<byteCount), into: &room)
  }

  /// Gives a job's payload the picture numbers that this subscriber counts by. A payload that has them already stays where it is.
  private func patch(_ job: inout ProtectJob, _ record: EgressRecord) {
    // Sound: the job's payload lies in its packet's slot, which the turn holds.
    let payload = unsafe RawSpan(_unsafeStart: job.payload, byteCount: Int(job.payloadByteCount))
    let codec = packets[Int(record.packet)].format.codec
    guard let patch = record.sent.payloadPatch(codec, payload: payload), !patch.isIdentity(of: payload) else { return }
    let headerByteCount = Int(job.headerByteCount)
    let rest = Int(job.payloadByteCount) - Int(patch.replacedByteCount)
    // Sound: the stage has room for a whole slot, and the caller has seen that all of this fits.
    var room = unsafe MutableRawSpan(_unsafeStart: job.destination, byteCount: Limits.slotByteCount)
    _ = patch.write(at: headerByteCount, in: &room)
    unsafe (job.destination + headerByteCount + Int(patch.byteCount)).copyMemory(
      from: job.payload + Int(patch.replacedByteCount), byteCount: rest)
    unsafe job.payload = UnsafeRawPointer(job.destination + headerByteCount)
    job.payloadByteCount = UInt16(rest + Int(patch.byteCount))
  }

  /// Puts the original sequence number in front of a payload (RFC 4588 §4).
  private func putInFront(_ number: SequenceNumber, of job: inout ProtectJob) {
    let start = Int(job.headerByteCount)
    // Sound: the caller has seen that two more bytes fit. The payload may stand there already: this moves it.
    unsafe (job.destination + start + 2).copyMemory(from: job.payload, byteCount: Int(job.payloadByteCount))
    unsafe job.destination.storeBytes(of: number.rawValue.bigEndian, toByteOffset: start, as: UInt16.self)
    unsafe job.payload = UnsafeRawPointer(job.destination + start)
    job.payloadByteCount += 2
  }

  /// Puts padding behind a job's payload. It is encrypted with the payload, so the two are brought together behind the header.
  private func pad(_ job: inout ProtectJob, by padding: Int) {
    let headerByteCount = Int(job.headerByteCount)
    let payloadByteCount = Int(job.payloadByteCount)
    // Sound: a padded packet is no longer than the longest of its run, which fits the slot that the stage has room for.
    var room = unsafe MutableRawSpan(_unsafeStart: job.destination, byteCount: Limits.slotByteCount)
    unsafe (job.destination + headerByteCount).copyMemory(from: job.payload, byteCount: payloadByteCount)
    _ = RTPPadding.write(byteCount: padding, at: headerByteCount + payloadByteCount, in: &room)
    unsafe job.payload = UnsafeRawPointer(job.destination + headerByteCount)
    job.payloadByteCount += UInt16(padding)
  }
}
