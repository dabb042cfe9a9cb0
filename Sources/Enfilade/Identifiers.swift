// Names that an application can keep, print and put into a URL.

/// Names a participant of a room, for the life of the engine. URL-safe, unguessable.
public struct ParticipantID: RawRepresentable, Hashable, Sendable, CustomStringConvertible, Codable {
  public let rawValue: String
  /// Takes a name that the engine gave earlier.
  public init(rawValue: String) { self.rawValue = rawValue }
  public var description: String { rawValue }
}

/// Names a publication, for the life of the engine.
public struct PublicationID: RawRepresentable, Hashable, Sendable, CustomStringConvertible, Codable {
  public let rawValue: UInt64
  /// Takes a name that the engine gave earlier.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public var description: String { String(rawValue) }
}
