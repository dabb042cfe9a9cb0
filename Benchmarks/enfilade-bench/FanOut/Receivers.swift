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

  /// Used by its thread alone once that has started. It looks again and again instead of waiting to be woken, because a wake-up would be
  /// charged to whoever sends, and a receiver on another machine wakes nobody here.
  private final class Reader: @unchecked Sendable {
    private static let pausedNapMicroseconds: UInt32 = 5_000
    let napMicroseconds: UInt32
    let sockets: [UDPSocket]
    let reports: ReceivedReports?
    let batch = ReceiveBatch()

    init(_ sockets: [UDPSocket], napMicroseconds: UInt32, reports: ReceivedReports?) {
      self.sockets = sockets
      self.napMicroseconds = napMicroseconds
      self.reports = reports
    }

    func run(_ orders: Orders) {
      while !orders.isStopping.load(ordering: .relaxed) {
        let isPaused = orders.isPaused.load(ordering: .relaxed)
        if !isPaused {
          for (position, socket) in sockets.enumerated() { read(socket, position) }
        }
        usleep(isPaused ? Self.pausedNapMicroseconds : napMicroseconds)
      }
    }

    private func read(_ socket: UDPSocket, _ position: Int) {
      while true {
        let count = socket.receive(into: batch)
        if let reports {
          let now = MonotonicClock.now
          for index in 0..<count {
            let message = batch[index]
            for segment in 0..<message.segmentCount { reports.note(message.segment(at: segment), position, at: now) }
          }
        }
        if count < batch.capacity { break }
      }
      reports?.send(from: socket, position, at: MonotonicClock.now)
    }
  }

  let sockets: [UDPSocket]
  let addresses: [SocketAddress]
  /// Which sockets the caller reads, spread over the list; the last is always among them.
  let watched: [Int]
  private let orders = Orders()
  private var thread: SystemThread?

  /// - Parameter napMicroseconds: between two looks at all sockets.
  init(_ count: Int, mode: ReceiverMode, watchedCount: Int, napMicroseconds: UInt32 = 200) throws {
    self.napMicroseconds = napMicroseconds
    var options = UDPSocket.Options()
    options.coalescesReceive = mode != .draining
    options.segmentsSend = false
    // What is not read in time would only cost memory.
    options.receiveBufferByteCount = mode == .idle ? 64 << 10 : 256 << 10
    options.sendBufferByteCount = 64 << 10
    let sockets = try (0..<count).map { _ in try UDPSocket(bindingTo: SocketAddress(ipv4: 0x7F00_0001, port: 0), options: options) }
    let number = max(1, min(watchedCount, count))
    let watched = (1...number).map { count * $0 / number - 1 }
    self.sockets = sockets
    self.watched = watched
    addresses = sockets.map(\.localAddress)
    isIdle = mode == .idle
  }

  private let isIdle: Bool
  private let napMicroseconds: UInt32

  /// Begins to read.
  ///
  /// - Parameter makeReports: for receivers that tell what arrives; it is given which of them are read here.
  func start(_ makeReports: ([Int]) throws -> ReceivedReports? = { _ in nil }) throws {
    guard !isIdle else { return }
    let isWatched = Set(watched)
    let read = sockets.indices.filter { !isWatched.contains($0) }
    let reader = Reader(read.map { sockets[$0] }, napMicroseconds: napMicroseconds, reports: try makeReports(read))
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
