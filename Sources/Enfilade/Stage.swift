// What a subscriber has room for, however many there are in the room.

/// The places on a participant's screen, and in its ears.
public struct Stage: Sendable, Hashable {
  /// One for each place for a picture, the most prominent first: the most that is of use there. Neighbours of one size are one group; whoever is
  /// shown in a group keeps its place there as long as it belongs into the group.
  public var pictures: [VideoConstraint]
  /// How many voices are heard at the same time; fewer than none is none. Screens' sound comes first, then whoever speaks.
  public var voices: Int
  /// Who is shown in any case, in this order. After them come screens, then who speaks or spoke last, then everybody in the order of joining.
  public var pinned: [ParticipantID]
  /// Whose pictures are not wanted.
  public var hidden: Set<ParticipantID>

  /// How many voices are heard where nothing else is said: more people than that are not understood at the same time.
  public static let defaultVoices = 3

  /// A stage.
  public init(pictures: [VideoConstraint], voices: Int = defaultVoices, pinned: [ParticipantID] = [], hidden: Set<ParticipantID> = []) {
    self.pictures = pictures
    self.voices = voices
    self.pinned = pinned
    self.hidden = hidden
  }
}
