// What the engine's own tests and tools look at.

package import EnfiladeRuntime

extension Engine {
  /// Each shard's counters, made between two packets; a shard that is stopped has none.
  package func snapshots() async -> [ShardSnapshot] {
    var snapshots: [ShardSnapshot] = []
    for shard in core.runtime.shards {
      if let snapshot = await shard.snapshot() { snapshots.append(snapshot) }
    }
    return snapshots
  }
}
