// A media worker as the control plane sees it: a thread off the shards that mixes, reached by the same kind of mailbox and lanes.

package import EnfiladeEngine
package import EnfiladeIO
package import EnfiladeMixing
package import EnfiladeWire
import Synchronization

/// A message to a media worker.
enum MediaWorkerMessage: Sendable {
  case command(MixCommand)
  case snapshot(@Sendable (MediaWorkerSnapshot) -> Void)
  case barrier(@Sendable () -> Void)
  case stop
}

/// What a media worker says of itself when asked.
package struct MediaWorkerSnapshot: Sendable {
  package var roomCount: Int
  package var leasedCount: Int
  package var effortStep: Int
  package var statistics: MixWorker.Statistics
  /// Processor time of its thread since its start.
  package var processorTime: TimeDelta
}

/// One mixing thread. Sendable: everything behind it belongs to its thread, and is reached by the mailbox alone.
package final class MediaWorker: Sendable {
  /// A packet takes microseconds and a tick milliseconds: where both want a processor, the packet goes first.
  private static let niceness = 5

  /// Behind those of the shards.
  package let number: Int
  private let mailbox: Mailbox<MediaWorkerMessage>
  let presence: ShardPresence
  /// Kept after the thread's end: shards read packets in its memory until they have stopped, too.
  let loop: Mutex<MediaWorkerLoop?>
  private let thread = Mutex<SystemThread?>(nil)

  /// - Parameters:
  ///   - events, recorded, played: take what it has to say, on its thread; they must not block.
  package init(
    number: UInt8, slotCount: Int, codecs: any AudioCodecFactory, wallClock: WallClock, seed: UInt64,
    events: @escaping @Sendable (MixEvent) -> Void, recorded: @escaping @Sendable (RecordedPacket) -> Void,
    played: @escaping @Sendable (PlaybackReport) -> Void
  ) throws(IOError) {
    self.number = Int(number)
    presence = try ShardPresence()
    mailbox = Mailbox(wakeUp: presence.wakeUp)
    loop = Mutex(
      try MediaWorkerLoop(
        worker: MixWorker(number: number, slotCount: slotCount, codecs: codecs, wallClock: wallClock, seed: seed), mailbox: mailbox,
        presence: presence, events: events, recorded: recorded, played: played))
  }

  func start() throws(IOError) {
    let loop = loop.withLock { $0! }
    let thread = try SystemThread(name: "enfilade-mix-\(number)", niceness: Self.niceness) { loop.run() }
    self.thread.withLock { $0 = thread }
  }

  /// Sends a command; commands of one sender are carried out in order. `false` when the mailbox is closed, or full and the command not urgent.
  @discardableResult
  package func post(_ command: MixCommand, isUrgent: Bool = false) -> Bool { mailbox.post(.command(command), isUrgent: isUrgent) }

  /// The worker's counters; `nil` when it could not be asked.
  package func snapshot() async -> MediaWorkerSnapshot? {
    await withCheckedContinuation { continuation in
      if !mailbox.post(.snapshot { continuation.resume(returning: $0) }) { continuation.resume(returning: nil) }
    }
  }

  /// Waits until everything posted before has been carried out.
  package func barrier() async {
    await withCheckedContinuation { continuation in
      if !mailbox.post(.barrier { continuation.resume() }, isUrgent: true) { continuation.resume() }
    }
  }

  /// Ends the thread and waits for it. Its memory stays until ``release()``.
  package func stop() {
    _ = mailbox.post(.stop, isUrgent: true)
    thread.withLock { $0.take() }?.join()
  }

  /// Gives the memory back. When every shard has stopped.
  package func release() { loop.withLock { $0 = nil } }
}

/// What a media worker's thread does: wait for a tick, a message or a shard; mix; say what follows. Made on the starting thread, then handed to its own
/// and used nowhere else.
final class MediaWorkerLoop: @unchecked Sendable {
  /// How long the thread sleeps at most while words to a shard wait for room.
  private static let laneRetryInterval = TimeDelta.milliseconds(1)

  private struct State: ~Copyable {
    var worker: MixWorker
    var now: Instant
  }

  private var state: State
  private let poller: Poller
  private let presence: ShardPresence
  private let mailbox: Mailbox<MediaWorkerMessage>
  private let events: @Sendable (MixEvent) -> Void
  private let recorded: @Sendable (RecordedPacket) -> Void
  private let played: @Sendable (PlaybackReport) -> Void
  /// The presences of the shards, by number.
  private var shards: [ShardPresence] = []

  init(
    worker: consuming MixWorker, mailbox: Mailbox<MediaWorkerMessage>, presence: ShardPresence,
    events: @escaping @Sendable (MixEvent) -> Void, recorded: @escaping @Sendable (RecordedPacket) -> Void,
    played: @escaping @Sendable (PlaybackReport) -> Void
  ) throws(IOError) {
    state = State(worker: worker, now: MonotonicClock.now)
    self.mailbox = mailbox
    self.presence = presence
    self.events = events
    self.recorded = recorded
    self.played = played
    poller = try Poller()
    try poller.watch(presence.wakeUp.descriptor, for: .readable, token: 0)
  }

  /// Lays the lane to a shard; in the order of the shards, before any of them runs.
  func connect(_ engine: inout ShardEngine, presence: ShardPresence) {
    ShardEngine.connect(&engine, &state.worker)
    shards.append(presence)
  }

  /// Runs until told to stop.
  func run() { run(&state) }

  private func run(_ state: inout State) {
    while true {
      sleep(&state)
      if !handleMessages(&state) { return }
      while state.worker.takeRelayed(at: state.now) {}
      if state.worker.nextDeadline <= state.now { state.worker.handleTimeout(at: state.now) }
      while let shard = state.worker.takeShardToWake() { shards[shard].ring() }
      while let event = state.worker.pollEvent() { events(event) }
      while let packet = state.worker.pollRecorded() { recorded(packet) }
      while let report = state.worker.pollPlayback() { played(report) }
    }
  }

  /// Waits for a message, a shard, or the next tick. Packets for a tick that is near need not wake anybody: they are there when it comes.
  private func sleep(_ state: inout State) {
    var until = state.worker.nextDeadline
    let asleep = MonotonicClock.now
    if until - asleep > Limits.mixTick || until == .distantFuture { presence.lieDown() }
    switch state.worker.laneWork {
    case .none: break
    case .waitsForRoom: until = min(until, asleep + Self.laneRetryInterval)
    case .toTake: if until == .distantFuture { until = asleep }
    }
    _ = poller.wait(timeout: until == .distantFuture ? nil : max(.zero, until - asleep))
    presence.getUp()
    state.now = MonotonicClock.now
    presence.wakeUp.drain()
  }

  private func handleMessages(_ state: inout State) -> Bool {
    var isStopping = false
    var messages = mailbox.takeAll()
    while !messages.isEmpty {
      for message in messages {
        switch message {
        case .command(let command): state.worker.perform(command, at: state.now)
        case .snapshot(let reply):
          reply(
            MediaWorkerSnapshot(
              roomCount: state.worker.roomCount, leasedCount: state.worker.leasedCount, effortStep: state.worker.effortStep,
              statistics: state.worker.statistics, processorTime: MonotonicClock.threadProcessorTime))
        case .barrier(let reply):
          while state.worker.takeRelayed(at: state.now) {}
          reply()
        case .stop: isStopping = true
        }
      }
      // Nothing comes after this, and nobody is left waiting for an answer.
      messages = isStopping ? mailbox.close() : []
    }
    return !isStopping
  }
}
