// The engine: the ports it listens on, and the rooms in it.

import EnfiladeEngine
import EnfiladeIO
import EnfiladeRuntime
import EnfiladeWire
public import Logging

/// A media-mixing SFU engine. One for each process is the usual number.
///
/// ```swift
/// let engine = try await Engine(.init(udpPort: 5000, announcedAddresses: ["203.0.113.7"]))
/// let room = try await engine.room("standup")
/// let guest = try await room.join(name: "guest")
/// let answer = try await guest.answer(offer: sdp)
/// ```
public final class Engine: Sendable {
  /// How an engine is set up.
  public struct Configuration: Sendable {
    /// The UDP port of the first shard; each further shard takes the next one. Zero takes free ports.
    public var udpPort: Int
    /// The TCP port of the first shard, for clients whom UDP does not reach (RFC 6544); each further shard takes the next one. It may be the same
    /// number as ``udpPort``. Zero takes free ones. `nil`, the default, does without TCP: a port that listens is an operator's decision, and needs
    /// its own hole in a firewall.
    public var tcpPort: Int?
    /// Addresses that clients are told instead of the machine's own: the public ones of a machine behind NAT. An IP address each, with a port
    /// behind it where the NAT changes that as well (`203.0.113.7:6000`, `[2001:db8::7]:6000`).
    public var announcedAddresses: [String]
    /// The one local address to listen on; `nil` listens on all of both families.
    public var bindAddress: String?
    /// Threads, each with a port of its own; by default one for each processor this process may use.
    public var shards: Int
    /// Whether each thread stays on a processor of its own.
    public var pinsThreads: Bool
    /// How many participants more than the emptiest shard the shard of a room may have before the room spreads to another. Zero spreads every
    /// room; a large number keeps every room together.
    public var roomSpread: Int
    /// How long packets may wait for company at most when a shard is busy, so that the packets of a frame leave in one system call. An idle
    /// shard never lets them wait, and zero forbids it altogether.
    public var longestWait: Duration
    /// Whether each participant is sent no more than its downlink carries, as found from what its client reports. Without it everybody is sent
    /// what constraints allow, at once: for networks where nothing is ever short. On by default.
    public var controlsCongestion: Bool
    /// How sound is protected against loss.
    public var redundantAudio: RedundantAudio
    /// Whether clients are offered the loopback addresses too: for tests, and for a page on the same machine.
    public var includeLoopback: Bool
    /// How many rooms there may be at once.
    public var roomLimit: Int
    /// How many participants there may be at once, in all rooms.
    public var participantLimit: Int
    /// How much media one participant may bring in, in bits a second over all of its publications and their repair, for a second at a time. What is
    /// more is dropped, and the room is told (``RoomEvent/bitrateLimitExceeded(id:)``). Zero for any amount. The default leaves room for three
    /// encodings of a camera and a screen in 4K.
    public var participantBitrateLimit: Int
    /// The share of a thread's time, 0 to 1, beyond which pictures are held back for its subscribers, first in size, then altogether. Sound is
    /// never held back. While every thread is beyond it, nobody new comes in. A number above 1 forbids both.
    public var loadLimit: Double
    /// Takes what an operator should know.
    public var logger: Logger

    /// A configuration; every value has a default that serves a machine with a public address.
    public init(
      udpPort: Int = 5000, tcpPort: Int? = nil, announcedAddresses: [String] = [], bindAddress: String? = nil, shards: Int? = nil,
      pinsThreads: Bool = true, roomSpread: Int = 10, longestWait: Duration = .milliseconds(1), controlsCongestion: Bool = true,
      redundantAudio: RedundantAudio = .passedOn, includeLoopback: Bool = false, roomLimit: Int = 10_000, participantLimit: Int = 10_000,
      participantBitrateLimit: Int = 50_000_000, loadLimit: Double = 0.95, logger: Logger = Logger(label: "enfilade")
    ) {
      self.udpPort = udpPort
      self.tcpPort = tcpPort
      self.announcedAddresses = announcedAddresses
      self.bindAddress = bindAddress
      self.shards = shards ?? SystemThread.processorCount
      self.pinsThreads = pinsThreads
      self.roomSpread = roomSpread
      self.longestWait = longestWait
      self.controlsCongestion = controlsCongestion
      self.redundantAudio = redundantAudio
      self.includeLoopback = includeLoopback
      self.roomLimit = roomLimit
      self.participantLimit = participantLimit
      self.participantBitrateLimit = participantBitrateLimit
      self.loadLimit = loadLimit
      self.logger = logger
    }
  }

  let core: EngineCore

  /// Opens the ports and starts the shards.
  ///
  /// - Throws: ``EngineError``: a port is taken, an address is not one, a library refused.
  public init(_ configuration: Configuration = .init()) async throws(EngineError) {
    core = try EngineCore(configuration)
    await core.start()
  }

  /// The room of that name, which is made if there is none.
  ///
  /// - Parameters:
  ///   - name: any text that tells it from the others.
  ///   - configuration: the rules of a room that is made now; one that is there keeps its own.
  /// - Throws: ``EngineError/Code/shutDown`` after ``shutdown()``.
  public func room(_ name: String, configuration: Room.Configuration = .init()) async throws(EngineError) -> Room {
    try await core.room(name, configuration)
  }

  /// The room of that name, if there is one.
  public func existingRoom(_ name: String) async -> Room? { await core.existingRoom(name) }

  /// Every open room, by name.
  public var rooms: [Room] { get async { await core.allRooms() } }

  /// Where clients are told to send: `address:port`, best first; TCP comes last, as `address:port/tcp`.
  public var candidates: [String] { core.candidateTexts }

  /// Closes every room and every port. An engine that is shut down stays so.
  public func shutdown() async { await core.shutdown() }
}
