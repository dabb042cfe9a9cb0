// Between shards, at an outpost: what a publication's home lends is mirrored here, and the subscribers of this shard are served from the
// mirror as if the publisher were here. Repair too: the mirror has a history of its own, of slots that stay lent.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
package import EnfiladeWire

extension ShardEngine {
  /// How often an outpost asks home for the same key frame. Home merges what it is asked; this only keeps the lane free of repetitions.
  private static var keyframeWantedInterval: TimeDelta { .milliseconds(10) }

  /// Takes what the other shards have said, and slots that came home.
  ///
  /// - Returns: `true` when the turn is full before the lanes are empty: drain, and call again.
  package mutating func takeRelayed(at now: Instant) -> Bool {
    guard !slab.ports.isEmpty else { return false }
    advanceClock(to: now)
    slab.collectReturned()
    var isFull = false
    for port in 0..<slab.ports.count {
      while true {
        guard packets.count < IngressStage.capacity else {
          isFull = true
          break
        }
        guard let message = slab.ports[port].next() else { break }
        handle(message, port: port, at: now)
      }
    }
    publishLanes()
    return isFull
  }

  /// What the lanes want of this shard.
  package enum LaneWork: Sendable {
    case none
    /// Another shard has said something.
    case toTake
    /// Words to another shard wait for room on its lane.
    case waitsForRoom
  }

  /// Look before a long sleep.
  package var laneWork: LaneWork {
    mutating get {
      var work = LaneWork.none
      for port in 0..<slab.ports.count {
        if slab.ports[port].hasNews() { return .toTake }
        if slab.ports[port].isBehind { work = .waitsForRoom }
      }
      return work
    }
  }

  private mutating func handle(_ message: RelayMessage, port: Int, at now: Instant) {
    switch message.kind {
    case .packet: handleLent(message.handle, stream: message.stream, port: port, at: now)
    case .history: handleLentHistory(message, port: port, at: now)
    case .stream: handleDescription(message.handle, stream: message.stream, port: port, at: now)
    case .streamEnded: if let stream = slab.ports[port].mirror(of: message.stream) { endMirror(stream, at: now) }
    case .publicationEnded:
      if let publication = mirroredPublication(message.publication, port: port) { removePublication(publication) }
    case .subscribe: handleSubscribe(message.publication, port: port, at: now)
    case .unsubscribe: handleUnsubscribe(message.publication, port: port)
    case .demand: handleDemand(message.publication, encodings: message.encodings, port: port, at: now)
    case .loudnessWanted: handleLoudnessWanted(message.publication, level: message.level, port: port)
    case .follow: handleFollow(message.slot, number: message.stream, port: port, at: now)
    case .scarce: handleScarcity(message.scarcity, port: port, at: now)
    case .listen, .unlisten: assertionFailure("a shard mixes nothing")
    case .keyframeWanted: handleKeyframeWanted(message.publication, encoding: Int(message.stream), reason: message.reason, at: now)
    }
  }

  // MARK: Packets

  /// Takes a lent packet into this turn and into the mirror's history.
  private mutating func handleLent(_ handle: PacketHandle, stream place: Int32, port: Int, at now: Instant) {
    slab.ports[port].borrow(handle)
    guard let stream = slab.ports[port].mirror(of: place) else {
      slab.release(handle)
      return drops.count(.endedSource)
    }
    // Sound: home wrote the note before it published the message, and leaves the slot alone until it comes back.
    var packet = unsafe (slab.pointer(to: handle)! + PacketStore.noteOffset).assumingMemoryBound(to: Packet.self).pointee
    packet.inbound = Int32(stream)
    traffic.packetsRelayed &+= 1
    // Sound: this side holds the slot. Each shard counts frames for itself, because what a full lane lost is missing in its own count alone.
    guard let bytes = unsafe slab.lentBytes(of: handle, from: packet.start, count: packet.byteCount) else { return slab.release(handle) }
    // Home has read it. What it could not read it lends as empty, so that nobody takes it for lost.
    let reading = packet.forward.isEmpty ? .read : readFrame(of: &packet, bytes: bytes, at: now)
    guard reading == .read else {
      // What it refers to was lost on the lane.
      slab.release(handle)
      requestKeyframe(of: stream, for: .unrecoveredLoss, at: now)
      return drops.count(.frameUnreadable)
    }
    inbound[stream].clock.handlePacket(timestamp: packet.view.timestamp, at: now)
    if now >= inbound[stream].age.nextMark { ageHistory(of: stream, at: now) }
    slab.retain(handle)
    var note = HistoryNote(packet)
    note.isUnread = packet.forward.isEmpty && packet.view.payloadByteCount > 0
    switch inbound[stream].history.insert(.init(sequence: packet.sequence, handle: handle, metadata: note)) {
    case .stored: break
    case .replaced(let evicted): slab.release(evicted)
    case .duplicate, .tooOld: slab.release(handle)
    }
    packets.append(packet)
    chooseLayersIfDue(after: packet, at: now)
  }

  /// Takes a packet that came before this shard had a subscriber: into the mirror's history alone, for those who now join here.
  private mutating func handleLentHistory(_ message: RelayMessage, port: Int, at now: Instant) {
    let handle = message.handle
    slab.ports[port].borrow(handle)
    guard let stream = slab.ports[port].mirror(of: message.stream) else {
      slab.release(handle)
      return drops.count(.endedSource)
    }
    // Sound: as above.
    var packet = unsafe (slab.pointer(to: handle)! + PacketStore.noteOffset).assumingMemoryBound(to: Packet.self).pointee
    packet.inbound = Int32(stream)
    // Sound: as above.
    guard let bytes = unsafe slab.lentBytes(of: handle, from: packet.start, count: packet.byteCount) else { return slab.release(handle) }
    switch readFrame(of: &packet, bytes: bytes, at: now - message.age) {
    case .read:
      switch inbound[stream].history.insert(.init(sequence: packet.sequence, handle: handle, metadata: HistoryNote(packet))) {
      case .stored: break
      case .replaced(let evicted): slab.release(evicted)
      case .duplicate, .tooOld: slab.release(handle)
      }
    case .unread, .unreadable:
      slab.release(handle)
      drops.count(.frameUnreadable)
    }
    if message.isLast { chooseLayers(of: inbound[stream].publication, at: now) }
  }

  // MARK: Streams

  private mutating func handleDescription(_ handle: PacketHandle, stream place: Int32, port: Int, at now: Instant) {
    slab.ports[port].borrow(handle)
    // Sound: as above.
    let description = unsafe slab.pointer(to: handle)!.assumingMemoryBound(to: RelayedStream.self).pointee
    slab.release(handle)
    if let stream = slab.ports[port].mirror(of: place) {
      if inbound[stream].mirrored?.serial == description.serial {
        inbound[stream].clock = description.clock
        inbound[stream].encoding.timelineOffset = description.timelineOffset
        inbound[stream].mirrored?.publisherClock = description.publisherClock
        inbound[stream].extensions = description.extensions
        return
      }
      // Whosever it was: its place at home is another's now.
      endMirror(stream, at: now)
    }
    guard let publication = mirroredPublication(description.publication, port: port) else { return }
    let previous = publications[publication].encodings[description.encoding]
    if previous >= 0 { endMirror(Int(previous), at: now) }
    var mirror = InboundStream(
      serial: takeSerial(), publication: publication, encoding: description.encoding, format: description.format, link: -1,
      ssrc: description.ssrc, kind: description.kind, extensions: description.extensions,
      historyCapacity: slab.ports[port].isWorker ? Limits.mixHistoryPacketCount : nil)
    mirror.clock = description.clock
    mirror.encoding.timelineOffset = description.timelineOffset
    mirror.mirrored = .init(port: port, place: place, serial: description.serial, publisherClock: description.publisherClock)
    guard let stream = inbound.insert(mirror) else { return drops.count(.tooManySources) }
    publications[publication].announced = description.format.announced
    publications[publication].encodings[description.encoding] = Int32(stream)
    slab.ports[port].setMirror(stream, of: place)
  }

  private mutating func endMirror(_ stream: Int, at now: Instant) {
    forwardPending(at: now)
    removeInbound(stream)
  }

  /// Asks the home of a mirrored stream for a key frame.
  mutating func askHomeForKeyframe(of stream: Int, for reason: KeyframeRequester.Reason, at now: Instant) {
    guard let mirrored = inbound[stream].mirrored, now >= mirrored.nextAsking else { return }
    inbound[stream].mirrored?.nextAsking = now + Self.keyframeWantedInterval
    slab.say(
      .keyframeWanted(publications[inbound[stream].publication].key, encoding: Int(inbound[stream].encoding.index), for: reason),
      to: mirrored.port)
    publishLanes()
  }

  // MARK: Publications

  /// The mirror of a publication whose home is behind `port`.
  private func mirroredPublication(_ key: PublicationKey, port: Int) -> Int? {
    guard let publication = publicationIndices[key], publications[publication].home == Int32(port) else { return nil }
    return publication
  }

  /// Makes a mirror for a publication of another shard, and asks its home for it; `nil` when there is no such shard or no room.
  mutating func mirrorPublication(_ key: PublicationKey, kind: MediaKind) -> Int? {
    guard key.shard != configuration.shard, Int(key.shard) <= slab.ports.count else { return nil }
    let port = slab.port(of: key.shard)
    guard let publication = publications.insert(PublicationState(key: key, link: -1, kind: kind, home: Int32(port))) else { return nil }
    publicationIndices[key] = publication
    slab.say(.about(key, .subscribe), to: port)
    return publication
  }

  /// Forgets a mirror that nobody here looks at any more.
  mutating func forgetMirrorIfUnused(_ publication: Int) {
    guard publications[publication].home >= 0, publications[publication].subscribers.isEmpty else { return }
    slab.say(.about(publications[publication].key, .unsubscribe), to: Int(publications[publication].home))
    removePublication(publication)
  }
}
