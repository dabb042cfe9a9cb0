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
  /// The fingerprint its handshakes show.
  package let fingerprint: CertificateFingerprint
  private let mailbox: Mailbox<ShardMessage>
  private let presence: ShardPresence
  /// Kept after the thread's end: other shards read packets in its memory until they have stopped, too.
  private let loop: Mutex<ShardLoop?>
  private let processor: Int?
  private let thread = Mutex<SystemThread?>(nil)

  /// Opens the port. The shard runs from ``start(_:)`` on.
  ///
  /// - Parameters:
  ///   - makeProtector: called once; the protector is the shard's own.
  ///   - handshakes: the shard's own, too.
  ///   - processor: which processor the thread is bound to, or `nil`.
  ///   - longestWait: how long packets may wait for company at most when the shard is busy; zero never lets them wait.
  ///   - sink: takes events, on the shard's thread; it must not block.
  package init(
    _ configuration: ShardConfiguration, bindingTo address: SocketAddress, options: UDPSocket.Options, processor: Int?,
    protector: any PacketProtector, handshakes: any HandshakeFactory, longestWait: TimeDelta = .zero,
    sink: @escaping @Sendable (EngineEvent) -> Void
  ) throws(IOError) {
    index = Int(configuration.shard)
    let socket = try UDPSocket(bindingTo: address, options: options)
    localAddress = socket.localAddress
    fingerprint = handshakes.localFingerprint
    self.processor = processor
    presence = try ShardPresence()
    mailbox = Mailbox(wakeUp: presence.wakeUp)
    let loop = try ShardLoop(
      index: index, engine: ShardEngine(configuration, protector: protector, handshakes: handshakes), socket: socket, mailbox: mailbox,
      presence: presence, window: FlushWindow(maximum: longestWait), sink: sink)
    self.loop = Mutex(loop)
  }

  /// Lays the lanes between the shards, which stand in the order of their numbers, and starts their threads. Once.
  ///
  /// - Throws: when a thread cannot be made; those that were are stopped again.
  package static func start(_ shards: [Shard]) throws(IOError) {
    let loops = shards.map { shard in shard.loop.withLock { $0! } }
    ShardLoop.connect(loops)
    do throws(IOError) {
      for (shard, loop) in zip(shards, loops) {
        let thread = try SystemThread(name: "enfilade-\(shard.index)", processor: shard.processor) { loop.run() }
        shard.thread.withLock { $0 = thread }
      }
    } catch {
      for shard in shards { shard.stop() }
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

  /// The shard's counters, as soon as it gets to them; `nil` when it could not be asked.
  package func snapshot() async -> ShardSnapshot? {
    await withCheckedContinuation { continuation in
      if !mailbox.post(.snapshot { continuation.resume(returning: $0) }) { continuation.resume(returning: nil) }
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
