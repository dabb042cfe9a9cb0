// The composition root: shards with their sockets, protectors and certificates, and one stream of what they have to say.

package import EnfiladeDTLS
package import EnfiladeEngine
package import EnfiladeIO
package import EnfiladeSRTP
import EnfiladeTransport
package import EnfiladeWire
import Synchronization

/// How a runtime is set up.
package struct RuntimeConfiguration: Sendable {
  package var shardCount = 1
  /// The port of the first shard; the others follow. Zero takes free ones.
  package var basePort: UInt16 = 5000
  /// The address to bind, or `nil` for every local address of both families.
  package var bindAddress: SocketAddress?
  package var pinsThreads = false
  package var socketOptions = UDPSocket.Options()
  package var protector = ProtectorBackend.auto
  package var linkCapacity = 4096
  /// How much fuller, in links, the shard of a room may be than the emptiest before the room spreads to another.
  package var roomSpread = 10
  /// How long packets may wait for company at most when a shard is busy; zero never lets them wait.
  package var longestWait = TimeDelta.milliseconds(1)
  package var redundancy = RedundancyPolicy()

  package init() {}
}

/// Why a runtime did not start.
package enum RuntimeError: Error {
  case io(IOError, port: UInt16)
  case thread(IOError)
  case handshake(OpenSSLError)
  /// This build, or this processor, does not have it.
  case protectorUnavailable(ProtectorBackend)
}

/// All shards of one engine.
package final class Runtime: Sendable {
  package let shards: [Shard]
  /// What the shards say, in order for each shard; read once.
  package let events: AsyncStream<EngineEvent>
  private let continuation: AsyncStream<EngineEvent>.Continuation
  private let identifiers = Atomic<UInt64>(1)
  private let placement: Mutex<Placement>

  package init(_ configuration: RuntimeConfiguration) throws(RuntimeError) {
    placement = Mutex(Placement(shardCount: max(1, configuration.shardCount), roomSpread: configuration.roomSpread))
    (events, continuation) = AsyncStream.makeStream(of: EngineEvent.self)
    var shards: [Shard] = []
    do throws(RuntimeError) {
      for index in 0..<max(1, configuration.shardCount) {
        shards.append(try Self.makeShard(index, configuration, sink: continuation))
      }
      do { try Shard.start(shards) } catch { throw .thread(error) }
    } catch {
      continuation.finish()
      throw error
    }
    self.shards = shards
  }

  private static func makeShard(
    _ index: Int, _ configuration: RuntimeConfiguration, sink: AsyncStream<EngineEvent>.Continuation
  ) throws(RuntimeError) -> Shard {
    guard let protector = makeProtector(configuration.protector) else { throw .protectorUnavailable(configuration.protector) }
    let handshakes: OpenSSLHandshakeFactory
    do { handshakes = try OpenSSLHandshakeFactory() } catch { throw .handshake(error) }
    var shard = ShardConfiguration(shard: UInt8(index), seed: osRandom(), wallClock: wallClock())
    shard.linkCapacity = configuration.linkCapacity
    shard.redundancy = configuration.redundancy
    let port = configuration.basePort == 0 ? 0 : configuration.basePort + UInt16(index)
    // Every local address of both families; where there is no IPv6 at all, of the one there is.
    var addresses = [SocketAddress(ipv6High: 0, low: 0, port: port), SocketAddress(ipv4: 0, port: port)]
    if var address = configuration.bindAddress {
      address.port = port
      addresses = [address]
    }
    var failure: IOError?
    for address in addresses {
      do throws(IOError) {
        return try Shard(
          shard, bindingTo: address, options: configuration.socketOptions,
          processor: configuration.pinsThreads ? index % SystemThread.processorCount : nil, protector: protector, handshakes: handshakes,
          longestWait: configuration.longestWait
        ) { sink.yield($0) }
      } catch {
        failure = error
        guard error.isFamilyUnavailable else { break }
      }
    }
    throw .io(failure!, port: port)
  }

  /// A number that nothing else of this runtime has.
  package func makeIdentifier() -> UInt64 { identifiers.wrappingAdd(1, ordering: .relaxed).oldValue }

  /// The shard for one more link.
  ///
  /// - Parameter preferred: a shard that the link's room has links on already.
  package func placeLink(preferred: Shard?) -> Shard {
    shards[placement.withLock { $0.place(loads: shards.map(\.load), preferred: preferred?.index) }]
  }

  /// How many links have been placed and not forgotten.
  package var placedLinkCount: Int { placement.withLock { $0.linkCounts.reduce(0, +) } }

  /// A link that was placed is gone.
  package func forgetLink(on shard: Shard) { placement.withLock { $0.remove(from: shard.index) } }

  /// Ends every shard and the stream of events. Once.
  package func stop() {
    for shard in shards { shard.stop() }
    for shard in shards { shard.release() }
    continuation.finish()
  }
}
