// What a participant offers to the others.

/// Audio or video.
public enum MediaKind: String, Sendable, Hashable, Codable {
  case audio
  case video
}

/// One source of one participant that others can receive. A value: a picture of the moment it was made.
public struct Publication: Sendable, Hashable, Identifiable {
  /// Its name, the same for everybody.
  public let id: PublicationID
  /// Who offers it.
  public let participant: ParticipantID
  /// The name the participant joined with.
  public let participantName: String
  /// Sound or picture.
  public let kind: MediaKind
  /// The media section of the participant's own description that carries it (RFC 5888 §4).
  public let mid: String
  /// The encoding name as SDP spells it, once the first packet has come: `opus`, `VP8`, …
  public let codec: String?
}

/// What a participant receives without asking for it.
public enum SubscriptionPolicy: Sendable, Hashable {
  /// Every publication of everybody else.
  case everyone
  /// Nothing: a publisher only.
  case nobody
  /// The publications of one participant.
  case only(ParticipantID)
}
