// What the engine's own tests and tools look at.

package import EnfiladeRuntime

extension Engine {
  /// Each media worker's counters, made between two ticks.
  package func mixSnapshots() async -> [MediaWorkerSnapshot] {
    var snapshots: [MediaWorkerSnapshot] = []
    for worker in core.runtime.workers {
      if let snapshot = await worker.snapshot() { snapshots.append(snapshot) }
    }
    return snapshots
  }

  /// Each shard's counters, made between two packets; a shard that is stopped has none.
  package func snapshots() async -> [ShardSnapshot] {
    var snapshots: [ShardSnapshot] = []
    for shard in core.runtime.shards {
      if let snapshot = await shard.snapshot() { snapshots.append(snapshot) }
    }
    return snapshots
  }
}
