// The resources that the meeting page uses: join, offer, devices, events, leave.

import Enfilade
import HTTPTypes
import Hummingbird

/// `/rooms/{room}` and what lies below `participants`.
struct ParticipantResources {
  let meetings: Meetings

  var resources: [Resource] {
    [
      Resource(path: "/rooms/:room", methods: [(.get, describe)]),
      Resource(path: "/rooms/:room/participants", acceptPost: MediaTypes.json, methods: [(.post, join)]),
      Resource(path: "/rooms/:room/participants/:participant", methods: [(.patch, change), (.delete, leave)]),
      Resource(path: "/rooms/:room/participants/:participant/offer", acceptPost: MediaTypes.sdp, methods: [(.post, offer)]),
      Resource(path: "/rooms/:room/participants/:participant/constraints", methods: [(.put, constrain)]),
      Resource(path: "/rooms/:room/participants/:participant/events", methods: [(.get, events)]),
      // A page that is being closed can only send a POST (`navigator.sendBeacon`).
      Resource(path: "/rooms/:room/participants/:participant/leave", methods: [(.post, leave)]),
    ]
  }

  // MARK: The room

  private struct Description: Encodable {
    let room: String
    let participants: Int
  }

  @Sendable private func describe(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
    let name = try context.roomName
    let count = await meetings.existing(name)?.memberCount ?? 0
    return .json(Description(room: name.description, participants: count))
  }

  // MARK: Joining and leaving

  private struct Joining: Decodable {
    let name: String
  }

  private struct Joined: Encodable {
    let id: String
    let token: String
    /// How many receiving lines of each kind the first offer should have, so that everybody is seen after one exchange.
    let receivers: WantedReceivers
  }

  @Sendable private func join(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
    let room = try context.roomName
    let joining = try JSON.decode(Joining.self, from: await request.text(mediaType: MediaTypes.json))
    guard let name = DisplayName(joining.name) else { throw Problem.badDisplayName }
    let (meeting, member) = try await meetings.admit(to: room, as: name, role: .member, subscribing: .everyone)
    return .json(
      Joined(id: member.id.rawValue, token: member.token.description, receivers: await meeting.receivers),
      status: .created, headers: [.location: "/rooms/\(room)/participants/\(member.id)"])
  }

  @Sendable private func leave(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    await meeting.remove(member.id, reason: "left")
    return Response(status: .noContent)
  }

  // MARK: In the meeting

  @Sendable private func offer(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    let offer = try await request.text(mediaType: MediaTypes.sdp)
    await meeting.noteOffer(of: member.id)
    return .text(try await member.participant.answer(offeredBy: offer), type: MediaTypes.sdp)
  }

  private struct Devices: Decodable {
    let microphone: Bool?
    let camera: Bool?
  }

  @Sendable private func change(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    let devices = try JSON.decode(Devices.self, from: await request.text(mediaType: MediaTypes.json))
    return .json(try await meeting.setDevices(of: member.id, microphone: devices.microphone, camera: devices.camera))
  }

  /// What is of use of the pictures on one's own m-lines.
  private struct Constraints: Decodable {
    struct Constraint: Decodable {
      let mid: String
      let width: Int?
      let height: Int?
      let framesPerSecond: Double?
      let paused: Bool?
    }

    let constraints: [Constraint]
  }

  @Sendable private func constrain(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    let body = try JSON.decode(Constraints.self, from: await request.text(mediaType: MediaTypes.json))
    guard body.constraints.count <= MeetOptions.maximumConstraints else {
      throw Problem(.unprocessableContent, "At most \(MeetOptions.maximumConstraints) m-lines can be constrained.")
    }
    let constraints = try body.constraints.map { wish throws(Problem) in
      let size = 1...65_535
      guard size.contains(wish.width ?? 1), size.contains(wish.height ?? 1), (0.1...1000).contains(wish.framesPerSecond ?? 1) else {
        throw Problem(.unprocessableContent, "A picture has 1 to 65535 pixels each way and 0.1 to 1000 frames per second.")
      }
      return (
        wish.mid,
        VideoConstraint(
          maximumWidth: wish.width ?? size.upperBound, maximumHeight: wish.height ?? size.upperBound,
          maximumFramesPerSecond: wish.framesPerSecond ?? .infinity, isPaused: wish.paused ?? false)
      )
    }
    try await meeting.setConstraints(of: member.id, constraints)
    return Response(status: .noContent)
  }

  @Sendable private func events(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
    let (meeting, member) = try await member(request, context)
    return EventStream(meeting: meeting, reader: member.id, lastEventID: request.headers[.lastEventID]).response(to: request)
  }

  /// The participant that the path names and the token proves.
  private func member(_ request: Request, _ context: BasicRequestContext) async throws -> (Meeting, Member) {
    guard let meeting = await meetings.existing(try context.roomName) else { throw Problem.unknownRoom }
    let id = try context.parameters.require("participant")
    return (meeting, try await meeting.member(id, token: request.token))
  }
}

extension Participant {
  /// The answer to an offer.
  func answer(offeredBy offer: String) async throws(Problem) -> String {
    do {
      return try await answer(offer: offer)
    } catch {
      throw Problem(error)
    }
  }
}
