// What shards say to a media worker: packets of what it mixes, and who listens.

import EnfiladeMixing
import EnfiladeRTP
package import EnfiladeWire

extension MixWorker {
  /// Messages taken before time gets its turn.
  private static var messageLimit: Int { 4_096 }

  /// Takes what the shards have said, and slots that came home.
  ///
  /// - Returns: `true` when there is more: look at the deadline, and call again.
  package mutating func takeRelayed(at now: Instant) -> Bool {
    slab.collectReturned()
    var count = 0
    for port in 0..<slab.ports.count {
      while count < Self.messageLimit, let message = slab.ports[port].next() {
        count += 1
        handle(message, port: port)
      }
    }
    publishLanes()
    return count >= Self.messageLimit
  }

  private mutating func handle(_ message: RelayMessage, port: Int) {
    switch message.kind {
    case .packet: handleLent(message.handle, stream: message.stream, port: port)
    // What was said before anybody listened is not said again.
    case .history:
      slab.ports[port].borrow(message.handle)
      slab.release(message.handle)
    case .stream: handleDescription(message.handle, stream: message.stream, port: port)
    case .streamEnded: if let place = slab.ports[port].mirror(of: message.stream) { removeHeard(place) }
    // The control plane says the same, and takes the source away.
    case .publicationEnded: break
    case .subscribe: handleSubscribe(message.publication, port: Int32(port))
    case .unsubscribe: handleUnsubscribe(message.publication, port: Int32(port))
    case .listen:
      slots[message.slot, default: Slot()].port = Int32(port)
      beginListening(message.slot)
    case .unlisten:
      endListening(message.slot)
      slots[message.slot]?.port = -1
      if slots[message.slot]?.mixer == nil { slots[message.slot] = nil }
    case .demand, .keyframeWanted, .loudnessWanted, .follow, .scarce: break
    }
  }

  // MARK: What is lent

  private mutating func handleLent(_ handle: PacketHandle, stream lane: Int32, port: Int) {
    slab.ports[port].borrow(handle)
    defer { slab.release(handle) }
    guard let place = slab.ports[port].mirror(of: lane), let stream = heard[place], let room = roomIndices[stream.room] else {
      statistics.strays &+= 1
      return
    }
    statistics.packetsIn &+= 1
    // Sound: home wrote the note before it published the message, and leaves the slot alone until it comes back.
    let packet = unsafe (slab.pointer(to: handle)! + PacketStore.noteOffset).assumingMemoryBound(to: Packet.self).pointee
    let arrival = unsafe (slab.pointer(to: handle)! + PacketStore.arrivalOffset).load(as: Instant.self)
    guard let bytes = unsafe slab.lentBytes(of: handle, from: packet.start, count: packet.byteCount) else { return }
    let payload = packet.view.payload(in: bytes)
    let level = packet.extensions.audioLevel(in: bytes)
    if packet.format == .red {
      hear(redundant: payload, packet, level: level, source: stream.source, room: room, at: arrival)
    } else if payload.byteCount > 0 {
      rooms[room].mixer.handlePacket(
        of: stream.source, payload: payload, codec: packet.format.codec, sequence: packet.sequence, timestamp: packet.view.timestamp,
        level: level, at: arrival)
      Self.tap(
        &taps, payload, codec: packet.format.codec, sequence: packet.sequence, timestamp: packet.view.timestamp, source: stream.source,
        room: stream.room, at: arrival)
    }
    settle(room)
  }

  /// Takes a packet apart that carries earlier ones (RFC 2198 §3).
  private mutating func hear(
    redundant payload: RawSpan, _ packet: Packet, level: AudioLevel?, source: Int32, room: Int, at now: Instant
  ) {
    guard var blocks = RedundantPayload(payload) else { return }
    var back = blocks.blockCount - 1
    while let block = blocks.next() {
      defer { back -= 1 }
      guard block.byteCount > 0 else { continue }
      let data = payload.extracting(Int(block.offset)..<Int(block.offset) + Int(block.byteCount))
      rooms[room].mixer.handlePacket(
        of: source, payload: data, codec: .opus, sequence: packet.sequence - back,
        timestamp: packet.view.timestamp + -Int(block.timestampOffset), level: level, isRedundant: !block.isPrimary, at: now)
      Self.tap(
        &taps, data, codec: .opus, sequence: packet.sequence - back, timestamp: packet.view.timestamp + -Int(block.timestampOffset),
        isRedundant: !block.isPrimary, source: source, room: rooms[room].id, at: now)
    }
  }

  private mutating func handleDescription(_ handle: PacketHandle, stream: Int32, port: Int) {
    slab.ports[port].borrow(handle)
    // Sound: as above.
    let description = unsafe slab.pointer(to: handle)!.assumingMemoryBound(to: RelayedStream.self).pointee
    slab.release(handle)
    if let place = slab.ports[port].mirror(of: stream) {
      if heard[place]?.serial == description.serial { return }
      removeHeard(place)
    }
    for room in 0..<rooms.count {
      guard let source = rooms[room].sources[description.publication] else { continue }
      rooms[room].mixer.restartSource(source, ssrc: description.ssrc)
      restartTaps(of: source, in: rooms[room].id)
      let place = insertHeard(Heard(room: rooms[room].id, source: source, serial: description.serial, port: port, lane: stream))
      slab.ports[port].setMirror(place, of: stream)
      return
    }
  }

  // MARK: Who listens

  private mutating func handleSubscribe(_ key: PublicationKey, port: Int32) {
    if let playback = playbackIndex(key) { return addPlaybackOutpost(port, playback) }
    guard let (room, variant) = find(key) else {
      slab.say(.about(key, .publicationEnded), to: Int(port))
      return
    }
    rooms[room].streams[variant].ports.removeAll { $0 == port }
    addOutpost(port, room: room, variant: variant)
  }

  private mutating func handleUnsubscribe(_ key: PublicationKey, port: Int32) {
    if let playback = playbackIndex(key) { return playbacks[playback].stream.ports.removeAll { $0 == port } }
    guard let (room, variant) = find(key) else { return }
    rooms[room].streams[variant].ports.removeAll { $0 == port }
  }

  private func find(_ key: PublicationKey) -> (room: Int, variant: Int)? {
    guard key.shard == number else { return nil }
    for room in 0..<rooms.count {
      if let variant = rooms[room].streams.firstIndex(where: { self.key(of: $0) == key }) { return (room, variant) }
    }
    return nil
  }

  /// A slot hears its mixture once both its shard and the control plane have said so.
  mutating func beginListening(_ key: SlotKey) {
    guard let slot = slots[key], !slot.isListening, slot.port >= 0, let id = slot.mixer, let room = roomIndices[id] else { return }
    guard rooms[room].mixer.addListener(key.rawValue, owner: slot.owner, codec: slot.format.codec) else { return }
    slots[key]?.isListening = true
    for (source, gain) in slot.gains { rooms[room].mixer.setGain(gain, of: source.rawValue, for: key.rawValue) }
    settle(room)
    followSources(room)
  }

  mutating func endListening(_ key: SlotKey) {
    guard let slot = slots[key], slot.isListening, let id = slot.mixer, let room = roomIndices[id] else { return }
    slots[key]?.isListening = false
    rooms[room].mixer.removeListener(key.rawValue)
    followSources(room)
  }

  mutating func addRecorder(_ recorder: RecorderID, to id: MixerID, _ form: RecordedForm) {
    guard let room = roomIndices[id], rooms[room].mixer.addListener(recorder.rawValue | Self.recorderBit, owner: Self.recorderBit) else {
      return
    }
    rooms[room].recorders[recorder] = Recorder(variant: -1, form: form)
    settle(room)
    followSources(room)
  }

  mutating func removeRecorder(_ recorder: RecorderID) {
    for room in 0..<rooms.count where rooms[room].recorders.removeValue(forKey: recorder) != nil {
      rooms[room].mixer.removeListener(recorder.rawValue | Self.recorderBit)
      followSources(room)
    }
  }

  // MARK: What is mixed

  mutating func addSource(_ key: PublicationKey, owner: UInt64, to id: MixerID) {
    guard let room = roomIndices[id], let source = rooms[room].mixer.addSource(key.rawValue, owner: owner) else { return }
    rooms[room].sources[key] = source
    if rooms[room].isFollowing { follow(key, room) }
  }

  mutating func removeSource(_ key: PublicationKey, of id: MixerID) {
    if let room = roomIndices[id] { removeSource(key, at: room) }
  }

  mutating func removeSource(_ key: PublicationKey, at room: Int) {
    guard let source = rooms[room].sources.removeValue(forKey: key) else { return }
    let id = rooms[room].id
    if rooms[room].isFollowing || isTapped(key, in: id) { unfollow(key) }
    removeTaps(of: key, in: id)
    for place in heard.indices where heard[place]?.room == id && heard[place]?.source == source { removeHeard(place) }
    rooms[room].mixer.removeSource(key.rawValue)
    for (name, slot) in slots where slot.gains[key] != nil { slots[name]?.gains[key] = nil }
    settle(room)
  }

  /// Homes are asked for packets as long as anybody listens.
  private mutating func followSources(_ room: Int) {
    let isWanted = rooms[room].mixer.listenerCount > 0
    guard isWanted != rooms[room].isFollowing else { return }
    rooms[room].isFollowing = isWanted
    for key in Array(rooms[room].sources.keys) where !isTapped(key, in: rooms[room].id) {
      if isWanted { follow(key, room) } else { unfollow(key) }
    }
  }

  mutating func unfollow(_ key: PublicationKey) {
    if key.shard == number { return setMixture(of: key, nil) }
    sayToHome(of: key, .about(key, .unsubscribe))
  }

  mutating func follow(_ key: PublicationKey, _ room: Int) {
    if key.shard == number { return setMixture(of: key, room) }
    sayToHome(of: key, .about(key, .subscribe))
    sayToHome(of: key, .loudnessWanted(key, level: UInt8(-AudioMixer.admissionLevel)))
  }
}
