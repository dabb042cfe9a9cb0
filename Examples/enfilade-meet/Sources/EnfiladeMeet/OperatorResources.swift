// What operators look at: whether the server takes people in, what it carries, and why.

import Enfilade
import HTTPTypes
import Hummingbird

/// `/health`, `/metrics` and `/debug/rooms`.
struct OperatorResources {
  let meetings: Meetings

  var resources: [Resource] {
    [
      Resource(path: "/health", methods: [(.get, health), (.head, health)]),
      Resource(path: "/metrics", methods: [(.get, metrics)]),
      Resource(path: "/debug/rooms", methods: [(.get, debug)]),
    ]
  }

  private struct Health: Encodable {
    let status: String
  }

  /// 200 while the server takes people in, 503 when it is about to stop, as load balancers ask.
  @Sendable private func health(_ request: Request, _ context: MeetContext) async throws -> Response {
    let isDraining = await meetings.counters.isDraining
    return .json(Health(status: isDraining ? "draining" : "ok"), status: isDraining ? .serviceUnavailable : .ok)
  }

  /// The operator's token opens from anywhere; without one, only this machine is let in.
  private func requireOperator(_ request: Request, _ context: MeetContext) throws(Problem) {
    if let secret = meetings.options.operatorToken {
      guard let token = request.token, Token.isSame(secret, token) else {
        throw Problem(.unauthorized, "This needs the operator's token.", headers: [.wwwAuthenticate: "Bearer realm=\"operator\""])
      }
    } else if !context.isFromLoopback {
      throw Problem(.forbidden, "This is for the machine itself, or for who has a token (--operator-token).")
    }
  }

  // MARK: Metrics

  /// The text format of Prometheus, version 0.0.4.
  @Sendable private func metrics(_ request: Request, _ context: MeetContext) async throws -> Response {
    try requireOperator(request, context)
    let counters = await meetings.counters
    var people: [String: Int] = [:]
    var publications: [String: Int] = [:]
    var rooms = 0
    var waiting = 0
    for meeting in await meetings.openMeetings {
      rooms += 1
      waiting += await meeting.visitorCount
      for member in await meeting.members {
        people[member.connection.rawValue, default: 0] += 1
        for publication in member.publications { publications[publication.purpose.rawValue, default: 0] += 1 }
      }
    }
    var text = MetricsText()
    text.add("enfilade_meet_rooms", .gauge, "Open rooms.", [(nil, rooms)])
    text.add("enfilade_meet_participants", .gauge, "Participants, by how their link stands.", people.labelled("connection"))
    text.add("enfilade_meet_waiting", .gauge, "Who waits in front of a door.", [(nil, waiting)])
    text.add("enfilade_meet_publications", .gauge, "What is published.", publications.labelled("purpose"))
    text.add("enfilade_meet_rooms_opened_total", .counter, "Rooms opened since the start.", [(nil, counters.roomsOpened)])
    text.add("enfilade_meet_joins_total", .counter, "Who came in or waits, since the start.", [(nil, counters.joins)])
    text.add("enfilade_meet_refusals_total", .counter, "Who did not come in, and why.", counters.refusals.labelled("reason"))
    text.add("enfilade_meet_draining", .gauge, "Whether nobody is taken in any more.", [(nil, counters.isDraining ? 1 : 0)])
    return .text(text.text, type: "text/plain; version=0.0.4; charset=utf-8")
  }

  // MARK: Rooms

  private struct RoomView: Encodable {
    let room: String
    let rules: RulesState
    let waiting: Int
    let participants: [ParticipantView]
  }

  private struct ParticipantView: Encodable {
    let participant: ParticipantState
    let entrance: String
    let slots: [SlotState]
    let encodings: [WantedEncodings]
    let openStreams: Int
  }

  @Sendable private func debug(_ request: Request, _ context: MeetContext) async throws -> Response {
    try requireOperator(request, context)
    var views: [RoomView] = []
    for meeting in await meetings.openMeetings {
      views.append(
        RoomView(
          room: meeting.room.name, rules: await meeting.rules, waiting: await meeting.visitorCount,
          participants: await meeting.members.map { member in
            ParticipantView(
              participant: member.state, entrance: member.entrance.rawValue,
              slots: member.slots.map { .init(mid: $0.mid, publication: $0.publication.map(PublicationState.init)) },
              encodings: member.encodings, openStreams: member.openStreams)
          }))
    }
    return .json(views)
  }
}

extension [String: Int] {
  /// As samples with one label each, in a stable order.
  fileprivate func labelled(_ name: String) -> [(label: String?, value: Int)] {
    sorted { $0.key < $1.key }.map { ("\(name)=\"\($0.key)\"", $0.value) }
  }
}

/// Writes metrics in the text format of Prometheus.
struct MetricsText {
  enum Kind: String {
    case gauge
    case counter
  }

  private(set) var text = ""

  mutating func add(_ name: String, _ kind: Kind, _ help: String, _ samples: [(label: String?, value: Int)]) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    for sample in samples { text += name + (sample.label.map { "{\($0)}" } ?? "") + " \(sample.value)\n" }
  }
}
