// A shard's TCP port: the sockets and descriptors of the connections whose rules `StreamTable` keeps. Used by the shard's thread alone.

import EnfiladeIO
import EnfiladeTransport
import EnfiladeWire

/// The listener and the connections of one shard (RFC 6544, passive).
final class StreamPort {
  /// Connections taken in one turn; the others wait in the kernel until the next.
  private static let acceptRounds = 64
  /// How long nobody is taken after the process ran out of descriptors.
  private static let pause = TimeDelta.seconds(Int64(1))
  /// Tokens of the poller below this are the shard's own.
  static let firstToken: UInt64 = 16

  private let listener: StreamListener
  private let poller: Poller
  private var table: StreamTable
  private var sockets: [StreamSocket?]
  /// Watched for room, because something waits.
  private var isWaiting: [Bool]
  /// The connection whose bytes are being taken apart.
  private var reading: Int?
  private var pausedUntil = Instant.distantFuture

  init(_ listener: StreamListener, poller: Poller, limits: StreamLimits) throws(IOError) {
    self.listener = listener
    self.poller = poller
    table = StreamTable(limits: limits)
    sockets = [StreamSocket?](repeating: nil, count: 0)
    isWaiting = []
    try poller.watch(listener.descriptor, for: .readable, token: Self.firstToken)
  }

  var counters: StreamCounters { table.counters }
  var connectionCount: Int { table.count }

  /// When ``handleTimeout(_:at:)`` wants to be called.
  var nextDeadline: Instant { min(table.nextDeadline, pausedUntil) }

  // MARK: Connections

  private func acceptAll(at now: Instant) {
    for _ in 0..<Self.acceptRounds {
      switch listener.accept() {
      case .connection(let socket, let source): take(socket, from: source, at: now)
      case .brokenOff: continue
      case .none: return
      case .exhausted:
        // The listener stays readable: whoever watched it would never sleep again.
        poller.forget(listener.descriptor)
        pausedUntil = now + Self.pause
        return
      }
    }
  }

  private func take(_ socket: StreamSocket, from source: SocketAddress, at now: Instant) {
    guard case .taken(let number, let evicted) = table.handleConnection(from: source, at: now) else { return }
    if let evicted { close(evicted) }
    while sockets.count <= number {
      sockets.append(nil)
      isWaiting.append(false)
    }
    do throws(IOError) {
      try poller.watch(socket.descriptor, for: .readable, token: token(of: number))
      sockets[number] = socket
    } catch {
      table.end(number, .hungUp)
    }
  }

  private func token(of number: Int) -> UInt64 { Self.firstToken + 1 + UInt64(number) }

  /// Gives a connection's socket back; the table has ended it already.
  private func close(_ number: Int) {
    if reading == number { reading = nil }
    guard let socket = sockets[number] else { return }
    poller.forget(socket.descriptor)
    sockets[number] = nil
    isWaiting[number] = false
  }

  private func end(_ number: Int, _ ending: StreamTable.Ending) {
    table.end(number, ending)
    close(number)
  }

  // MARK: In

  /// Does what an event of the poller asks for: takes connections, sends what waited for room, reads. Then ``pollReceived()`` until it gives
  /// nothing, and ``endRead()``.
  func handle(_ event: (token: UInt64, events: PollEvents), at now: Instant) {
    reading = nil
    guard event.token >= Self.firstToken else { return }
    guard event.token > Self.firstToken else { return acceptAll(at: now) }
    let number = Int(event.token - Self.firstToken - 1)
    guard sockets.indices.contains(number), let socket = sockets[number] else { return }
    if event.events.contains(.writable) {
      table.markPending(number)
      flush(at: now)
    }
    guard event.events != .writable, sockets[number] === socket else { return }
    switch socket.receive(into: table.beginReceive(number)) {
    case .wouldBlock: return
    case .ended: return end(number, .hungUp)
    case .bytes(let count):
      table.handleReceived(number, byteCount: count)
      reading = number
    }
  }

  /// The next datagram of what was read; its bytes stay until the next event.
  func pollReceived() -> ReceivedDatagram? { reading == nil ? nil : table.pollReceived() }

  /// The engine took a datagram.
  ///
  /// - Parameter isKnown: whether it leads the address to a link now.
  func handleTaken(_ address: SocketAddress, isKnown: Bool) {
    guard isKnown, let reading, table.contains(reading), table.address(of: reading) == address else { return }
    table.prove(reading)
  }

  /// What was read has been opened, and its bytes may go.
  func endRead() {
    if let reading, table.contains(reading), table.isBroken(reading) { end(reading, .malformed) }
    reading = nil
  }

  // MARK: Out

  /// Puts a datagram where it waits; ``flush(at:)`` sends it.
  func send(_ datagram: OutgoingDatagram, at now: Instant) { table.send(datagram, at: now) }

  /// Hands the kernel what waits, as far as there is room.
  func flush(at now: Instant) {
    while let number = table.pollPending() {
      guard let socket = sockets[number] else { continue }
      var transfer = StreamSocket.Transfer.bytes(0)
      while case .bytes = transfer, table.pendingByteCount(of: number) > 0 {
        transfer = table.withPendingBytes(of: number) { bytes in bytes.withUnsafeBytes { socket.send($0) } }
        if case .bytes(let count) = transfer { table.handleSent(number, byteCount: count, at: now) }
      }
      if transfer == .ended {
        end(number, .hungUp)
      } else {
        watch(number, forRoom: table.pendingByteCount(of: number) > 0)
      }
    }
  }

  private func watch(_ number: Int, forRoom isWanted: Bool) {
    guard isWaiting[number] != isWanted, let socket = sockets[number] else { return }
    do throws(IOError) {
      try poller.change(socket.descriptor, to: isWanted ? [.readable, .writable] : .readable, token: token(of: number))
      isWaiting[number] = isWanted
    } catch {
      end(number, .hungUp)
    }
  }

  // MARK: Time

  /// Ends what has been here too long, and listens again after a pause.
  func handleTimeout(at now: Instant, isKnown: (SocketAddress) -> Bool) {
    while let number = table.handleTimeout(at: now, isKnown: isKnown) { close(number) }
    guard pausedUntil <= now else { return }
    do throws(IOError) {
      try poller.watch(listener.descriptor, for: .readable, token: Self.firstToken)
      pausedUntil = .distantFuture
    } catch {
      pausedUntil = now + Self.pause
    }
  }
}
