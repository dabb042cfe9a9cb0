// Janus with its AudioBridge plugin, and participants who join it by plain RTP.

import EnfiladeLoad
import Foundation

/// A room of the plugin, and those in it.
struct AudioBridge {
  private static let room = 1
  /// Events to go through for one answer: each participant is told of all others.
  private static let eventLimit = 5_000

  private let http = HTTPDoor()
  private let base: URL
  private var transactionCount = 0

  init(base: URL) { self.base = base }

  /// Makes the room, and joins everybody to it.
  ///
  /// - Returns: to which port each sends.
  mutating func join(_ plan: MixPlan) throws -> [Int] {
    var ports: [Int] = []
    for (number, party) in plan.parties.enumerated() {
      // A session each: what one is told of the others is not in the way of the next.
      let session = try identifier(in: ask("", ["janus": "create"]))
      let handle = try identifier(in: ask("/\(session)", ["janus": "attach", "plugin": "janus.plugin.audiobridge"]))
      if number == 0 {
        let made = try data(
          of: message(
            session, handle,
            [
              "request": "create", "room": Self.room, "sampling_rate": 48_000, "spatial_audio": false, "audiolevel_ext": false,
              "audiolevel_event": false, "default_expectedloss": 0, "default_bitrate": plan.quality.bitrate, "allow_rtp_participants": true,
            ]))
        guard made["audiobridge"] as? String == "created" else { throw ServerFailure(description: "Janus makes no room: \(made)") }
      }
      let joined = try data(
        of: message(
          session, handle,
          [
            "request": "join", "room": Self.room, "display": "\(number)", "muted": !party.speaks, "codec": "opus",
            "quality": plan.quality.complexity, "bitrate": plan.quality.bitrate, "expected_loss": 0,
            "rtp": ["ip": "127.0.0.1", "port": party.port, "payload_type": 111, "fec": false] as [String: Any],
          ]))
      guard joined["audiobridge"] as? String == "joined", let port = (joined["rtp"] as? [String: Any])?["port"] as? Int else {
        throw ServerFailure(description: "Janus lets nobody in by RTP: \(joined)")
      }
      ports.append(port)
    }
    return ports
  }

  // MARK: Asking

  private mutating func message(_ session: Int, _ handle: Int, _ body: [String: Any]) throws -> [String: Any] {
    let answer = try ask("/\(session)/\(handle)", ["janus": "message", "body": body])
    let transaction = "t\(transactionCount)"
    guard answer["janus"] as? String == "ack" else { return answer }
    for _ in 0..<Self.eventLimit {
      guard let url = URL(string: "\(base.absoluteString)/\(session)?maxev=1") else { break }
      let event = try object(http.request("GET", url).body)
      if event["janus"] as? String == "event", event["transaction"] as? String == transaction { return event }
    }
    throw ServerFailure(description: "Janus: no event for \(body["request"] ?? "the request")")
  }

  private mutating func ask(_ path: String, _ message: [String: Any]) throws -> [String: Any] {
    transactionCount += 1
    guard let url = URL(string: "\(base.absoluteString)\(path)") else { throw ServerFailure(description: "bad path \(path)") }
    let body = try JSONSerialization.data(withJSONObject: message.merging(["transaction": "t\(transactionCount)"]) { $1 })
    return try object(http.request("POST", url, contentType: "application/json", body: body).body)
  }

  private func object(_ body: Data) throws -> [String: Any] {
    guard let object = try JSONSerialization.jsonObject(with: body) as? [String: Any], object["janus"] as? String != "error" else {
      throw ServerFailure(description: "Janus: \(String(decoding: body, as: UTF8.self))")
    }
    return object
  }

  private func identifier(in answer: [String: Any]) throws -> Int {
    guard let id = (answer["data"] as? [String: Any])?["id"] as? Int else { throw ServerFailure(description: "Janus: no id: \(answer)") }
    return id
  }

  private func data(of answer: [String: Any]) throws -> [String: Any] {
    guard let data = (answer["plugindata"] as? [String: Any])?["data"] as? [String: Any] else {
      throw ServerFailure(description: "Janus: no data: \(answer)")
    }
    return data
  }
}
