// The way of recorded packets from a media worker's thread to whoever fetches them.

import EnfiladeEngine
import EnfiladeMixing
import EnfiladeWire
import Synchronization

/// Recorders by name. The worker never waits here for longer than a look into a dictionary.
final class Recordings: Sendable {
  /// Five seconds of 20 ms.
  private static let capacity = 250

  private let taps = Mutex<[RecorderID: TapLine]>([:])
  private let continuations = Mutex<[RecorderID: AsyncStream<RecordedPacket>.Continuation]>([:])

  func add(_ recorder: RecorderID) -> AsyncStream<RecordedPacket> {
    let (stream, continuation) = AsyncStream.makeStream(of: RecordedPacket.self, bufferingPolicy: .bufferingNewest(Self.capacity))
    continuations.withLock { $0[recorder] = continuation }
    return stream
  }

  /// `nil` when its worker has as many as it takes.
  func addTap(_ recorder: RecorderID, worker: Int, capacity: Int) -> TapLine? {
    taps.withLock { taps in
      guard taps.values.count(where: { $0.worker == worker }) < Limits.tapCount else { return nil }
      let line = TapLine(recorder, worker: worker, capacity: capacity)
      taps[recorder] = line
      return line
    }
  }

  func removeTap(_ recorder: RecorderID, _ outcome: TapLine.Outcome) {
    taps.withLock { $0.removeValue(forKey: recorder) }?.finish(outcome)
  }

  func take(_ packet: RecordedPacket) {
    if let tap = taps.withLock({ $0[packet.recorder] }) { return tap.put(packet) }
    _ = continuations.withLock { $0[packet.recorder] }?.yield(packet)
  }

  func remove(_ recorder: RecorderID) {
    continuations.withLock { $0.removeValue(forKey: recorder) }?.finish()
  }

  func finish() {
    let all = continuations.withLock { continuations in
      defer { continuations = [:] }
      return Array(continuations.values)
    }
    for continuation in all { continuation.finish() }
    let lines = taps.withLock { taps in
      defer { taps = [:] }
      return Array(taps.values)
    }
    for line in lines { line.finish(.roomClosed) }
  }
}
