// All meetings of this server. State lives in memory only.

package import Enfilade
import HTTPTypes
import Hummingbird
package import Logging
import ServiceLifecycle

/// The meetings by name.
package actor Meetings: Service {
  private enum Entry {
    case open(Meeting)
    /// The room is being closed; a new one of the same name waits for that.
    case closing(Task<Void, Never>)
  }

  /// What `/metrics` counts.
  struct Counters: Sendable {
    var roomsOpened = 0
    var joins = 0
    var refusals: [String: Int] = [:]
    var isDraining = false
  }

  let options: MeetOptions
  nonisolated let engine: Engine
  nonisolated let invitations: Invitations
  private let logger: Logger
  private var entries: [RoomName: Entry] = [:]
  private(set) var counters = Counters()
  private var joinLimiter: RateLimiter

  package init(engine: Engine, options: MeetOptions, logger: Logger) {
    self.engine = engine
    self.options = options
    self.logger = logger
    invitations = Invitations(secret: options.inviteSecret ?? Token().description + Token().description)
    joinLimiter = RateLimiter(burst: max(1, options.joinsPerMinute), perMinute: max(1, options.joinsPerMinute))
  }

  /// The meeting of this name, if it is open.
  func existing(_ name: RoomName) -> Meeting? {
    if case .open(let meeting) = entries[name] { meeting } else { nil }
  }

  var openMeetings: [Meeting] {
    entries.sorted { $0.key.description < $1.key.description }.compactMap { if case .open(let meeting) = $0.value { meeting } else { nil } }
  }

  /// Holds somebody to the number of joins in a minute.
  ///
  /// - Throws: `Problem` 429 with the time to wait.
  func allowJoin(from address: String) throws(Problem) {
    guard options.joinsPerMinute > 0, let wait = joinLimiter.take(address, at: .now) else { return }
    count("rateLimited")
    throw .tooMany("Too many joins from your address.", after: wait)
  }

  /// Lets somebody into the room of this name, which is opened if need be, or lets them wait.
  ///
  /// - Parameter takesHostSeat: whether the first who comes into a room that nobody moderates becomes its host.
  /// - Throws: `Problem`: 503 if the room or the server is full, 403, 409 or 423 for what the room's rules say.
  func receive(_ arrival: Arrival, to name: RoomName, takesHostSeat: Bool = false) async throws(Problem) -> (
    Meeting, Meeting.Admission, Role
  ) {
    guard !counters.isDraining else { throw .draining }
    // A meeting can end between being found and being entered; then there is a new one to enter, and so on at most a few times.
    for _ in 0..<5 {
      let meeting = try await open(name, rules: options.rules)
      let isFirst = takesHostSeat ? await meeting.takeHostSeat() : false
      var arrival = arrival
      if isFirst { arrival.role = .host }
      do throws(Meeting.Refusal) {
        let admission = try await meeting.receive(arrival)
        counters.joins += 1
        return (meeting, admission, arrival.role)
      } catch {
        guard case .engine(let error) = error else { continue }
        if isFirst { await meeting.giveBackHostSeat() }
        count("\(error.code)")
        throw Problem(error)
      }
    }
    throw Problem(.serviceUnavailable, "The room is closing; try again.", headers: [.retryAfter: "1"])
  }

  /// Opens a room with rules of its own.
  ///
  /// - Throws: `Problem` 409 if it is open already.
  func create(_ name: RoomName, rules: Room.Configuration) async throws(Problem) {
    guard !counters.isDraining else { throw .draining }
    guard existing(name) == nil else { throw Problem(.conflict, "There is such a room already.") }
    let meeting = try await open(name, rules: rules)
    // Whoever made it has the invitation of a host.
    _ = await meeting.takeHostSeat()
  }

  private func open(_ name: RoomName, rules: Room.Configuration) async throws(Problem) -> Meeting {
    while case .closing(let closing) = entries[name] { await closing.value }
    if let meeting = existing(name) {
      guard await meeting.isRetired else { return meeting }
      await beginClosing(meeting, name).value
    }
    guard entries.count < options.maximumRooms else {
      throw Problem(.serviceUnavailable, "The server has no place for another room.", headers: [.retryAfter: "60"])
    }
    let room: Room
    do {
      room = try await engine.room(name.description, configuration: rules)
    } catch {
      throw Problem(.serviceUnavailable, "The room cannot be opened: \(error)", headers: [.retryAfter: "60"])
    }
    // Somebody else may have opened it meanwhile; the engine then gave both the same room.
    if let meeting = existing(name) { return meeting }
    let meeting = Meeting(room: room, rules: rules, options: options, logger: logger)
    entries[name] = .open(meeting)
    counters.roomsOpened += 1
    await meeting.follow()
    return meeting
  }

  private func count(_ refusal: String) {
    // Bounded, whatever names there come to be.
    guard counters.refusals.count < 64 || counters.refusals[refusal] != nil else { return }
    counters.refusals[refusal, default: 0] += 1
  }

  // MARK: Life

  /// Looks for absent participants and empty rooms until the server stops; then ends every meeting.
  package func run() async throws {
    await cancelWhenGracefulShutdown {
      let clock = ContinuousClock()
      var nextHeartbeat = clock.now + self.options.heartbeat
      while (try? await clock.sleep(for: self.options.housekeeping)) != nil {
        let isHeartbeat = clock.now >= nextHeartbeat
        if isHeartbeat { nextHeartbeat = clock.now + self.options.heartbeat }
        await self.tidy(at: clock.now, isHeartbeat: isHeartbeat)
      }
    }
    await closeAll()
  }

  /// Takes nobody in any more, tells who is there, and waits until all have left, until the deadline at most.
  package func drain(within deadline: Duration) async {
    counters.isDraining = true
    let end = ContinuousClock.now + deadline
    for meeting in openMeetings { await meeting.write(.draining(seconds: Int(deadline.components.seconds))) }
    while ContinuousClock.now < end {
      var isEmpty = true
      for meeting in openMeetings where await meeting.memberCount > 0 { isEmpty = false }
      if isEmpty { return }
      guard (try? await Task.sleep(for: .milliseconds(50))) != nil else { return }
    }
  }

  private func tidy(at now: ContinuousClock.Instant, isHeartbeat: Bool) async {
    for (name, entry) in entries {
      guard case .open(let meeting) = entry else { continue }
      if isHeartbeat { await meeting.ring() }
      if await meeting.tidy(at: now) { _ = beginClosing(meeting, name) }
    }
  }

  private func beginClosing(_ meeting: Meeting, _ name: RoomName) -> Task<Void, Never> {
    if case .closing(let closing) = entries[name] { return closing }
    let closing = Task {
      await meeting.close()
      self.forget(name)
    }
    entries[name] = .closing(closing)
    return closing
  }

  private func forget(_ name: RoomName) { entries[name] = nil }

  private func closeAll() async {
    for entry in entries.values {
      switch entry {
      case .open(let meeting): await meeting.close()
      case .closing(let closing): await closing.value
      }
    }
    entries = [:]
  }
}
