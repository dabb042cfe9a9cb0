// What a shard says of itself when asked: a value, made between two packets.

package import EnfiladeEngine
package import EnfiladeIO
package import EnfiladeStreams
package import EnfiladeTransport
package import EnfiladeWire

/// A shard's counters at one moment.
package struct ShardSnapshot: Sendable {
  package var shard: Int
  package var linkCount: Int
  /// Packets that histories and the current turn hold.
  package var slabLeasedCount: Int
  /// How much is in each table.
  package var census: ShardEngine.Census
  package var traffic: ShardEngine.Traffic
  /// What became of wishes for key frames.
  package var keyframes: KeyframeRequester.Counters
  package var drops: DropCounters
  /// Datagrams that found the socket's buffer full.
  package var egressDrops: EgressDrops
  /// What became of TCP connections.
  package var streams: StreamCounters
  /// TCP connections there are.
  package var streamCount: Int
  package var refusals: SendRefusals
  package var segmentation: UDPSocket.Segmentation
  package var coalescesReceive: Bool
  package var receiveBufferByteCount: Int
  package var sendBufferByteCount: Int
  /// Processor time of the shard's thread since its start.
  package var processorTime: TimeDelta
}
