// Somebody in front of a room's door.

import Synchronization

/// Who waits in front of a door. A value to show to whoever decides.
public struct Knocker: Sendable, Hashable, Identifiable {
  /// The name that it will have as a participant, once admitted.
  public let id: ParticipantID
  /// What the others will see.
  public let name: String
  /// Who it is to the application, if that says so.
  public let identity: String?
  /// What it will be, once admitted.
  public let role: Role
}

/// Why somebody no longer waits in front of a door.
public enum KnockOutcome: String, Sendable, Hashable {
  case admitted
  case denied
  /// It went away by itself, or the task that waited for it was cancelled.
  case withdrawn
  /// Nobody decided in time (``Room/Configuration/lobbyTimeout``).
  case timedOut
  /// What holds for everybody came between: the room was closed or locked, or is full.
  case refused
}

/// One's own knock at a room's door.
///
/// ```swift
/// let knock = try await room.knock(name: "Ada", identity: "ada@example.org")
/// let participant = try await knock.participant()   // waits, unless the door is open
/// ```
public final class Knock: Sendable {
  /// The name that it will have as a participant.
  public let id: ParticipantID
  private let state: RoomState

  private enum Standing {
    case waiting([UInt64: CheckedContinuation<Result<Participant, RoomError>, Never>])
    case decided(Result<Participant, RoomError>)
  }
  private let standing = Mutex((standing: Standing.waiting([:]), nextKey: UInt64(0)))

  init(id: ParticipantID, state: RoomState) {
    self.id = id
    self.state = state
  }

  /// Waits until somebody decides, for as long as the room lets it wait. When the waiting task is cancelled, the knock is withdrawn.
  ///
  /// - Throws: ``RoomError`` with the reason why it does not come in: ``RoomError/Code/denied``, ``RoomError/Code/withdrawn``,
  ///   ``RoomError/Code/timedOut``, or that of a door that was shut meanwhile.
  public func participant() async throws(RoomError) -> Participant {
    let outcome = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let decided: Result<Participant, RoomError>? = standing.withLock { state in
          switch state.standing {
          case .decided(let outcome): return outcome
          case .waiting(var waiting):
            waiting[state.nextKey] = continuation
            state.nextKey += 1
            state.standing = .waiting(waiting)
            return nil
          }
        }
        if let decided { continuation.resume(returning: decided) }
      }
    } onCancel: {
      Task { await self.withdraw() }
    }
    return try outcome.get()
  }

  /// Whether nothing has been decided yet.
  public var isWaiting: Bool {
    standing.withLock { if case .waiting = $0.standing { true } else { false } }
  }

  /// Goes away. A knock that has been decided stays decided.
  public func withdraw() async { await state.withdraw(id) }

  /// Tells whoever waits, now or later. The first decision holds.
  func decide(_ outcome: Result<Participant, RoomError>) {
    let waiting = standing.withLock { state -> [CheckedContinuation<Result<Participant, RoomError>, Never>] in
      guard case .waiting(let waiting) = state.standing else { return [] }
      state.standing = .decided(outcome)
      return Array(waiting.values)
    }
    for continuation in waiting { continuation.resume(returning: outcome) }
  }
}
