// A room: who is in it, what they offer, and how to get in.

import EnfiladeEngine

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

  /// Lets somebody in. Nothing is sent or received before ``Participant/answer(offer:describing:)``.
  ///
  /// - Parameters:
  ///   - name: what the others see; need not be unique.
  ///   - identity: who it is to the application: an account, a person, an invitation. Removing and blocking hold for it, and duplicates are told
  ///     by it. Somebody without one is nobody in particular, and cannot be kept out.
  ///   - role: what it may do.
  ///   - policy: what the participant receives without asking.
  /// - Throws: ``RoomError`` with the reason why it does not come in; ``RoomError/Code/lobby`` and ``RoomError/Code/hostAbsent`` where it can
  ///   wait: ``knock(name:identity:role:subscribing:)``.
  public func join(
    name: String, identity: String? = nil, role: Role = .member, subscribing policy: SubscriptionPolicy = .everyone
  ) async throws(RoomError) -> Participant {
    try await state.join(knocker(name, identity, role), policy: policy)
  }

  /// Lets somebody in who is reached by RTP or SRTP without ICE: a gateway, a tool. Packets pass when this returns.
  ///
  /// - Parameters:
  ///   - name: what the others see; need not be unique.
  ///   - identity: as of ``join(name:identity:role:subscribing:)``.
  ///   - role: what it may do.
  ///   - policy: what the participant receives without asking.
  ///   - transport: how it is reached and trusted.
  /// - Returns: the participant, and the ports it is to send to.
  /// - Throws: ``RoomError`` as of ``join(name:identity:role:subscribing:)``; ``RoomError/Code/invalidTransport`` when the configuration
  ///   contradicts itself; ``RoomError/Code/unavailable`` when a port cannot be opened, or, for one that receives sound, when the engine has no
  ///   threads that mix.
  public func join(
    name: String, identity: String? = nil, role: Role = .member, subscribing policy: SubscriptionPolicy = .everyone,
    over transport: PlainTransport.Configuration
  ) async throws(RoomError) -> PlainTransport {
    try await state.join(knocker(name, identity, role), policy: policy, over: transport)
  }

  /// Knocks at the door, which lets in at once whoever need not wait.
  ///
  /// - Parameters: as of ``join(name:identity:role:subscribing:)``.
  /// - Returns: the knock, to wait with; it may be decided already.
  /// - Throws: ``RoomError`` with the reason why waiting is of no use; ``RoomError/Code/full``, too, when
  ///   ``Configuration/lobbyCapacity`` people wait already.
  public func knock(
    name: String, identity: String? = nil, role: Role = .member, subscribing policy: SubscriptionPolicy = .everyone
  ) async throws(RoomError) -> Knock {
    try await state.knock(knocker(name, identity, role), policy: policy)
  }

  private func knocker(_ name: String, _ identity: String?, _ role: Role) -> Knocker {
    Knocker(id: state.core.makeParticipantID(), name: name, identity: identity, role: role)
  }

  /// The participant of that name, if it is in the room.
  public func participant(_ id: ParticipantID) async -> Participant? {
    await state.name(of: id).map { Participant(id: id, name: $0, state: state) }
  }

  /// What there is to know of everybody, in the order of joining.
  public var participantInfos: [ParticipantInfo] { get async { await state.infos() } }

  /// Everybody, in the order of joining.
  public var participants: [Participant] {
    get async { await state.names().map { Participant(id: $0.id, name: $0.name, state: state) } }
  }

  /// What happens in the room, from the moment iteration starts.
  public var events: RoomEvents { RoomEvents(hub: state.hub) }

  /// Sets how the room's mixture is made, before anybody hears it; one that is running goes on as it is.
  public func setMixing(_ configuration: MixConfiguration) async { await state.setMixConfiguration(configuration) }

  /// Records the room's mixture, from now on.
  ///
  /// - Throws: ``RoomError/Code/closed``, or ``RoomError/Code/unavailable`` when the engine has no threads that mix.
  public func record() async throws(RoomError) -> MixRecording {
    let (recorder, packets, channelCount) = try await state.record()
    return MixRecording(packets: packets, channelCount: channelCount, recorder: recorder, state: state)
  }

  /// Hands sound to the application as samples, from now on: to write it down, to analyse it. While it lasts the room is told that it is recorded
  /// (``RoomEvent/recordingChanged(isRecorded:)``).
  ///
  /// - Parameters:
  ///   - publication: a sound, all of which is given, whoever is the loudest; `nil` for the room's mixture of everybody.
  ///   - buffering: how much may wait to be taken, at most 5 s. Who takes less loses the oldest, and is told; nobody waits for it.
  /// - Throws: ``RoomError/Code/closed``, ``RoomError/Code/unknownPublication``, ``RoomError/Code/encrypted`` when only its participants can
  ///   read it, ``RoomError/Code/limitReached``, or ``RoomError/Code/unavailable`` when the engine has no threads that mix.
  public func tap(_ publication: PublicationID? = nil, buffering: Duration = .seconds(1)) async throws(RoomError) -> SoundTap {
    try await state.tap(publication, buffering: buffering)
  }

  /// Plays a file into the room, for everybody, from now on: an announcement. It is a publication of a participant of its own, needs nobody's
  /// permission and takes no seat. Where nobody listens it is played all the same, and costs next to nothing.
  ///
  /// - Parameters:
  ///   - source: a WAV or an Ogg Opus file.
  ///   - name: what the others see.
  ///   - identity: who it is to the application.
  /// - Throws: ``PlaybackError`` when the file cannot be read or holds what is not played, when too much is played already, when the room is closed,
  ///   and when the engine has no threads that mix.
  public func play(_ source: PlaybackSource, as name: String = "announcement", identity: String? = nil) async throws(PlaybackError)
    -> Playback
  {
    try await state.play(source, as: name, identity: identity)
  }

  /// Plays what the application pushes: ``PushedPlayback/push(_:)``. It begins when 40 ms have come.
  ///
  /// - Parameters:
  ///   - sampleRate: samples in a second for each channel, 4,000…384,000; brought to 48 kHz.
  ///   - channelCount: one or two.
  ///   - name: what the others see.
  ///   - identity: who it is to the application.
  ///   - buffering: how much may wait to be played, 60 ms to 2 s: who pushes more is suspended.
  /// - Throws: ``PlaybackError`` as of ``play(_:as:identity:)``; ``PlaybackError/Code/invalidFormat`` for other rates and numbers of channels.
  public func play(
    sampleRate: Int, channelCount: Int = 1, as name: String = "announcement", identity: String? = nil,
    buffering: Duration = .milliseconds(200)
  ) async throws(PlaybackError) -> PushedPlayback {
    try await state.play(
      sampleRate: sampleRate, channelCount: channelCount, as: name, identity: identity, buffering: buffering)
  }

  /// Sets where a sound stands in mixtures of two channels (``MixConfiguration/isStereo``), for everybody, from now on.
  ///
  /// - Parameters:
  ///   - position: between left, −1, and right, 1; what is beyond counts as these.
  ///   - publication: a sound.
  /// - Throws: ``RoomError/Code/unknownPublication``, or ``RoomError/Code/encrypted`` when it cannot be in a mixture.
  public func setPlacement(_ position: Double, of publication: PublicationID) async throws(RoomError) {
    try await state.setPlacement(position, of: publication)
  }

  // MARK: The rules

  /// The rules that hold now.
  public var configuration: Configuration { get async { await state.configuration } }

  /// Changes the rules. Whoever waits in front of the door is looked at again.
  ///
  /// - Parameters:
  ///   - moderator: in whose name; `nil` for the application itself, which may do everything. This holds for every method below.
  ///   - change: changes a copy of the rules.
  /// - Throws: ``RoomError/Code/notPermitted`` when the moderator lacks ``Permissions/moderate``, ``RoomError/Code/left`` when it is not in the
  ///   room, ``RoomError/Code/closed``. So does every method below.
  public func configure(
    by moderator: ParticipantID? = nil, _ change: @Sendable (inout Configuration) -> Void
  ) async throws(RoomError) {
    try await state.configure(by: moderator, change)
  }

  /// Locks the door, or opens it.
  public func setLocked(_ isLocked: Bool, by moderator: ParticipantID? = nil) async throws(RoomError) {
    try await state.setLocked(isLocked, by: moderator)
  }

  // MARK: The door

  /// Who waits in front of the door, in the order of coming.
  public var knockers: [Knocker] { get async { await state.knockers } }

  /// Lets somebody in who waits, whatever the lock says.
  ///
  /// - Throws: ``RoomError/Code/unknownParticipant`` when it does not wait any more, ``RoomError/Code/full`` when there is no seat; it goes on
  ///   waiting then.
  @discardableResult
  public func admit(_ id: ParticipantID, by moderator: ParticipantID? = nil) async throws(RoomError) -> Participant {
    try await state.admit(id, by: moderator)
  }

  /// Sends somebody away who waits.
  ///
  /// - Throws: ``RoomError/Code/unknownParticipant`` when it does not wait any more.
  public func deny(_ id: ParticipantID, by moderator: ParticipantID? = nil) async throws(RoomError) {
    try await state.deny(id, by: moderator)
  }

  // MARK: Others

  /// Takes somebody out. When this returns, not one packet from or to it passes any more, and its transport is dead.
  ///
  /// - Parameters:
  ///   - id: the participant.
  ///   - isBlocked: whether its identity stays out for the life of the room.
  ///   - words: what it is told.
  ///   - moderator: who does it, and must have the right to; `nil` for the application itself.
  /// - Throws: ``RoomError/Code/unknownParticipant`` when it is not in the room.
  public func remove(
    _ id: ParticipantID, blocking isBlocked: Bool = true, _ words: String? = nil, by moderator: ParticipantID? = nil
  ) async throws(RoomError) {
    try await state.expel(id, by: moderator, blocking: isBlocked, words)
  }

  /// Keeps an identity out for the life of the room, and takes out whoever has it.
  public func block(identity: String, by moderator: ParticipantID? = nil) async throws(RoomError) {
    try await state.block(identity, by: moderator)
  }

  /// Lets an identity come back.
  public func unblock(identity: String, by moderator: ParticipantID? = nil) async throws(RoomError) {
    try await state.unblock(identity, by: moderator)
  }

  /// Gives somebody another role. What it may no longer do has ended when this returns; what it may do now begins without a new offer.
  ///
  /// - Throws: ``RoomError/Code/unknownParticipant`` when it is not in the room.
  public func setRole(_ role: Role, of id: ParticipantID, by moderator: ParticipantID? = nil) async throws(RoomError) {
    try await state.setRole(role, of: id, by: moderator)
  }

  /// Mutes a publication, or takes that back. When a muting returns, no packet of it is forwarded to anybody.
  ///
  /// - Parameters:
  ///   - isMuted: `false` takes it back.
  ///   - publication: what is muted.
  ///   - mayUnmute: whether its participant may take that back.
  ///   - moderator: who does it, and must have the right to; `nil` for the application itself.
  /// - Throws: ``RoomError/Code/unknownPublication``.
  public func setMuted(
    _ isMuted: Bool, _ publication: PublicationID, mayUnmute: Bool = true, by moderator: ParticipantID? = nil
  ) async throws(RoomError) {
    try await state.setMuted(isMuted, publication, mayUnmute: mayUnmute, by: moderator)
  }

  /// Mutes what everybody publishes.
  ///
  /// - Parameters:
  ///   - kind: sound or pictures; `nil` for both.
  ///   - spared: whose publications are left alone: usually whoever asks.
  ///   - mayUnmute: whether they may take that back.
  ///   - moderator: who does it, and must have the right to; `nil` for the application itself.
  public func muteAll(
    _ kind: MediaKind? = .audio, except spared: Set<ParticipantID> = [], mayUnmute: Bool = true, by moderator: ParticipantID? = nil
  ) async throws(RoomError) {
    try await state.muteAll(kind, except: spared, mayUnmute: mayUnmute, by: moderator)
  }

  /// Sends everybody out and ends ``events``.
  ///
  /// - Parameters:
  ///   - words: what the participants are told.
  ///   - moderator: who does it, and must have the right to.
  /// - Throws: ``RoomError/Code/notPermitted`` when the moderator may not; never without one. Closing a closed room does nothing.
  public func close(_ words: String? = nil, by moderator: ParticipantID) async throws(RoomError) {
    try await state.close(by: moderator, words)
  }

  /// Sends everybody out and ends ``events``. Closing a closed room does nothing.
  ///
  /// - Parameter words: what the participants are told.
  public func close(_ words: String? = nil) async { await state.close(.asked(words)) }
}

/// A participant, as the others may see it. A value: a picture of the moment it was made.
public struct ParticipantInfo: Sendable, Hashable, Identifiable {
  /// Its name in the room and in events.
  public let id: ParticipantID
  /// The name it joined with.
  public let name: String
  /// Who it is to the application.
  public let identity: String?
  /// What it is and may do.
  public let role: Role
  /// How its link stands.
  public let connection: ConnectionState
  /// What it offers.
  public let publications: [Publication]
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
  /// - Parameters:
  ///   - offer: the session description as text, RFC 8866.
  ///   - descriptions: what the offer cannot say of media sections that send, by their mids. What was said of one before holds until it is said
  ///     anew.
  /// - Returns: the answer; every section of the offer has its place in it.
  /// - Throws: ``NegotiationError`` with a reason to read.
  public func answer(
    offer: String, describing descriptions: [String: PublicationDescription] = [:]
  ) async throws(NegotiationError) -> String {
    try await state.answer(offer, describing: descriptions, of: id)
  }

  /// Restarts ICE without an offer (RFC 9725 §4.3.1): takes and gives a fragment of type `application/trickle-ice-sdpfrag` (RFC 8840 §9).
  ///
  /// - Throws: ``NegotiationError`` when the text is no fragment, has no new credentials, or nothing was negotiated before.
  public func restartICE(fragment: String) async throws(NegotiationError) -> String {
    try await state.restartICE(fragment, of: id)
  }

  /// Sets what is of use to it in one of its receiving sections; holds until it is set anew, whatever is shown there.
  ///
  /// - Parameters:
  ///   - constraint: the largest picture that is of use.
  ///   - mid: a media section of its description that receives a picture.
  /// - Throws: ``RoomError/Code/left``, or ``RoomError/Code/unknownSection`` when no picture is sent in that section.
  public func setConstraint(_ constraint: VideoConstraint, mid: String) async throws(RoomError) {
    try await state.setConstraint(constraint, mid: mid, of: id)
  }

  /// What its downlink carries, and what its pictures are given of it; `nil` before it has negotiated, after it has left, and for a client that
  /// reports nothing by which a rate could be found. Asking a few times a second costs next to nothing.
  public func connectionQuality() async -> ConnectionQuality? { await state.connectionQuality(of: id) }

  /// Sets how its downlink is shared out among its pictures; holds until it is set anew.
  ///
  /// - Throws: ``RoomError/Code/left``.
  public func setBandwidthPolicy(_ policy: BandwidthPolicy) async throws(RoomError) { try await state.setPolicy(policy, of: id) }

  /// Sets how it hears the others, at any time. Whoever hears the mixture needs one receiving media section of sound, and is sent one stream.
  ///
  /// - Throws: ``RoomError/Code/left``, or ``RoomError/Code/unavailable`` when the engine has no threads that mix.
  public func setAudioMode(_ mode: AudioMode) async throws(RoomError) { try await state.setAudioMode(mode, of: id) }

  /// Sets how loud it hears a publication in the mixture: 1 as it is, 0 not at all, at most 4. Nobody else hears a difference.
  ///
  /// - Throws: ``RoomError/Code/left``, ``RoomError/Code/unknownPublication``, or ``RoomError/Code/encrypted`` when it cannot be in a mixture.
  public func setVolume(_ volume: Double, of publication: PublicationID) async throws(RoomError) {
    try await state.setVolume(volume, of: publication, for: id)
  }

  /// What was lately decided about the picture in one of its receiving sections, and why, the oldest first: some sixteen decisions.
  ///
  /// - Parameter mid: a media section of its description that receives a picture.
  /// - Throws: ``RoomError/Code/left``, or ``RoomError/Code/unknownSection`` when no picture is sent in that section.
  public func decisions(mid: String) async throws(RoomError) -> [LayerDecision] { try await state.decisions(mid: mid, of: id) }

  /// Says what there is room for on its screen, so that a room of any size needs so many media sections and no more: one for each place, and
  /// what comes in it changes without an offer. ``RoomEvent/slotChanged(subscriber:mid:publication:)`` tells who is where.
  ///
  /// The places are its receiving media sections in the order of its description. A client that has fewer is told
  /// (``RoomEvent/receiversWanted(subscriber:audio:video:)``).
  ///
  /// - Parameter stage: `nil` for a section for every publication, which is how a participant begins.
  /// - Throws: ``RoomError/Code/left``.
  public func setStage(_ stage: Stage?) async throws(RoomError) { try await state.setStage(stage, of: id) }

  /// Chooses what comes in one of its receiving media sections, whatever the room would show there.
  ///
  /// - Parameters:
  ///   - publication: `nil` leaves the section to the room again.
  ///   - mid: a media section of its description that receives.
  /// - Throws: ``RoomError/Code/left``, ``RoomError/Code/unknownPublication`` when there is none of that kind,
  ///   ``RoomError/Code/unknownSection``, ``RoomError/Code/notPermitted`` when it may not receive anybody.
  public func choose(_ publication: PublicationID?, mid: String) async throws(RoomError) {
    try await state.choose(publication, mid: mid, of: id)
  }

  /// What there is to know of it; `nil` when it has left.
  public var info: ParticipantInfo? { get async { await state.info(of: id) } }

  /// Stops the forwarding of one of its own publications. When this returns, no packet of it is forwarded to anybody.
  ///
  /// - Throws: ``RoomError/Code/unknownPublication``.
  public func mute(_ publication: PublicationID) async throws(RoomError) {
    try await state.setOwnMuted(true, publication, of: id)
  }

  /// Takes the muting of one of its own publications back.
  ///
  /// - Throws: ``RoomError/Code/notPermitted`` when it was muted for good (``Publication/mayUnmute``), ``RoomError/Code/unknownPublication``.
  public func unmute(_ publication: PublicationID) async throws(RoomError) {
    try await state.setOwnMuted(false, publication, of: id)
  }

  /// What it offers now.
  public var publications: [Publication] { get async { await state.publications(of: id) } }

  /// Takes it out of the room. When this returns, no further packet of it passes, in either direction.
  public func leave() async { await state.leave(id) }
}
