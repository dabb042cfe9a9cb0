// The HTTP layer around a real engine on ports of its own.

import Enfilade
import EnfiladeMeet
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Testing

private struct Joined: Decodable {
  let id: String
  let token: String
}

private let json: HTTPFields = [.contentType: "application/json"]

/// Runs a test against a server that really listens, and shuts the engine down afterwards.
private func withServer(
  _ setup: TestingSetup = .router, options: MeetOptions = .init(), _ test: @escaping @Sendable (any TestClientProtocol) async throws -> Void
) async throws {
  let engine = try await Engine(.init(udpPort: 0, bindAddress: "127.0.0.1", includeLoopback: true))
  var logger = Logger(label: "test")
  logger.logLevel = .critical
  do {
    let meetings = Meetings(engine: engine, options: options, logger: logger)
    try await MeetServer.application(meetings: meetings, logger: logger).test(setup, test)
  } catch {
    await engine.shutdown()
    throw error
  }
  await engine.shutdown()
}

private func join(_ client: any TestClientProtocol, room: String = "standup", as name: String = "Ada") async throws -> Joined {
  try await client.execute(
    uri: "/rooms/\(room)/participants", method: .post, headers: json, body: ByteBuffer(string: "{\"name\":\"\(name)\"}")
  ) {
    response in
    #expect(response.status == .created)
    return try JSONDecoder().decode(Joined.self, from: Data(String(buffer: response.body).utf8))
  }
}

@Suite("The signaling server")
struct MeetServerTests {
  @Test("Who joins is counted until they leave")
  func joinAndLeave() async throws {
    try await withServer { client in
      let ada = try await join(client)
      try await client.execute(uri: "/rooms/standup", method: .get) { response in
        #expect(String(buffer: response.body) == #"{"participants":1,"room":"standup"}"#)
      }
      try await client.execute(uri: "/rooms/standup/participants/\(ada.id)/leave?token=\(ada.token)", method: .post) { response in
        #expect(response.status == .noContent)
      }
      try await client.execute(uri: "/rooms/standup", method: .get) { response in
        #expect(String(buffer: response.body) == #"{"participants":0,"room":"standup"}"#)
      }
    }
  }

  @Test("A full room takes nobody in, and says when to try again")
  func fullRoom() async throws {
    var options = MeetOptions()
    options.maximumParticipants = 1
    try await withServer(options: options) { client in
      _ = try await join(client)
      try await client.execute(
        uri: "/rooms/standup/participants", method: .post, headers: json, body: ByteBuffer(string: #"{"name":"Bela"}"#)
      ) { response in
        #expect(response.status == .serviceUnavailable)
        #expect(response.headers[.retryAfter] != nil)
        #expect(response.headers[.contentType] == "application/problem+json")
      }
    }
  }

  @Test("The number of rooms is bounded")
  func tooManyRooms() async throws {
    var options = MeetOptions()
    options.maximumRooms = 2
    try await withServer(options: options) { client in
      _ = try await join(client, room: "one")
      _ = try await join(client, room: "two")
      _ = try await join(client, room: "two", as: "Bela")
      try await client.execute(
        uri: "/rooms/three/participants", method: .post, headers: json, body: ByteBuffer(string: #"{"name":"Cleo"}"#)
      ) { response in
        #expect(response.status == .serviceUnavailable)
      }
    }
  }

  @Test(
    "A method that a resource does not have gets 405 and the list of those it has",
    arguments: [
      ("/rooms/a/whip", HTTPRequest.Method.get, "POST, OPTIONS"), ("/rooms/a/whep", .delete, "POST, OPTIONS"),
      ("/rooms/a/whip/x", .post, "PATCH, DELETE, OPTIONS"), ("/rooms/a/participants", .get, "POST, OPTIONS"),
      ("/rooms/a/participants/b", .get, "PATCH, DELETE, OPTIONS"), ("/", .post, "GET, HEAD, OPTIONS"),
    ])
  func methods(path: String, method: HTTPRequest.Method, allowed: String) async throws {
    try await withServer { client in
      try await client.execute(uri: path, method: method) { response in
        #expect(response.status == .methodNotAllowed)
        #expect(response.headers[.allow] == allowed)
      }
    }
  }

  @Test("Joins from one address are bounded, and the answer says how long to wait")
  func joinLimit() async throws {
    var options = MeetOptions()
    options.joinsPerMinute = 3
    try await withServer(options: options) { client in
      for name in ["Ada", "Bela", "Cleo"] { _ = try await join(client, as: name) }
      try await client.execute(
        uri: "/rooms/standup/participants", method: .post, headers: json, body: ByteBuffer(string: #"{"name":"Dora"}"#)
      ) { response in
        #expect(response.status == .tooManyRequests)
        #expect(response.headers[.retryAfter] != nil)
      }
    }
  }

  @Test("Where invitations are needed, a name does not let in; an invitation does, as what it says, for its room")
  func invitations() async throws {
    var options = MeetOptions()
    options.requiresInvite = true
    try await withServer(options: options) { client in
      let body = ByteBuffer(string: #"{"name":"Ada"}"#)
      for path in ["participants", "whip", "whep"] {
        let headers: HTTPFields = [.contentType: path == "participants" ? "application/json" : "application/sdp"]
        // WHEP answers for a room that is not open before it asks who comes.
        let expected: HTTPResponse.Status = path == "whep" ? .notFound : .unauthorized
        try await client.execute(uri: "/rooms/standup/\(path)", method: .post, headers: headers, body: body) { response in
          #expect(response.status == expected)
        }
      }
      struct Invited: Decodable { let invite: String }
      let made = try await client.execute(uri: "/rooms", method: .post, headers: json, body: ByteBuffer(string: #"{"room":"standup"}"#)) {
        response in
        #expect(response.status == .created)
        return try JSONDecoder().decode(Invited.self, from: Data(String(buffer: response.body).utf8))
      }
      let invited = ByteBuffer(string: "{\"name\":\"Ada\",\"invite\":\"\(made.invite)\"}")
      let ada = try await client.execute(uri: "/rooms/standup/participants", method: .post, headers: json, body: invited) { response in
        #expect(response.status == .created)
        return try JSONDecoder().decode(Joined.self, from: Data(String(buffer: response.body).utf8))
      }
      try await client.execute(uri: "/rooms/other/participants", method: .post, headers: json, body: invited) { response in
        #expect(response.status == .forbidden)
      }
      // It was a host's: what hosts do is possible with the token that it gave.
      try await client.execute(
        uri: "/rooms/standup?token=\(ada.token)", method: .patch, headers: json, body: ByteBuffer(string: #"{"locked":true}"#)
      ) { response in
        #expect(response.status == .ok)
        #expect(String(buffer: response.body).contains(#""locked":true"#))
      }
    }
  }

  @Test("Only hosts do what hosts do", arguments: ["PATCH /rooms/standup", "DELETE /rooms/standup", "POST /rooms/standup/mute"])
  func membersDecideNothing(request: String) async throws {
    try await withServer { client in
      let ada = try await join(client)
      let bela = try await join(client, as: "Bela")
      let parts = request.split(separator: " ")
      let method = try #require(HTTPRequest.Method(String(parts[0])))
      for (token, expected) in [("", 401), ("nobody", 401), (bela.token, 403), (ada.token, method == .patch ? 200 : 204)] {
        let uri = "\(parts[1])?token=\(token)"
        try await client.execute(uri: uri, method: method, headers: json, body: ByteBuffer(string: "{}")) { response in
          #expect(response.status.code == expected)
        }
      }
    }
  }

  @Test("A message is bounded, and so is how often one writes")
  func messages() async throws {
    try await withServer { client in
      let ada = try await join(client)
      let uri = "/rooms/standup/participants/\(ada.id)/messages?token=\(ada.token)"
      for text in ["", "   ", String(repeating: "x", count: 2001)] {
        try await client.execute(uri: uri, method: .post, headers: json, body: ByteBuffer(string: "{\"text\":\"\(text)\"}")) { response in
          #expect(response.status == .unprocessableContent)
        }
      }
      var statuses: [Int] = []
      for _ in 1...11 {
        statuses.append(
          try await client.execute(uri: uri, method: .post, headers: json, body: ByteBuffer(string: #"{"text":"hello"}"#)) {
            $0.status.code
          })
      }
      #expect(statuses == Array(repeating: 204, count: 10) + [429])
    }
  }

  @Test("What operators look at is for who has the token")
  func operators() async throws {
    var options = MeetOptions()
    options.operatorToken = "a secret of the operator"
    try await withServer(options: options) { client in
      for path in ["/metrics", "/debug/rooms"] {
        try await client.execute(uri: path, method: .get) { #expect($0.status == .unauthorized) }
        try await client.execute(uri: path, method: .get, headers: [.authorization: "Bearer a secret of the operator"]) {
          #expect($0.status == .ok)
        }
      }
      try await client.execute(uri: "/health", method: .get) { #expect($0.status == .ok) }
      try await client.execute(uri: "/metrics?token=a%20secret%20of%20the%20operator", method: .get) { response in
        let text = String(buffer: response.body)
        // One sample of each metric at most for each set of labels, each behind its type.
        let samples = text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { $0.split(separator: " ")[0] }
        #expect(Set(samples).count == samples.count)
        for name in ["enfilade_packets_sent_total{shard=\"0\"}", "enfilade_tcp_connections{shard=\"0\"}", "enfilade_meet_rooms"] {
          #expect(samples.contains { $0 == name }, "\(name)")
        }
      }
    }
  }

  @Test("A server that drains takes nobody in, says so to who asks for its health, and is done when the last has left")
  func draining() async throws {
    let engine = try await Engine(.init(udpPort: 0, bindAddress: "127.0.0.1", includeLoopback: true))
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let meetings = Meetings(engine: engine, options: .init(), logger: logger)
    try await MeetServer.application(meetings: meetings, logger: logger).test(.router) { client in
      let ada = try await join(client)
      let drain = Task { await meetings.drain(within: .seconds(60)) }
      while try await client.execute(uri: "/health", method: .get, testCallback: { $0.status }) != .serviceUnavailable {
        try await Task.sleep(for: .milliseconds(5))
      }
      try await client.execute(
        uri: "/rooms/standup/participants", method: .post, headers: json, body: ByteBuffer(string: #"{"name":"Bela"}"#)
      ) { response in
        #expect(response.status == .serviceUnavailable)
      }
      try await client.execute(uri: "/rooms/standup/participants/\(ada.id)/leave?token=\(ada.token)", method: .post) { _ in }
      await drain.value
    }
    await engine.shutdown()
  }

  @Test(
    "What is of use of a picture is bounded, and told for m-lines that receive one",
    arguments: [
      (#"{"constraints":[]}"#, HTTPResponse.Status.noContent), (#"{"constraints":[{"mid":"7","width":320}]}"#, .unprocessableContent),
      (#"{"constraints":[{"mid":"7","width":0}]}"#, .unprocessableContent), (#"{"constraints":[{"width":320}]}"#, .badRequest),
      (#"{"constraints":[{"mid":"7","framesPerSecond":1e9}]}"#, .unprocessableContent),
      ("{\"constraints\":[" + Array(repeating: #"{"mid":"7"}"#, count: 257).joined(separator: ",") + "]}", .unprocessableContent),
    ])
  func constraints(body: String, expected: HTTPResponse.Status) async throws {
    try await withServer { client in
      let ada = try await join(client)
      let path = "/rooms/standup/participants/\(ada.id)/constraints"
      try await client.execute(uri: path, method: .put, headers: json, body: ByteBuffer(string: body)) { response in
        #expect(response.status == .unauthorized)
      }
      try await client.execute(uri: "\(path)?token=\(ada.token)", method: .put, headers: json, body: ByteBuffer(string: body)) { response in
        #expect(response.status == expected)
        if expected != .noContent { #expect(response.headers[.contentType] == "application/problem+json") }
      }
    }
  }

  @Test(
    "A stage is bounded, and asks for the sections that its places need",
    arguments: [
      (#"{"pictures":[]}"#, HTTPResponse.Status.noContent),
      (#"{"pictures":[{"width":640,"height":360,"count":9},{"width":160,"framesPerSecond":15,"count":16}],"voices":3}"#, .noContent),
      (#"{"pictures":[{}],"pinned":["nobody"],"hidden":["nobody"]}"#, .noContent),
      (#"{"pictures":[{"width":0}]}"#, .unprocessableContent), (#"{"pictures":[{"count":0}]}"#, .unprocessableContent),
      (#"{"pictures":[{"count":65}]}"#, .unprocessableContent),
      (#"{"pictures":[{"count":9223372036854775807},{}]}"#, .unprocessableContent),
      (#"{"pictures":[{"count":40},{"count":40}]}"#, .unprocessableContent), (#"{"pictures":[],"voices":-1}"#, .unprocessableContent),
      (#"{"voices":3}"#, .badRequest),
    ])
  func stage(body: String, expected: HTTPResponse.Status) async throws {
    try await withServer { client in
      let ada = try await join(client)
      let path = "/rooms/standup/participants/\(ada.id)/stage"
      try await client.execute(uri: path, method: .put, headers: json, body: ByteBuffer(string: body)) { response in
        #expect(response.status == .unauthorized)
      }
      try await client.execute(uri: "\(path)?token=\(ada.token)", method: .put, headers: json, body: ByteBuffer(string: body)) { response in
        #expect(response.status == expected)
        if expected != .noContent { #expect(response.headers[.contentType] == "application/problem+json") }
      }
      try await client.execute(uri: "\(path)?token=\(ada.token)", method: .delete) { #expect($0.status == .noContent) }
    }
  }

  @Test(
    "How the others are heard is set before the first offer and later, and the token is needed",
    arguments: [
      (#"{"mode":"mixed"}"#, HTTPResponse.Status.noContent), (#"{"mode":"forwarded"}"#, .noContent),
      (#"{"mode":"louder"}"#, .unprocessableContent), (#"{}"#, .badRequest),
    ])
  func audio(body: String, expected: HTTPResponse.Status) async throws {
    try await withServer { client in
      let ada = try await join(client)
      let path = "/rooms/standup/participants/\(ada.id)/audio"
      try await client.execute(uri: path, method: .put, headers: json, body: ByteBuffer(string: body)) { response in
        #expect(response.status == .unauthorized)
      }
      for _ in 0..<2 {
        let uri = "\(path)?token=\(ada.token)"
        try await client.execute(uri: uri, method: .put, headers: json, body: ByteBuffer(string: body)) { response in
          #expect(response.status == expected)
          if expected != .noContent { #expect(response.headers[.contentType] == "application/problem+json") }
        }
      }
    }
  }

  @Test("The page's files come with their types, an entity tag, and a policy that loads nothing from elsewhere")
  func pageFiles() async throws {
    try await withServer { client in
      for (path, type) in [
        ("/", "text/html"), ("/r/standup", "text/html"), ("/page/main.js", "text/javascript"), ("/page/style.css", "text/css"),
        ("/page/favicon.svg", "image/svg+xml"),
      ] {
        let tag = try await client.execute(uri: path, method: .get) { response in
          #expect(response.status == .ok)
          #expect(response.headers[.contentType]?.hasPrefix(type) == true)
          #expect(response.headers[.contentSecurityPolicy]?.hasPrefix("default-src 'self'") == true)
          return response.headers[.eTag]
        }
        try await client.execute(uri: path, method: .get, headers: [.ifNoneMatch: tag ?? ""]) { response in
          #expect(response.status == .notModified)
        }
      }
      try await client.execute(uri: "/page/index.txt", method: .get) { response in
        #expect(response.status == .notFound)
      }
    }
  }

  @Test("Who has neither media nor an event stream is taken out of the room after a while")
  func absence() async throws {
    var options = MeetOptions()
    options.absence = .milliseconds(50)
    options.housekeeping = .milliseconds(10)
    try await withServer(.live, options: options) { client in
      let ada = try await join(client)
      let patience = ContinuousClock.now + .seconds(30)
      var status = HTTPResponse.Status.noContent
      while status != .notFound && ContinuousClock.now < patience {
        status = try await client.execute(uri: "/rooms/standup/participants/\(ada.id)", method: .delete) { $0.status }
        try await Task.sleep(for: .milliseconds(20))
      }
      // Without a token this is 401 for as long as the participant is there.
      #expect(status == .notFound)
    }
  }

  @Test("A room that has been empty for a while is closed, and opens anew for who comes later")
  func emptyRoom() async throws {
    var options = MeetOptions()
    options.emptyRoom = .zero
    options.housekeeping = .milliseconds(1)
    try await withServer(.live, options: options) { client in
      for _ in 1...20 {
        let ada = try await join(client)
        try await client.execute(uri: "/rooms/standup/participants/\(ada.id)/leave?token=\(ada.token)", method: .post) { response in
          #expect(response.status == .noContent)
        }
      }
    }
  }
}
