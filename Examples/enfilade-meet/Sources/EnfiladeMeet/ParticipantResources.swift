// The resources that the meeting page uses: join, offer, devices, constraints, messages, events, leave.

import Enfilade
import Foundation
import HTTPTypes
import Hummingbird

/// `/rooms/{room}` and what lies below `participants` and `knocks`, as far as it is one's own.
struct ParticipantResources {
  let meetings: Meetings

  var resources: [Resource] {
    let own = "/rooms/:room/participants/:participant"
    return [
      Resource(path: "/rooms/:room/participants", acceptPost: MediaTypes.json, methods: [(.post, join)]),
      Resource(path: RouterPath(own), methods: [(.patch, change), (.delete, leave)]),
      Resource(path: "\(own)/offer", acceptPost: "\(MediaTypes.sdp), \(MediaTypes.json)", methods: [(.post, offer)]),
      Resource(path: "\(own)/constraints", methods: [(.put, constrain)]),
      Resource(path: "\(own)/stage", methods: [(.put, arrange), (.delete, clearStage)]),
      Resource(path: "\(own)/audio", methods: [(.put, hear)]),
      Resource(path: "\(own)/messages", acceptPost: MediaTypes.json, methods: [(.post, post)]),
      Resource(path: "\(own)/events", methods: [(.get, events)]),
      // A page that is being closed can only send a POST (`navigator.sendBeacon`).
      Resource(path: "\(own)/leave", methods: [(.post, leave)]),
      Resource(path: "/rooms/:room/knocks/:knock", methods: [(.get, askAtDoor), (.delete, leaveDoor)]),
    ]
  }

  // MARK: Joining and leaving

  private struct Joining: Decodable {
    let name: String
    let invite: String?
    /// Tells one browser from another, for removing; 16 to 64 letters and digits.
    let device: String?
  }

  private struct Joined: Encodable {
    let id: String
    let token: String
    /// How many receiving lines of each kind the first offer should have, so that everybody is seen after one exchange.
    let receivers: WantedReceivers
    /// The invitation of a host, for who has become one by coming first.
    var invite: String?
  }

  private struct Waiting: Encodable {
    let knock: String
    let token: String
  }

  @Sendable private func join(_ request: Request, _ context: MeetContext) async throws -> Response {
    let room = try context.roomName
    let joining = try JSON.decode(Joining.self, from: await request.text(mediaType: MediaTypes.json))
    guard let name = DisplayName(joining.name) else { throw Problem.badDisplayName }
    if let device = joining.device, !(16...64).contains(device.utf8.count) || !device.utf8.allSatisfy(\.isLetterOrDigit) {
      throw Problem(.unprocessableContent, "A device is named by 16 to 64 letters and digits.")
    }
    try await meetings.allowJoin(from: context.clientAddress)
    let invitation = try await meetings.invitation(joining.invite, for: room)
    let arrival = Arrival(
      name: name, entrance: .page, role: invitation.flatMap { Invitation.roles[$0.role] } ?? .member,
      identity: invitation?.identity ?? joining.device.map { "device:\($0)" }, subscribing: .everyone)
    let (meeting, admission, role) = try await meetings.receive(arrival, to: room, takesHostSeat: invitation == nil)
    switch admission {
    case .waiting(let knock, let token):
      return .json(
        Waiting(knock: knock.rawValue, token: token.description), status: .accepted,
        headers: [.location: "/rooms/\(room)/knocks/\(knock.rawValue)"])
    case .entered(let member):
      var joined = await joined(member, meeting)
      if role.isHost, invitation == nil {
        joined.invite = try await meetings.invitations.issue(room: room, role: "host", lifetime: .seconds(24 * 3600), isPersonal: false)
          .text
      }
      return .json(joined, status: .created, headers: [.location: "/rooms/\(room)/participants/\(member.id)"])
    }
  }

  private func joined(_ member: Member, _ meeting: Meeting) async -> Joined {
    Joined(id: member.id.rawValue, token: member.token.description, receivers: await meeting.receivers)
  }

  @Sendable private func leave(_ request: Request, _ context: MeetContext) async throws -> Response {
    guard let meeting = await meetings.existing(try context.roomName) else { throw Problem.unknownRoom }
    let id = try context.parameters.require("participant")
    if request.method == .delete, let host = try? await meeting.moderator(token: request.token), host.id.rawValue != id {
      try await meeting.expel(id, by: host.id)
    } else {
      await meeting.remove(try await meeting.member(id, token: request.token).id, reason: "left")
    }
    return Response(status: .noContent)
  }

  // MARK: At the door

  @Sendable private func askAtDoor(_ request: Request, _ context: MeetContext) async throws -> Response {
    guard let meeting = await meetings.existing(try context.roomName) else { throw Problem.unknownRoom }
    let id = try context.parameters.require("knock")
    let (outcome, member) = try await meeting.decision(about: id, token: request.token, within: meetings.options.knockPatience)
    switch outcome {
    case .waiting: return Response(status: .noContent, headers: [.retryAfter: "0"])
    case .refused(let error): throw Problem(error)
    case .admitted:
      guard let member else { throw Problem.unknownKnock }
      return .json(await joined(member, meeting))
    }
  }

  @Sendable private func leaveDoor(_ request: Request, _ context: MeetContext) async throws -> Response {
    guard let meeting = await meetings.existing(try context.roomName) else { throw Problem.unknownRoom }
    try await meeting.withdraw(try context.parameters.require("knock"), token: request.token)
    return Response(status: .noContent)
  }

  // MARK: In the meeting

  /// An offer with what it cannot say itself.
  private struct Described: Decodable {
    struct Section: Decodable {
      let purpose: PublicationPurpose?
      let encrypted: Bool?
    }

    let sdp: String
    /// By mid.
    let sections: [String: Section]
  }

  @Sendable private func offer(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    var descriptions: [String: PublicationDescription] = [:]
    var offer = try await request.text(mediaTypes: [MediaTypes.sdp, MediaTypes.json])
    if request.mediaType == MediaTypes.json {
      let described = try JSON.decode(Described.self, from: offer)
      offer = described.sdp
      descriptions = described.sections.mapValues { .init(purpose: $0.purpose, isEncrypted: $0.encrypted ?? false) }
    }
    await meeting.noteOffer(of: member.id)
    return .text(try await member.participant.answer(offeredBy: offer, describing: descriptions), type: MediaTypes.sdp)
  }

  @Sendable private func change(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    let change = try JSON.decode(MemberChange.self, from: await request.text(mediaType: MediaTypes.json))
    return .json(try await meeting.note(change, of: member.id))
  }

  private struct Text: Decodable {
    let text: String
  }

  @Sendable private func post(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    let text = try JSON.decode(Text.self, from: await request.text(mediaType: MediaTypes.json)).text
    guard (1...MeetOptions.messageLength).contains(text.count), text.contains(where: { !$0.isWhitespace }) else {
      throw Problem(.unprocessableContent, "A message has 1 to \(MeetOptions.messageLength) characters, not only spaces.")
    }
    try await meeting.post(text, from: member.id, at: Int64(Date().timeIntervalSince1970 * 1000))
    return Response(status: .noContent)
  }

  /// What is of use of the pictures on one's own m-lines.
  private struct Constraints: Decodable {
    struct Constraint: Decodable {
      let mid: String
      let width: Int?
      let height: Int?
      let framesPerSecond: Double?
      let paused: Bool?
      let priority: String?
    }

    let constraints: [Constraint]
  }

  @Sendable private func constrain(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    let body = try JSON.decode(Constraints.self, from: await request.text(mediaType: MediaTypes.json))
    guard body.constraints.count <= MeetOptions.maximumConstraints else {
      throw Problem(.unprocessableContent, "At most \(MeetOptions.maximumConstraints) m-lines can be constrained.")
    }
    let constraints = try body.constraints.map { wish throws(Problem) in
      (
        wish.mid,
        try VideoConstraint(
          width: wish.width, height: wish.height, framesPerSecond: wish.framesPerSecond, isPaused: wish.paused ?? false,
          priority: wish.priority)
      )
    }
    try await meeting.setConstraints(of: member.id, constraints)
    return Response(status: .noContent)
  }

  @Sendable private func events(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    return EventStream(meeting: meeting, reader: member.id, lastEventID: request.headers[.lastEventID]).response(to: request)
  }

  /// The participant that the path names and the token proves.
  func member(_ request: Request, _ context: MeetContext) async throws -> (Meeting, Member) {
    guard let meeting = await meetings.existing(try context.roomName) else { throw Problem.unknownRoom }
    let id = try context.parameters.require("participant")
    return (meeting, try await meeting.member(id, token: request.token))
  }
}

extension Participant {
  /// The answer to an offer.
  func answer(offeredBy offer: String, describing descriptions: [String: PublicationDescription] = [:]) async throws(Problem) -> String {
    do {
      return try await answer(offer: offer, describing: descriptions)
    } catch {
      throw Problem(error)
    }
  }
}

extension UInt8 {
  fileprivate var isLetterOrDigit: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: false
    }
  }
}
