// The way of sound from an application to a media worker that plays it, with back-pressure: who brings more than may wait is suspended until there
// is room. The worker never waits here.

package import EnfiladeEngine
package import EnfiladeMixing
import EnfiladeWire
import Synchronization

/// The line to one thing that is played.
package final class PlaybackLine: Sendable {
  /// How it ended.
  package enum Outcome: Sendable, Equatable {
    /// To its last sound.
    case played
    case stopped
    /// Somebody took it out of the room.
    case removed
    case roomClosed
    /// There are too many already, or its encoder cannot be made.
    case refused
    case failed(PlaybackFailure)
  }

  private struct Waiter {
    let id: UInt64
    let count: Int64
    let continuation: CheckedContinuation<Bool, Never>
  }

  private struct State {
    /// What was brought and is not played, in samples for each channel.
    var waiting: Int64 = 0
    /// Who brings more, in order.
    var waiters: [Waiter] = []
    var nextWaiter: UInt64 = 0
    /// Were cancelled before they could wait.
    var cancelled: Set<UInt64> = []
    var statistics = Player.Statistics()
    var isStopping = false
    /// What it will have been, once what waits has been played.
    var failure: PlaybackFailure?
    var outcome: Outcome?
    var endings: [CheckedContinuation<Outcome, Never>] = []
  }

  package let key: PublicationKey
  package let capacity: Int
  private let worker: MediaWorker
  private let state = Mutex(State())

  init(_ key: PublicationKey, _ worker: MediaWorker, capacity: Int) {
    self.key = key
    self.worker = worker
    self.capacity = capacity
  }

  // MARK: Look

  package var statistics: Player.Statistics { state.withLock { $0.statistics } }
  package var outcome: Outcome? { state.withLock { $0.outcome } }
  /// What waits to be played, in samples for each channel.
  package var waitingCount: Int64 { state.withLock { $0.waiting } }

  // MARK: Bringing

  /// Waits until there is room for so many samples.
  ///
  /// - Returns: `false` when it is over, or the task was cancelled.
  private func acquire(_ count: Int64) async -> Bool {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if state.cancelled.remove(id) != nil || state.outcome != nil || state.isStopping { return false }
          if state.waiters.isEmpty, state.waiting + count <= Int64(capacity) {
            state.waiting += count
            return true
          }
          state.waiters.append(Waiter(id: id, count: count, continuation: continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter: Waiter? = state.withLock { state in
        guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
          // It does not wait yet, or no longer; the number is never used again.
          if state.outcome == nil { state.cancelled.insert(id) }
          return nil
        }
        return state.waiters.remove(at: index)
      }
      waiter?.continuation.resume(returning: false)
    }
  }

  /// Brings samples at 48 kHz, as soon as there is room. `false` when it is over, or the task was cancelled.
  package func bring(_ samples: [Float], channelCount: Int) async -> Bool {
    // In pieces of 20 ms, so that a piece fits where little may wait.
    let piece = Limits.mixTickSampleCount * channelCount
    var start = 0
    while start < samples.count {
      let end = min(samples.count, start + piece)
      guard await acquire(Int64((end - start) / channelCount)) else { return false }
      worker.post(.playback(key, .samples(Array(samples[start..<end]))), isUrgent: true)
      start = end
    }
    return true
  }

  /// Brings packets, as soon as there is room.
  package func bring(_ packets: [FilePacket]) async -> Bool {
    for packet in packets {
      guard await acquire(Int64(packet.sampleCount)) else { return false }
      worker.post(.playback(key, .packets([packet])), isUrgent: true)
    }
    return true
  }

  /// Nothing more is brought: what waits is played, and then it is over.
  package func end() { worker.post(.playback(key, .end), isUrgent: true) }

  /// Nothing more can be brought, for this reason: what waits is played, and then it is over.
  package func fail(_ failure: PlaybackFailure) {
    state.withLock { $0.failure = failure }
    end()
  }

  /// It goes silent within 20 ms; it is over when that has reached everybody.
  package func stop() {
    let waiters: [Waiter] = state.withLock { state in
      guard !state.isStopping, state.outcome == nil else { return [] }
      state.isStopping = true
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.continuation.resume(returning: false) }
    worker.post(.playback(key, .stop), isUrgent: true)
  }

  package func setMuted(_ isMuted: Bool) { worker.post(.playback(key, .setMuted(isMuted)), isUrgent: true) }

  /// Waits until the worker has carried out what it was told.
  package func barrier() async { await worker.barrier() }

  /// Waits until it is over.
  package func ending() async -> Outcome {
    await withCheckedContinuation { continuation in
      let outcome: Outcome? = state.withLock { state in
        if state.outcome == nil { state.endings.append(continuation) }
        return state.outcome
      }
      if let outcome { continuation.resume(returning: outcome) }
    }
  }

  // MARK: What the worker says

  func take(_ report: PlaybackReport) {
    let ready: [Waiter] = state.withLock { state in
      state.statistics = report.statistics
      state.waiting -= report.consumed
      var ready: [Waiter] = []
      while let first = state.waiters.first, state.waiting + first.count <= Int64(capacity) {
        state.waiting += first.count
        ready.append(state.waiters.removeFirst())
      }
      return ready
    }
    for waiter in ready { waiter.continuation.resume(returning: true) }
    guard report.isOver else { return }
    let (isStopping, failure) = state.withLock { ($0.isStopping, $0.failure) }
    if let failure { return finish(.failed(failure)) }
    finish(report.isRefused ? .refused : isStopping ? .stopped : .played)
  }

  func open(_ form: Player.Form) { worker.post(.playback(key, .open(form, capacity: capacity)), isUrgent: true) }
  func close() { worker.post(.playback(key, .close), isUrgent: true) }

  /// It is over; what came first counts.
  func finish(_ outcome: Outcome) {
    let (waiters, endings) = state.withLock { state -> ([Waiter], [CheckedContinuation<Outcome, Never>]) in
      guard state.outcome == nil else { return ([], []) }
      state.outcome = outcome
      state.cancelled = []
      defer { (state.waiters, state.endings) = ([], []) }
      return (state.waiters, state.endings)
    }
    for waiter in waiters { waiter.continuation.resume(returning: false) }
    for ending in endings { ending.resume(returning: outcome) }
  }
}

/// The lines of one runtime, by what is played.
final class Playbacks: Sendable {
  private let lines = Mutex<[PublicationKey: PlaybackLine]>([:])

  func open(_ key: PublicationKey, _ worker: MediaWorker, _ form: Player.Form, capacity: Int) -> PlaybackLine {
    let line = PlaybackLine(key, worker, capacity: capacity)
    lines.withLock { $0[key] = line }
    line.open(form)
    return line
  }

  /// On a worker's thread, which waits for nothing longer than a look into a dictionary.
  func take(_ report: PlaybackReport) { lines.withLock { $0[report.playback] }?.take(report) }

  func close(_ line: PlaybackLine, _ outcome: PlaybackLine.Outcome) {
    line.close()
    line.finish(outcome)
    lines.withLock { _ = $0.removeValue(forKey: line.key) }
  }

  func finish() {
    let all = lines.withLock { lines in
      defer { lines = [:] }
      return Array(lines.values)
    }
    for line in all { line.finish(.roomClosed) }
  }
}
