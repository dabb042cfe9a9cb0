// A shard as the control plane sees it: somewhere to send commands, and where its candidates point.

package import EnfiladeEngine
package import EnfiladeForwarding
package import EnfiladeIO
package import EnfiladeTransport
package import EnfiladeWire
import Synchronization

/// One thread with one UDP port. Sendable: everything behind it belongs to its thread, and is reached by the mailbox alone.
package final class Shard: Sendable {
  package let index: Int
  /// Where it listens.
  package let localAddress: SocketAddress
  /// Where it listens for TCP, if it does.
  package let streamAddress: SocketAddress?
  /// The fingerprint its handshakes show.
  package let fingerprint: CertificateFingerprint
  private let mailbox: Mailbox<ShardMessage>
  private let presence: ShardPresence
  /// Kept after the thread's end: other shards read packets in its memory until they have stopped, too.
  private let loop: Mutex<ShardLoop?>
  private let processor: Int?
  private let socketNumbers = Atomic<UInt32>(1)
  private let thread = Mutex<SystemThread?>(nil)

  /// Opens the port. The shard runs from ``start(_:)`` on.
  ///
  /// - Parameters:
  ///   - makeProtector: called once; the protector is the shard's own.
  ///   - handshakes: the shard's own, too.
  ///   - streamPort: the TCP port, on the same address; zero takes a free one, `nil` does without TCP.
  ///   - processor: which processor the thread is bound to, or `nil`.
  ///   - longestWait: how long packets may wait for company at most when the shard is busy; zero never lets them wait.
  ///   - sink: takes events, on the shard's thread; it must not block.
  package init(
    _ configuration: ShardConfiguration, bindingTo address: SocketAddress, streamPort: UInt16? = nil, options: UDPSocket.Options,
    processor: Int?,
    protector: any PacketProtector, handshakes: any HandshakeFactory, longestWait: TimeDelta = .zero,
    sink: @escaping @Sendable (EngineEvent) -> Void
  ) throws(IOError) {
    index = Int(configuration.shard)
    let socket = try UDPSocket(bindingTo: address, options: options)
    localAddress = socket.localAddress
    var listener: StreamListener?
    if let streamPort {
      var streamAddress = address
      streamAddress.port = streamPort
      listener = try StreamListener(bindingTo: streamAddress, isDualStack: options.isDualStack)
    }
    streamAddress = listener?.localAddress
    fingerprint = handshakes.localFingerprint
    self.processor = processor
    presence = try ShardPresence()
    mailbox = Mailbox(wakeUp: presence.wakeUp)
    let loop = try ShardLoop(
      index: index, engine: ShardEngine(configuration, protector: protector, handshakes: handshakes), socket: socket,
      listener: listener, mailbox: mailbox, presence: presence, window: FlushWindow(maximum: longestWait), sink: sink)
    self.loop = Mutex(loop)
  }

  /// Lays the lanes between the shards and to the media workers, which stand in the order of their numbers, and starts their threads. Once.
  ///
  /// - Throws: when a thread cannot be made; those that were are stopped again.
  package static func start(_ shards: [Shard], workers: [MediaWorker] = []) throws(IOError) {
    let loops = shards.map { shard in shard.loop.withLock { $0! } }
    ShardLoop.connect(loops, workers: workers)
    do throws(IOError) {
      for worker in workers { try worker.start() }
      for (shard, loop) in zip(shards, loops) {
        let thread = try SystemThread(name: "enfilade-\(shard.index)", processor: shard.processor) { loop.run() }
        shard.thread.withLock { $0 = thread }
      }
    } catch {
      for shard in shards { shard.stop() }
      for worker in workers { worker.stop() }
      throw error
    }
  }

  /// The share of time its thread has lately been busy, in thousandths.
  package var load: Int { presence.load }

  /// Sends a command; commands of one sender are carried out in order. `false` when the mailbox is full.
  ///
  /// - Parameter isUrgent: whether it is taken even then: what takes a right away must not be lost, and is asked for once for each thing there is.
  @discardableResult
  package func post(_ command: Command, isUrgent: Bool = false) -> Bool { mailbox.post(.command(command), isUrgent: isUrgent) }

  /// Opens a UDP socket for one link without ICE. The shard's thread owns it from here on, until ``closeSocket(_:)``.
  ///
  /// - Parameter address: where it is bound; port zero takes a free one.
  /// - Returns: its number, and where it listens; `nil` when the shard's mailbox is full.
  package func openSocket(bindingTo address: SocketAddress, isDualStack: Bool) throws(IOError) -> (number: UInt32, address: SocketAddress)?
  {
    var options = UDPSocket.Options()
    options.isDualStack = isDualStack
    options.coalescesReceive = false
    // One conversation: a second of 4 Mbit/s.
    options.receiveBufferByteCount = 512 << 10
    options.sendBufferByteCount = 512 << 10
    let socket = try UDPSocket(bindingTo: address, options: options)
    let number = socketNumbers.wrappingAdd(1, ordering: .relaxed).oldValue & 0x7FFF_FFFF
    let local = socket.localAddress
    guard mailbox.post(.addSocket(PlainSocket(number: number, socket: socket)), isUrgent: false) else { return nil }
    return (number, local)
  }

  /// Closes a link's own socket.
  package func closeSocket(_ number: UInt32) { _ = mailbox.post(.removeSocket(number), isUrgent: true) }

  /// The shard's counters, as soon as it gets to them; `nil` when it could not be asked.
  package func snapshot() async -> ShardSnapshot? {
    await withCheckedContinuation { continuation in
      if !mailbox.post(.snapshot { continuation.resume(returning: $0) }) { continuation.resume(returning: nil) }
    }
  }

  /// What a link's congestion control says of itself, as soon as the shard gets to it; `nil` for a link that is not there or not controlled.
  package func downlinkReport(of link: LinkID) async -> DownlinkReport? {
    await withCheckedContinuation { continuation in
      if !mailbox.post(.downlink(link) { continuation.resume(returning: $0) }) { continuation.resume(returning: nil) }
    }
  }

  /// The last decisions about an outgoing stream, the oldest first, and the moment of the answer; `nil` when the shard could not be asked.
  package func decisions(of slot: SlotKey) async -> (entries: [DecisionLog.Entry], at: Instant)? {
    await withCheckedContinuation { continuation in
      if !mailbox.post(.decisions(slot) { continuation.resume(returning: ($0, $1)) }) { continuation.resume(returning: nil) }
    }
  }

  /// Waits until everything posted before has been carried out and sent.
  package func barrier() async {
    await withCheckedContinuation { continuation in
      if !mailbox.post(.barrier { continuation.resume() }, isUrgent: true) { continuation.resume() }
    }
  }

  /// Ends the thread and waits for it. Port and memory stay until ``release()``.
  package func stop() {
    _ = mailbox.post(.stop, isUrgent: true)
    thread.withLock { $0.take() }?.join()
  }

  /// Gives port and memory back. When every shard that this one has a lane to has stopped.
  package func release() { loop.withLock { $0 = nil } }
}
