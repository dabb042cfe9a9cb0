// An HTTP error that says what went wrong in words. RFC 9457 (Problem Details for HTTP APIs).

import Enfilade
import HTTPTypes
import Hummingbird

/// A problem with a request, answered as `application/problem+json`.
struct Problem: HTTPResponseError {
  let status: HTTPResponse.Status
  let detail: String
  var headers: HTTPFields = [:]

  init(_ status: HTTPResponse.Status, _ detail: String, headers: HTTPFields = [:]) {
    self.status = status
    self.detail = detail
    self.headers = headers
  }

  /// The members of a problem document. RFC 9457 §3.1
  private struct Document: Encodable {
    let type = "about:blank"
    let title: String
    let status: Int
    let detail: String
  }

  func response() -> Response {
    let document = Document(title: status.reasonPhrase, status: status.code, detail: detail)
    var headers = headers
    headers[.contentType] = "application/problem+json"
    headers[.cacheControl] = "no-store"
    return Response(status: status, headers: headers, body: .init(byteBuffer: JSON.buffer(document)))
  }

  func response(from request: Request, context: some RequestContext) -> Response { response() }
}

extension Problem {
  /// What the engine could not negotiate. RFC 9725 §4.2
  init(_ error: NegotiationError) {
    switch error.code {
    case .unsupported: self.init(.unprocessableContent, error.reason)
    case .tooManyPublications: self.init(.unprocessableContent, error.reason)
    case .conflicting: self.init(.conflict, error.reason)
    case .left: self = .unknownParticipant
    default: self.init(.badRequest, "The body cannot be understood (RFC 8866, RFC 8840): \(error.reason)")
    }
  }

  /// What a room refused.
  init(_ error: RoomError) {
    switch error.code {
    case .left: self = .unknownParticipant
    case .closed: self = .unknownRoom
    case .unknownSection, .unknownPublication: self.init(.unprocessableContent, error.reason)
    case .unknownParticipant: self.init(.notFound, error.reason)
    case .full: self.init(.serviceUnavailable, "The room is full.", headers: [.retryAfter: "30"])
    case .locked: self.init(.locked, "The room is locked; nobody new comes in.")
    case .lobby: self.init(.forbidden, "Who comes into this room waits to be admitted, which is only possible by the page.")
    case .hostAbsent: self.init(.forbidden, "Nobody comes in before the host.")
    case .blocked: self.init(.forbidden, "You were removed from this room.")
    case .denied: self.init(.forbidden, "The host did not let you in.")
    case .timedOut: self.init(.forbidden, "Nobody opened the door in time.")
    case .withdrawn: self = .unknownKnock
    case .duplicate: self.init(.conflict, "You are in this room already.")
    case .notPermitted: self.init(.forbidden, "That is for the host to decide.")
    default: self.init(.serviceUnavailable, error.reason)
    }
  }

  /// - Parameter wait: until it may be tried again.
  static func tooMany(_ detail: String, after wait: Duration) -> Problem {
    let seconds = max(1, Int(wait.components.seconds) + 1)
    return Problem(.tooManyRequests, "\(detail) Try again in \(seconds) s.", headers: [.retryAfter: "\(seconds)"])
  }

  static let draining = Problem(.serviceUnavailable, "The server is about to stop, and takes nobody in.", headers: [.retryAfter: "60"])
  static let notHost = Problem(.forbidden, "That is for the host to decide.")
  static let unknownKnock = Problem(.notFound, "You are not waiting at this door any more; knock again.")
  static let unknownRoom = Problem(.notFound, "There is no such room.")
  static let unknownParticipant = Problem(.notFound, "There is no such participant in this room; join again.")
  static let unknownSession = Problem(.notFound, "There is no such session; it has ended, or never was.")
  static let badRoomName = Problem(.notFound, "A room's name is 1 to \(RoomName.maximumLength) letters, digits, hyphens or underscores.")
  static let badDisplayName = Problem(.unprocessableContent, "A name is 1 to \(DisplayName.maximumLength) characters, without line breaks.")
  static let wrongToken = Problem(
    .unauthorized, "This needs the token that was given when joining.", headers: [.wwwAuthenticate: "Bearer realm=\"participant\""])
}

extension HTTPResponse.Status {
  // RFC 4918 §11.3
  static let locked = HTTPResponse.Status(code: 423, reasonPhrase: "Locked")
}
