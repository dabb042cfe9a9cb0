// One HTTP resource: a path and what each method does there. Every other method gets 405 with the list of those that work.

import HTTPTypes
import Hummingbird

/// A path with its methods.
struct Resource {
  typealias Handler = @Sendable (Request, MeetContext) async throws -> Response

  let path: RouterPath
  /// Whether pages of other origins may use it.
  ///
  /// WHIP and WHEP clients run anywhere (RFC 9725 §4.1).
  var isOpenToOtherOrigins = false
  /// The media type that POST takes here, told to who asks by OPTIONS.
  var acceptPost: String? = nil
  let methods: [(HTTPRequest.Method, Handler)]

  private static let known: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]

  func add(to router: Router<MeetContext>, isSecure: Bool) {
    let allow = (methods.map(\.0) + [.options]).map(\.rawValue).joined(separator: ", ")
    let common = commonHeaders(allow: allow, isSecure: isSecure)
    for method in Self.known {
      let handler = methods.first { $0.0 == method }?.1
      router.on(path, method: method) { [acceptPost] request, context in
        var response: Response
        do {
          if let handler {
            response = try await handler(request, context)
          } else if method == .options {
            response = Response(status: .noContent, headers: [.allow: allow])
            response.headers[.acceptPost] = acceptPost
          } else {
            throw Problem(.methodNotAllowed, "\(method.rawValue) is not possible here; possible are \(allow).", headers: [.allow: allow])
          }
        } catch let problem as Problem {
          response = problem.response()
        }
        for field in common where response.headers[field.name] == nil { response.headers.append(field) }
        return response
      }
    }
  }

  private func commonHeaders(allow: String, isSecure: Bool) -> HTTPFields {
    var headers: HTTPFields = [.cacheControl: "no-store", .xContentTypeOptions: "nosniff", .referrerPolicy: "no-referrer"]
    // What came by HTTPS once is asked for by HTTPS from then on (RFC 6797).
    if isSecure { headers[.strictTransportSecurity] = "max-age=31536000" }
    if isOpenToOtherOrigins {
      headers[.accessControlAllowOrigin] = "*"
      headers[.accessControlAllowMethods] = allow
      headers[.accessControlAllowHeaders] = "Authorization, Content-Type, If-Match"
      headers[.accessControlExposeHeaders] = "Location, ETag, Accept-Patch, Accept-Post"
      headers[.accessControlMaxAge] = "86400"
    }
    return headers
  }
}

extension Response {
  /// A session description or a fragment of one.
  static func text(_ text: String, type: String, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> Response {
    var headers = headers
    headers[.contentType] = type
    return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: text)))
  }

  static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> Response {
    var headers = headers
    headers[.contentType] = "application/json"
    return Response(status: status, headers: headers, body: .init(byteBuffer: JSON.buffer(value)))
  }
}

extension MeetContext {
  /// The room that the path names.
  var roomName: RoomName {
    get throws {
      guard let name = parameters.get("room", as: RoomName.self) else { throw Problem.badRoomName }
      return name
    }
  }
}

extension HTTPField.Name {
  static let referrerPolicy = HTTPField.Name("Referrer-Policy")!
}

/// The media types of the protocol. RFC 4566, RFC 8840 §9
enum MediaTypes {
  static let sdp = "application/sdp"
  static let fragment = "application/trickle-ice-sdpfrag"
  static let json = "application/json"
}
