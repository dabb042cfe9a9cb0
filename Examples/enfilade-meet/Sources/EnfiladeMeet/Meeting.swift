// One room with its members and its journal of events.
//
// The engine decides what happens in the room; a meeting follows the engine's events, adds what only signaling knows (tokens, roles, what
// people say about their own microphones) and writes it all into the journal, from which every event stream reads at its own pace.

import Enfilade
import Logging

/// A room, as signaling sees it.
actor Meeting {
  /// Why somebody cannot get in.
  enum Refusal: Error {
    /// The meeting has ended in this very moment; there will be a new one of the same name.
    case retired
    case full
    case engine(RoomError)
  }

  nonisolated let room: Room
  private let options: MeetOptions
  private let logger: Logger
  private var members: [Member] = []
  private var journal: Journal
  private var bells: [Int: AsyncStream<Void>.Continuation] = [:]
  private var nextBell = 0
  private var isRetired = false
  private var emptySince: ContinuousClock.Instant?
  private var following: Task<Void, Never>?

  init(room: Room, options: MeetOptions, logger: Logger) {
    self.room = room
    self.options = options
    self.logger = logger
    self.journal = Journal(epoch: Token().description)
  }

  /// Starts to follow the engine's events.
  ///
  /// To be called once, before anybody joins.
  func follow() {
    precondition(following == nil, "A meeting follows its room once.")
    let events = room.events.makeAsyncIterator()
    following = Task { [weak self] in
      var events = events
      while let event = await events.next() {
        guard let self else { return }
        await self.handle(event)
      }
    }
  }

  // MARK: Members

  /// Lets somebody in.
  ///
  /// - Throws: `Refusal`.
  func admit(name: DisplayName, role: Role, subscribing: SubscriptionPolicy) async throws(Refusal) -> Member {
    guard !isRetired else { throw .retired }
    guard members.count < options.maximumParticipants else { throw .full }
    let participant: Participant
    do {
      participant = try await room.join(name: name.description, subscribing: subscribing)
    } catch {
      throw .engine(error)
    }
    guard !isRetired else {
      await participant.leave()
      throw .retired
    }
    let member = Member(participant: participant, role: role, token: Token())
    members.append(member)
    emptySince = nil
    write(.participantJoined(member.state))
    logger.info("joined", metadata: ["room": "\(room.name)", "participant": "\(participant.id)", "role": "\(role.rawValue)"])
    return member
  }

  /// The member with this id, if the token is theirs.
  func member(_ id: String, token: Substring?) throws(Problem) -> Member {
    guard let member = members.first(where: { $0.id.rawValue == id }) else { throw .unknownParticipant }
    guard let token, member.token.matches(token) else { throw .wrongToken }
    return member
  }

  /// The WHIP or WHEP session whose URL ends with `token`.
  func session(_ token: String, role: Role) -> Member? {
    members.first { $0.role == role && $0.token.matches(token) }
  }

  /// Whether this participant is in the room.
  func participantID(_ text: some StringProtocol) -> ParticipantID? {
    members.first { $0.id.rawValue == text }?.id
  }

  var memberCount: Int { members.count }

  /// How many lines of each kind somebody who comes in now will need to receive everybody.
  var receivers: WantedReceivers {
    let publications = members.flatMap(\.publications)
    return .init(audio: publications.count { $0.kind == .audio }, video: publications.count { $0.kind == .video })
  }

  /// Takes note of what a member says about their own devices.
  func setDevices(of id: ParticipantID, microphone: Bool?, camera: Bool?) throws(Problem) -> ParticipantState {
    guard let index = index(of: id) else { throw .unknownParticipant }
    if let microphone { members[index].microphone = microphone }
    if let camera { members[index].camera = camera }
    let state = members[index].state
    write(.participantChanged(state))
    return state
  }

  /// Replaces what a member wants of the pictures that it receives: what is not named any more is not constrained.
  func setConstraints(of id: ParticipantID, _ constraints: [(mid: String, constraint: VideoConstraint)]) async throws(Problem) {
    guard let index = index(of: id) else { throw .unknownParticipant }
    let participant = members[index].participant
    let freed = members[index].constrained.subtracting(constraints.map(\.mid))
    members[index].constrained = Set(constraints.map(\.mid))
    do {
      // A section that the client has given up meanwhile cannot be freed, and need not be.
      for mid in freed { try? await participant.setConstraint(.init(), mid: mid) }
      for (mid, constraint) in constraints { try await participant.setConstraint(constraint, mid: mid) }
    } catch {
      throw Problem(error)
    }
  }

  /// An offer answers the engine's wish for more receivers.
  func noteOffer(of id: ParticipantID) {
    if let index = index(of: id) { members[index].receiversWanted = nil }
  }

  /// Gives a session the next entity tag, after an ICE restart.
  func renewEntityTag(of id: ParticipantID) -> String? {
    guard let index = index(of: id) else { return nil }
    members[index].iceSession += 1
    return members[index].entityTag
  }

  /// Takes somebody out of the room.
  ///
  /// Takes effect in the engine before it returns.
  func remove(_ id: ParticipantID, reason: String) async {
    guard let index = index(of: id) else { return }
    let member = members.remove(at: index)
    write(.participantLeft(id, reason: reason))
    logger.info("left", metadata: ["room": "\(room.name)", "participant": "\(id)", "reason": "\(reason)"])
    await member.participant.leave()
  }

  private func index(of id: ParticipantID) -> Int? { members.firstIndex { $0.id == id } }

  // MARK: Events

  /// What a stream has to write next.
  enum Reading: Sendable {
    case signals([(id: String, signal: Signal)], upTo: Int)
    case gone
  }

  /// Everything that `id` has not been told after event `cursor`; the whole state if there is no cursor or it lies too far back.
  func read(for id: ParticipantID, after cursor: Int?) -> Reading {
    guard index(of: id) != nil else { return .gone }
    let last = journal.lastNumber
    if let cursor, let signals = journal.signals(after: cursor, for: id) {
      return .signals(signals.map { (journal.id(of: $0.number), $0.signal) }, upTo: last)
    }
    return .signals([(journal.id(of: last), .snapshot(snapshot(for: id), to: id))], upTo: last)
  }

  /// The place in the journal that a `Last-Event-ID` names.
  func cursor(lastEventID: String?) -> Int? { lastEventID.flatMap { journal.number(ofID: $0) } }

  /// Opens an event stream: it yields whenever there may be something to read.
  func openStream(for id: ParticipantID) -> (bell: AsyncStream<Void>, key: Int) {
    let (bell, ringer) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let key = nextBell
    nextBell += 1
    if let index = index(of: id) {
      members[index].openStreams += 1
      bells[key] = ringer
      ringer.yield()
    } else {
      ringer.finish()
    }
    return (bell, key)
  }

  func closeStream(_ key: Int, of id: ParticipantID) {
    bells.removeValue(forKey: key)?.finish()
    if let index = index(of: id) { members[index].openStreams -= 1 }
  }

  /// Wakes every stream, so that each writes at least a comment.
  func ring() {
    for bell in bells.values { bell.yield() }
  }

  private func write(_ signal: Signal) {
    journal.append(signal)
    ring()
  }

  private func snapshot(for id: ParticipantID) -> Snapshot {
    let reader = members.first { $0.id == id }
    return Snapshot(
      room: room.name, id: id.rawValue, participants: members.map(\.state),
      slots: (reader?.slots ?? []).map { .init(mid: $0.mid, publication: $0.publication.map(PublicationState.init)) },
      receiversWanted: reader?.receiversWanted, encodings: reader?.encodings ?? [])
  }

  /// Brings the state up to what the engine reports.
  private func handle(_ event: RoomEvent) async {
    switch event {
    case .participantJoined:
      break  // Written by `admit`, which also knows the role.
    case .participantLeft(let id, let reason):
      guard let index = index(of: id) else { return }
      members.remove(at: index)
      write(.participantLeft(id, reason: reason.signalName))
    case .publicationStarted(let publication):
      guard let index = index(of: publication.participant) else { return }
      members[index].publications.removeAll { $0.id == publication.id }
      members[index].publications.append(publication)
      write(.publicationStarted(.init(publication)))
    case .publicationEnded(let publication):
      if let index = index(of: publication.participant) { members[index].publications.removeAll { $0.id == publication.id } }
      write(.publicationEnded(.init(publication)))
    case .slotChanged(let subscriber, let mid, let publication):
      guard let index = index(of: subscriber) else { return }
      members[index].bind(publication, to: mid)
      write(.slotChanged(.init(mid: mid, publication: publication.map(PublicationState.init)), to: subscriber))
    case .receiversWanted(let subscriber, let audio, let video):
      guard let index = index(of: subscriber) else { return }
      let wanted = WantedReceivers(audio: audio, video: video)
      members[index].receiversWanted = wanted
      write(.receiversWanted(wanted, to: subscriber))
    case .activeSpeaker, .publicationChanged, .roleChanged, .knocked, .knockEnded, .lockChanged, .configurationChanged, .recordingChanged,
      .picturesLimited, .closed:
      break  // This server's rooms are open to everybody.
    case .encodingsWanted(let publisher, let mid, let rids):
      guard let index = index(of: publisher) else { return }
      let wanted = WantedEncodings(mid: mid, rids: rids)
      members[index].encodings.removeAll { $0.mid == mid }
      members[index].encodings.append(wanted)
      write(.encodingsWanted(wanted, to: publisher))
    case .connectionChanged(let id, let state):
      guard let index = index(of: id) else { return }
      members[index].connection = state
      write(.participantChanged(members[index].state))
    case .dropped(let count):
      logger.warning("The engine's events came faster than they were read.", metadata: ["room": "\(room.name)", "dropped": "\(count)"])
      await reconcile()
    }
  }

  /// After lost events: asks the engine who is there and what they publish, and starts a new journal, so that every stream gets a snapshot.
  private func reconcile() async {
    var publications: [ParticipantID: [Publication]] = [:]
    for participant in await room.participants { publications[participant.id] = await participant.publications }
    members.removeAll { publications[$0.id] == nil }
    for index in members.indices { members[index].publications = publications[members[index].id] ?? [] }
    journal = Journal(epoch: Token().description)
    ring()
  }

  // MARK: Housekeeping

  /// Removes who is gone.
  ///
  /// Returns true, once, when the meeting has been empty for so long that it is over.
  func tidy(at now: ContinuousClock.Instant) async -> Bool {
    for index in members.indices {
      if members[index].isPresent {
        members[index].absentSince = nil
      } else if members[index].absentSince == nil {
        members[index].absentSince = now
      }
    }
    let absent = members.filter { member in member.absentSince.map { now - $0 >= options.absence } ?? false }
    for member in absent { await remove(member.id, reason: "absent") }

    guard members.isEmpty, !isRetired else {
      emptySince = nil
      return false
    }
    let since = emptySince ?? now
    emptySince = since
    guard now - since >= options.emptyRoom else { return false }
    isRetired = true
    return true
  }

  /// Ends the meeting: every stream stops, the room closes.
  func close() async {
    isRetired = true
    following?.cancel()
    for bell in bells.values { bell.finish() }
    bells = [:]
    members = []
    await room.close()
  }
}
