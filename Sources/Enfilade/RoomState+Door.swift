// The door of a room: who comes in at once, who waits, who is refused, and how people go out.

import EnfiladeEngine
import EnfiladeForwarding
import EnfiladeRuntime
import EnfiladeWire

extension RoomState {
  /// Somebody in front of the door.
  struct Waiting {
    let knocker: Knocker
    let policy: SubscriptionPolicy
    let knock: Knock
    /// Ends the waiting when it has lasted too long.
    let timer: Task<Void, Never>
  }

  // MARK: Coming in

  func join(_ knocker: Knocker, policy: SubscriptionPolicy) async throws(RoomError) -> Participant {
    if let obstacle = try examine(knocker) { throw obstacle }
    return await enter(knocker, policy: policy)
  }

  func knock(_ knocker: Knocker, policy: SubscriptionPolicy) async throws(RoomError) -> Knock {
    let knock = Knock(id: knocker.id, state: self)
    guard try examine(knocker) != nil else {
      knock.decide(.success(await enter(knocker, policy: policy)))
      return knock
    }
    // Who knocks again has gone away from where it knocked before.
    if let identity = knocker.identity, configuration.duplicates != .allow {
      for earlier in waiting where earlier.knocker.identity == identity { withdraw(earlier.knocker.id) }
    }
    guard waiting.count < configuration.lobbyCapacity else {
      throw RoomError(code: .full, reason: "\(waiting.count) people wait in front of the room \(name) already")
    }
    let patience = configuration.lobbyTimeout
    let timer = Task { [weak self] in
      guard (try? await Task.sleep(for: patience)) != nil else { return }
      await self?.timeOut(knocker.id)
    }
    waiting.append(Waiting(knocker: knocker, policy: policy, knock: knock, timer: timer))
    hub.send(.knocked(knocker))
    return knock
  }

  /// What stands between somebody and the room.
  ///
  /// - Returns: why it has to wait; `nil` when the door is open.
  /// - Throws: why it does not come in at all.
  private func examine(_ knocker: Knocker) throws(RoomError) -> RoomError? {
    guard !isClosed else { throw RoomError(code: .closed, reason: "the room \(name) is closed") }
    if let obstacle = core.obstacle { throw obstacle }
    if let identity = knocker.identity {
      guard !blocked.contains(identity) else {
        throw RoomError(code: .blocked, reason: "\(knocker.name) was removed from the room \(name), and may not come back")
      }
      guard configuration.duplicates != .refuse || !members.contains(where: { $0.identity == identity }) else {
        throw RoomError(code: .duplicate, reason: "\(knocker.name) is in the room \(name) already")
      }
    }
    guard !knocker.role.isAboveTheDoor else {
      try findSeat(for: knocker)
      return nil
    }
    guard !configuration.isLocked else { throw RoomError(code: .locked, reason: "the room \(name) is locked") }
    if configuration.requiresHost, !hasHost {
      return RoomError(code: .hostAbsent, reason: "nobody comes into the room \(name) before its host")
    }
    if configuration.hasLobby { return RoomError(code: .lobby, reason: "one knocks at the door of the room \(name), and is admitted") }
    try findSeat(for: knocker)
    return nil
  }

  private func findSeat(for knocker: Knocker) throws(RoomError) {
    guard !knocker.role.permissions.contains(.hidden) else { return }
    let taken = members.count { $0.isSeated && !isReplaced($0, by: knocker) }
    guard taken < configuration.capacity else {
      throw RoomError(code: .full, reason: "all \(configuration.capacity) seats of the room \(name) are taken")
    }
  }

  private func isReplaced(_ member: Member, by knocker: Knocker) -> Bool {
    configuration.duplicates == .replace && member.identity != nil && member.identity == knocker.identity
  }

  private var hasHost: Bool { members.contains(where: \.role.isHost) }

  /// Lets somebody in. When this returns, nothing passes any more of those it replaces.
  private func enter(_ knocker: Knocker, policy: SubscriptionPolicy) async -> Participant {
    let (participant, hasReplaced) = seat(knocker, policy: policy)
    if hasReplaced { await settle() }
    return participant
  }

  private func seat(_ knocker: Knocker, policy: SubscriptionPolicy) -> (participant: Participant, hasReplaced: Bool) {
    let replaced = members.filter { isReplaced($0, by: knocker) }
    let member = Member(
      knocker, policy: policy, link: LinkID(core.runtime.makeIdentifier()),
      shard: core.runtime.placeLink(preferred: members.last?.shard), sessionID: UInt64.random(in: 1..<(1 << 62)))
    // First in, then out: a host who comes from another device has not left.
    members.append(member)
    for earlier in replaced { takeOut(earlier.id, reason: .replaced) }
    hub.send(.participantJoined(id: member.id, name: member.name))
    noteRecording()
    if member.role.isHost { reconsider() }
    return (Participant(id: member.id, name: member.name, state: self), !replaced.isEmpty)
  }

  // MARK: Waiting

  var knockers: [Knocker] { waiting.map(\.knocker) }

  func admit(_ id: ParticipantID, by moderator: ParticipantID?) async throws(RoomError) -> Participant {
    try authorize(moderator, to: "admit anybody")
    guard let index = waiting.firstIndex(where: { $0.knocker.id == id }) else { throw unknown(id) }
    try findSeat(for: waiting[index].knocker)
    let admitted = waiting.remove(at: index)
    admitted.timer.cancel()
    let participant = await enter(admitted.knocker, policy: admitted.policy)
    hub.send(.knockEnded(admitted.knocker, .admitted))
    admitted.knock.decide(.success(participant))
    return participant
  }

  func deny(_ id: ParticipantID, by moderator: ParticipantID?) throws(RoomError) {
    try authorize(moderator, to: "deny anybody")
    guard waiting.contains(where: { $0.knocker.id == id }) else { throw unknown(id) }
    endKnock(id, .denied, RoomError(code: .denied, reason: "whoever decides in the room \(name) said no"))
  }

  func withdraw(_ id: ParticipantID) {
    endKnock(id, .withdrawn, RoomError(code: .withdrawn, reason: "the knock at the room \(name) was withdrawn"))
  }

  private func timeOut(_ id: ParticipantID) {
    endKnock(id, .timedOut, RoomError(code: .timedOut, reason: "nobody in the room \(name) answered the knock in time"))
  }

  private func endKnock(_ id: ParticipantID, _ outcome: KnockOutcome, _ error: RoomError) {
    guard let index = waiting.firstIndex(where: { $0.knocker.id == id }) else { return }
    let ended = waiting.remove(at: index)
    ended.timer.cancel()
    hub.send(.knockEnded(ended.knocker, outcome))
    ended.knock.decide(.failure(error))
  }

  /// Looks again at everybody in front of the door, in the order of coming, when the rules or the room have changed.
  func reconsider() {
    for candidate in waiting {
      guard waiting.contains(where: { $0.knocker.id == candidate.knocker.id }) else { continue }
      do {
        if try examine(candidate.knocker) == nil { open(candidate.knocker.id) }
      } catch {
        // A locked door may be opened again, or by hand, and load passes; all else is an answer.
        if error.code != .locked && error.code != .overloaded { endKnock(candidate.knocker.id, .refused, error) }
      }
    }
  }

  /// Lets somebody in for whom nothing stands in the way any more.
  private func open(_ id: ParticipantID) {
    guard let index = waiting.firstIndex(where: { $0.knocker.id == id }) else { return }
    let admitted = waiting.remove(at: index)
    admitted.timer.cancel()
    let (participant, hasReplaced) = seat(admitted.knocker, policy: admitted.policy)
    hub.send(.knockEnded(admitted.knocker, .admitted))
    Task {
      if hasReplaced { await settle() }
      admitted.knock.decide(.success(participant))
    }
  }

  // MARK: Going out

  func leave(_ id: ParticipantID) async { await remove(id, reason: .left) }

  /// Takes somebody out. When this returns, not one packet from or to it passes any more.
  func remove(_ id: ParticipantID, reason: LeaveReason) async {
    takeOut(id, reason: reason)
    await settle()
  }

  /// Takes somebody out of the room, and tells the shards.
  func takeOut(_ id: ParticipantID, reason: LeaveReason) {
    guard let index = members.firstIndex(where: { $0.id == id }) else { return }
    let member = members.remove(at: index)
    if member.hasLink { member.shard.post(.removeLink(member.link), isUrgent: true) }
    for socket in member.plainSockets ?? [] { member.shard.closeSocket(socket) }
    // What other shards still hold of it is not served any more, however long the words between the shards take.
    for shard in core.runtime.shards where shard !== member.shard || member.playback != nil {
      for source in member.sources { shard.post(.setMuted(source.key, true), isUrgent: true) }
    }
    for source in member.sources {
      speakers.remove(source.key)
      end(source, of: member)
    }
    settleMix()
    if let line = member.playback { core.runtime.closePlayback(line, PlaybackLine.Outcome(reason)) }
    if member.playback == nil { core.runtime.forgetLink(on: member.shard) }
    core.forget(member.link)
    hub.send(.participantLeft(id: id, reason: reason))
    noteRecording()
    guard !isClosed, member.role.isHost, !hasHost else { return }
    switch configuration.hostDeparture {
    case .nothing: break
    case .lock: setLocked(true, reason: .hostLeft)
    case .close: Task { await close(.hostLeft) }
    }
  }

  /// Waits until every shard has carried out what it was told, and has sent what it had decided before.
  func settle() async {
    await core.runtime.worker(for: mixID)?.barrier()
    for shard in core.runtime.shards { await shard.barrier() }
  }

  func close(_ reason: CloseReason) async {
    guard !isClosed else { return }
    isClosed = true
    expiry?.cancel()
    await core.forgetRoom(name)
    for candidate in waiting {
      endKnock(candidate.knocker.id, .refused, RoomError(code: .closed, reason: "the room \(name) is closed"))
    }
    while let member = members.first { takeOut(member.id, reason: .roomClosed(reason)) }
    await settle()
    closeMix()
    hub.send(.closed(reason))
    hub.finish()
  }

  // MARK: Who records

  func noteRecording() {
    let isTaken = mix.map { !$0.recorders.isEmpty || !$0.taps.isEmpty } ?? false
    let isRecorded = isTaken || members.contains { $0.role.permissions.contains(.recorder) }
    guard isRecorded != wasRecorded else { return }
    wasRecorded = isRecorded
    hub.send(.recordingChanged(isRecorded: isRecorded))
  }

  // MARK: Refusals

  func unknown(_ id: ParticipantID) -> RoomError {
    RoomError(code: .unknownParticipant, reason: "the room \(name) knows nobody of the name \(id)")
  }

  /// Looks whether somebody may decide about others; `nil` stands for the application, which may.
  func authorize(_ moderator: ParticipantID?, to deed: String) throws(RoomError) {
    guard !isClosed else { throw RoomError(code: .closed, reason: "the room \(name) is closed") }
    guard let moderator else { return }
    guard let member = members.first(where: { $0.id == moderator }) else {
      throw RoomError(code: .left, reason: "who is not in the room \(name) may not \(deed) there")
    }
    guard member.role.permissions.contains(.moderate) else {
      throw RoomError(code: .notPermitted, reason: "\(member.name) may not \(deed) in the room \(name)")
    }
  }
}
