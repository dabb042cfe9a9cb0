// Who gets which layer: chosen a few times a second from what there is, and whenever that changes.

import EnfiladeForwarding
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire

extension ShardEngine {
  /// How often layers are chosen while packets come: often enough that a layer which stops is left within half a second.
  private static var choiceInterval: TimeDelta { .milliseconds(250) }

  /// What became of reading a packet's frame.
  enum Reading: Hashable {
    case read
    /// What it refers to may still come.
    case unread
    /// It means nothing, now or later.
    case unreadable(DropReason)
  }

  /// Reads a packet's frame, once for all subscribers of this shard.
  mutating func readFrame(of packet: inout Packet, bytes: RawSpan, at now: Instant) -> Reading {
    guard packet.view.payloadByteCount > 0, packet.format != .telephoneEvent else { return .read }
    let stream = Int(packet.inbound)
    if inbound[stream].encoding.codec != packet.format.payloadCodec {
      guard now >= inbound[stream].nextCodecChange else { return .unreadable(.codecChangedTooSoon) }
      inbound[stream].nextCodecChange = now + Limits.codecChangeInterval
      // Another codec is another stream to whoever decodes it, under the same source. What came before it is decided as what it was.
      forwardPending(at: now)
      endForwarding(of: stream, at: now)
      inbound[stream].encoding = Encoding(
        serial: takeSerial(), index: inbound[stream].encoding.index, codec: packet.format.payloadCodec)
    }
    if packet.format == .red { packet.redundancy = PrimaryBlock(packet.view.payload(in: bytes)) }
    let result = inbound[stream].encoding.handlePacket(
      payload: packet.view.payload(in: bytes), extensions: packet.extensions, in: bytes, sequence: packet.sequence,
      timestamp: packet.view.timestamp, at: now)
    switch result {
    case .success(let frame): packet.forward.frame = frame
    case .failure(.structureUnknown): return .unread
    case .failure(.tooLate): return .unreadable(.olderThanSwitch)
    case .failure(.descriptorMalformed), .failure(.dependencyMalformed), .failure(.dependencyMissing): return .unreadable(.frameUnreadable)
    }
    if let data = packet.extensions.data(of: .videoLayersAllocation, in: bytes), let allocation = VideoLayersAllocation(data) {
      noteAllocation(allocation, publication: inbound[stream].publication)
    }
    return .read
  }

  /// Whoever is sent this stream begins anew with the next key picture.
  mutating func endForwarding(of stream: Int, at now: Instant) {
    let publication = inbound[stream].publication
    for position in 0..<publications[publication].subscribers.count {
      let subscriber = Int(publications[publication].subscribers[position])
      outbound[subscriber].forwarder.endSource(inbound[stream].encoding.serial, at: now)
      tellDecisions(of: subscriber, at: now)
    }
  }

  /// Chooses layers, if it is time or a picture begins that somebody may have waited for.
  mutating func chooseLayersIfDue(after packet: Packet, at now: Instant) {
    let publication = inbound[Int(packet.inbound)].publication
    let isDue = now >= publications[publication].nextChoice
    let beginsPicture = inbound[Int(packet.inbound)].kind == .video && packet.forward.frame.flags.contains(.startsKeyPicture)
    // Who waits for a key picture has it in this turn; whoever waits for another one asks when that is decided.
    if isDue || beginsPicture { chooseLayers(of: publication, asking: !beginsPicture, at: now) }
  }

  /// Lets every subscriber of a publication choose from what it consists of now.
  ///
  /// - Parameter asking: whether key frames that are missing now are asked for.
  mutating func chooseLayers(of publication: Int, asking: Bool = true, at now: Instant) {
    publications[publication].nextChoice = now + Self.choiceInterval
    gatherLayers(of: publication, at: now)
    var demanded: UInt8 = 0
    for position in 0..<publications[publication].subscribers.count {
      let stream = Int(publications[publication].subscribers[position])
      choose(for: stream, asking: asking, at: now)
      demanded |= outbound[stream].forwarder.demandedEncodings
    }
    noteDemand(demanded, of: publication, at: now)
  }

  /// Lets one subscriber choose.
  mutating func chooseLayer(for stream: Int, at now: Instant) {
    let publication = Int(outbound[stream].publication)
    guard publication >= 0 else { return }
    gatherLayers(of: publication, at: now)
    choose(for: stream, asking: true, at: now)
    // Whoever wants what is not sent cannot wait for a packet to bring the next choice.
    noteDemand(publications[publication].localDemand | outbound[stream].forwarder.demandedEncodings, of: publication, at: now)
  }

  mutating func gatherLayers(of publication: Int, at now: Instant) {
    catalog.removeAll()
    for index in 0..<Limits.encodingCount {
      let stream = Int(publications[publication].encodings[index])
      if stream >= 0 { Self.add(stream, of: inbound, to: &catalog, at: now) }
    }
    noteDormant(of: publication)
  }

  /// Completes the catalog by what is not sent now, and keeps what is known of what is.
  private mutating func noteDormant(of publication: Int) {
    // A mirror does not know how many there are; home does.
    let encodingCount = publications[publication].home < 0 ? publications[publication].encodingCount : Limits.encodingCount
    guard encodingCount > 1, publications[publication].kind == .video else { return }
    var live: UInt8 = 0
    for place in 0..<catalog.count {
      let candidate = catalog[place]
      let encoding = Int(candidate.encoding)
      if live >> candidate.encoding & 1 == 0 {
        live |= 1 << candidate.encoding
        publications[publication].known[encoding] = LayerCatalog.Dormant()
        publications[publication].known[encoding].encoding = candidate.encoding
        publications[publication].known[encoding].bitrate = candidate.layer.bitrate
      }
      publications[publication].known[encoding].pixelCount = max(
        publications[publication].known[encoding].pixelCount, candidate.layer.pixelCount)
      publications[publication].known[encoding].bitrate = min(
        publications[publication].known[encoding].bitrate, candidate.layer.bitrate)
    }
    for index in 0..<encodingCount where live >> UInt8(index) & 1 == 0 {
      publications[publication].known[index].encoding = UInt8(index)
      catalog.addDormant(publications[publication].known[index])
    }
    catalog.placeDormant()
  }

  private static func add(_ stream: Int, of inbound: borrowing Pool<InboundStream>, to catalog: inout LayerCatalog, at now: Instant) {
    catalog.add(inbound[stream].encoding, at: now)
  }

  private mutating func choose(for stream: Int, asking: Bool, at now: Instant) {
    let publication = Int(outbound[stream].publication)
    if let format = publications[publication].announced {
      outbound[stream].forwarder.setCodecAccepted(outbound[stream].payloadTypes.payloadType(for: format) != nil)
    }
    outbound[stream].forwarder.choose(from: catalog, at: now)
    // There is something to share out now.
    if outbound[stream].allocation.allotment == .least, catalog.count > 0 { wantAllocation(outbound[stream].link, at: now) }
    if asking { askForKeyframe(for: stream, at: now) }
    tellDecisions(of: stream, at: now)
  }

  /// Asks for the key frame that a subscriber cannot go on without, if there is one and it has not been asked for.
  mutating func askForKeyframe(for stream: Int, at now: Instant) {
    let publication = Int(outbound[stream].publication)
    guard publication >= 0, canSend(to: outbound[stream].link) else { return }
    // What is wished for is on its way out of the history.
    if let replay = outbound[stream].replay, replay.serial == outbound[stream].forwarder.wanted?.serial, replay.isAtStart { return }
    guard let encoding = outbound[stream].forwarder.pollKeyframeWish(at: now) else { return }
    let source = Int(publications[publication].encodings[Int(encoding)])
    guard source >= 0, !startReplay(of: source, for: stream, at: now) else { return }
    requestKeyframe(of: source, for: outbound[stream].forwarder.serial == 0 ? .newSubscriber : .layerSwitch, at: now)
  }

  private mutating func noteAllocation(_ allocation: VideoLayersAllocation, publication: Int) {
    for index in 0..<Limits.encodingCount {
      let stream = Int(publications[publication].encodings[index])
      if stream >= 0 { inbound[stream].encoding.handleAllocation(allocation) }
    }
  }

  // MARK: Demand

  /// Tells the application, or the publication's home, when other encodings are watched than before.
  private mutating func noteDemand(_ local: UInt8, of publication: Int, at now: Instant) {
    guard publications[publication].kind == .video else { return }
    publications[publication].localDemand = local
    let key = publications[publication].key
    guard publications[publication].home < 0 else {
      guard publications[publication].toldDemand != local else { return }
      publications[publication].toldDemand = local
      slab.say(.demand(key, encodings: local), to: Int(publications[publication].home))
      return
    }
    guard publications[publication].encodingCount > 1 else { return }
    var demanded = publications[publication].encodings(in: local)
    for position in 0..<publications[publication].outposts.count {
      demanded |= publications[publication].encodings(in: publications[publication].outposts[position].demandedEncodings)
    }
    if let wanted = publications[publication].demand.update(demanded, at: now) { events.append(.encodingsWanted(key, wanted)) }
  }

  mutating func handleDemand(_ key: PublicationKey, encodings: UInt8, port: Int, at now: Instant) {
    guard let publication = publicationIndices[key] else { return }
    for position in 0..<publications[publication].outposts.count where publications[publication].outposts[position].port == Int32(port) {
      publications[publication].outposts[position].demandedEncodings = encodings
    }
    chooseLayers(of: publication, at: now)
  }
}
