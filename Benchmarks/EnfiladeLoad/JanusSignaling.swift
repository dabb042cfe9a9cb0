// The HTTP interface of Janus and its videoroom plugin: publishers offer, and to subscribers the server offers.
//
// One session holds a handle for each client. What is asked is acknowledged at once and answered by an event, which a second request
// waits for.

import Foundation

/// A Janus server.
final class JanusSignaling: Signaling {
  private static let plugin = "janus.plugin.videoroom"
  /// Events to go through for one answer: the others are about media of other handles, a few for each.
  private static let eventLimit = 2000
  /// Longer than any answer takes.
  private static let patience: TimeInterval = 15

  private let http = HTTPDoor()
  private let base: URL
  private let room: Int
  private var session: Int?
  private var handles: [Int] = []
  private var feeds: [Int] = []
  private var transactionCount = 0
  private var hasRoom = false

  init(base: URL, room: String) {
    self.base = base
    // Rooms are numbers here; the same name gives the same one (FNV-1a).
    var hash: UInt32 = 2_166_136_261
    for byte in room.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    self.room = Int(hash & 0x3FFF_FFFF) + 1
  }

  // MARK: Joining

  func publish(_ client: LoadClient) throws(LoadError) {
    let handle = try attach()
    try makeRoom(on: handle)
    let body: [String: Any] = ["request": "joinandconfigure", "ptype": "publisher", "room": room, "display": client.name]
    let event = try ask(handle, body: body, jsep: ["type": "offer", "sdp": try client.makeOffer()])
    let data = try pluginData(event)
    guard let feed = data["id"] as? Int else { throw .signaling("Janus: the publisher has no id: \(data)") }
    guard let answer = (event["jsep"] as? [String: Any])?["sdp"] as? String else { throw .signaling("Janus: no answer for the publisher") }
    feeds.append(feed)
    try client.take(answer: answer)
  }

  func subscribe(_ client: LoadClient) throws(LoadError) {
    let handle = try attach()
    let body: [String: Any] = ["request": "join", "ptype": "subscriber", "room": room, "streams": feeds.map { ["feed": $0] }]
    let event = try ask(handle, body: body)
    _ = try pluginData(event)
    guard let offer = (event["jsep"] as? [String: Any])?["sdp"] as? String else { throw .signaling("Janus: no offer for the subscriber") }
    let answer = try client.makeAnswer(to: offer)
    _ = try pluginData(try ask(handle, body: ["request": "start", "room": room], jsep: ["type": "answer", "sdp": answer]))
  }

  func keepAlive() throws(LoadError) {
    if let session { _ = try post("/\(session)", ["janus": "keepalive"]) }
  }

  func leaveAll() -> Int {
    guard let session else { return 0 }
    self.session = nil
    handles.removeAll()
    feeds.removeAll()
    // Destroying the session detaches its handles.
    return (try? post("/\(session)", ["janus": "destroy"])) == nil ? 1 : 0
  }

  // MARK: Asking

  private func openSession() throws(LoadError) -> Int {
    if let session { return session }
    let response = try post("", ["janus": "create"])
    guard let id = (response["data"] as? [String: Any])?["id"] as? Int else { throw .signaling("Janus: no session: \(response)") }
    session = id
    return id
  }

  private func attach() throws(LoadError) -> Int {
    let response = try post("/\(try openSession())", ["janus": "attach", "plugin": Self.plugin])
    guard let id = (response["data"] as? [String: Any])?["id"] as? Int else { throw .signaling("Janus: no handle: \(response)") }
    handles.append(id)
    return id
  }

  private func makeRoom(on handle: Int) throws(LoadError) {
    guard !hasRoom else { return }
    // No cap on the bit rate, and no request for key frames beyond those that subscribers make.
    let body: [String: Any] = [
      "request": "create", "room": room, "publishers": 1000, "bitrate": 0, "fir_freq": 0, "audiocodec": "opus", "videocodec": "vp8",
      "notify_joining": false,
    ]
    let response = try post("/\(try openSession())/\(handle)", ["janus": "message", "body": body])
    let data = (response["plugindata"] as? [String: Any])?["data"] as? [String: Any]
    // 427: another run has made it.
    guard data?["videoroom"] as? String == "created" || data?["error_code"] as? Int == 427 else {
      throw .signaling("Janus: no room: \(response)")
    }
    hasRoom = true
  }

  /// Sends a message whose answer is an event, and waits for that.
  private func ask(_ handle: Int, body: [String: Any], jsep: [String: Any]? = nil) throws(LoadError) -> [String: Any] {
    let session = try openSession()
    var message: [String: Any] = ["janus": "message", "body": body]
    if let jsep { message["jsep"] = jsep }
    let transaction = nextTransaction()
    let response = try post("/\(session)/\(handle)", message, transaction: transaction)
    guard response["janus"] as? String == "ack" else { return response }
    let deadline = Date(timeIntervalSinceNow: Self.patience)
    var seenCount = 0
    while Date() < deadline, seenCount < Self.eventLimit {
      for event in try poll(session) {
        seenCount += 1
        if event["janus"] as? String == "event", event["transaction"] as? String == transaction { return event }
      }
    }
    throw .signaling("Janus: no event for \(body["request"] ?? "the request")")
  }

  private func poll(_ session: Int) throws(LoadError) -> [[String: Any]] {
    guard let url = URL(string: base.absoluteString + "/\(session)?maxev=50") else { throw .badOption("bad URL") }
    let response = try http.request("GET", url)
    let value = try? JSONSerialization.jsonObject(with: response.body)
    if let events = value as? [[String: Any]] { return events }
    if let event = value as? [String: Any] { return [event] }
    throw .signaling("Janus: \(response.status) \(response.text.prefix(200))")
  }

  private func nextTransaction() -> String {
    transactionCount += 1
    return "t\(transactionCount)"
  }

  private func post(_ path: String, _ message: [String: Any], transaction: String? = nil) throws(LoadError) -> [String: Any] {
    var message = message
    message["transaction"] = transaction ?? nextTransaction()
    guard let url = URL(string: base.absoluteString + path), let body = try? JSONSerialization.data(withJSONObject: message) else {
      throw .badOption("bad URL")
    }
    let response = try http.request("POST", url, contentType: "application/json", body: body)
    guard let value = (try? JSONSerialization.jsonObject(with: response.body)) as? [String: Any] else {
      throw .signaling("Janus: \(response.status) \(response.text.prefix(200))")
    }
    if value["janus"] as? String == "error" { throw .signaling("Janus: \(value["error"] ?? value)") }
    return value
  }

  private func pluginData(_ event: [String: Any]) throws(LoadError) -> [String: Any] {
    guard let data = (event["plugindata"] as? [String: Any])?["data"] as? [String: Any] else { throw .signaling("Janus: \(event)") }
    if let error = data["error"] { throw .signaling("Janus: \(error)") }
    return data
  }
}
