// What a shard's thread does: wait, take what came, do what was asked, send what follows. Run to completion; nobody else touches any of it.

import EnfiladeEngine
import EnfiladeIO
import EnfiladeTransport
import EnfiladeWire

/// A message to a shard.
enum ShardMessage: Sendable {
  case command(Command)
  case snapshot(@Sendable (ShardSnapshot) -> Void)
  case barrier(@Sendable () -> Void)
  case stop
}

/// The loop of one shard. Made on the starting thread, then handed to its own and used nowhere else.
final class ShardLoop: @unchecked Sendable {
  /// Receive calls before time and commands get their turn: about a thousand datagrams.
  private static let receiveRounds = 16

  private let index: Int
  /// What changes with every packet; held by one variable of the loop, so that access costs nothing.
  private struct State: ~Copyable {
    var engine: ShardEngine
    var outgoing = UniqueArray<OutgoingDatagram>(minimumCapacity: EgressStage.jobCapacity)
    var now: Instant
    var sendBlockedCount: UInt64 = 0

    init(engine: consuming ShardEngine, now: Instant) {
      self.engine = engine
      self.now = now
    }
  }

  private var state: State
  private let socket: UDPSocket
  private let poller: Poller
  private let wakeUp: WakeUp
  private let mailbox: Mailbox<ShardMessage>
  private let sink: @Sendable (EngineEvent) -> Void
  private let received = ReceiveBatch()

  init(
    index: Int, engine: consuming ShardEngine, socket: UDPSocket, mailbox: Mailbox<ShardMessage>, wakeUp: WakeUp,
    sink: @escaping @Sendable (EngineEvent) -> Void
  ) throws(IOError) {
    self.index = index
    state = State(engine: engine, now: MonotonicClock.now)
    self.socket = socket
    self.mailbox = mailbox
    self.wakeUp = wakeUp
    self.sink = sink
    poller = try Poller()
    try poller.watch(socket.descriptor, for: .readable, token: 0)
    try poller.watch(wakeUp.descriptor, for: .readable, token: 1)
  }

  /// Runs until told to stop.
  func run() { run(&state) }

  private func run(_ state: inout State) {
    while true {
      let deadline = state.engine.nextDeadline
      _ = poller.wait(timeout: deadline == .distantFuture ? nil : deadline - MonotonicClock.now)
      state.now = MonotonicClock.now
      wakeUp.drain()
      if !handleMessages(&state) { return }
      receiveAll(&state)
      if state.engine.nextDeadline <= state.now {
        state.engine.handleTimeout(at: state.now)
        drain(&state)
      }
      while let event = state.engine.pollEvent() { sink(event) }
    }
  }

  /// Does what was asked; `false` when that was to stop.
  private func handleMessages(_ state: inout State) -> Bool {
    var isStopping = false
    var messages = mailbox.takeAll()
    while !messages.isEmpty {
      for message in messages {
        switch message {
        case .command(let command):
          state.engine.perform(command, at: state.now)
          drain(&state)
        case .snapshot(let reply): reply(snapshot(of: state))
        case .barrier(let reply): reply()
        case .stop: isStopping = true
        }
      }
      // Nothing comes after this, and nobody is left waiting for an answer.
      messages = isStopping ? mailbox.close() : []
    }
    return !isStopping
  }

  private func receiveAll(_ state: inout State) {
    for _ in 0..<Self.receiveRounds {
      let count = socket.receive(into: received)
      guard count > 0 else { return }
      state.now = MonotonicClock.now
      for position in 0..<count {
        while !state.engine.handle(received[position], at: state.now) {
          state.engine.finishBatch(at: state.now)
          drain(&state)
        }
      }
      state.engine.finishBatch(at: state.now)
      drain(&state)
      if count < received.capacity { return }
    }
  }

  /// Sends until the engine has nothing left to say.
  private func drain(_ state: inout State) {
    while state.engine.pollTransmit(into: &state.outgoing, at: state.now) > 0 {
      let result = state.outgoing.span.withUnsafeBufferPointer { socket.send($0) }
      if result.blocked != nil { state.sendBlockedCount &+= UInt64(state.outgoing.count - result.consumedCount) }
    }
  }

  private func snapshot(of state: borrowing State) -> ShardSnapshot {
    ShardSnapshot(
      shard: index, linkCount: state.engine.linkCount, slabLeasedCount: state.engine.slabLeasedCount, census: state.engine.census,
      traffic: state.engine.traffic, drops: state.engine.drops,
      sendBlockedCount: state.sendBlockedCount, refusals: socket.refusals, segmentation: socket.segmentation,
      coalescesReceive: socket.coalescesReceive, receiveBufferByteCount: socket.receiveBufferByteCount,
      sendBufferByteCount: socket.sendBufferByteCount, processorTime: MonotonicClock.threadProcessorTime)
  }
}
