// Rooms and what their hosts decide: rules, invitations, the door, other people's microphones.

import Enfilade
import HTTPTypes
import Hummingbird

/// `/rooms` and what lies below it that is for hosts.
struct RoomResources {
  let meetings: Meetings

  var resources: [Resource] {
    [
      Resource(path: "/rooms", acceptPost: MediaTypes.json, methods: [(.post, create)]),
      Resource(path: "/rooms/:room", methods: [(.get, describe), (.patch, change), (.delete, end)]),
      Resource(path: "/rooms/:room/invites", acceptPost: MediaTypes.json, methods: [(.post, invite)]),
      Resource(path: "/rooms/:room/invites/:invite", methods: [(.delete, revoke)]),
      Resource(path: "/rooms/:room/mute", methods: [(.post, muteAll)]),
      Resource(path: "/rooms/:room/knocks/:knock/decision", acceptPost: MediaTypes.json, methods: [(.post, decide)]),
      Resource(path: "/rooms/:room/participants/:participant/mute", acceptPost: MediaTypes.json, methods: [(.post, mute)]),
    ]
  }

  private struct Description: Encodable {
    let room: String
    let participants: Int
  }

  @Sendable private func describe(_ request: Request, _ context: MeetContext) async throws -> Response {
    let name = try context.roomName
    let count = await meetings.existing(name)?.memberCount ?? 0
    return .json(Description(room: name.description, participants: count))
  }

  // MARK: Making one

  private struct Creation: Decodable {
    let room: String
    let capacity: Int?
    /// Seconds.
    let lifetime: Int?
    let lobby: Bool?
    let requiresHost: Bool?
    let hostDeparture: Room.HostDeparture?
  }

  private struct Invited: Encodable {
    let id: String
    let invite: String
    let link: String
  }

  @Sendable private func create(_ request: Request, _ context: MeetContext) async throws -> Response {
    let creation = try JSON.decode(Creation.self, from: await request.text(mediaType: MediaTypes.json))
    guard let name = RoomName(creation.room) else { throw Problem.badRoomName }
    var rules = meetings.options.rules
    let longest = Invitations.longest.components.seconds
    guard (1...rules.capacity).contains(creation.capacity ?? 1), (1...Int(longest)).contains(creation.lifetime ?? 1) else {
      throw Problem(.unprocessableContent, "A room is for 1 to \(rules.capacity) people, and for \(longest) seconds at most.")
    }
    rules.capacity = creation.capacity ?? rules.capacity
    rules.lifetime = creation.lifetime.map { .seconds($0) }
    rules.hasLobby = creation.lobby ?? false
    rules.requiresHost = creation.requiresHost ?? false
    rules.hostDeparture = creation.hostDeparture ?? .nothing
    try await meetings.allowJoin(from: context.clientAddress)
    try await meetings.create(name, rules: rules)
    let lifetime = rules.lifetime ?? .seconds(24 * 3600)
    return .json(
      try await issue(room: name, role: "host", lifetime: lifetime, isPersonal: false), status: .created,
      headers: [.location: "/rooms/\(name)"])
  }

  // MARK: Invitations

  private struct Inviting: Decodable {
    let role: String?
    /// Seconds.
    let lifetime: Int?
    let personal: Bool?
  }

  @Sendable private func invite(_ request: Request, _ context: MeetContext) async throws -> Response {
    let room = try context.roomName
    _ = try await moderator(request, context)
    let inviting = try JSON.decode(Inviting.self, from: await request.text(mediaType: MediaTypes.json))
    let role = inviting.role ?? "member"
    let longest = Int(Invitations.longest.components.seconds)
    guard Invitation.roles[role] != nil, (1...longest).contains(inviting.lifetime ?? 1) else {
      throw Problem(
        .unprocessableContent,
        "An invitation is for a \(Invitation.roles.keys.sorted().joined(separator: ", ")), and for \(longest) seconds at most.")
    }
    return .json(
      try await issue(
        room: room, role: role, lifetime: .seconds(inviting.lifetime ?? 24 * 3600), isPersonal: inviting.personal ?? false),
      status: .created)
  }

  private func issue(room: RoomName, role: String, lifetime: Duration, isPersonal: Bool) async throws -> Invited {
    let (id, text) = try await meetings.invitations.issue(room: room, role: role, lifetime: lifetime, isPersonal: isPersonal)
    // In the fragment, which browsers send to nobody.
    return Invited(id: id, invite: text, link: "/r/\(room)#invite=\(text)")
  }

  @Sendable private func revoke(_ request: Request, _ context: MeetContext) async throws -> Response {
    _ = try await moderator(request, context)
    let id = try context.parameters.require("invite")
    guard id.utf8.count <= 64 else { throw Problem(.notFound, "No invitation has such a number.") }
    try await meetings.invitations.revoke(id)
    return Response(status: .noContent)
  }

  // MARK: Deciding

  @Sendable private func change(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, host) = try await moderator(request, context)
    let change = try JSON.decode(RulesChange.self, from: await request.text(mediaType: MediaTypes.json))
    return .json(try await meeting.change(change, by: host.id))
  }

  @Sendable private func end(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, host) = try await moderator(request, context)
    try await meeting.end(by: host.id)
    return Response(status: .noContent)
  }

  private struct Decision: Decodable {
    let admit: Bool
  }

  @Sendable private func decide(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, host) = try await moderator(request, context)
    let decision = try JSON.decode(Decision.self, from: await request.text(mediaType: MediaTypes.json))
    try await meeting.decide(about: try context.parameters.require("knock"), isAdmitted: decision.admit, by: host.id)
    return Response(status: .noContent)
  }

  private struct Muting: Decodable {
    let kind: MediaKind
  }

  @Sendable private func mute(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, host) = try await moderator(request, context)
    let muting = try JSON.decode(Muting.self, from: await request.text(mediaType: MediaTypes.json))
    try await meeting.mute(try context.parameters.require("participant"), muting.kind, by: host.id)
    return Response(status: .noContent)
  }

  @Sendable private func muteAll(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, host) = try await moderator(request, context)
    try await meeting.muteAll(by: host.id)
    return Response(status: .noContent)
  }

  /// The host whose token the request has.
  private func moderator(_ request: Request, _ context: MeetContext) async throws -> (Meeting, Member) {
    guard let meeting = await meetings.existing(try context.roomName) else { throw Problem.unknownRoom }
    return (meeting, try await meeting.moderator(token: request.token))
  }
}
