// The composition root: shards with their sockets, protectors and certificates, and one stream of what they have to say.

package import EnfiladeCongestion
package import EnfiladeDTLS
package import EnfiladeEngine
package import EnfiladeIO
package import EnfiladeMixing
import EnfiladeOpus
package import EnfiladeSRTP
import EnfiladeTransport
package import EnfiladeWire
import Synchronization

/// How a runtime is set up.
package struct RuntimeConfiguration: Sendable {
  package var shardCount = 1
  /// The port of the first shard; the others follow. Zero takes free ones.
  package var basePort: UInt16 = 5000
  /// The TCP port of the first shard; the others follow. Zero takes free ones, `nil` does without TCP.
  package var baseStreamPort: UInt16?
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
  /// How downlinks are controlled; `nil` for not at all.
  package var congestion: CongestionProfile? = CongestionProfile()
  /// Threads that mix.
  package var workerCount = 1
  /// Packets of mixtures that shards may hold at the same time, for each worker: what ``Limits/mixHistoryPacketCount`` is to some two hundred mixtures.
  package var workerSlotCount = 4096
  package var redundancy = RedundancyPolicy()
  /// How much media one link may bring in; zero for any amount.
  package var inboundLimit = Bitrate.zero

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
  /// What the media workers say; read once.
  package let mixEvents: AsyncStream<MixEvent>
  private let mixContinuation: AsyncStream<MixEvent>.Continuation
  package let workers: [MediaWorker]
  private let recordings: Recordings
  private let playbacks: Playbacks
  private let continuation: AsyncStream<EngineEvent>.Continuation
  private let identifiers = Atomic<UInt64>(1)
  private let placement: Mutex<Placement>

  package init(_ configuration: RuntimeConfiguration) throws(RuntimeError) {
    placement = Mutex(Placement(shardCount: max(1, configuration.shardCount), roomSpread: configuration.roomSpread))
    (events, continuation) = AsyncStream.makeStream(of: EngineEvent.self)
    (mixEvents, mixContinuation) = AsyncStream.makeStream(of: MixEvent.self, bufferingPolicy: .bufferingNewest(1_024))
    recordings = Recordings()
    playbacks = Playbacks()
    var shards: [Shard] = []
    var workers: [MediaWorker] = []
    do throws(RuntimeError) {
      for index in 0..<max(1, configuration.shardCount) {
        shards.append(try Self.makeShard(index, configuration, sink: continuation))
      }
      for index in 0..<max(0, configuration.workerCount) {
        let number = UInt8(shards.count + index)
        workers.append(try Self.makeWorker(number, configuration, sink: mixContinuation, recordings: recordings, playbacks: playbacks))
      }
      do { try Shard.start(shards, workers: workers) } catch { throw .thread(error) }
    } catch {
      continuation.finish()
      mixContinuation.finish()
      throw error
    }
    self.shards = shards
    self.workers = workers
  }

  private static func makeShard(
    _ index: Int, _ configuration: RuntimeConfiguration, sink: AsyncStream<EngineEvent>.Continuation
  ) throws(RuntimeError) -> Shard {
    guard let backend = makeProtector(configuration.protector) else { throw .protectorUnavailable(configuration.protector) }
    let protector = ClearProtector(backend)
    let handshakes: OpenSSLHandshakeFactory
    do { handshakes = try OpenSSLHandshakeFactory() } catch { throw .handshake(error) }
    var shard = ShardConfiguration(shard: UInt8(index), seed: osRandom(), wallClock: wallClock())
    shard.linkCapacity = configuration.linkCapacity
    shard.congestion = configuration.congestion
    shard.redundancy = configuration.redundancy
    shard.inboundLimit = configuration.inboundLimit
    let port = configuration.basePort == 0 ? 0 : configuration.basePort + UInt16(index)
    let streamPort = configuration.baseStreamPort.map { $0 == 0 ? 0 : $0 + UInt16(index) }
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
          shard, bindingTo: address, streamPort: streamPort, options: configuration.socketOptions,
          processor: configuration.pinsThreads ? index % SystemThread.processorCount : nil, protector: protector, handshakes: handshakes,
          longestWait: configuration.longestWait
        ) { sink.yield($0) }
      } catch {
        failure = error
        guard error.isFamilyUnavailable else { break }
      }
    }
    throw .io(failure!, port: failure!.operation == .listen ? streamPort ?? 0 : port)
  }

  private static func makeWorker(
    _ number: UInt8, _ configuration: RuntimeConfiguration, sink: AsyncStream<MixEvent>.Continuation, recordings: Recordings,
    playbacks: Playbacks
  ) throws(RuntimeError) -> MediaWorker {
    do {
      return try MediaWorker(
        number: number, slotCount: configuration.workerSlotCount, codecs: OpusCodecs(), wallClock: wallClock(), seed: osRandom(),
        events: { sink.yield($0) }, recorded: { recordings.take($0) }, played: { playbacks.take($0) })
    } catch {
      throw .thread(error)
    }
  }

  /// The worker for one more mixture; `nil` when there are none.
  package func worker(for mixer: MixerID) -> MediaWorker? {
    workers.isEmpty ? nil : workers[Int(mixer.rawValue % UInt64(workers.count))]
  }

  /// The packets that a recorder will be given. What is not fetched within five seconds is lost, the oldest first; nobody waits for it.
  package func recording(_ recorder: RecorderID) -> AsyncStream<RecordedPacket> { recordings.add(recorder) }

  /// A recorder is given nothing any more, and its stream ends.
  package func endRecording(_ recorder: RecorderID) { recordings.remove(recorder) }

  /// The line on which a tap's samples will come.
  ///
  /// - Parameter capacity: blocks of 20 ms that may wait.
  /// - Returns: `nil` when the worker has as many as it takes.
  package func tap(_ recorder: RecorderID, at worker: MediaWorker, capacity: Int) -> TapLine? {
    recordings.addTap(recorder, worker: worker.number, capacity: capacity)
  }

  /// A tap is given nothing any more, and its line ends.
  package func endTap(_ recorder: RecorderID, _ outcome: TapLine.Outcome) { recordings.removeTap(recorder, outcome) }

  /// The line to something new that is played; it is known to the worker when this returns.
  ///
  /// - Parameter capacity: how much may wait, in samples at 48 kHz for each channel.
  package func openPlayback(on worker: MediaWorker, form: Player.Form, capacity: Int) -> PlaybackLine {
    let key = PublicationKey(playback: makeIdentifier(), worker: UInt8(worker.number))
    return playbacks.open(key, worker, form, capacity: capacity)
  }

  /// Something that is played is gone: its line ends, for the reason given unless it has ended before.
  package func closePlayback(_ line: PlaybackLine, _ outcome: PlaybackLine.Outcome) { playbacks.close(line, outcome) }

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
    for worker in workers { worker.stop() }
    for shard in shards { shard.release() }
    for worker in workers { worker.release() }
    continuation.finish()
    mixContinuation.finish()
    recordings.finish()
    playbacks.finish()
  }
}
