// Who may do what in a room, and who decides it: roles, muting, removing, locking, closing.

import EnfiladeEngine
import EnfiladeRuntime

extension RoomState {
  // MARK: Rules

  func configure(
    by moderator: ParticipantID?, _ change: @Sendable (inout Room.Configuration) -> Void
  ) throws(RoomError) {
    try authorize(moderator, to: "change the rules")
    var wanted = configuration
    change(&wanted)
    guard wanted != configuration else { return }
    let before = configuration
    configuration = wanted
    if wanted.lifetime != before.lifetime { scheduleExpiry() }
    hub.send(.configurationChanged(wanted))
    if wanted.isLocked != before.isLocked { hub.send(.lockChanged(isLocked: wanted.isLocked, reason: .asked)) }
    reconsider()
  }

  func setLocked(_ isLocked: Bool, by moderator: ParticipantID?) throws(RoomError) {
    try authorize(moderator, to: "lock or open the door")
    setLocked(isLocked, reason: .asked)
  }

  func setLocked(_ isLocked: Bool, reason: LockReason) {
    guard configuration.isLocked != isLocked else { return }
    configuration.isLocked = isLocked
    hub.send(.lockChanged(isLocked: isLocked, reason: reason))
    reconsider()
  }

  /// Closes the room when its lifetime is over.
  func scheduleExpiry() {
    expiry?.cancel()
    expiry = nil
    guard let lifetime = configuration.lifetime, !isClosed else { return }
    let end = madeAt + lifetime
    expiry = Task { [weak self] in
      guard (try? await Task.sleep(until: end, clock: .continuous)) != nil else { return }
      await self?.close(.expired)
    }
  }

  func close(by moderator: ParticipantID?, _ words: String?) async throws(RoomError) {
    try authorize(moderator, to: "close the room")
    await close(.asked(words))
  }

  // MARK: Removing

  func expel(_ id: ParticipantID, by moderator: ParticipantID?, blocking: Bool, _ words: String?) async throws(RoomError) {
    try authorize(moderator, to: "remove anybody")
    guard let member = members.first(where: { $0.id == id }) else { throw unknown(id) }
    if blocking, let identity = member.identity { block(identity) }
    if configuration.locksAfterRemoval { setLocked(true, reason: .removal) }
    takeOut(id, reason: .removed(words))
    await settle()
  }

  /// Keeps an identity out of the room for its life, and takes out whoever has it now.
  func block(_ identity: String, by moderator: ParticipantID?) async throws(RoomError) {
    try authorize(moderator, to: "block anybody")
    block(identity)
    let there = members.filter { $0.identity == identity }
    for member in there { takeOut(member.id, reason: .removed(nil)) }
    if !there.isEmpty { await settle() }
  }

  func unblock(_ identity: String, by moderator: ParticipantID?) throws(RoomError) {
    try authorize(moderator, to: "unblock anybody")
    blocked.remove(identity)
  }

  private func block(_ identity: String) {
    guard blocked.count < Room.blockedIdentityLimit else { return setLocked(true, reason: .tooManyBlocked) }
    blocked.insert(identity)
    // Whoever waits under it is answered.
    reconsider()
  }

  // MARK: Roles

  func setRole(_ role: Role, of id: ParticipantID, by moderator: ParticipantID?) async throws(RoomError) {
    try authorize(moderator, to: "change what anybody may do")
    guard let index = members.firstIndex(where: { $0.id == id }) else { throw unknown(id) }
    guard members[index].role != role else { return }
    let mayReceive = role.permissions.contains(.subscribe)
    let isRevocation = !members[index].role.permissions.subtracting(role.permissions).isEmpty || role.permissions.contains(.hidden)
    members[index].role = role
    hub.send(.roleChanged(id: id, role: role))
    if !mayReceive { emptySlots(of: index) }
    for position in members[index].sources.indices { permit(index, position) }
    noteRecording()
    fillSlots()
    reconsider()
    // What was taken away is gone when this returns.
    if isRevocation { await settle() }
  }

  /// Brings a source in line with what its participant may publish now.
  private func permit(_ index: Int, _ position: Int) {
    let before = members[index].sources[position]
    let isPermitted = before.isPermitted(by: members[index].role.permissions)
    guard isPermitted != before.isPermitted else { return }
    members[index].sources[position].isPermitted = isPermitted
    refreshGate(members[index].id, position)
    if before.isLive {
      end(before, of: members[index])
    } else if members[index].sources[position].isLive {
      hub.send(.publicationStarted(members[index].publication(members[index].sources[position])))
    }
  }

  // MARK: Muting

  func setMuted(
    _ isMuted: Bool, _ id: PublicationID, mayUnmute: Bool, by moderator: ParticipantID?
  ) async throws(RoomError) {
    try authorize(moderator, to: "mute or unmute others")
    try mute(isMuted, id, mayUnmute: mayUnmute)
    if isMuted { await settle() }
  }

  /// Mutes everything of one kind, but that of some.
  func muteAll(_ kind: MediaKind?, except spared: Set<ParticipantID>, mayUnmute: Bool, by moderator: ParticipantID?) async throws(RoomError)
  {
    try authorize(moderator, to: "mute others")
    for index in members.indices where !spared.contains(members[index].id) {
      for position in members[index].sources.indices where kind == nil || members[index].sources[position].kind == kind {
        mute(true, index, position, mayUnmute: mayUnmute)
      }
    }
    await settle()
  }

  /// A participant takes the muting of its own publication back, or mutes it.
  func setOwnMuted(_ isMuted: Bool, _ id: PublicationID, of participant: ParticipantID) async throws(RoomError) {
    guard let (index, position) = locate(PublicationKey(id.rawValue)), members[index].id == participant else { throw unknown(id) }
    let source = members[index].sources[position]
    guard isMuted || !source.isMuted || source.mayUnmute || members[index].role.permissions.contains(.moderate) else {
      throw RoomError(code: .notPermitted, reason: "\(members[index].name) was muted in the room \(name), and may not take that back")
    }
    try mute(isMuted, id, mayUnmute: source.isMuted ? source.mayUnmute : true)
    if isMuted { await settle() }
  }

  private func mute(_ isMuted: Bool, _ id: PublicationID, mayUnmute: Bool) throws(RoomError) {
    guard let (index, position) = locate(PublicationKey(id.rawValue)) else { throw unknown(id) }
    mute(isMuted, index, position, mayUnmute: mayUnmute)
  }

  private func mute(_ isMuted: Bool, _ index: Int, _ position: Int, mayUnmute: Bool) {
    let before = members[index].sources[position]
    members[index].sources[position].isMuted = isMuted
    members[index].sources[position].mayUnmute = !isMuted || mayUnmute
    refreshGate(members[index].id, position)
    let source = members[index].sources[position]
    guard source.isLive, source.isMuted != before.isMuted || source.mayUnmute != before.mayUnmute else { return }
    hub.send(.publicationChanged(members[index].publication(source)))
  }

  /// Tells every shard whether packets of a source pass. Those that only mirror it have packets of it to repair with.
  func refreshGate(_ id: ParticipantID, _ position: Int) {
    guard let index = members.firstIndex(where: { $0.id == id }) else { return }
    let source = members[index].sources[position]
    guard source.wantsGateClosed != source.isGateClosed else { return }
    members[index].sources[position].isGateClosed = source.wantsGateClosed
    members[index].playback?.setMuted(source.wantsGateClosed)
    muteTaps(of: source.key, source.wantsGateClosed)
    for shard in core.runtime.shards { shard.post(.setMuted(source.key, source.wantsGateClosed), isUrgent: true) }
  }

  private func unknown(_ id: PublicationID) -> RoomError {
    RoomError(code: .unknownPublication, reason: "the room \(name) has no publication \(id)")
  }
}
