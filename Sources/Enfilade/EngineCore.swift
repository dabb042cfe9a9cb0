// What is behind the engine's face: the runtime, the rooms by name, and the way of an event back to its room.

import EnfiladeEngine
import EnfiladeIO
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeSRTP
import EnfiladeSTUN
import EnfiladeTransport
import EnfiladeWire
import Logging
import Synchronization

/// The control plane of one engine.
actor EngineCore {
  nonisolated let runtime: Runtime
  nonisolated let logger: Logger
  nonisolated let preferences: CodecPreferences
  /// Addresses that clients are told; a port of zero stands for the shard's own.
  private nonisolated let announced: [SocketAddress]
  private var rooms: [String: Room] = [:]
  private var isShutDown = false
  private var router: Task<Void, Never>?
  private var mixRouter: Task<Void, Never>?
  private var loadWatch: Task<Void, Never>?
  private nonisolated let roomLimit: Int
  private nonisolated let participantLimit: Int
  private var shedding: [LoadShedding]
  /// How far pictures are held back, by shard.
  private nonisolated let levels: Mutex<[Int]>

  /// Which room an engine's number belongs to.
  private struct Routes {
    var links: [LinkID: (room: RoomState, publications: [PublicationKey], slots: [SlotKey])] = [:]
    var publications: [PublicationKey: RoomState] = [:]
    var slots: [SlotKey: RoomState] = [:]
  }
  private nonisolated let routes = Mutex(Routes())

  init(_ configuration: Engine.Configuration) throws(EngineError) {
    logger = configuration.logger
    roomLimit = configuration.roomLimit
    participantLimit = configuration.participantLimit
    let limit = configuration.loadLimit.isFinite ? Int(max(0, min(10, configuration.loadLimit)) * 1000) : 10_000
    shedding = [LoadShedding](repeating: LoadShedding(limitPermille: limit), count: max(1, configuration.shards))
    levels = Mutex([Int](repeating: 0, count: max(1, configuration.shards)))
    preferences = MediaNegotiation.preferences(configuration.redundantAudio)
    guard let port = UInt16(exactly: configuration.udpPort), Int(port) + configuration.shards <= 65_536, 1...255 ~= configuration.shards
    else {
      throw EngineError(
        code: .socket, reason: "\(configuration.shards) ports from \(configuration.udpPort) on are not all between 0 and 65535")
    }
    if let port = configuration.tcpPort, !(0...65_536 - configuration.shards).contains(port) {
      throw EngineError(code: .socket, reason: "\(configuration.shards) TCP ports from \(port) on are not all between 0 and 65535")
    }
    var settings = RuntimeConfiguration()
    settings.baseStreamPort = configuration.tcpPort.flatMap { UInt16(exactly: $0) }
    settings.basePort = port
    settings.inboundLimit = Bitrate(bitsPerSecond: Int64(max(0, configuration.participantBitrateLimit)))
    settings.shardCount = configuration.shards
    settings.pinsThreads = configuration.pinsThreads
    settings.roomSpread = configuration.roomSpread
    if !configuration.controlsCongestion { settings.congestion = nil }
    settings.redundancy = configuration.redundantAudio.policy
    settings.longestWait = TimeDelta(nanoseconds: configuration.longestWait.clampedNanoseconds)
    if let text = configuration.bindAddress {
      guard let address = SocketAddress(host: text, port: port) else {
        throw EngineError(code: .invalidAddress, reason: "the address to listen on, \(text), is not an IP address")
      }
      settings.bindAddress = address
    }
    announced = try Self.addresses(configuration, bound: settings.bindAddress)
    do { runtime = try Runtime(settings) } catch {
      switch error {
      case .io(let failure, let port):
        throw EngineError(code: .socket, reason: "\(failure.operation == .listen ? "TCP" : "UDP") port \(port): \(failure)")
      case .thread(let failure): throw EngineError(code: .socket, reason: "a shard's thread cannot be made: \(failure)")
      case .handshake(let failure): throw EngineError(code: .cryptography, reason: "\(failure)")
      case .protectorUnavailable(let backend):
        throw EngineError(code: .cryptography, reason: "SRTP by \(backend.rawValue) is not to be had on this machine")
      }
    }
  }

  /// Begins to carry events to their rooms.
  func start() {
    let events = runtime.events
    router = Task { [weak self] in
      for await event in events {
        guard let self else { return }
        await self.room(of: event)?.handle(event)
      }
    }
    let mixEvents = runtime.mixEvents
    mixRouter = Task { [logger] in
      for await event in mixEvents {
        guard case .effortChanged(let step) = event else { continue }
        logger.warning("Mixing came late, or has caught up; it does less by so many steps.", metadata: ["step": "\(step)"])
      }
    }
    loadWatch = Task { [weak self] in
      var interval = Self.watchInterval
      while (try? await Task.sleep(for: interval)) != nil {
        guard let self else { return }
        interval = await self.watchLoad() ? Self.calmWatchInterval : Self.watchInterval
      }
    }
  }

  // MARK: Load

  private static let watchInterval = Duration.milliseconds(250)
  /// An engine with little to do is not kept awake by being looked at.
  private static let calmWatchInterval = Duration.seconds(1)

  /// Looks how busy the shards are, and tells the rooms when that has to have consequences.
  ///
  /// - Returns: whether all of them are far from that.
  private func watchLoad() async -> Bool {
    let now = MonotonicClock.now
    var isCalm = true
    for shard in runtime.shards {
      let load = shard.load
      if !shedding[shard.index].isCalm(permille: load) { isCalm = false }
      guard shedding[shard.index].handleLoad(permille: load, at: now) else { continue }
      let level = shedding[shard.index].level
      logger.warning(
        "A shard's load changes what it sends.", metadata: ["shard": "\(shard.index)", "load": "\(load)", "level": "\(level)"])
      await setShedding(level, of: shard.index)
    }
    return isCalm
  }

  /// From now on a shard's subscribers are sent less, or more again.
  func setShedding(_ level: Int, of shard: Int) async {
    levels.withLock { $0[shard] = level }
    for room in allRooms() { await room.state.setShedding(of: shard) }
  }

  /// How far pictures are held back on each shard.
  nonisolated var shedLevels: [Int] { levels.withLock { $0 } }

  /// Why nobody more may come in; `nil` while somebody may.
  nonisolated var obstacle: RoomError? {
    let count = runtime.placedLinkCount
    if count >= participantLimit {
      return RoomError(code: .limitReached, reason: "there are \(count) participants in the engine, and not more may be")
    }
    guard !shedLevels.contains(0) else { return nil }
    return RoomError(code: .overloaded, reason: "the engine is too busy to take anybody more; try again in a few seconds")
  }

  private nonisolated func room(of event: EngineEvent) -> RoomState? {
    routes.withLock { routes in
      switch event {
      case .linkChanged(let link, _), .bitrateLimitExceeded(let link): return routes.links[link]?.room
      case .mediaStarted(let key, _), .mediaEnded(let key), .encodingsWanted(let key, _), .speech(let key, _),
        .telephoneEvent(let key, _, _, _, _):
        return routes.publications[key]
      case .allocationChanged(let slot, _): return routes.slots[slot]
      case .layersDecided(let slot, _, _, _): return routes.slots[slot]
      case .refused(let refusal):
        logger.error("A shard refused a command.", metadata: ["refusal": "\(refusal)"])
        return nil
      case .dropped(let count):
        logger.error("A shard's events were lost.", metadata: ["count": "\(count)"])
        return nil
      }
    }
  }

  // MARK: Rooms

  func room(_ name: String, _ configuration: Room.Configuration) throws(EngineError) -> Room {
    guard !isShutDown else { throw EngineError(code: .shutDown, reason: "the engine has been shut down") }
    if let room = rooms[name] { return room }
    guard rooms.count < roomLimit else {
      throw EngineError(code: .limitReached, reason: "there are \(rooms.count) rooms in the engine, and not more may be")
    }
    let room = Room(name: name, state: RoomState(name: name, configuration: configuration, core: self))
    rooms[name] = room
    if configuration.lifetime != nil { Task { await room.state.scheduleExpiry() } }
    return room
  }

  func existingRoom(_ name: String) -> Room? { rooms[name] }
  func allRooms() -> [Room] { rooms.values.sorted { $0.name < $1.name } }
  func forgetRoom(_ name: String) { rooms[name] = nil }

  func shutdown() async {
    guard !isShutDown else { return }
    isShutDown = true
    loadWatch?.cancel()
    for room in allRooms() { await room.state.close(.shutDown) }
    runtime.stop()
    await router?.value
    await mixRouter?.value
  }

  // MARK: Routes

  /// From now on events about these go to `room`.
  nonisolated func register(_ link: LinkID, publications: [PublicationKey], slots: [SlotKey], room: RoomState) {
    routes.withLock { routes in
      for key in routes.links[link]?.publications ?? [] { routes.publications[key] = nil }
      for key in routes.links[link]?.slots ?? [] { routes.slots[key] = nil }
      routes.links[link] = (room, publications, slots)
      for key in publications { routes.publications[key] = room }
      for key in slots { routes.slots[key] = room }
    }
  }

  nonisolated func forget(_ link: LinkID) {
    routes.withLock { routes in
      guard let known = routes.links.removeValue(forKey: link) else { return }
      for key in known.publications { routes.publications[key] = nil }
      for key in known.slots { routes.slots[key] = nil }
    }
  }

  // MARK: Making things

  /// Twenty characters of five bits each: 100 bits that nobody guesses.
  nonisolated func makeParticipantID() -> ParticipantID {
    let alphabet = Array("abcdefghijkmnpqrstuvwxyz23456789")
    var random = SystemRandomNumberGenerator()
    return ParticipantID(rawValue: String((0..<20).map { _ in alphabet[Int(random.next() & 31)] }))
  }

  nonisolated func makeSlot(mid: String, kind: MediaKind) -> Member.Slot {
    let source = UInt32.random(in: 1...UInt32.max)
    var retransmission = UInt32.random(in: 1...UInt32.max)
    while retransmission == source { retransmission = UInt32.random(in: 1...UInt32.max) }
    return Member.Slot(
      key: SlotKey(runtime.makeIdentifier()), mid: mid, kind: kind, source: SSRC(source), retransmissionSource: SSRC(retransmission),
      publication: nil)
  }

  // MARK: Addresses

  /// What clients of a shard are told: UDP first.
  nonisolated func candidates(of shard: Shard) -> [SDPAttribute.Candidate] {
    var candidates = announced.enumerated().map { index, address in
      SDPAttribute.Candidate(
        host: address.with(port: shard.localAddress.port), foundation: String(index + 1),
        priority: CandidateKind.host.priority(localPreference: UInt16(65_535 - index)))
    }
    guard let stream = shard.streamAddress else { return candidates }
    candidates += announced.enumerated().map { index, address in
      var address = address
      // A NAT that changes the one port is taken to change the other alike, where both are one number here.
      if stream.port != shard.localAddress.port { address.port = 0 }
      return SDPAttribute.Candidate(
        passiveTCPHost: address.with(port: stream.port), foundation: String(announced.count + index + 1),
        priority: CandidateKind.passiveTCPPriority(otherPreference: UInt16(max(0, 8191 - index))))
    }
    return candidates
  }

  nonisolated var candidateTexts: [String] {
    let all = runtime.shards.flatMap { shard in candidates(of: shard) }
    return (all.filter(\.isUDP) + all.filter { !$0.isUDP }).map {
      ($0.address.contains(":") ? "[\($0.address)]:\($0.port)" : "\($0.address):\($0.port)") + ($0.isUDP ? "" : "/tcp")
    }
  }

  /// The answer to an ICE restart by fragment (RFC 8840 §9, RFC 9725 §4.3.1).
  nonisolated func fragment(
    answering offered: TrickleFragment, credentials: EnfiladeSTUN.ICECredentials, shard: Shard
  ) -> TrickleFragment {
    var fragment = offered
    let ours = EnfiladeSDP.ICECredentials(ufrag: credentials.ufragText, password: credentials.passwordText)
    fragment.credentials = ours
    fragment.isICELite = true
    fragment.hasAllCandidates = true
    for index in fragment.sections.indices {
      fragment.sections[index].credentials = nil
      fragment.sections[index].candidates = index == 0 ? candidates(of: shard) : []
      fragment.sections[index].hasAllCandidates = index == 0
    }
    return fragment
  }

  static func addresses(_ configuration: Engine.Configuration, bound: SocketAddress?) throws(EngineError) -> [SocketAddress] {
    var addresses: [SocketAddress] = []
    for text in configuration.announcedAddresses {
      guard let address = SocketAddress(host: text, port: 0) ?? SocketAddress(text) else {
        throw EngineError(code: .invalidAddress, reason: "the announced address \(text) is not an IP address")
      }
      addresses.append(address)
    }
    let locals: [InterfaceAddress]
    do { locals = try localAddresses() } catch {
      throw EngineError(code: .socket, reason: "the machine's addresses cannot be listed: \(error)")
    }
    func local(_ isWanted: (InterfaceAddress) -> Bool) -> [SocketAddress] {
      locals.filter { isWanted($0) && !$0.isLinkLocal }.map { entry in
        var address = entry.address
        address.port = 0
        return address
      }
    }
    if let bound, !bound.isUnspecified {
      var address = bound
      address.port = 0
      if addresses.isEmpty { addresses = [address] }
      return addresses
    }
    if addresses.isEmpty { addresses = local { !$0.isLoopback } }
    // A machine with no other address can only talk to itself.
    if configuration.includeLoopback || addresses.isEmpty { addresses += local { $0.isLoopback } }
    return addresses
  }
}

extension SocketAddress {
  /// The address with a port, if it has none.
  func with(port: UInt16) -> SocketAddress {
    var address = self
    if address.port == 0 { address.port = port }
    return address
  }

  var isUnspecified: Bool { high == 0 && low == 0 }
}

extension LinkFailure {
  var text: String {
    switch self {
    case .neverConnected: "no connectivity check succeeded in time"
    case .consentExpired: "nothing was heard of the participant for too long"
    case .handshake(let failure): "the DTLS handshake failed: \(failure)"
    }
  }
}

extension Duration {
  /// The whole of it in nanoseconds; what is beyond some 290 years stays at that.
  var clampedNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflows) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    return overflows ? .max : product &+ attoseconds / 1_000_000_000
  }
}
