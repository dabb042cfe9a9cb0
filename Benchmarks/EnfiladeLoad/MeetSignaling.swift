// The resources of `enfilade-meet`: WHIP and WHEP for publishers and subscribers, the page's own for members of a room.

import Foundation

/// Speaks to `enfilade-meet`.
final class MeetSignaling: Signaling {
  private struct Joined: Decodable {
    let id: String
    let token: String
  }

  private let http = HTTPDoor()
  private let ends: WHIPSignaling
  private let base: URL
  private let room: String
  private let invitation: String?
  private var members: [URL] = []

  /// - Parameter invitation: what lets members in, where the room wants one.
  init(base: URL, room: String, publishPath: String?, subscribePath: String?, invitation: String? = nil) {
    self.base = base
    self.room = room
    self.invitation = invitation
    ends = WHIPSignaling(
      base: base, publishPath: publishPath ?? "/rooms/{room}/whip", subscribePath: subscribePath ?? "/rooms/{room}/whep", room: room)
  }

  func publish(_ client: LoadClient) throws(LoadError) { try ends.publish(client) }
  func subscribe(_ client: LoadClient) throws(LoadError) { try ends.subscribe(client) }
  func keepAlive() throws(LoadError) {}

  func enter(_ client: LoadClient, _ stage: StageWish) throws(LoadError) {
    // As the page does it: the stage first, so that nothing else is shown before.
    let joined: Joined = try decode(try request("POST", "/rooms/\(room)/participants", json: try join(named: client.name), expecting: 201))
    let path = "/rooms/\(room)/participants/\(joined.id)"
    guard let leave = url("\(path)/leave?token=\(joined.token)") else { throw .signaling("a participant without a path") }
    members.append(leave)
    _ = try request("PUT", "\(path)/stage?token=\(joined.token)", json: stage.json, expecting: 204)
    let offer = Data(try client.makeOffer().utf8)
    let response = try send("POST", "\(path)/offer?token=\(joined.token)", "application/sdp", offer, expecting: 200)
    try client.take(answer: response.text)
  }

  func leaveAll() -> Int {
    var refusedCount = ends.leaveAll()
    for member in members {
      let response = try? http.request("POST", member)
      if response?.status != 204 { refusedCount += 1 }
    }
    members.removeAll()
    return refusedCount
  }

  private func join(named name: String) throws(LoadError) -> Data {
    do {
      return try JSONEncoder().encode(["name": name].merging(invitation.map { ["invite": $0] } ?? [:]) { $1 })
    } catch {
      throw .signaling("\(error)")
    }
  }

  private func decode<Value: Decodable>(_ response: HTTPDoor.Response) throws(LoadError) -> Value {
    do {
      return try JSONDecoder().decode(Value.self, from: response.body)
    } catch {
      throw .signaling("an answer that cannot be read: \(response.text.prefix(300))")
    }
  }

  private func url(_ path: String) -> URL? { URL(string: path, relativeTo: base) }

  private func request(_ method: String, _ path: String, json: Data, expecting status: Int) throws(LoadError) -> HTTPDoor.Response {
    try send(method, path, "application/json", json, expecting: status)
  }

  private func send(_ method: String, _ path: String, _ type: String, _ body: Data, expecting status: Int) throws(LoadError)
    -> HTTPDoor.Response
  {
    guard let url = url(path) else { throw .badOption("'\(path)' is no path") }
    let response = try http.request(method, url, contentType: type, body: body)
    guard response.status == status else { throw .signaling("\(method) \(path): \(response.status) \(response.text.prefix(300))") }
    return response
  }
}
