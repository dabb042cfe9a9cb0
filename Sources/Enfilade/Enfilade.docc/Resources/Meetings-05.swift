import Enfilade

/// What a server knows a client by: the name of its WebSocket, its session, its cookie.
typealias Client = String

/// What a server tells its clients, in whichever form they understand.
enum Notice: Sendable {
  case offerAgain(moreAudio: Int, moreVideo: Int)
  case shown(mid: String, name: String?)
  case gone(LeaveReason)
  case knocked(ParticipantID, name: String)
}

/// The rooms of this server, and who of its clients is in them.
actor Meetings {
  private let engine: Engine
  private var participants: [Client: Participant] = [:]
  private var followed: Set<String> = []
  private let send: @Sendable (Client, Notice) async -> Void

  /// - Parameters:
  ///   - address: where clients reach this machine.
  ///   - send: carries a notice to a client.
  init(announcing address: String, send: @escaping @Sendable (Client, Notice) async -> Void) async throws {
    self.send = send
    let configuration = Engine.Configuration(udpPort: 5000, announcedAddresses: [address])
    for finding in Engine.diagnose(configuration).findings { print(finding.severity, finding.text) }
    engine = try await Engine(configuration)
  }

  /// A client comes in. Who it may be, the server has looked at before.
  func enter(_ client: Client, room name: String, as displayName: String) async throws {
    let room = try await engine.room(name, configuration: .init(hasLobby: true, locksAfterRemoval: true))
    // The first who comes is the host.
    let isNew = follow(room)
    let knock = try await room.knock(name: displayName, identity: client, role: isNew ? .host : .member)
    // Waits in front of the door for as long as it takes.
    participants[client] = try await knock.participant()
  }

  /// A client offers, for the first time or again.
  func answer(_ client: Client, to offer: String) async throws -> String? {
    try await participants[client]?.answer(offer: offer)
  }

  // MARK: Events

  /// `false` when the room is followed already.
  private func follow(_ room: Room) -> Bool {
    guard followed.insert(room.name).inserted else { return false }
    Task {
      for await event in room.events { await take(event) }
      followed.remove(room.name)
    }
    return true
  }

  private func take(_ event: RoomEvent) async {
    switch event {
    case .receiversWanted(let id, let audio, let video): await tell(id, .offerAgain(moreAudio: audio, moreVideo: video))
    case .slotChanged(let id, let mid, let publication): await tell(id, .shown(mid: mid, name: publication?.participantName))
    case .participantLeft(let id, let reason):
      await tell(id, .gone(reason))
      participants = participants.filter { $0.value.id != id }
    case .knocked(let knocker):
      for (client, participant) in participants where await participant.info?.role.isHost == true {
        await send(client, .knocked(knocker.id, name: knocker.name))
      }
    default: break
    }
  }

  private func tell(_ id: ParticipantID, _ notice: Notice) async {
    for (client, participant) in participants where participant.id == id { await send(client, notice) }
  }
}
