// Packets that a pacer holds back: named by number, each with a hold on its slot until it leaves or is dropped.

import EnfiladeForwarding
import EnfiladeWire

/// All packets of a shard that wait, whichever link they are for. It grows while links are congested, and not otherwise.
struct WaitingPackets: ~Copyable {
  struct Waiting {
    var record: EgressRecord
    var handle: PacketHandle
    var note: HistoryNote
    var sequence: ExtendedSequenceNumber
    /// Where it came from, and what tells that from what may stand there later.
    var inbound: Int32
    var serial: UInt32
    /// The outgoing stream's own number, for the same reason.
    var ssrc: SSRC
  }

  /// What all pacers of a shard may hold in all: a second of 600 Mbit/s.
  static var capacity: Int { 65_536 }

  private var places = UniqueArray<Waiting>()
  private var vacant = UniqueArray<Int32>()

  init() {}

  var count: Int { places.count - vacant.count }
  var isFull: Bool { vacant.isEmpty && places.count == Self.capacity }
  /// What the next packet will be called. There must be room.
  var nextName: Int32 { vacant.isEmpty ? Int32(places.count) : vacant[vacant.count - 1] }

  /// Takes a packet in, under ``nextName``.
  mutating func insert(_ packet: Waiting) {
    precondition(!isFull, "the caller looks for room")
    if vacant.isEmpty { places.append(packet) } else { places[Int(vacant.removeLast())] = packet }
  }

  /// Takes a packet out, and with it the hold on its slot.
  mutating func remove(_ name: Int32) -> Waiting {
    vacant.append(name)
    return places[Int(name)]
  }
}
