// The far ends on loopback: one socket for each subscriber, read by a thread of their own or by nobody.

import EnfiladeIO
import EnfiladeWire
import Glibc
import Synchronization

/// How subscribers' sockets behave.
enum ReceiverMode: String, CaseIterable {
  /// A thread reads them, messages coalesced by the kernel (UDP_GRO).
  case coalescing
  /// A thread reads them datagram by datagram.
  case draining
  /// Nobody reads them: they fill up, and the kernel drops what comes.
  case idle
}

/// Subscribers' sockets. Some are watched: whoever made them reads those.
final class Receivers {
  private final class Orders: Sendable {
    let isStopping = Atomic(false)
    let isPaused = Atomic(false)
  }

  /// Used by its thread alone once that has started.
  private final class Reader: @unchecked Sendable {
    let poller: Poller
    let sockets: [UDPSocket]
    let batch = ReceiveBatch()

    init(_ poller: Poller, _ sockets: [UDPSocket]) {
      self.poller = poller
      self.sockets = sockets
    }

    func run(_ orders: Orders) {
      while !orders.isStopping.load(ordering: .relaxed) {
        if orders.isPaused.load(ordering: .relaxed) {
          usleep(5_000)
          continue
        }
        let count = poller.wait(timeout: .milliseconds(100))
        for position in 0..<count {
          let socket = sockets[Int(poller.event(at: position).token)]
          while socket.receive(into: batch) == batch.capacity {}
        }
      }
    }
  }

  let sockets: [UDPSocket]
  let addresses: [SocketAddress]
  /// Which sockets the caller reads, spread over the list; the last is always among them.
  let watched: [Int]
  private let orders = Orders()
  private let thread: SystemThread?

  init(_ count: Int, mode: ReceiverMode, watchedCount: Int) throws {
    var options = UDPSocket.Options()
    options.coalescesReceive = mode != .draining
    options.segmentsSend = false
    // What is not read in time would only cost memory.
    options.receiveBufferByteCount = mode == .idle ? 64 << 10 : 256 << 10
    options.sendBufferByteCount = 64 << 10
    sockets = try (0..<count).map { _ in try UDPSocket(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: 0), options: options) }
    addresses = sockets.map(\.localAddress)
    let number = max(1, min(watchedCount, count))
    watched = (1...number).map { count * $0 / number - 1 }
    guard mode != .idle else {
      thread = nil
      return
    }
    let poller = try Poller()
    for index in 0..<count where !watched.contains(index) {
      try poller.watch(sockets[index].descriptor, for: .readable, token: UInt64(index))
    }
    let reader = Reader(poller, sockets)
    let orders = orders
    thread = try SystemThread(name: "receivers") { reader.run(orders) }
  }

  func stop() {
    orders.isStopping.store(true, ordering: .relaxed)
    thread?.join()
  }

  /// Leaves what comes unread for a while.
  func pause() { orders.isPaused.store(true, ordering: .relaxed) }
  func resume() { orders.isPaused.store(false, ordering: .relaxed) }
}
