// A shard as the control plane sees it: somewhere to send commands, and where its candidates point.

package import EnfiladeEngine
package import EnfiladeIO
package import EnfiladeTransport
package import EnfiladeWire

/// One thread with one UDP port. Sendable: everything behind it belongs to its thread, and is reached by the mailbox alone.
package final class Shard: Sendable {
  package let index: Int
  /// Where it listens.
  package let localAddress: SocketAddress
  /// The fingerprint its handshakes show.
  package let fingerprint: CertificateFingerprint
  private let mailbox: Mailbox<ShardMessage>
  private let thread: SystemThread

  /// Opens the port and starts the thread.
  ///
  /// - Parameters:
  ///   - makeProtector: called once; the protector is the shard's own.
  ///   - handshakes: the shard's own, too.
  ///   - processor: which processor the thread is bound to, or `nil`.
  ///   - sink: takes events, on the shard's thread; it must not block.
  package init(
    _ configuration: ShardConfiguration, bindingTo address: SocketAddress, options: UDPSocket.Options, processor: Int?,
    protector: any PacketProtector, handshakes: any HandshakeFactory, sink: @escaping @Sendable (EngineEvent) -> Void
  ) throws(IOError) {
    index = Int(configuration.shard)
    let socket = try UDPSocket(bindingTo: address, options: options)
    localAddress = socket.localAddress
    fingerprint = handshakes.localFingerprint
    let wakeUp = try WakeUp()
    mailbox = Mailbox(wakeUp: wakeUp)
    let loop = try ShardLoop(
      index: index, engine: ShardEngine(configuration, protector: protector, handshakes: handshakes), socket: socket, mailbox: mailbox,
      wakeUp: wakeUp, sink: sink)
    thread = try SystemThread(name: "enfilade-\(index)", processor: processor) { loop.run() }
  }

  /// Sends a command; commands of one sender are carried out in order. `false` when the mailbox is full.
  @discardableResult
  package func post(_ command: Command) -> Bool { mailbox.post(.command(command)) }

  /// The shard's counters, as soon as it gets to them; `nil` when it could not be asked.
  package func snapshot() async -> ShardSnapshot? {
    await withCheckedContinuation { continuation in
      if !mailbox.post(.snapshot { continuation.resume(returning: $0) }) { continuation.resume(returning: nil) }
    }
  }

  /// Waits until everything posted before has been carried out and sent.
  package func barrier() async {
    await withCheckedContinuation { continuation in
      if !mailbox.post(.barrier { continuation.resume() }, isUrgent: true) { continuation.resume() }
    }
  }

  /// Ends the thread and waits for it. Once.
  package func stop() {
    _ = mailbox.post(.stop, isUrgent: true)
    thread.join()
  }
}
