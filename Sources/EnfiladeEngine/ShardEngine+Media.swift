// An opened RTP packet: whose it is, whether it is new, and where it is kept.

import EnfiladeCongestion
import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeTransport
import EnfiladeWire

extension ShardEngine {
  /// Takes an opened packet; the slot is either kept by the history or given back here.
  mutating func handleRTP(in handle: PacketHandle, byteCount: Int, index: ExtendedSequenceNumber, link: Int, at now: Instant) {
    if let reason = acceptRTP(in: handle, byteCount: byteCount, index: index, link: link, at: now) {
      drops.count(reason)
      slab.release(handle)
    }
  }

  private mutating func acceptRTP(
    in handle: PacketHandle, byteCount: Int, index: ExtendedSequenceNumber, link: Int, at now: Instant
  ) -> DropReason? {
    // Sound: the batch's reference keeps the slot until this function gives it to the turn, or its caller gives it back.
    guard let bytes = unsafe slab.lentBytes(of: handle, count: byteCount), case .success(let view) = RTPPacketView.parse(bytes) else {
      return .rtpMalformed
    }
    traffic.packetsIn &+= 1
    noteMedia(of: link, at: now)
    let source: Link.Source
    if let known = links[link].source(view.ssrc) {
      source = known
    } else {
      switch associate(view, in: bytes, link: link, at: now) {
      case .source(let found): source = found
      case .drop(let reason):
        // It arrived all the same: the sender's estimator must not take it for lost. The bundled sections share their numbers (RFC 9143 §9.2).
        if let section = links[link].receive.first { recordArrival(of: view, in: bytes, map: section.extensions, link: link, at: now) }
        return reason
      }
    }
    let stream = Int(source.inbound)
    var extensions = recordArrival(of: view, in: bytes, map: inbound[stream].extensions, link: link, at: now)
    guard !source.isRetransmission else {
      return acceptRetransmission(view, in: handle, byteCount: byteCount, source: source, at: now)
    }
    if extensions.present.contains(.absoluteCaptureTime) { moveCaptureClock(in: handle, from: 0, &extensions, link: link) }
    guard let format = format(of: view.payloadType, source: source, link: link) else { return .unknownPayloadType }
    inbound[stream].statistics.handlePacket(index, timestamp: view.timestamp, byteCount: view.payloadByteCount, at: now)
    inbound[stream].clock.handlePacket(timestamp: view.timestamp, at: now)
    if inbound[stream].unwrapper.newest.map({ index > $0 }) ?? true { inbound[stream].unwrapper.newest = index }
    if format.format == .telephoneEvent {
      hearTone(view, in: bytes, stream: stream)
    } else if inbound[stream].tones.isSounding {
      hearSoundBesideTone(at: view.timestamp, stream: stream)
    }
    if inbound[stream].kind == .audio, let level = extensions.audioLevel(in: bytes) { hear(level, stream: stream, at: now) }
    return keep(
      Packet(
        handle: handle, start: 0, byteCount: byteCount, inbound: source.inbound, format: format.format, sequence: index,
        view: view, extensions: extensions), bytes: bytes, feedback: format.feedback, at: now)
  }

  /// Takes note of how loud a packet is, and tells what has changed. What nobody may hear is not told either.
  private mutating func hear(_ level: AudioLevel, stream: Int, at now: Instant) {
    guard let score = inbound[stream].speech.handleLevel(level.level, at: now) else { return }
    let publication = inbound[stream].publication
    guard !publications[publication].isMuted else { return }
    events.append(.speech(publications[publication].key, score))
  }

  /// What a payload type stands for in a source's section. The answer is kept: sections are arrays, and a look at them counts references.
  private mutating func format(of payloadType: PayloadType, source: Link.Source, link: Int) -> NegotiatedFormat? {
    let stream = Int(source.inbound)
    if let last = inbound[stream].format, last.payloadType == payloadType { return last }
    let found = links[link].receive[Int(source.section)].format(of: payloadType)
    if found != nil { inbound[stream].format = found }
    return found
  }

  /// A packet that came again on the repair stream (RFC 4588 §4): the original is rebuilt in the same slot, two bytes further on.
  private mutating func acceptRetransmission(
    _ view: RTPPacketView, in handle: PacketHandle, byteCount: Int, source: Link.Source, at now: Instant
  ) -> DropReason? {
    guard source.inbound >= 0 else { return .retransmissionUnwanted }
    // Probing sends padding on this stream; there is nothing in it.
    guard view.payloadByteCount > 0 else { return .paddingOnly }
    guard view.payloadByteCount >= 2 else { return .retransmissionMalformed }
    let section = links[inbound[Int(source.inbound)].link].receive[Int(source.section)]
    guard let format = section.formats.first(where: { $0.retransmissionPayloadType == view.payloadType }) else {
      return .unknownPayloadType
    }
    let primary = inbound[Int(source.inbound)].ssrc
    guard var slot = slab.mutableBytes(of: handle) else { return .rtpMalformed }
    let osn = slot.bytes.loadUInt16(at: view.payloadOffset)
    let rebuiltByteCount = byteCount - 2
    var position = view.headerByteCount - 1
    while position >= 0 {
      slot.storeUInt8(slot.bytes.loadUInt8(at: position), at: position + 2)
      position -= 1
    }
    let marker: UInt8 = view.marker ? 0x80 : 0
    slot.storeUInt8(marker | format.payloadType.rawValue, at: 3)
    slot.storeUInt16(osn, at: 4)
    slot.storeUInt32(primary.rawValue, at: 10)
    guard let index = OriginalSequenceNumber.widen(SequenceNumber(osn), in: inbound[Int(source.inbound)].unwrapper) else {
      return .retransmissionUnwanted
    }
    // Sound: as above, and the writing is over.
    guard let bytes = unsafe slab.lentBytes(of: handle, from: 2, count: rebuiltByteCount),
      case .success(let original) = RTPPacketView.parse(bytes)
    else { return .retransmissionMalformed }
    var extensions = RTPExtensions(original, in: bytes, map: section.extensions)
    if extensions.present.contains(.absoluteCaptureTime) {
      moveCaptureClock(in: handle, from: 2, &extensions, link: inbound[Int(source.inbound)].link)
    }
    return keep(
      Packet(
        handle: handle, start: 2, byteCount: rebuiltByteCount, inbound: source.inbound, format: format.format, sequence: index,
        view: original, extensions: extensions), bytes: bytes, feedback: format.feedback, at: now)
  }

  /// Puts a packet into the history of its stream and into this turn.
  private mutating func keep(_ arrived: Packet, bytes: RawSpan, feedback: FeedbackCapabilities, at now: Instant) -> DropReason? {
    var packet = arrived
    let stream = Int(packet.inbound)
    let publication = inbound[stream].publication
    guard inbound[stream].history.find(packet.sequence) == nil else { return .duplicate }
    inbound[stream].feedback = feedback
    trackLoss(of: packet, at: now)
    var reading = readFrame(of: &packet, bytes: bytes, at: now)
    if reading == .unread {
      // Behind a key picture the structure can still come; in front of one nothing does that is of use.
      if inbound[stream].encoding.keyframeSpan.map({ packet.sequence > $0.start }) ?? true { return keepUnread(packet, at: now) }
      reading = .unreadable(.structureUnknown)
    }
    if case .unreadable(let reason) = reading {
      // It came, so subscribers must not take it for lost; there is nothing to send in its place.
      packet.forward.isEmpty = true
      drops.count(reason)
    } else {
      announce(packet.format, of: publication)
    }
    let startsKeyframe = inbound[stream].kind == .video && packet.forward.frame.flags.contains(.startsKeyPicture)
    if startsKeyframe { inbound[stream].keyframes.handleKeyframe(at: now) }
    if inbound[stream].hasUnread, packet.forward.frame.flags.contains(.carriesStructure) {
      leaveOutUnread(of: stream, before: packet.sequence)
    }
    if now >= inbound[stream].age.nextMark { ageHistory(of: stream, at: now) }
    // One reference for this turn, one for the history.
    slab.retain(packet.handle)
    var note = HistoryNote(packet)
    note.isUnread = packet.forward.isEmpty && packet.view.payloadByteCount > 0
    note.isLendable = lend(packet, of: publication)
    switch inbound[stream].history.insert(.init(sequence: packet.sequence, handle: packet.handle, metadata: note)) {
    case .stored: break
    case .replaced(let evicted): slab.release(evicted)
    case .duplicate, .tooOld: slab.release(packet.handle)
    }
    packets.append(packet)
    chooseLayersIfDue(after: packet, at: now)
    if inbound[stream].hasUnread, packet.forward.frame.flags.contains(.carriesStructure) {
      rereadHistory(of: stream, after: packet.sequence, at: now)
    }
    return nil
  }

  /// Tells the application what a publication consists of, when that has changed.
  private mutating func announce(_ format: MediaFormat, of publication: Int) {
    guard publications[publication].announced != format.announced, format != .telephoneEvent else { return }
    publications[publication].announced = format.announced
    events.append(.mediaStarted(publications[publication].key, format.announced))
  }

  // MARK: Packets before their structure

  /// Keeps a packet that the structure it refers to may follow: overtaken, or lost and on its way again.
  private mutating func keepUnread(_ packet: Packet, at now: Instant) -> DropReason? {
    let stream = Int(packet.inbound)
    // Nobody asks again for what is not missing: then only a new key picture brings a structure.
    if !inbound[stream].feedback.contains(.nack) || inbound[stream].nack.missingCount == 0 {
      requestKeyframe(of: stream, for: .unrecoveredLoss, at: now)
    }
    var note = HistoryNote(packet)
    note.isUnread = true
    note.awaitsStructure = true
    switch inbound[stream].history.insert(.init(sequence: packet.sequence, handle: packet.handle, metadata: note)) {
    case .stored: break
    case .replaced(let evicted): slab.release(evicted)
    case .duplicate, .tooOld: return .duplicate
    }
    drops.count(.structureUnknown)
    inbound[stream].hasUnread = true
    return nil
  }

  /// A structure has come: what waited for one before it will not be read, and leaves no gap.
  private mutating func leaveOutUnread(of stream: Int, before limit: ExtendedSequenceNumber) {
    guard let newest = inbound[stream].history.newest else { return }
    var last = newest - inbound[stream].history.capacity
    while let entry = inbound[stream].history.next(after: last), entry.sequence < limit {
      last = entry.sequence
      guard entry.metadata.awaitsStructure, packets.count < packets.capacity, var packet = remake(entry, of: stream) else { continue }
      packet.forward.isEmpty = true
      slab.retain(entry.handle)
      var note = HistoryNote(packet)
      note.isUnread = true
      note.isLendable = lend(packet, of: inbound[stream].publication)
      inbound[stream].history.setMetadata(note, of: entry.sequence)
      packets.append(packet)
    }
  }

  /// A structure has come: what came before it and refers to it is read, and goes to everybody as if it came now.
  private mutating func rereadHistory(of stream: Int, after structure: ExtendedSequenceNumber, at now: Instant) {
    inbound[stream].hasUnread = false
    var last = structure
    while let entry = inbound[stream].history.next(after: last) {
      last = entry.sequence
      guard entry.metadata.awaitsStructure, packets.count < packets.capacity, var packet = remake(entry, of: stream) else { continue }
      // Sound: the history's reference keeps the slot; what reading decides before it is of other slots.
      guard let bytes = unsafe slab.lentBytes(of: entry.handle, from: packet.start, count: packet.byteCount),
        readFrame(of: &packet, bytes: bytes, at: now) == .read
      else { continue }
      slab.retain(entry.handle)
      var note = HistoryNote(packet)
      note.isLendable = lend(packet, of: inbound[stream].publication)
      inbound[stream].history.setMetadata(note, of: entry.sequence)
      packets.append(packet)
    }
  }

  /// Looks for gaps in front of a packet, and asks for what is missing where the publisher can answer.
  private mutating func trackLoss(of packet: Packet, at now: Instant) {
    let stream = Int(packet.inbound)
    let link = inbound[stream].link
    guard inbound[stream].feedback.contains(.nack) else { return }
    switch inbound[stream].nack.handlePacket(packet.sequence, at: now) {
    case .none: break
    case .requestKeyframe: requestKeyframe(of: stream, for: .unrecoveredLoss, at: now)
    }
    deadlines.advance(inbound[stream].nack.nextDeadline, for: link)
  }

  /// Reads a packet's extensions, and remembers its arrival for transport-wide feedback.
  @discardableResult
  private mutating func recordArrival(
    of view: RTPPacketView, in bytes: RawSpan, map: ExtensionMap, link: Int, at now: Instant
  ) -> RTPExtensions {
    let extensions = RTPExtensions(view, in: bytes, map: map)
    guard let number = extensions.transportSequenceNumber(in: bytes) else {
      if links[link].receiverEstimator >= 0, let sendTime = extensions.absoluteSendTime(in: bytes) {
        estimate(sendTime, byteCount: bytes.byteCount, link: link, at: now)
      }
      return extensions
    }
    if links[link].recorder == nil { links[link].recorder = ReceivedPacketRecorder() }
    links[link].feedbackTarget = view.ssrc
    if let deadline = links[link].recorder?.recordArrival(number, at: now) { deadlines.advance(deadline, for: link) }
    return extensions
  }
}

extension ReceivedPacketRecorder {
  /// Records an arrival, and gives the deadline in the same access: a look by itself would copy the recorder and count references.
  fileprivate mutating func recordArrival(_ number: UInt16, at now: Instant) -> Instant? {
    record(number, at: now)
    return nextDeadline
  }
}
