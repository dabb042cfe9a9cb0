// One shard: its links, its publications, its packets. Sans-IO: it is told (`handle…`, `perform`), it is asked (`poll…`, `nextDeadline`), and
// between the two it is drained until nothing is left. Instants never go back.

package import BasicContainers
package import EnfiladeTransport
package import EnfiladeWire

/// The engine of one shard. It lives where it was made: whoever drives it mutates it in place.
package struct ShardEngine: ~Copyable {
  package let configuration: ShardConfiguration
  let protector: any PacketProtector
  let handshakes: any HandshakeFactory
  var random: SeededRandom
  var clock = Instant.zero

  // What there is.
  var slab: PacketSlab
  var links = Pool<Link>
  var inbound = UniqueArray<InboundStream?>()
  var publications = UniqueArray<PublicationState?>()
  var outbound = UniqueArray<OutboundStream?>()

  // How it is found.
  var linkIndices: [LinkID: Int] = [:]
  var publicationIndices: [PublicationKey: Int] = [:]
  var slotIndices: [SlotKey: Int] = [:]
  var addresses: AddressTable

  // This turn.
  var ingress = IngressStage()
  var packets = UniqueArray<Packet>()
  var nextPacket = 0
  var records = UniqueArray<EgressRecord>()
  var dirtyLinks = UniqueArray<Int32>()
  var nextDirtyLink = 0
  var egress = EgressStage()
  var control = ControlQueue()

  var deadlines = DeadlineQueue()
  var events = EventQueue()
  package internal(set) var drops = DropCounters()
}
