// A room: who is in it, what they offer, and how to get in.

/// A conference space in which every participant can receive every other one.
///
/// A room is a handle: it can be copied around, and it names the same room as long as that one is open.
public final class Room: Sendable {
  /// The name it was made under.
  public let name: String
  let state: RoomState

  init(name: String, state: RoomState) {
    self.name = name
    self.state = state
  }

  /// Lets somebody in. Nothing is sent or received before ``Participant/answer(offer:)``.
  ///
  /// - Parameters:
  ///   - name: what the others see; need not be unique.
  ///   - policy: what the participant receives without asking.
  /// - Throws: ``RoomError/Code/closed`` when the room has been closed.
  public func join(name: String, subscribing policy: SubscriptionPolicy = .everyone) async throws(RoomError) -> Participant {
    let id = try await state.join(name: name, policy: policy)
    return Participant(id: id, name: name, state: state)
  }

  /// The participant of that name, if it is in the room.
  public func participant(_ id: ParticipantID) async -> Participant? {
    await state.name(of: id).map { Participant(id: id, name: $0, state: state) }
  }

  /// Everybody, in the order of joining.
  public var participants: [Participant] {
    get async { await state.names().map { Participant(id: $0.id, name: $0.name, state: state) } }
  }

  /// What happens in the room, from the moment iteration starts.
  public var events: RoomEvents { RoomEvents(hub: state.hub) }

  /// Sends everybody out and ends ``events``. Closing a closed room does nothing.
  public func close() async { await state.close() }
}

/// A member of a room, with one link to it in both directions.
public final class Participant: Sendable {
  /// Its name in the room and in events.
  public let id: ParticipantID
  /// The name it joined with.
  public let name: String
  let state: RoomState

  init(id: ParticipantID, name: String, state: RoomState) {
    self.id = id
    self.name = name
    self.state = state
  }

  /// Answers an offer (RFC 9429). The client always offers, any number of times: to connect, to publish more or less, to have more receiving
  /// sections (``RoomEvent/receiversWanted(subscriber:audio:video:)``), to restart ICE.
  ///
  /// - Parameter offer: the session description as text, RFC 8866.
  /// - Returns: the answer; every section of the offer has its place in it.
  /// - Throws: ``NegotiationError`` with a reason to read.
  public func answer(offer: String) async throws(NegotiationError) -> String {
    try await state.answer(offer, of: id)
  }

  /// Restarts ICE without an offer (RFC 9725 §4.3.1): takes and gives a fragment of type `application/trickle-ice-sdpfrag` (RFC 8840 §9).
  ///
  /// - Throws: ``NegotiationError`` when the text is no fragment, has no new credentials, or nothing was negotiated before.
  public func restartICE(fragment: String) async throws(NegotiationError) -> String {
    try await state.restartICE(fragment, of: id)
  }

  /// Sets what is of use to it in one of its receiving sections; holds until it is set anew, whatever is shown there.
  ///
  /// - Parameter mid: a media section of its description that receives a picture.
  /// - Throws: ``RoomError/Code/left``, or ``RoomError/Code/unknownSection`` when no picture is sent in that section.
  public func setConstraint(_ constraint: VideoConstraint, mid: String) async throws(RoomError) {
    try await state.setConstraint(constraint, mid: mid, of: id)
  }

  /// What it offers now.
  public var publications: [Publication] { get async { await state.publications(of: id) } }

  /// Takes it out of the room. When this returns, no further packet of it passes, in either direction.
  public func leave() async { await state.remove(id, reason: .left) }
}
