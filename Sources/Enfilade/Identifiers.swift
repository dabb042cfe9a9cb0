// Names that an application can keep, print and put into a URL.

/// Names a participant of a room, for the life of the engine. URL-safe, unguessable.
public struct ParticipantID: RawRepresentable, Hashable, Sendable, CustomStringConvertible, Codable {
  /// Twenty characters that need no escaping.
  public let rawValue: String
  /// Takes a name that the engine gave earlier.
  public init(rawValue: String) { self.rawValue = rawValue }
  /// The raw value as text.
  public var description: String { rawValue }
}

/// Names a publication, for the life of the engine.
public struct PublicationID: RawRepresentable, Hashable, Sendable, CustomStringConvertible, Codable {
  /// A number that no other publication of the engine has.
  public let rawValue: UInt64
  /// Takes a name that the engine gave earlier.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  /// The raw value as text.
  public var description: String { String(rawValue) }
}
