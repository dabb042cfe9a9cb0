// One shard: its links, its publications, its packets. Sans-IO: it is told (`handle…`, `perform`), it is asked (`poll…`, `nextDeadline`), and
// between the two it is drained until nothing is left. Instants never go back.

import EnfiladeCongestion
package import EnfiladeForwarding
import EnfiladeRTP
package import EnfiladeStreams
package import EnfiladeTransport
package import EnfiladeWire

/// The engine of one shard. It lives where it was made: whoever drives it mutates it in place.
package struct ShardEngine: ~Copyable {
  package let configuration: ShardConfiguration
  let protector: any PacketProtector
  let handshakes: any HandshakeFactory
  let canonicalName: [UInt8]
  var random: SeededRandom
  var clock = Instant.zero

  // What there is.
  var slab: PacketStore
  /// As the other shards were told.
  var scarcity = Scarcity.plenty
  var nextRelief = Instant.zero
  var links: Pool<Link>
  var inbound: Pool<InboundStream>
  var publications: Pool<PublicationState>
  var outbound: Pool<OutboundStream>
  /// Of the links whose peers report what arrives.
  var downlinks: Pool<LinkCongestion>
  /// Of the links whose peers want to be told what arrives, as one number.
  var receiverEstimators: Pool<ReceiverEstimator>
  /// What their pacers hold back.
  var waiting = WaitingPackets()
  /// Counts inbound streams up, so that a reused index is told from what stood there before.
  var nextSerial: UInt32 = 1

  /// Scratch: what there is to choose from in one publication.
  var catalog = LayerCatalog()
  /// Scratch: what one downlink is to be shared out among.
  var wishes = UniqueArray<SubscriptionWish>()
  var allocator = BandwidthAllocator()

  // How it is found.
  var linkIndices: [LinkID: Int] = [:]
  var publicationIndices: [PublicationKey: Int] = [:]
  var slotIndices: [SlotKey: Int] = [:]
  var fragments: UfragTable
  var addresses: AddressTable
  /// Whose own a socket is.
  var plainSockets: [UInt32: Int32] = [:]

  // This turn.
  var ingress = IngressStage()
  /// Of the packets in `ingress`, those from addresses that their plain links do not know.
  var strangers = UniqueArray<Stranger>()
  var packets: UniqueArray<Packet>
  var nextPacket = 0
  var records: RecordList
  var dirtyLinks = UniqueArray<Int32>()
  var nextDirtyLink = 0
  /// Links with a replay that has just begun.
  var newReplays = UniqueArray<Int32>()
  var egress = EgressStage()
  var preparedHeaders = PreparedHeaders()
  var departures = Departures()
  /// Of the report that is being written: as many as one can hold (RFC 3550 §6.4.1).
  var reportBlocks = UniqueArray<ReportBlock>(minimumCapacity: RTCPWriter.maximumCount)
  var control = ControlQueue()
  /// Control datagrams have been given out and are free at the next drain.
  var controlIsOut = false

  var deadlines = DeadlineQueue()
  var events = EventQueue()
  package internal(set) var drops = DropCounters()
  package internal(set) var traffic = Traffic()
  /// Of streams that are gone.
  var endedKeyframes = KeyframeRequester.Counters()

  /// What went through a shard since its start.
  package struct Traffic: Sendable {
    package var packetsIn: UInt64 = 0
    /// Packets that other shards lent.
    package var packetsRelayed: UInt64 = 0
    package var packetsOut: UInt64 = 0
    package var bytesOut: UInt64 = 0
    package var messagesOut: UInt64 = 0
    package var retransmissionsOut: UInt64 = 0
    package var keyframeRequestsOut: UInt64 = 0
    /// Packets of probes that nobody needed, empty or sent again.
    package var paddingPacketsOut: UInt64 = 0
    /// Joiners and switches that were served from the history instead.
    package var replays: UInt64 = 0
  }

  /// Packets decided and not yet written: a batch of a frame's packets to a shard full of subscribers.
  static var recordCapacity: Int { 32_768 }

  package init(_ configuration: ShardConfiguration, protector: any PacketProtector, handshakes: any HandshakeFactory) {
    self.configuration = configuration
    self.protector = protector
    self.handshakes = handshakes
    random = SeededRandom(seed: configuration.seed)
    slab = PacketStore(PacketSlab(shard: configuration.shard, slotCount: configuration.slotCount))
    links = Pool(capacity: configuration.linkCapacity)
    // Sixteen media sections a link, in each direction, on average; a room of fifty with audio and video has up to a hundred one way.
    inbound = Pool(capacity: configuration.linkCapacity * 16)
    publications = Pool(capacity: configuration.linkCapacity * 16)
    outbound = Pool(capacity: configuration.linkCapacity * 128)
    downlinks = Pool(capacity: configuration.linkCapacity)
    receiverEstimators = Pool(capacity: configuration.linkCapacity)
    // Four of the eight addresses a link may prove, on average.
    addresses = AddressTable(capacity: configuration.linkCapacity * 4, seed: HashSeed(using: &random))
    // Two sets of credentials while ICE restarts.
    fragments = UfragTable(capacity: configuration.linkCapacity * 2, seed: HashSeed(using: &random))
    canonicalName = Array(configuration.canonicalName.utf8)
    packets = UniqueArray(minimumCapacity: 2 * IngressStage.capacity)
    records = RecordList(capacity: Self.recordCapacity)
  }

  // MARK: Look

  /// When ``handleTimeout(at:)`` wants to be called.
  package var nextDeadline: Instant { deadlines.next }
  package var linkCount: Int { links.count }
  package var slabLeasedCount: Int { slab.leasedCount }

  /// Whether a link has proved that it is reached at `address`, and has not given that up.
  package func isKnown(_ address: SocketAddress) -> Bool { addresses.find(address) != nil }

  /// How much is in each table.
  package struct Census: Hashable, Sendable {
    package var links = 0
    package var inboundStreams = 0
    package var publications = 0
    package var outboundStreams = 0
    package var addresses = 0
    package var fragments = 0
    package var leasedSlots = 0
    package var controlledLinks = 0
    package var estimatedLinks = 0
    package var waitingPackets = 0

    package init() {}

    package static func += (sum: inout Census, part: Census) {
      sum.links += part.links
      sum.inboundStreams += part.inboundStreams
      sum.publications += part.publications
      sum.outboundStreams += part.outboundStreams
      sum.addresses += part.addresses
      sum.fragments += part.fragments
      sum.leasedSlots += part.leasedSlots
      sum.controlledLinks += part.controlledLinks
      sum.estimatedLinks += part.estimatedLinks
      sum.waitingPackets += part.waitingPackets
    }
  }

  /// What is there now; all zero once every link is gone.
  package var census: Census {
    var census = Census()
    census.links = links.count
    census.inboundStreams = inbound.count
    census.publications = publications.count
    census.outboundStreams = outbound.count
    census.addresses = addresses.count
    census.fragments = fragments.count
    census.leasedSlots = slab.leasedCount
    census.controlledLinks = downlinks.count
    census.estimatedLinks = receiverEstimators.count
    census.waitingPackets = waiting.count
    return census
  }

  /// What became of wishes for key frames of this shard's publishers, since its start. Those that a replay served are not among them.
  package var keyframes: KeyframeRequester.Counters {
    var sum = endedKeyframes
    for publication in publicationIndices.values {
      for encoding in 0..<Limits.encodingCount {
        let stream = Int(publications[publication].encodings[encoding])
        if stream >= 0, inbound[stream].mirrored == nil { sum += inbound[stream].keyframes.counters }
      }
    }
    return sum
  }

  /// The last decisions of the forwarder of an outgoing stream, the oldest first; empty for one that is not there.
  package func decisions(of slot: SlotKey) -> [DecisionLog.Entry] {
    guard let stream = slotIndices[slot] else { return [] }
    return (0..<outbound[stream].forwarder.log.count).map { outbound[stream].forwarder.log[$0] }
  }

  /// Whether something waits to be sent; ``pollTransmit(into:at:)`` has to be called until it gives nothing.
  package var hasPendingOutput: Bool {
    !control.isEmpty || nextPacket < packets.count || nextDirtyLink < dirtyLinks.count || !records.isEmpty || !newReplays.isEmpty
  }

  /// The next event, or `nil`.
  package mutating func pollEvent() -> EngineEvent? { events.poll() }

  // MARK: Helpers shared by the aspects

  /// A number that no other stream of this shard has.
  mutating func takeSerial() -> UInt32 {
    defer { nextSerial = nextSerial == .max ? 1 : nextSerial + 1 }
    return nextSerial
  }

  /// Holds the one rule of time: it does not go back.
  mutating func advanceClock(to now: Instant) {
    assert(now >= clock, "time went back")
    clock = max(clock, now)
  }

  mutating func markDirty(_ link: Int) {
    guard !links[link].isDirty else { return }
    links[link].isDirty = true
    dirtyLinks.append(Int32(link))
  }

  /// The link owes RTCP now.
  mutating func oweRTCP(_ link: Int) {
    links[link].owesRTCP = true
    markDirty(link)
  }
}
