// All meetings of this server. State lives in memory only.

import Enfilade
import HTTPTypes
import Hummingbird
import Logging
import ServiceLifecycle

/// The meetings by name.
actor Meetings: Service {
  private enum Entry {
    case open(Meeting)
    /// The room is being closed; a new one of the same name waits for that.
    case closing(Task<Void, Never>)
  }

  private let engine: Engine
  private let options: MeetOptions
  private let logger: Logger
  private var entries: [RoomName: Entry] = [:]

  init(engine: Engine, options: MeetOptions, logger: Logger) {
    self.engine = engine
    self.options = options
    self.logger = logger
  }

  /// The meeting of this name, if it is open.
  func existing(_ name: RoomName) -> Meeting? {
    if case .open(let meeting) = entries[name] { meeting } else { nil }
  }

  /// Lets somebody into the room of this name, which is opened if need be.
  ///
  /// - Throws: `Problem` 503 if the room or the server is full.
  func admit(to name: RoomName, as displayName: DisplayName, role: Role, subscribing: SubscriptionPolicy) async throws -> (Meeting, Member)
  {
    // A meeting can end between being found and being entered; then there is a new one to enter, and so on at most a few times.
    for _ in 0..<5 {
      let meeting = try await open(name)
      do {
        return (meeting, try await meeting.admit(name: displayName, role: role, subscribing: subscribing))
      } catch .retired {
        continue
      } catch .full {
        throw Problem(.serviceUnavailable, "The room is full.", headers: [.retryAfter: "30"])
      } catch .engine(let error) {
        throw Problem(.serviceUnavailable, "The room takes nobody in: \(error)", headers: [.retryAfter: "30"])
      }
    }
    throw Problem(.serviceUnavailable, "The room is closing; try again.", headers: [.retryAfter: "1"])
  }

  private func open(_ name: RoomName) async throws -> Meeting {
    while case .closing(let closing) = entries[name] { await closing.value }
    if let meeting = existing(name) { return meeting }
    guard entries.count < options.maximumRooms else {
      throw Problem(.serviceUnavailable, "The server has no place for another room.", headers: [.retryAfter: "60"])
    }
    let room: Room
    do {
      room = try await engine.room(name.description)
    } catch {
      throw Problem(.serviceUnavailable, "The room cannot be opened: \(error)", headers: [.retryAfter: "60"])
    }
    // Somebody else may have opened it meanwhile; the engine then gave both the same room.
    if let meeting = existing(name) { return meeting }
    let meeting = Meeting(room: room, options: options, logger: logger)
    entries[name] = .open(meeting)
    await meeting.follow()
    return meeting
  }

  /// Looks for absent participants and empty rooms until the server stops; then ends every meeting.
  func run() async throws {
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

  private func tidy(at now: ContinuousClock.Instant, isHeartbeat: Bool) async {
    for (name, entry) in entries {
      guard case .open(let meeting) = entry else { continue }
      if isHeartbeat { await meeting.ring() }
      guard await meeting.tidy(at: now) else { continue }
      entries[name] = .closing(
        Task {
          await meeting.close()
          self.forget(name)
        })
    }
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
