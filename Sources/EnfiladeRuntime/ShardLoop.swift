// What a shard's thread does: wait, take what came, do what was asked, send what follows. Run to completion; nobody else touches any of it.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeIO
import EnfiladeTransport
import EnfiladeWire
import Synchronization

/// A message to a shard.
enum ShardMessage: Sendable {
  case command(Command)
  case snapshot(@Sendable (ShardSnapshot) -> Void)
  case downlink(LinkID, @Sendable (DownlinkReport?) -> Void)
  /// The last decisions about an outgoing stream, and when the answer was made.
  case decisions(SlotKey, @Sendable ([DecisionLog.Entry], Instant) -> Void)
  case barrier(@Sendable () -> Void)
  case addSocket(PlainSocket)
  case removeSocket(UInt32)
  case stop
}

/// The loop of one shard. Made on the starting thread, then handed to its own and used nowhere else.
final class ShardLoop: @unchecked Sendable {
  /// Receive calls before time and commands get their turn: about a thousand datagrams.
  private static let receiveRounds = 16
  /// How long sound may wait for a full socket in one turn: a tenth of what a playout buffer holds.
  private static let patience = TimeDelta.milliseconds(2)
  /// How long a thread sleeps at most while words for another shard wait for room.
  private static let laneRetryInterval = TimeDelta.milliseconds(1)

  private let index: Int
  /// What changes with every packet; held by one variable of the loop, so that access costs nothing.
  private struct State: ~Copyable {
    var engine: ShardEngine
    var outgoing = UniqueArray<OutgoingDatagram>(minimumCapacity: EgressStage.jobCapacity)
    var now: Instant
    var window: FlushWindow
    /// When packets that wait for company leave at the latest.
    var flushAt = Instant.distantFuture
    var egressDrops = EgressDrops()
    /// What the last wait brought.
    var eventCount = 0

    init(engine: consuming ShardEngine, window: FlushWindow, now: Instant) {
      self.engine = engine
      self.window = window
      self.now = now
    }
  }

  private var state: State
  private let socket: UDPSocket
  /// Where TCP is switched on.
  private let streams: StreamPort?
  /// Those of links without ICE.
  private let plain: PlainPorts
  private let poller: Poller
  private let presence: ShardPresence
  private let mailbox: Mailbox<ShardMessage>
  private let sink: @Sendable (EngineEvent) -> Void
  private let received = ReceiveBatch()
  /// The presences of all shards, and then of the media workers, by number; empty when there is one.
  private var everyone: [ShardPresence] = []

  init(
    index: Int, engine: consuming ShardEngine, socket: UDPSocket, listener: StreamListener?, mailbox: Mailbox<ShardMessage>,
    presence: ShardPresence, window: FlushWindow, sink: @escaping @Sendable (EngineEvent) -> Void
  ) throws(IOError) {
    self.index = index
    state = State(engine: engine, window: window, now: MonotonicClock.now)
    self.socket = socket
    self.mailbox = mailbox
    self.presence = presence
    self.sink = sink
    let poller = try Poller()
    self.poller = poller
    plain = PlainPorts(poller: poller)
    streams = try listener.map { (listener) throws(IOError) in try StreamPort(listener, poller: poller, limits: StreamLimits()) }
    try poller.watch(socket.descriptor, for: .readable, token: 0)
    try poller.watch(presence.wakeUp.descriptor, for: .readable, token: 1)
  }

  /// Lays the lanes between all shards, and from each to the media workers. Before any of them runs.
  static func connect(_ loops: [ShardLoop], workers: [MediaWorker]) {
    guard loops.count + workers.count > 1 else { return }
    for first in loops.indices {
      loops[first].everyone = loops.map(\.presence) + workers.map(\.presence)
      for second in loops.indices where second > first {
        ShardEngine.connect(&loops[first].state.engine, &loops[second].state.engine)
      }
    }
    for worker in workers {
      guard let mixing = worker.loop.withLock({ $0 }) else { continue }
      for loop in loops { mixing.connect(&loop.state.engine, presence: loop.presence) }
    }
  }

  /// Runs until told to stop.
  func run() { run(&state) }

  private func run(_ state: inout State) {
    while true {
      sleep(&state)
      let awake = state.now
      if !handleMessages(&state) { return }
      receiveAll(&state)
      if !plain.isEmpty { servePlain(&state) }
      if let streams { serve(streams, &state) }
      while state.engine.takeRelayed(at: state.now) { drain(&state) }
      if state.engine.nextDeadline <= state.now { state.engine.handleTimeout(at: state.now) }
      flushIfDue(&state)
      wakeOthers(&state)
      while let event = state.engine.pollEvent() { sink(event) }
      state.window.handleTurn(idle: .zero, busy: MonotonicClock.now - awake)
    }
  }

  /// Waits for a datagram, a message, another shard, or the next deadline.
  private func sleep(_ state: inout State) {
    let asleep = MonotonicClock.now
    var until = min(state.engine.nextDeadline, state.flushAt)
    presence.load = Int(state.window.load * 1000)
    presence.lieDown()
    switch state.engine.laneWork {
    case .none: break
    case .waitsForRoom: until = min(until, asleep + Self.laneRetryInterval)
    case .toTake: until = asleep
    }
    if let streams { until = min(until, streams.nextDeadline) }
    state.eventCount = poller.wait(timeout: until == .distantFuture ? nil : until - asleep)
    presence.getUp()
    state.now = MonotonicClock.now
    state.window.handleTurn(idle: state.now - asleep, busy: .zero)
    presence.wakeUp.drain()
  }

  /// Sends what there is, unless it may wait for company.
  private func flushIfDue(_ state: inout State) {
    guard state.engine.hasPendingOutput else { return }
    if state.flushAt == .distantFuture { state.flushAt = state.now + state.window.current }
    guard state.flushAt <= state.now else { return }
    drain(&state)
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
        case .downlink(let link, let reply): reply(state.engine.downlinkReport(of: link))
        case .decisions(let slot, let reply): reply(state.engine.decisions(of: slot), state.now)
        case .barrier(let reply):
          // What other shards said before is carried out first: a barrier at both ends of a lane is one across it.
          while state.engine.takeRelayed(at: state.now) { drain(&state) }
          drain(&state)
          reply()
        case .addSocket(let socket): plain.add(socket)
        case .removeSocket(let number): plain.remove(number)
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
      wakeOthers(&state)
      flushIfDue(&state)
      if count < received.capacity { return }
    }
  }

  /// Wakes the shards that were told something.
  private func wakeOthers(_ state: inout State) {
    while let shard = state.engine.takeShardToWake() { everyone[shard].ring() }
  }

  /// Sends until the engine has nothing left to say.
  private func drain(_ state: inout State) {
    var patience = Self.patience
    while state.engine.pollTransmit(into: &state.outgoing, at: state.now) > 0 {
      if streams != nil || !plain.isEmpty {
        sendApart(&state, patience: &patience)
      } else {
        state.egressDrops += state.outgoing.span.withUnsafeBufferPointer { socket.sendPatiently($0, patience: &patience) }
      }
    }
    streams?.flush(at: state.now)
    state.flushAt = .distantFuture
    wakeOthers(&state)
  }

  // MARK: Sockets of one link

  private func servePlain(_ state: inout State) {
    let now = state.now
    for position in 0..<state.eventCount {
      let event = poller.event(at: position)
      guard event.token >= PlainPorts.firstToken else { continue }
      plain.receive(event.token) { datagram in
        while !state.engine.handle(datagram, at: now) {
          state.engine.finishBatch(at: now)
          drain(&state)
        }
      } batch: {
        state.engine.finishBatch(at: now)
        flushIfDue(&state)
      }
    }
  }

  // MARK: TCP

  /// Takes what came over TCP, one connection at a time: its bytes are opened and sent on before the next one is read.
  private func serve(_ streams: StreamPort, _ state: inout State) {
    for position in 0..<state.eventCount {
      let event = poller.event(at: position)
      guard event.token >= StreamPort.firstToken, event.token < PlainPorts.firstToken else { continue }
      streams.handle(event, at: state.now)
      while let datagram = streams.pollReceived() {
        while !state.engine.handle(datagram, at: state.now) {
          state.engine.finishBatch(at: state.now)
          drain(&state)
        }
        streams.handleTaken(datagram.address, isKnown: state.engine.isKnown(datagram.address))
      }
      state.engine.finishBatch(at: state.now)
      streams.endRead()
      flushIfDue(&state)
    }
    guard streams.nextDeadline <= state.now else { return }
    let now = state.now
    streams.handleTimeout(at: now) { state.engine.isKnown($0) }
  }

  /// Sends a batch in which datagrams for several kinds of path stand, in its order.
  private func sendApart(_ state: inout State, patience: inout TimeDelta) {
    let now = state.now
    state.egressDrops += state.outgoing.span.withUnsafeBufferPointer { batch in
      var drops = EgressDrops()
      var first = 0
      while first < batch.count {
        var end = first
        while end < batch.count, !batch[end].address.isTCP, !batch[end].address.isThroughOwnSocket { end += 1 }
        if end > first { drops += socket.sendPatiently(UnsafeBufferPointer(rebasing: batch[first..<end]), patience: &patience) }
        while end < batch.count, batch[end].address.isTCP || batch[end].address.isThroughOwnSocket {
          if batch[end].address.isTCP { streams?.send(batch[end], at: now) } else { plain.send(batch[end], patience: &patience) }
          end += 1
        }
        first = end
      }
      return drops
    }
  }

  private func snapshot(of state: borrowing State) -> ShardSnapshot {
    ShardSnapshot(
      shard: index, linkCount: state.engine.linkCount, slabLeasedCount: state.engine.slabLeasedCount, census: state.engine.census,
      traffic: state.engine.traffic, keyframes: state.engine.keyframes, drops: state.engine.drops,
      egressDrops: state.egressDrops, streams: streams?.counters ?? StreamCounters(), streamCount: streams?.connectionCount ?? 0,
      refusals: socket.refusals, segmentation: socket.segmentation,
      coalescesReceive: socket.coalescesReceive, receiveBufferByteCount: socket.receiveBufferByteCount,
      sendBufferByteCount: socket.sendBufferByteCount, processorTime: MonotonicClock.threadProcessorTime)
  }
}
