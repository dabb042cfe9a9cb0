// Between shards, at home: a publication's packets are opened and parsed here once, and lent to every shard that has subscribers of it.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire

extension ShardEngine {
  /// Lays the lane between two shards. All pairs, in ascending order, before either runs.
  package static func connect(_ a: inout ShardEngine, _ b: inout ShardEngine) {
    precondition(a.slab.ports.count == a.slab.port(of: b.configuration.shard), "lanes are laid in the order of the shards")
    precondition(b.slab.ports.count == b.slab.port(of: a.configuration.shard), "lanes are laid in the order of the shards")
    var forth = SPSCRing<RelayMessage>(capacity: Limits.lanePacketCount)
    var back = SPSCRing<RelayMessage>(capacity: Limits.lanePacketCount)
    // A ring home has a place for every slot there is.
    var homeToA = SPSCRing<PacketHandle>(capacity: a.slab.own.slotCount.roundedUpToPowerOfTwo)
    var homeToB = SPSCRing<PacketHandle>(capacity: b.slab.own.slotCount.roundedUpToPowerOfTwo)
    a.slab.ports.append(
      RelayPort(
        peer: b.configuration.shard, window: b.slab.own.window, outbox: forth.takeProducer(), inbox: back.takeConsumer(),
        homeward: homeToB.takeProducer(), returned: homeToA.takeConsumer()))
    b.slab.ports.append(
      RelayPort(
        peer: a.configuration.shard, window: a.slab.own.window, outbox: back.takeProducer(), inbox: forth.takeConsumer(),
        homeward: homeToA.takeProducer(), returned: homeToB.takeConsumer()))
  }

  /// The next shard that was told something since it was last asked for here: wake it.
  package mutating func takeShardToWake() -> Int? {
    for port in 0..<slab.ports.count where slab.ports[port].takeWaking() { return Int(slab.ports[port].peer) }
    return nil
  }

  /// Shows the other shards what was put on the lanes.
  mutating func publishLanes() {
    for port in 0..<slab.ports.count { slab.ports[port].publish() }
  }

  /// How many words wait for room on the lanes.
  package var laneBacklogCount: Int {
    var count = 0
    for port in 0..<slab.ports.count { count += slab.ports[port].backlogCount }
    return count
  }

  // MARK: To the outposts

  /// Lends a packet of this turn to every shard that has subscribers of its publication. `true` when its slot has the note for them.
  mutating func lend(_ packet: Packet, of publication: Int) -> Bool {
    guard !publications[publication].outposts.isEmpty, !publications[publication].isMuted else { return false }
    guard isCurrent(packet.inbound, of: publication) else { return false }
    // Sound: the turn's reference keeps the slot, and nobody else reads it before the message is published.
    unsafe (slab.place(of: packet.handle)! + PacketStore.noteOffset).initializeMemory(as: Packet.self, to: packet)
    unsafe (slab.place(of: packet.handle)! + PacketStore.arrivalOffset).storeBytes(of: clock, as: Instant.self)
    let level = loudness(of: packet)
    for position in 0..<publications[publication].outposts.count {
      guard level <= publications[publication].outposts[position].quietestLevel else { continue }
      let port = Int(publications[publication].outposts[position].port)
      slab.retain(packet.handle)
      guard !slab.ports[port].stage(.packet(packet.handle, stream: packet.inbound)) else { continue }
      slab.release(packet.handle)
      drops.count(.laneFull)
    }
    return true
  }

  /// How loud a packet says it is, in minus decibels; zero when it says nothing.
  private func loudness(of packet: Packet) -> UInt8 {
    guard packet.extensions.present.contains(.audioLevel) else { return 0 }
    // Sound: the turn's reference keeps the slot.
    guard let bytes = unsafe slab.lentBytes(of: packet.handle, from: packet.start, count: packet.byteCount) else { return 0 }
    return packet.extensions.audioLevel(in: bytes)?.level ?? 0
  }

  /// Tells the outposts that follow that a stream's clock has moved. A lane that is behind is spared: the next report says the same, and
  /// reports come as often as the publisher likes.
  mutating func refreshClock(of stream: Int) {
    let publication = inbound[stream].publication
    guard isCurrent(Int32(stream), of: publication) else { return }
    for position in 0..<publications[publication].outposts.count {
      let port = Int(publications[publication].outposts[position].port)
      if !slab.ports[port].isBehind { describe(stream, to: port) }
    }
  }

  /// Tells every outpost of a publication what there is to know about its current stream.
  mutating func describe(_ stream: Int) {
    let publication = inbound[stream].publication
    guard isCurrent(Int32(stream), of: publication) else { return }
    for position in 0..<publications[publication].outposts.count {
      describe(stream, to: Int(publications[publication].outposts[position].port))
    }
  }

  private mutating func describe(_ stream: Int, to port: Int) {
    guard let handle = slab.lease() else { return drops.count(.slabExhausted) }
    let description = RelayedStream(
      publication: publications[inbound[stream].publication].key, encoding: Int(inbound[stream].encoding.index),
      serial: inbound[stream].serial,
      ssrc: inbound[stream].ssrc,
      kind: inbound[stream].kind, format: publications[inbound[stream].publication].announced ?? inbound[stream].firstFormat,
      timelineOffset: inbound[stream].encoding.timelineOffset, extensions: inbound[stream].extensions,
      clock: inbound[stream].clock, publisherClock: publisherClock(of: stream))
    // Sound: leased just now; the peer reads it after the message is published.
    unsafe slab.place(of: handle)!.initializeMemory(as: RelayedStream.self, to: description)
    slab.say(.stream(handle, stream: Int32(stream)), to: port)
  }

  /// Tells every outpost of a publication something about it.
  mutating func tellOutposts(of publication: Int, _ message: RelayMessage) {
    for position in 0..<publications[publication].outposts.count {
      slab.say(message, to: Int(publications[publication].outposts[position].port))
    }
  }

  // MARK: From the outposts

  mutating func handleSubscribe(_ key: PublicationKey, port: Int, at now: Instant) {
    guard let publication = publicationIndices[key], publications[publication].home < 0 else {
      return slab.say(.about(key, .publicationEnded), to: port)
    }
    publications[publication].addOutpost(port)
    for encoding in 0..<Limits.encodingCount where publications[publication].encodings[encoding] >= 0 {
      describe(Int(publications[publication].encodings[encoding]), to: port)
      lendHistory(of: Int(publications[publication].encodings[encoding]), to: port, at: now)
    }
  }

  /// Lends an outpost that has just subscribed what a joiner there begins with: the last key picture and what followed it, if it is recent.
  private mutating func lendHistory(of stream: Int, to port: Int, at now: Instant) {
    let publication = inbound[stream].publication
    guard inbound[stream].kind == .video, !publications[publication].isMuted, let span = inbound[stream].encoding.keyframeSpan,
      let newest = inbound[stream].history.newest, newest - span.start < Limits.replayPacketCount, now - span.startedAt <= Limits.replayAge,
      inbound[stream].history.find(span.start) != nil
    else { return }
    let clockRate = Int64(inbound[stream].clockRate)
    var last = span.start - 1
    while let entry = inbound[stream].history.next(after: last) {
      last = entry.sequence
      guard !entry.metadata.isUnread, let packet = remake(entry, of: stream) else { continue }
      if !entry.metadata.isLendable {
        // Sound: the history's reference keeps the slot, and no other shard has been lent it.
        unsafe (slab.place(of: entry.handle)! + PacketStore.noteOffset).initializeMemory(as: Packet.self, to: packet)
        var note = entry.metadata
        note.isLendable = true
        inbound[stream].history.setMetadata(note, of: entry.sequence)
      }
      // Packets come about as long after the key picture as they were captured after it.
      let sinceStart = TimeDelta.milliseconds(Int64(max(0, packet.view.timestamp.distance(from: span.timestamp))) * 1000 / clockRate)
      let age = max(.zero, now - span.startedAt - sinceStart)
      slab.retain(entry.handle)
      guard !slab.ports[port].stage(.history(entry.handle, stream: Int32(stream), age: age, isLast: entry.sequence == newest)) else {
        continue
      }
      slab.release(entry.handle)
      return drops.count(.laneFull)
    }
  }

  mutating func handleUnsubscribe(_ key: PublicationKey, port: Int) {
    guard let publication = publicationIndices[key] else { return }
    publications[publication].removeOutpost(port)
  }

  mutating func handleKeyframeWanted(_ key: PublicationKey, encoding: Int, reason: KeyframeRequester.Reason, at now: Instant) {
    guard let publication = publicationIndices[key], encoding < Limits.encodingCount else { return }
    let current = publications[publication].encodings[encoding]
    if current >= 0 { requestKeyframe(of: Int(current), for: reason, at: now) }
  }
}

extension Int {
  /// The smallest power of two that is not smaller.
  var roundedUpToPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}
