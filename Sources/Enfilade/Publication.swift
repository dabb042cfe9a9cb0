// What a participant offers to the others.

/// Audio or video.
public enum MediaKind: String, Sendable, Hashable, Codable {
  case audio
  case video
}

/// What a publication shows. What is sent is the same; permissions and the choice of whom to show differ.
public enum PublicationPurpose: String, Sendable, Hashable, Codable {
  /// A person's voice: what sound is unless the application says otherwise.
  case microphone
  /// A person's picture: what a picture is unless the application says otherwise.
  case camera
  /// A screen, a window, a document.
  case screen
  /// The sound that belongs to a screen.
  case screenAudio
  /// What the application plays into the room (``Room/play(_:as:identity:)``). It has a place on every stage, as a screen's sound has.
  case playback
}

/// What an application says about a media section that its client sends.
public struct PublicationDescription: Sendable, Hashable, Codable {
  /// What it shows; `nil` for microphone and camera.
  public var purpose: PublicationPurpose?
  /// Whether its payload is encrypted between the participants. Such a publication is forwarded untouched and never decoded.
  public var isEncrypted: Bool

  /// A description.
  public init(purpose: PublicationPurpose? = nil, isEncrypted: Bool = false) {
    self.purpose = purpose
    self.isEncrypted = isEncrypted
  }
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
  /// What it shows.
  public let purpose: PublicationPurpose
  /// Its payload is encrypted between the participants: it is forwarded untouched, and cannot be mixed, composed or recorded in clear.
  public let isEncrypted: Bool
  /// Nothing of it is forwarded, because it was muted in the room. What its participant does not send is not told here.
  public let isMuted: Bool
  /// Whether its participant may take that back: ``Participant/unmute(_:)``.
  public let mayUnmute: Bool
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
