// What hosts decide: rules, the door, other people's microphones, and who stays.

import Enfilade

/// What a moderator wants the rules to be; what is left out stays as it is.
struct RulesChange: Decodable, Sendable {
  let locked: Bool?
  let lobby: Bool?
  let requiresHost: Bool?
  let locksAfterRemoval: Bool?
  let hostDeparture: Room.HostDeparture?

  func apply(to configuration: inout Room.Configuration) {
    if let locked { configuration.isLocked = locked }
    if let lobby { configuration.hasLobby = lobby }
    if let requiresHost { configuration.requiresHost = requiresHost }
    if let locksAfterRemoval { configuration.locksAfterRemoval = locksAfterRemoval }
    if let hostDeparture { configuration.hostDeparture = hostDeparture }
  }
}

extension Meeting {
  /// Who asks with this token, if they may decide about others.
  func moderator(token: Substring?) throws(Problem) -> Member {
    guard let token, let member = members.first(where: { $0.token.matches(token) }) else { throw .wrongToken }
    guard member.moderates else { throw .notHost }
    return member
  }

  func change(_ change: RulesChange, by moderator: ParticipantID) async throws(Problem) -> RulesState {
    do {
      try await room.configure(by: moderator) { change.apply(to: &$0) }
    } catch {
      throw Problem(error)
    }
    return RulesState(await room.configuration)
  }

  /// Admits a visitor, or sends them away.
  func decide(about id: String, isAdmitted: Bool, by moderator: ParticipantID) async throws(Problem) {
    guard let visitor = visitors.first(where: { $0.key.rawValue == id })?.value else { throw .unknownKnock }
    do {
      if isAdmitted {
        try await room.admit(visitor.knock.id, by: moderator)
      } else {
        try await room.deny(visitor.knock.id, by: moderator)
      }
    } catch {
      throw Problem(error)
    }
  }

  /// Mutes what somebody publishes of one kind; they may take it back.
  func mute(_ id: String, _ kind: MediaKind, by moderator: ParticipantID) async throws(Problem) {
    guard let member = members.first(where: { $0.id.rawValue == id }) else { throw .unknownParticipant }
    do {
      for publication in member.publications where publication.kind == kind {
        try await room.setMuted(true, publication.id, by: moderator)
      }
    } catch {
      throw Problem(error)
    }
  }

  func muteAll(by moderator: ParticipantID) async throws(Problem) {
    do {
      try await room.muteAll(.audio, except: [moderator], by: moderator)
    } catch {
      throw Problem(error)
    }
  }

  /// Takes somebody out for good.
  func expel(_ id: String, by moderator: ParticipantID) async throws(Problem) {
    guard let target = participantID(id) else { throw .unknownParticipant }
    do {
      try await room.remove(target, by: moderator)
    } catch {
      throw Problem(error)
    }
  }

  /// Ends the meeting for all.
  func end(by moderator: ParticipantID) async throws(Problem) {
    do {
      try await room.close(nil, by: moderator)
    } catch {
      throw Problem(error)
    }
  }
}
