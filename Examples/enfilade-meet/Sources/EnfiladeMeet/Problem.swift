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
    case .unknownSection: self.init(.unprocessableContent, error.reason)
    default: self.init(.serviceUnavailable, error.reason)
    }
  }

  static let unknownRoom = Problem(.notFound, "There is no such room.")
  static let unknownParticipant = Problem(.notFound, "There is no such participant in this room; join again.")
  static let unknownSession = Problem(.notFound, "There is no such session; it has ended, or never was.")
  static let badRoomName = Problem(.notFound, "A room's name is 1 to \(RoomName.maximumLength) letters, digits, hyphens or underscores.")
  static let badDisplayName = Problem(.unprocessableContent, "A name is 1 to \(DisplayName.maximumLength) characters, without line breaks.")
  static let wrongToken = Problem(
    .unauthorized, "This needs the token that was given when joining.", headers: [.wwwAuthenticate: "Bearer realm=\"participant\""])
}
