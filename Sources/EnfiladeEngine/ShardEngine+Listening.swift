// Slots that carry a mixture: which of its publications, the media worker says, in the order of its packets.

import EnfiladeForwarding
import EnfiladeWire

extension ShardEngine {
  /// Lays the lane between a shard and a media worker. When the shards are connected with one another, in the order of the workers, before any runs.
  package static func connect(_ shard: inout ShardEngine, _ worker: inout MixWorker) {
    let number = worker.number
    precondition(shard.slab.ports.count == shard.slab.port(of: number), "lanes are laid in the order of shards and workers")
    precondition(worker.slab.ports.count == Int(shard.configuration.shard), "lanes are laid in the order of the shards")
    var forth = SPSCRing<RelayMessage>(capacity: Limits.lanePacketCount)
    var back = SPSCRing<RelayMessage>(capacity: Limits.lanePacketCount)
    // A ring home has a place for every slot there is, so it is never full.
    var homeToShard = SPSCRing<PacketHandle>(capacity: shard.slab.own.slotCount.roundedUpToPowerOfTwo)
    var homeToWorker = SPSCRing<PacketHandle>(capacity: worker.slab.own.slotCount.roundedUpToPowerOfTwo)
    shard.slab.ports.append(
      RelayPort(
        peer: number, isWorker: true, window: worker.slab.own.window, outbox: forth.takeProducer(), inbox: back.takeConsumer(),
        homeward: homeToWorker.takeProducer(), returned: homeToShard.takeConsumer()))
    worker.slab.ports.append(
      RelayPort(
        peer: shard.configuration.shard, window: shard.slab.own.window, outbox: back.takeProducer(), inbox: forth.takeConsumer(),
        homeward: homeToShard.takeProducer(), returned: homeToWorker.takeConsumer()))
  }

  /// A slot gets its mixture from a worker.
  mutating func listen(_ slot: SlotKey, worker: UInt8) {
    guard let stream = slotIndices[slot] else { return events.append(.refused(.unknownSlot(slot))) }
    let port = slab.port(of: worker)
    guard port < slab.ports.count, slab.ports[port].isWorker else { return events.append(.refused(.unknownSlot(slot))) }
    stopListening(stream)
    unsubscribe(stream)
    outbound[stream].worker = Int32(port)
    slab.say(.listen(slot), to: port)
  }

  /// A slot no longer gets a mixture, if it did.
  mutating func stopListening(_ stream: Int) {
    guard outbound[stream].worker >= 0 else { return }
    slab.say(.unlisten(outbound[stream].key), to: Int(outbound[stream].worker))
    outbound[stream].worker = -1
  }

  /// The worker says which of its publications a slot carries. All of one worker stand on one line of time, so the stream goes on where it was.
  mutating func handleFollow(_ slot: SlotKey, number: Int32, port: Int, at now: Instant) {
    // A slot that is gone, or carries something else by now: the worker will hear of it.
    guard let stream = slotIndices[slot], outbound[stream].worker == Int32(port), number >= 0 else { return }
    let key = PublicationKey(number: UInt64(number), shard: slab.ports[port].peer)
    let before = Int(outbound[stream].publication)
    if before >= 0 {
      guard publications[before].key != key else { return }
      forwardPending(at: now)
    }
    let isSameLine = before >= 0
    unsubscribe(stream)
    guard let publication = publicationIndices[key] ?? mirrorPublication(key, kind: outbound[stream].kind) else {
      return events.append(.refused(.unknownPublication(key)))
    }
    outbound[stream].publication = Int32(publication)
    publications[publication].subscribers.append(Int32(stream))
    outbound[stream].forwarder.rebind(at: now, keepsTimeline: isSameLine)
    chooseLayer(for: stream, at: now)
  }

  /// An outpost wants no packets that say they are quieter.
  mutating func handleLoudnessWanted(_ key: PublicationKey, level: UInt8, port: Int) {
    guard let publication = publicationIndices[key] else { return }
    for position in 0..<publications[publication].outposts.count where publications[publication].outposts[position].port == Int32(port) {
      publications[publication].outposts[position].quietestLevel = level
    }
  }
}
