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
    text.add(of: await meetings.engine.statistics())
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
    /// What was decided last about each picture it is shown, and why.
    let pictures: [PictureView]
    /// Left out for who receives nothing, or where downlinks are not controlled.
    let downlink: QualityState?
  }

  private struct PictureView: Encodable {
    let mid: String
    let decision: String
    let reason: String
    let encoding: Int
    let spatialLayer: Int
    let temporalLayer: Int
    let ageMilliseconds: Int

    init(mid: String, _ decision: LayerDecision) {
      self.mid = mid
      self.decision = decision.kind.rawValue
      reason = decision.reason.rawValue
      encoding = decision.encoding
      spatialLayer = decision.spatialLayer
      temporalLayer = decision.temporalLayer
      ageMilliseconds = Int(decision.age / .milliseconds(1))
    }

    static func all(of member: Member) async -> [PictureView] {
      var views: [PictureView] = []
      // Sound has no layers, and a section may go while we ask.
      for slot in member.slots where slot.publication?.kind == .video {
        if let last = try? await member.participant.decisions(mid: slot.mid).last { views.append(.init(mid: slot.mid, last)) }
      }
      return views
    }
  }

  @Sendable private func debug(_ request: Request, _ context: MeetContext) async throws -> Response {
    try requireOperator(request, context)
    var views: [RoomView] = []
    for meeting in await meetings.openMeetings {
      var participants: [ParticipantView] = []
      for member in await meeting.members {
        participants.append(
          ParticipantView(
            participant: member.state, entrance: member.entrance.rawValue,
            slots: member.slots.map { .init(mid: $0.mid, publication: $0.publication.map(PublicationState.init)) },
            encodings: member.encodings, openStreams: member.openStreams,
            pictures: await PictureView.all(of: member), downlink: await member.participant.connectionQuality().map(QualityState.init)))
      }
      views.append(
        RoomView(
          room: meeting.room.name, rules: await meeting.rules, waiting: await meeting.visitorCount, participants: participants))
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

  /// What the engine counts, by shard.
  mutating func add(of shards: [ShardStatistics]) {
    func each(_ value: (ShardStatistics) -> Int) -> [(label: String?, value: Int)] { shards.map { ("shard=\"\($0.shard)\"", value($0)) } }
    func each(_ label: String, _ values: (ShardStatistics) -> [String: UInt64]) -> [(label: String?, value: Int)] {
      shards.flatMap { shard in
        values(shard).sorted { $0.key < $1.key }.map { ("shard=\"\(shard.shard)\",\(label)=\"\($0.key)\"", Int(clamping: $0.value)) }
      }
    }
    add("enfilade_links", .gauge, "Participants whose media a shard carries.", each(\.participants))
    add("enfilade_publications", .gauge, "Publications that a shard knows.", each(\.publications))
    add("enfilade_packets_held", .gauge, "Places for packets that are taken.", each(\.packetsHeld))
    add("enfilade_packets_received_total", .counter, "RTP and RTCP packets that were opened.", each { Int(clamping: $0.packetsReceived) })
    add("enfilade_packets_sent_total", .counter, "RTP packets sent.", each { Int(clamping: $0.packetsSent) })
    add("enfilade_bytes_sent_total", .counter, "Bytes of UDP payload sent.", each { Int(clamping: $0.bytesSent) })
    add("enfilade_retransmissions_total", .counter, "Packets that were sent again.", each { Int(clamping: $0.retransmissionsSent) })
    add("enfilade_keyframe_requests_total", .counter, "Key frames asked of publishers.", each { Int(clamping: $0.keyframeRequestsSent) })
    add("enfilade_replays_total", .counter, "Pictures that began out of the history.", each { Int(clamping: $0.replays) })
    add(
      "enfilade_processor_milliseconds_total", .counter, "Processor time of the shard's thread.",
      each { Int($0.processorTime / .milliseconds(1)) })
    add("enfilade_tcp_connections", .gauge, "TCP connections.", each(\.tcpConnections))
    add("enfilade_tcp_accepted_total", .counter, "TCP connections accepted.", each { Int(clamping: $0.tcpAccepted) })
    add("enfilade_tcp_ended_total", .counter, "TCP connections refused or ended, and why.", each("reason", \.tcpEnded))
    add("enfilade_drops_total", .counter, "What was dropped, and why.", each("reason", \.drops))
  }

  mutating func add(_ name: String, _ kind: Kind, _ help: String, _ samples: [(label: String?, value: Int)]) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    for sample in samples { text += name + (sample.label.map { "{\($0)}" } ?? "") + " \(sample.value)\n" }
  }
}
