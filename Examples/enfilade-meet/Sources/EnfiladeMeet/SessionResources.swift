// WHIP (RFC 9725) to publish into a room, WHEP (draft-ietf-wish-whep) to watch it: for any client that speaks them.

import Enfilade
import HTTPTypes
import Hummingbird

/// The endpoint and the session resources of WHIP or of WHEP; the two differ only in who may send.
struct SessionResources {
  let meetings: Meetings
  /// `.whip` or `.whep`.
  let entrance: Entrance

  private var word: String { entrance.rawValue }

  var resources: [Resource] {
    [
      Resource(
        path: "/rooms/:room/\(word)", isOpenToOtherOrigins: true, acceptPost: MediaTypes.sdp, methods: [(.post, create)]),
      Resource(
        path: "/rooms/:room/\(word)/:session", isOpenToOtherOrigins: true, methods: [(.patch, patch), (.delete, delete)]),
    ]
  }

  // MARK: The endpoint

  @Sendable private func create(_ request: Request, _ context: MeetContext) async throws -> Response {
    let room = try context.roomName
    let subscribing = try await subscription(request, room: room)
    let offer = try await request.text(mediaType: MediaTypes.sdp)
    let typed = request.uri.queryParameters["name"].map(String.init) ?? (entrance == .whip ? "Stream" : "Viewer")
    guard let name = DisplayName(typed) else { throw Problem.badDisplayName }
    try await meetings.allowJoin(from: context.clientAddress)
    // RFC 9725 §4.5: what lets in is a bearer token.
    let invitation = try await meetings.invitation(request.token, for: room)
    let role: Role = entrance == .whip ? .publisher : .viewer

    let arrival = Arrival(
      name: name, entrance: entrance, role: role, identity: invitation?.identity, subscribing: subscribing)
    let (meeting, admission, _) = try await meetings.receive(arrival, to: room)
    guard case .entered(let member) = admission else { preconditionFailure("Who comes by \(word) does not wait.") }
    do {
      // Listening only, on a thin link: one stream of all voices instead of one for each.
      if role == .viewer, request.uri.queryParameters["audio"] == "mixed" { try await member.participant.setAudioMode(.mixed) }
      let answer = try await member.participant.answer(offeredBy: offer)
      return .text(
        answer, type: MediaTypes.sdp, status: .created,
        headers: [
          .location: "/rooms/\(room)/\(word)/\(member.token)",
          .eTag: member.entityTag,
          .acceptPatch: MediaTypes.fragment,
        ])
    } catch {
      await meeting.remove(member.id, reason: "no answer was possible")
      throw error
    }
  }

  /// A publisher hears nobody; a viewer sees whom they ask for, or everybody, but does not open a room.
  private func subscription(_ request: Request, room: RoomName) async throws -> SubscriptionPolicy {
    guard entrance == .whep else { return .nobody }
    guard let meeting = await meetings.existing(room) else { throw Problem.unknownRoom }
    guard let wanted = request.uri.queryParameters["participant"] else { return .everyone }
    guard let id = await meeting.participantID(wanted) else { throw Problem(.notFound, "There is no such participant to watch.") }
    return .only(id)
  }

  // MARK: The session

  /// Trickled candidates, or an ICE restart. RFC 9725 §4.3
  @Sendable private func patch(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, member) = try await session(context)
    let fragment = try await request.text(mediaType: MediaTypes.fragment)
    guard let condition = request.headers[.ifMatch] else {
      throw Problem(
        .preconditionRequired, "If-Match is needed: \"*\" to restart ICE, the session's entity tag to add candidates (RFC 9725 §4.3.1).")
    }
    if condition == "*" {
      let answer: String
      do {
        answer = try await member.participant.restartICE(fragment: fragment)
      } catch {
        throw Problem(error)
      }
      guard let tag = await meeting.renewEntityTag(of: member.id) else { throw Problem.unknownSession }
      return .text(answer, type: MediaTypes.fragment, headers: [.eTag: tag])
    }
    let tags = condition.split(separator: ",").map { $0.trimmingSpaces }
    guard tags.contains(where: { $0 == member.entityTag }) else {
      throw Problem(.preconditionFailed, "The entity tag is not that of the current ICE session.")
    }
    guard fragment.contains("a=ice-ufrag:") || fragment.contains("a=candidate:") || fragment.contains("a=end-of-candidates") else {
      throw Problem(.badRequest, "The fragment has neither candidates nor an end of candidates (RFC 8840 §9).")
    }
    // The engine is an ICE-lite agent: it learns where its peer is from the checks that the peer sends, so candidates need no storing.
    return Response(status: .noContent)
  }

  @Sendable private func delete(_ request: Request, _ context: MeetContext) async throws -> Response {
    let (meeting, member) = try await session(context)
    await meeting.remove(member.id, reason: "left")
    return Response(status: .ok)
  }

  private func session(_ context: MeetContext) async throws -> (Meeting, Member) {
    guard let meeting = await meetings.existing(try context.roomName) else { throw Problem.unknownSession }
    guard let member = await meeting.session(try context.parameters.require("session"), entrance: entrance) else {
      throw Problem.unknownSession
    }
    return (meeting, member)
  }
}

extension Substring {
  fileprivate var trimmingSpaces: Substring {
    var text = self
    while text.first == " " { text.removeFirst() }
    while text.last == " " { text.removeLast() }
    return text
  }
}
