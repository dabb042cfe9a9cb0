// One room with its members and its journal of events.
//
// The engine decides what happens in the room; a meeting follows the engine's events, adds what only signaling knows (tokens, what people say
// about their own microphones, what they write) and writes it all into the journal, from which every event stream reads at its own pace.

import Enfilade
import Logging

/// A room, as signaling sees it.
actor Meeting {
  nonisolated let room: Room
  let options: MeetOptions
  let logger: Logger
  var members: [Member] = []
  /// Who waits in front of the door, or did and has not heard yet.
  var visitors: [ParticipantID: Visitor] = [:]
  /// Wakes those who ask what has been decided.
  var doorbells: [Int: AsyncStream<Void>.Continuation] = [:]
  /// Whether there is or was somebody who decides.
  var isHosted = false
  private(set) var rules: RulesState
  private var knockers: [KnockerState] = []
  private var messages: [Message] = []
  private var messageLimiter = RateLimiter(burst: 10, perMinute: 60)
  private var handCount = 0
  private var isRecorded = false
  private var speaker: ParticipantID?
  /// Why who is not in the room any more is not, for streams that have not been told yet.
  private var farewells: [ParticipantID: String] = [:]
  private var journal: Journal
  private var bells: [Int: AsyncStream<Void>.Continuation] = [:]
  var nextBell = 0
  private(set) var isRetired = false
  var emptySince: ContinuousClock.Instant?
  private var following: Task<Void, Never>?

  init(room: Room, rules: Room.Configuration, options: MeetOptions, logger: Logger) {
    self.room = room
    self.rules = RulesState(rules)
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

  /// The member with this id, if the token is theirs.
  func member(_ id: String, token: Substring?) throws(Problem) -> Member {
    guard let member = members.first(where: { $0.id.rawValue == id }) else { throw .unknownParticipant }
    guard let token, member.token.matches(token) else { throw .wrongToken }
    return member
  }

  /// The WHIP or WHEP session whose URL ends with `token`.
  func session(_ token: String, entrance: Entrance) -> Member? {
    members.first { $0.entrance == entrance && $0.token.matches(token) }
  }

  /// Whether this participant is in the room.
  func participantID(_ text: some StringProtocol) -> ParticipantID? {
    members.first { $0.id.rawValue == text }?.id
  }

  var memberCount: Int { members.count }

  /// How many wait in front of the door.
  var visitorCount: Int { knockers.count }

  /// How many lines of each kind somebody who comes in now will need to receive everybody.
  var receivers: WantedReceivers {
    let publications = members.flatMap(\.publications)
    return .init(audio: publications.count { $0.kind == .audio }, video: publications.count { $0.kind == .video })
  }

  /// Takes note of what a member says about themselves; a microphone that is turned on takes a muting by the host back, where they may.
  func note(_ change: MemberChange, of id: ParticipantID) async throws(Problem) -> ParticipantState {
    guard let index = index(of: id) else { throw .unknownParticipant }
    if let microphone = change.microphone { members[index].microphone = microphone }
    if let camera = change.camera { members[index].camera = camera }
    if let hand = change.hand, hand != (members[index].hand != nil) {
      handCount += 1
      members[index].hand = hand ? handCount : nil
    }
    let member = members[index]
    write(.participantChanged(member.state))
    do {
      for publication in member.publications where publication.isMuted {
        let isTurnedOn = publication.kind == .audio ? change.microphone == true : change.camera == true
        if isTurnedOn { try await member.participant.unmute(publication.id) }
      }
    } catch {
      throw Problem(error)
    }
    return member.state
  }

  /// Passes on what a member writes.
  func post(_ text: String, from id: ParticipantID, at milliseconds: Int64) throws(Problem) {
    guard let index = index(of: id) else { throw .unknownParticipant }
    if let wait = messageLimiter.take(id.rawValue, at: .now) { throw .tooMany("That was many messages at once.", after: wait) }
    let message = Message(from: id.rawValue, name: members[index].participant.name, text: text, at: milliseconds)
    messages.append(message)
    if messages.count > MeetOptions.messagesKept { messages.removeFirst() }
    write(.message(message))
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

  /// Sets what a member has room for, in place of what it wanted of single pictures; `nil` shows it everybody again.
  func setStage(of id: ParticipantID, _ stage: Stage?) async throws(Problem) {
    guard let index = index(of: id) else { throw .unknownParticipant }
    members[index].constrained = []
    do {
      try await members[index].participant.setStage(stage)
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
    noteLeaving(id, reason: reason)
    await member.participant.leave()
  }

  private func noteLeaving(_ id: ParticipantID, reason: String) {
    write(.participantLeft(id, reason: reason))
    if farewells.count >= options.maximumParticipants { farewells.removeAll() }
    farewells[id] = reason
    logger.info("left", metadata: ["room": "\(room.name)", "participant": "\(id)", "reason": "\(reason)"])
  }

  private func index(of id: ParticipantID) -> Int? { members.firstIndex { $0.id == id } }

  // MARK: Events

  /// What a stream has to write next.
  enum Reading: Sendable {
    case signals([(id: String, signal: Signal)], upTo: Int)
    case gone(reason: String)
  }

  /// Everything that `id` has not been told after event `cursor`; the whole state if there is no cursor or it lies too far back.
  func read(for id: ParticipantID, after cursor: Int?) -> Reading {
    guard let index = index(of: id) else { return .gone(reason: farewells[id] ?? "not in the room any more") }
    let last = journal.lastNumber
    if let cursor, let signals = journal.signals(after: cursor, for: id, isModerator: members[index].moderates) {
      return .signals(signals.map { (journal.id(of: $0.number), $0.signal) }, upTo: last)
    }
    return .signals([(journal.id(of: last), .snapshot(snapshot(for: members[index]), to: id))], upTo: last)
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

  func write(_ signal: Signal) {
    journal.append(signal)
    ring()
  }

  private func snapshot(for reader: Member) -> Snapshot {
    Snapshot(
      room: room.name, id: reader.id.rawValue, participants: members.map(\.state),
      slots: reader.slots.map { .init(mid: $0.mid, publication: $0.publication.map(PublicationState.init)) },
      receiversWanted: reader.receiversWanted, encodings: reader.encodings, rules: rules, knockers: reader.moderates ? knockers : [],
      messages: messages, recorded: isRecorded, speaker: speaker?.rawValue)
  }

  /// Brings the state up to what the engine reports.
  private func handle(_ event: RoomEvent) async {
    switch event {
    case .participantJoined:
      break  // Written when the meeting takes a participant in, which also knows the role.
    case .participantLeft(let id, let reason):
      guard let index = index(of: id) else { return }
      members.remove(at: index)
      noteLeaving(id, reason: reason.signalName)
    case .publicationStarted(let publication):
      guard let index = index(of: publication.participant) else { return }
      members[index].note(publication)
      write(.publicationStarted(.init(publication)))
    case .publicationChanged(let publication):
      guard let index = index(of: publication.participant) else { return }
      members[index].note(publication)
      write(.publicationChanged(.init(publication)))
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
    case .picturesLimited(let reason):
      logger.warning("Pictures are held back, or no more.", metadata: ["room": "\(room.name)", "reason": "\(reason ?? "over")"])
    case .telephoneEvent(let id, let event):
      logger.info(
        "A key.", metadata: ["room": "\(room.name)", "participant": "\(id.rawValue)", "code": "\(event.code)", "end": "\(event.isEnd)"])
    case .bitrateLimitExceeded(let id):
      logger.warning("A participant sends more than it may.", metadata: ["room": "\(room.name)", "participant": "\(id.rawValue)"])
    case .encodingsWanted(let publisher, let mid, let rids):
      guard let index = index(of: publisher) else { return }
      let wanted = WantedEncodings(mid: mid, rids: rids)
      members[index].encodings.removeAll { $0.mid == mid }
      members[index].encodings.append(wanted)
      write(.encodingsWanted(wanted, to: publisher))
    case .layersDecided:
      break  // Who asks why a picture is as it is, reads the history.
    case .roleChanged(let id, let role):
      guard let index = index(of: id) else { return }
      members[index].role = role
      write(.participantChanged(members[index].state))
    case .knocked(let knocker):
      knockers.append(.init(knocker))
      write(.knocked(.init(knocker)))
    case .knockEnded(let knocker, _):
      knockers.removeAll { $0.id == knocker.id.rawValue }
      write(.knockEnded(knocker.id))
    case .lockChanged, .configurationChanged:
      await noteRules()
    case .recordingChanged(let isRecorded):
      self.isRecorded = isRecorded
      write(.recordingChanged(isRecorded))
    case .allocationChanged(let subscriber, let allocation):
      guard let index = index(of: subscriber) else { return }
      let quality = await members[index].participant.connectionQuality()
      write(.allocationChanged(.init(allocation, available: quality?.availableOutgoingBitrate), to: subscriber))
    case .activeSpeaker(let publication):
      speaker = publication.participant
      write(.activeSpeaker(publication.participant))
    case .connectionChanged(let id, let state):
      guard let index = index(of: id) else { return }
      members[index].connection = state
      write(.participantChanged(members[index].state))
    case .closed:
      isRetired = true
      ring()
    case .dropped(let count):
      logger.warning("The engine's events came faster than they were read.", metadata: ["room": "\(room.name)", "dropped": "\(count)"])
      await reconcile()
    }
  }

  private func noteRules() async {
    let now = RulesState(await room.configuration)
    guard now != rules else { return }
    rules = now
    write(.rulesChanged(now))
  }

  /// After lost events: asks the engine who is there and what they publish, and starts a new journal, so that every stream gets a snapshot.
  private func reconcile() async {
    let infos = Dictionary(uniqueKeysWithValues: await room.participantInfos.map { ($0.id, $0) })
    members.removeAll { infos[$0.id] == nil }
    for index in members.indices {
      guard let info = infos[members[index].id] else { continue }
      members[index].publications = info.publications
      members[index].connection = info.connection
      members[index].role = info.role
    }
    knockers = await room.knockers.map(KnockerState.init)
    rules = RulesState(await room.configuration)
    journal = Journal(epoch: Token().description)
    ring()
  }

  // MARK: Housekeeping

  /// Removes who is gone.
  ///
  /// Returns true when the meeting has been empty for so long that it is over, or was ended.
  func tidy(at now: ContinuousClock.Instant) async -> Bool {
    guard !isRetired else { return true }
    for index in members.indices {
      if members[index].isPresent {
        members[index].absentSince = nil
      } else if members[index].absentSince == nil {
        members[index].absentSince = now
      }
    }
    let absent = members.filter { member in member.absentSince.map { now - $0 >= options.absence } ?? false }
    for member in absent { await remove(member.id, reason: "absent") }
    await tidyDoor(at: now)

    guard members.isEmpty, visitors.isEmpty, !isRetired else {
      emptySince = nil
      return isRetired
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
    await room.close()
    following?.cancel()
    for bell in bells.values {
      bell.yield()
      bell.finish()
    }
    for doorbell in doorbells.values { doorbell.finish() }
    bells = [:]
    visitors = [:]
    members = []
  }
}

/// What a member says about themselves; what is left out stays as it is.
struct MemberChange: Decodable, Sendable {
  let microphone: Bool?
  let camera: Bool?
  let hand: Bool?
}
