// Typed errors with a reason a person can read.

/// Why an engine could not start or make a room.
public struct EngineError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of error it is. More may come.
  public struct Code: Hashable, Sendable {
    let name: String
    /// A port or an address cannot be used.
    public static let socket = Code(name: "socket")
    /// An address in the configuration is not one.
    public static let invalidAddress = Code(name: "invalidAddress")
    /// The cryptographic library refused.
    public static let cryptography = Code(name: "cryptography")
    /// The engine has been shut down.
    public static let shutDown = Code(name: "shutDown")
    /// There are as many rooms as the configuration allows.
    public static let limitReached = Code(name: "limitReached")
  }

  /// What kind of error it is, for a program.
  public let code: Code
  /// What went wrong, for a person.
  public let reason: String
  /// The code's name and the reason.
  public var description: String { "\(code.name): \(reason)" }
}

/// Why a room refused.
public struct RoomError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of error it is. More may come.
  public struct Code: Hashable, Sendable {
    let name: String
    /// The room has been closed.
    public static let closed = Code(name: "closed")
    /// This engine was set up without what it takes.
    public static let unavailable = Code(name: "unavailable")
    /// Every seat is taken.
    public static let full = Code(name: "full")
    /// The room is locked.
    public static let locked = Code(name: "locked")
    /// One knocks at this room's door, and waits to be admitted: ``Room/knock(name:identity:role:subscribing:)``.
    public static let lobby = Code(name: "lobby")
    /// Nobody comes in before the host.
    public static let hostAbsent = Code(name: "hostAbsent")
    /// This identity was removed from the room, or blocked.
    public static let blocked = Code(name: "blocked")
    /// This identity is in the room already.
    public static let duplicate = Code(name: "duplicate")
    /// Whoever decides said no.
    public static let denied = Code(name: "denied")
    /// The knock was withdrawn.
    public static let withdrawn = Code(name: "withdrawn")
    /// Nobody decided in time.
    public static let timedOut = Code(name: "timedOut")
    /// The one in whose name this was asked may not do it.
    public static let notPermitted = Code(name: "notPermitted")
    /// There is no such publication in the room.
    public static let unknownPublication = Code(name: "unknownPublication")
    /// There is no such participant in the room, or nobody of that name waits in front of its door.
    public static let unknownParticipant = Code(name: "unknownParticipant")
    /// There are as many participants in the engine as its configuration allows.
    public static let limitReached = Code(name: "limitReached")
    /// The engine's threads are too busy to take anybody more.
    public static let overloaded = Code(name: "overloaded")
    /// The publication is encrypted between its participants; the engine forwards it and can do nothing else with it.
    public static let encrypted = Code(name: "encrypted")
    /// The participant has left.
    public static let left = Code(name: "left")
    /// What was said of a plain transport contradicts itself, or is not what it should be.
    public static let invalidTransport = Code(name: "invalidTransport")
    /// There is no such media section, or not one of that kind.
    public static let unknownSection = Code(name: "unknownSection")
  }

  /// What kind of error it is, for a program.
  public let code: Code
  /// What went wrong, for a person.
  public let reason: String
  /// The code's name and the reason.
  public var description: String { "\(code.name): \(reason)" }
}

/// Why an offer could not be answered.
public struct NegotiationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of error it is. More may come.
  public struct Code: Hashable, Sendable {
    let name: String
    /// The text is not a session description (RFC 8866).
    public static let malformed = Code(name: "malformed")
    /// It is one, but not an offer we can answer: no BUNDLE, no rtcp-mux, no fingerprint, …
    public static let unsupported = Code(name: "unsupported")
    /// It has more media sections that send than the room allows.
    public static let tooManyPublications = Code(name: "tooManyPublications")
    /// It contradicts what was negotiated before.
    public static let conflicting = Code(name: "conflicting")
    /// The participant has left.
    public static let left = Code(name: "left")
  }

  /// What kind of error it is, for a program.
  public let code: Code
  /// What went wrong, for a person.
  public let reason: String
  /// The code's name and the reason.
  public var description: String { "\(code.name): \(reason)" }
}
