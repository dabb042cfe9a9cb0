// Verbs: the application's wishes, each carried out whole between two packets.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeSTUN
import EnfiladeStreams
import EnfiladeTransport
package import EnfiladeWire

extension ShardEngine {
  package mutating func perform(_ command: Command, at now: Instant) {
    advanceClock(to: now)
    switch command {
    case .addLink(let id, let configuration): addLink(id, configuration, at: now)
    case .addPlainLink(let id, let configuration): addPlainLink(id, configuration, at: now)
    case .configure(let id, let media): withLink(id) { engine, link in engine.configure(link, media, at: now) }
    case .restartICE(let id, let local, let remote):
      withLink(id) { engine, link in
        if let key = local.ufragKey { _ = engine.fragments.insert(LinkKey(key), Int32(link)) }
        let actions = engine.links[link].ice.restart(local: local, remote: remote, at: now)
        engine.carryOut(actions, link: link, at: now)
        engine.reschedule(link, at: now)
      }
    case .removeLink(let id): withLink(id) { engine, link in engine.removeLink(link, at: now) }
    case .bind(let slot, let publication): bind(slot, to: publication, at: now)
    case .listen(let slot, let worker): listen(slot, worker: worker)
    case .setTarget(let slot, let target):
      guard let stream = slotIndices[slot] else { return events.append(.refused(.unknownSlot(slot))) }
      outbound[stream].forwarder.setTarget(target)
      chooseLayer(for: stream, at: now)
      wantAllocation(outbound[stream].link, at: now)
    case .setPolicy(let id, let policy):
      withLink(id) { engine, link in
        guard engine.links[link].downlink >= 0 else { return }
        engine.downlinks[Int(engine.links[link].downlink)].policy = policy
        engine.wantAllocation(link, at: now)
      }
    case .setMuted(let key, let isMuted): setMuted(key, isMuted, at: now)
    }
    publishLanes()
  }

  private mutating func withLink(_ id: LinkID, _ body: (inout ShardEngine, Int) -> Void) {
    guard let link = linkIndices[id] else { return events.append(.refused(.unknownLink(id))) }
    body(&self, link)
  }

  // MARK: Links

  private mutating func addLink(_ id: LinkID, _ configuration: LinkConfiguration, at now: Instant) {
    guard linkIndices[id] == nil else { return events.append(.refused(.duplicateLink(id))) }
    let handshake = handshakes.makeHandshake(role: configuration.role, remoteFingerprints: configuration.fingerprints)
    let agent = ICELiteAgent(local: configuration.localCredentials, remote: configuration.remoteCredentials, at: now)
    let localSSRC = SSRC(UInt32(truncatingIfNeeded: random.next()))
    let inboundLimit = self.configuration.inboundLimit
    guard !links.isFull,
      let link = links.insert(
        Link(id: id, localSSRC: localSSRC, ice: agent, handshake: handshake, inboundLimit: inboundLimit, at: now))
    else {
      return events.append(.refused(.linkCapacityReached(id)))
    }
    linkIndices[id] = link
    if let key = configuration.localCredentials.ufragKey { _ = fragments.insert(LinkKey(key), Int32(link)) }
    reschedule(link, at: now)
  }

  private mutating func removeLink(_ link: Int, at now: Instant) {
    // A last word, so that the peer need not wait for a timeout; it leaves by the control queue.
    links[link].handshake.close(at: now)
    drainHandshake(link, at: now)
    endCongestion(of: link)
    endEstimate(of: link)
    for position in 0..<links[link].outbound.count { removeOutbound(Int(links[link].outbound[position])) }
    for position in 0..<links[link].publications.count { removePublication(Int(links[link].publications[position])) }
    for position in 0..<links[link].ice.addressCount {
      addresses.remove(LinkKey(links[link].ice.address(at: position)), onlyIf: Int32(link))
    }
    if let key = links[link].ice.currentUfragKey { fragments.remove(LinkKey(key), onlyIf: Int32(link)) }
    if let key = links[link].ice.previousUfragKey { fragments.remove(LinkKey(key), onlyIf: Int32(link)) }
    forgetPlainPath(of: link)
    if let session = links[link].session { protector.closeSession(session) }
    deadlines.set(.distantFuture, for: link)
    linkIndices[links[link].id] = nil
    // A later link at the same index must not inherit a place in this turn.
    for position in nextDirtyLink..<dirtyLinks.count where dirtyLinks[position] == Int32(link) { dirtyLinks[position] = -1 }
    _ = links.remove(at: link)
  }

  // MARK: Media sections

  /// Makes the link's sections what they are in `media`: those that stay keep their state, the others go.
  private mutating func configure(_ link: Int, _ media: MediaConfiguration, at now: Instant) {
    links[link].reducedSizeRTCP = media.reducedSizeRTCP
    configureReceiving(link, media.receive)
    configureEstimate(link, media.receive)
    configureCongestion(link, media.send, at: now)
    configureSending(link, media.send)
  }

  private mutating func configureReceiving(_ link: Int, _ sections: [ReceiveSection]) {
    for position in (0..<links[link].publications.count).reversed() {
      let publication = Int(links[link].publications[position])
      guard !sections.contains(where: { $0.publication == publications[publication].key }) else { continue }
      removePublication(publication)
      links[link].publications.remove(at: position)
    }
    for section in sections where publicationIndices[section.publication] == nil {
      guard
        let publication = publications.insert(
          PublicationState(key: section.publication, link: link, kind: section.kind, encodingCount: section.encodingCount))
      else {
        events.append(.refused(.publicationCapacityReached(section.publication)))
        continue
      }
      publicationIndices[section.publication] = publication
      links[link].publications.append(Int32(publication))
    }
    links[link].receive = sections
    // Sources name their section by its place in the list, which may have moved.
    for position in 0..<links[link].sources.count {
      let key = publications[inbound[Int(links[link].sources[position].inbound)].publication].key
      guard let section = sections.firstIndex(where: { $0.publication == key }) else { continue }
      links[link].sources[position].section = Int32(section)
      inbound[Int(links[link].sources[position].inbound)].extensions = sections[section].extensions
      inbound[Int(links[link].sources[position].inbound)].format = nil
    }
  }

  private mutating func configureSending(_ link: Int, _ sections: [SendSection]) {
    for position in (0..<links[link].outbound.count).reversed() {
      let stream = Int(links[link].outbound[position])
      guard !sections.contains(where: { $0.slot == outbound[stream].key }) else { continue }
      removeOutbound(stream)
      links[link].outbound.remove(at: position)
    }
    for section in sections {
      if let stream = slotIndices[section.slot] {
        outbound[stream].payloadTypes = PayloadTypeTable(section.formats)
        outbound[stream].plan = ExtensionPlan(
          map: writtenExtensions(of: section, link: link), allowsMixed: section.allowsMixedExtensions, mid: section.mid)
        outbound[stream].planClass = preparedHeaders.planClass(of: outbound[stream].plan)
        continue
      }
      let stream = outbound.insert(
        OutboundStream(
          section: section, link: link, firstSequence: UInt16(truncatingIfNeeded: random.next()),
          firstTimestamp: UInt32(truncatingIfNeeded: random.next()), firstRetransmission: UInt16(truncatingIfNeeded: random.next())))
      guard let stream else {
        events.append(.refused(.slotCapacityReached(section.slot)))
        continue
      }
      outbound[stream].plan.map = writtenExtensions(of: section, link: link)
      outbound[stream].planClass = preparedHeaders.planClass(of: outbound[stream].plan)
      if section.kind == .audio, !configuration.redundancy.isForLossy {
        outbound[stream].redundancyDistance = UInt8(configuration.redundancy.distance)
      }
      slotIndices[section.slot] = stream
      links[link].outbound.append(Int32(stream))
    }
  }

  // MARK: Subscriptions

  /// Shuts or opens the door for a publication's packets, at its home and wherever it is mirrored: every shard is told.
  private mutating func setMuted(_ key: PublicationKey, _ isMuted: Bool, at now: Instant) {
    guard let publication = publicationIndices[key] else {
      // A shard without a mirror has nothing to hold back.
      if key.shard == configuration.shard { events.append(.refused(.unknownPublication(key))) }
      return
    }
    guard publications[publication].isMuted != isMuted else { return }
    publications[publication].isMuted = isMuted
    withdrawPackets(of: publication)
    // The picture stood still meanwhile; every decoder needs a fresh start.
    if !isMuted { restartSubscribers(of: publication, at: now) }
  }

  /// Nothing of a publication that is here already goes out: neither what waits, nor what was kept to repair with.
  private mutating func withdrawPackets(of publication: Int) {
    withdrawRecords { engine, stream in engine.outbound[stream].publication == Int32(publication) }
    for encoding in 0..<Limits.encodingCount where publications[publication].encodings[encoding] >= 0 {
      let stream = publications[publication].encodings[encoding]
      for index in nextPacket..<packets.count where packets[index].inbound == stream && !packets[index].isRepair {
        packets[index].isRepair = true
        drops.count(.publicationMuted)
      }
      inbound[Int(stream)].history.drain { slab.release($0) }
    }
  }

  /// Takes back what was decided for some streams and has not been written.
  private mutating func withdrawRecords(where isWithdrawn: (borrowing ShardEngine, Int) -> Bool) {
    for index in 0..<records.count {
      let stream = Int(records[index].stream)
      guard outbound.contains(stream), isWithdrawn(self, stream) else { continue }
      records[index].stream = -1
      drops.count(.publicationMuted)
    }
  }

  private mutating func bind(_ slot: SlotKey, to key: PublicationKey?, at now: Instant) {
    guard let stream = slotIndices[slot] else { return events.append(.refused(.unknownSlot(slot))) }
    stopListening(stream)
    unsubscribe(stream)
    guard let key else {
      outbound[stream].forwarder.rebind(at: now)
      return tellDecisions(of: stream, at: now)
    }
    guard let publication = publicationIndices[key] ?? mirrorPublication(key, kind: outbound[stream].kind) else {
      return events.append(.refused(.unknownPublication(key)))
    }
    outbound[stream].publication = Int32(publication)
    publications[publication].subscribers.append(Int32(stream))
    outbound[stream].forwarder.rebind(at: now)
    beginAllocation(of: stream, at: now)
    chooseLayer(for: stream, at: now)
  }

  /// Takes an outgoing stream off whatever is bound to it.
  mutating func unsubscribe(_ stream: Int) {
    let publication = Int(outbound[stream].publication)
    outbound[stream].publication = -1
    outbound[stream].replay = nil
    guard publication >= 0 else { return }
    publications[publication].unsubscribe(stream)
    forgetMirrorIfUnused(publication)
  }

  mutating func restartSubscribers(of publication: Int, at now: Instant) {
    for position in 0..<publications[publication].subscribers.count {
      let stream = Int(publications[publication].subscribers[position])
      outbound[stream].replay = nil
      outbound[stream].forwarder.rebind(at: now)
    }
    chooseLayers(of: publication, at: now)
  }

  // MARK: Taking apart

  private mutating func removeOutbound(_ stream: Int) {
    stopListening(stream)
    unsubscribe(stream)
    slotIndices[outbound[stream].key] = nil
    _ = outbound.remove(at: stream)
  }

  mutating func removePublication(_ publication: Int) {
    if publications[publication].home < 0 {
      removeSources(of: publication, link: publications[publication].link)
      tellOutposts(of: publication, .about(publications[publication].key, .publicationEnded))
    } else {
      for encoding in 0..<Limits.encodingCount where publications[publication].encodings[encoding] >= 0 {
        removeInbound(Int(publications[publication].encodings[encoding]))
      }
    }
    for position in 0..<publications[publication].subscribers.count {
      let stream = Int(publications[publication].subscribers[position])
      outbound[stream].publication = -1
      outbound[stream].replay = nil
    }
    publicationIndices[publications[publication].key] = nil
    _ = publications.remove(at: publication)
  }

  private mutating func removeSources(of publication: Int, link: Int) {
    for position in (0..<links[link].sources.count).reversed() {
      let source = links[link].sources[position]
      guard inbound[Int(source.inbound)].publication == publication, !source.isRetransmission else { continue }
      removeInbound(Int(source.inbound))
    }
  }

  /// Forgets an inbound stream, every source that leads to it, and its history.
  mutating func removeInbound(_ stream: Int) {
    let publication = inbound[stream].publication
    if let mirrored = inbound[stream].mirrored {
      slab.ports[mirrored.port].setMirror(nil, of: mirrored.place)
    } else {
      let link = inbound[stream].link
      for position in (0..<links[link].sources.count).reversed() where Int(links[link].sources[position].inbound) == stream {
        links[link].sources.remove(at: position)
      }
      tellOutposts(of: publication, .streamEnded(Int32(stream)))
    }
    let encoding = Int(inbound[stream].encoding.index)
    if publications[publication].encodings[encoding] == Int32(stream) { publications[publication].encodings[encoding] = -1 }
    // Packets of this turn that came from it are not forwarded any more, and those that were belong to nobody, whoever comes next in its place.
    for index in packets.indices where Int(packets[index].inbound) == stream {
      packets[index].inbound = -1
      guard index >= nextPacket, !packets[index].isRepair else { continue }
      packets[index].isRepair = true
      drops.count(.endedSource)
    }
    endForwarding(of: stream, at: clock)
    if inbound[stream].mirrored == nil { endedKeyframes += inbound[stream].keyframes.counters }
    inbound[stream].history.drain { slab.release($0) }
    _ = inbound.remove(at: stream)
  }

  /// The publisher said goodbye to a source.
  mutating func endInbound(_ stream: Int) {
    let publication = inbound[stream].publication
    forwardPending(at: clock)
    let encoding = Int(inbound[stream].encoding.index)
    if publications[publication].encodings[encoding] == Int32(stream) {
      publications[publication].ended[encoding] = .init(ssrc: inbound[stream].ssrc, at: clock)
    }
    removeInbound(stream)
    guard !publications[publication].isRunning else { return }
    publications[publication].announced = nil
    events.append(.mediaEnded(publications[publication].key))
  }
}
