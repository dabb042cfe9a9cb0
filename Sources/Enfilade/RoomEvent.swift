// What an application hears of a room.

/// How a participant's link to the engine stands (W3C webrtc-pc §5.6.1, seen from the engine).
public enum ConnectionState: String, Sendable, Hashable {
  case connecting
  case connected
  /// Nothing has been heard for some seconds; the participant may come back, or restart ICE.
  case disconnected
  case failed
  case closed
}

/// Why a participant is no longer in a room.
public enum LeaveReason: Sendable, Hashable {
  /// ``Participant/leave()`` was called.
  case left
  /// The link never came up, or broke for longer than consent lasts (RFC 7675 §5.1). The text names which.
  case connectionFailed(String)
  /// It was removed from the room; with the words that were given.
  case removed(String?)
  /// Somebody of the same identity came in after it (``Room/DuplicatePolicy/replace``).
  case replaced
  /// The room was closed.
  case roomClosed(CloseReason)
}

/// Something that happened in a room.
public enum RoomEvent: Sendable {
  case participantJoined(id: ParticipantID, name: String)
  case participantLeft(id: ParticipantID, reason: LeaveReason)
  /// The first packet of a publication has come: others can receive it.
  case publicationStarted(Publication)
  case publicationEnded(Publication)
  /// A publication was muted or unmuted in the room.
  case publicationChanged(Publication)
  /// A participant is something else now, and may do other things.
  case roleChanged(id: ParticipantID, role: Role)
  /// Somebody waits in front of the door.
  case knocked(Knocker)
  /// Somebody waits there no longer. Who was admitted is in the room already.
  case knockEnded(Knocker, KnockOutcome)
  /// The room was locked or opened.
  case lockChanged(isLocked: Bool, reason: LockReason)
  /// The rules of the room are others now.
  case configurationChanged(Room.Configuration)
  /// The first who records has come, or the last one has gone, ``Room/record()`` and ``Room/tap(_:buffering:)`` included: the participants have a
  /// right to know.
  case recordingChanged(isRecorded: Bool)
  /// What `subscriber` now receives on its media section `mid`; `nil` when nothing.
  case slotChanged(subscriber: ParticipantID, mid: String, publication: Publication?)
  /// The dominant speaker is another one now: the publication of its voice. While nobody speaks, it stays the last one who did.
  case activeSpeaker(Publication)
  /// `subscriber` has too few receiving media sections for what it is to receive: it should offer again with so many more.
  case receiversWanted(subscriber: ParticipantID, audio: Int, video: Int)
  /// Of the simulcast encodings that `publisher` offers in its media section `mid`, these are watched, by their RIDs. The others may be paused
  /// (`RTCRtpEncodingParameters.active`) until they are named again; they should be back within a second.
  case encodingsWanted(publisher: ParticipantID, mid: String, rids: [String])
  /// What was decided about the picture that `subscriber` is sent in its media section `mid`, and why, the oldest first: every decision since
  /// the last such event, but for `missed` older ones that were too many to be kept. At most five times a second for each section, and within
  /// two seconds. ``Participant/decisions(mid:)`` tells the last of them again.
  case layersDecided(subscriber: ParticipantID, mid: String, decisions: [LayerDecision], missed: Int)
  /// A participant has pressed a key, or let go of it (RFC 4733): its beginning and its end are told once each.
  case telephoneEvent(id: ParticipantID, TelephoneEvent)
  case connectionChanged(id: ParticipantID, state: ConnectionState)
  /// A media section of `subscriber` is given something else of its downlink, or for another reason; at most once a second for each section.
  case allocationChanged(subscriber: ParticipantID, VideoAllocation)
  /// A participant sends more than it may, and the excess is dropped (``Engine/Configuration/participantBitrateLimit``). Told every few seconds while
  /// it lasts.
  case bitrateLimitExceeded(id: ParticipantID)
  /// The engine's threads are too busy: pictures are held back, for the reason given. `nil` when that is over.
  case picturesLimited(reason: String?)
  /// The room is closed, and everybody was sent out. The last event.
  case closed(CloseReason)
  /// This many events were lost because they were not read in time.
  case dropped(count: Int)
}

/// The events of one room, from the moment iteration starts. Every iteration has a buffer of its own; a reader that falls behind is told how
/// much it missed, instead of growing memory.
public struct RoomEvents: AsyncSequence, Sendable {
  /// One event.
  public typealias Element = RoomEvent
  /// It never fails; it ends when the room is closed.
  public typealias Failure = Never

  let hub: EventHub

  /// Starts a subscription of its own.
  public func makeAsyncIterator() -> AsyncStream<RoomEvent>.Iterator { hub.subscribe().makeAsyncIterator() }
}
