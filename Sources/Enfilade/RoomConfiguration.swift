// The rules of a room: plain values, to be set when it is made and changed at any time.

extension Room {
  /// The rules of one room.
  public struct Configuration: Sendable, Hashable {
    /// How many participants fit, hidden ones not counted.
    public var capacity: Int
    /// Whether people knock and wait for somebody to admit them. Hosts and moderators do not.
    public var hasLobby: Bool
    /// Whether nobody new comes in. Hosts and moderators do.
    public var isLocked: Bool
    /// Whether nobody but hosts and moderators comes in while no host is there.
    public var requiresHost: Bool
    /// Whether the room locks itself when somebody has been removed.
    public var locksAfterRemoval: Bool
    /// What happens when the last host leaves.
    public var hostDeparture: HostDeparture
    /// What happens when somebody comes in with an identity that is in the room already.
    public var duplicates: DuplicatePolicy
    /// How long the room lives from the moment it is made; `nil` for no end.
    public var lifetime: Duration?
    /// How many people may wait in front of the door. More are refused.
    public var lobbyCapacity: Int
    /// How long one waits there at most.
    public var lobbyTimeout: Duration
    /// How many publications one participant may have: media sections that send to the engine. An offer with more is refused.
    public var publicationLimit: Int

    /// Rules; by default an open room for fifty.
    public init(
      capacity: Int = 50, hasLobby: Bool = false, isLocked: Bool = false, requiresHost: Bool = false, locksAfterRemoval: Bool = false,
      hostDeparture: HostDeparture = .nothing, duplicates: DuplicatePolicy = .replace, lifetime: Duration? = nil, lobbyCapacity: Int = 50,
      lobbyTimeout: Duration = .seconds(600), publicationLimit: Int = 16
    ) {
      self.capacity = capacity
      self.hasLobby = hasLobby
      self.isLocked = isLocked
      self.requiresHost = requiresHost
      self.locksAfterRemoval = locksAfterRemoval
      self.hostDeparture = hostDeparture
      self.duplicates = duplicates
      self.lifetime = lifetime
      self.lobbyCapacity = lobbyCapacity
      self.lobbyTimeout = lobbyTimeout
      self.publicationLimit = publicationLimit
    }
  }

  /// What happens when the last host leaves.
  public enum HostDeparture: String, Sendable, Hashable, Codable {
    /// The room goes on.
    case nothing
    /// It goes on, and nobody new comes in.
    case lock
    /// It is closed.
    case close
  }

  /// What happens when somebody comes in with an identity that is in the room already.
  public enum DuplicatePolicy: String, Sendable, Hashable, Codable {
    /// The second is refused.
    case refuse
    /// The first is taken out: a page that was loaded again, a person who went from one device to another.
    case replace
    /// Both are there.
    case allow
  }

  /// The most identities a room keeps apart. Beyond that it locks itself, because it could not keep the next one out.
  static let blockedIdentityLimit = 10_000
}

/// Why a room became locked or open.
public enum LockReason: String, Sendable, Hashable, Codable {
  /// It was asked for.
  case asked
  /// Somebody was removed (``Room/Configuration/locksAfterRemoval``).
  case removal
  /// The last host left (``Room/HostDeparture/lock``).
  case hostLeft
  /// There are more blocked identities than a room remembers.
  case tooManyBlocked
}

/// Why a room was closed.
public enum CloseReason: Sendable, Hashable {
  /// It was asked for; with words for the participants, if there were any.
  case asked(String?)
  /// Its lifetime is over (``Room/Configuration/lifetime``).
  case expired
  /// The last host left (``Room/HostDeparture/close``).
  case hostLeft
  /// The engine was shut down.
  case shutDown
}
