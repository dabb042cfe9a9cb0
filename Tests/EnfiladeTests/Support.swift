// What the tests of the public face share: engines on loopback, recorded offers, a log of events, and waiting with an end.

import Enfilade
import EnfiladeEngine
import EnfiladeIO
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeTestSupport
import EnfiladeWire
import Foundation
import Synchronization
import Testing

/// An engine on free loopback ports. Unless told otherwise, every room is spread over two shards.
func loopbackEngine(shards: Int = 2, roomSpread: Int = 0, controlsCongestion: Bool = true) async throws -> Engine {
  // A test machine is busy with other things: that is not the engine's load.
  try await Engine(
    .init(
      udpPort: 0, bindAddress: "127.0.0.1", shards: shards, roomSpread: roomSpread, controlsCongestion: controlsCongestion,
      includeLoopback: true, loadLimit: 10))
}

/// Offers that real clients wrote.
enum Recorded {
  private static var folder: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("EnfiladeSDPTests/Fixtures/Offers")
  }

  static var names: [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".sdp") }.sorted()
  }

  static func offer(_ name: String) throws -> String {
    try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
  }

  static var chromium: String { get throws { try offer("chromium-156-sendrecv.sdp") } }
}

extension String {
  /// The text without the lines that begin so.
  func droppingLines(_ prefix: String) -> String {
    components(separatedBy: "\r\n").filter { !$0.hasPrefix(prefix) }.joined(separator: "\r\n")
  }

  /// The values of the lines that begin so.
  func values(_ prefix: String) -> [String] {
    components(separatedBy: "\r\n").filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
  }
}

/// Everything that happens in a room from now on.
final class EventLog: Sendable {
  private struct State {
    var events: [RoomEvent] = []
    var isOver = false
  }
  private let state = Mutex(State())

  init(_ room: Room) {
    // The subscription begins here, not when the task first runs.
    let subscription = room.events.makeAsyncIterator()
    Task { [self] in
      var iterator = subscription
      while let event = await iterator.next() { state.withLock { $0.events.append(event) } }
      state.withLock { $0.isOver = true }
    }
  }

  var events: [RoomEvent] { state.withLock { $0.events } }
  var isOver: Bool { state.withLock { $0.isOver } }

  /// The events as short words, in order; but neither the forwarders' decisions nor the allocations, which come in their own time between all others.
  var words: [String] {
    events.compactMap {
      switch $0 {
      case .layersDecided, .allocationChanged: nil
      default: Self.word($0)
      }
    }
  }

  /// The sections of which an allocation was told.
  var allocatedSections: [String] {
    events.compactMap { if case .allocationChanged(_, let allocation) = $0 { allocation.mid } else { nil } }
  }

  /// What was decided about the picture in a section of a participant, and how much of it was missed.
  func decisions(_ id: ParticipantID, mid: String) -> (told: [LayerDecision], missed: Int) {
    events.reduce(into: ([], 0)) { sum, event in
      guard case .layersDecided(id, mid, let decisions, let missed) = event else { return }
      sum.0 += decisions
      sum.1 += missed
    }
  }

  func contains(_ word: String) -> Bool { words.contains(word) }

  static func word(_ event: RoomEvent) -> String {
    switch event {
    case .participantJoined(_, let name): "joined \(name)"
    case .participantLeft(_, .roomClosed): "left roomClosed"
    case .participantLeft(_, let reason): "left \(reason)"
    case .publicationStarted(let publication):
      "started \(publication.participantName) \(publication.kind.rawValue) \(publication.codec ?? "?")"
    case .publicationEnded(let publication): "ended \(publication.participantName) \(publication.kind.rawValue)"
    case .slotChanged(_, let mid, let publication):
      "slot \(mid) \(publication.map { "\($0.participantName) \($0.kind.rawValue)" } ?? "nothing")"
    case .receiversWanted(_, let audio, let video): "wanted \(audio) \(video)"
    case .encodingsWanted(_, let mid, let rids): "encodings \(mid) \(rids.joined(separator: ","))"
    case .layersDecided(_, let mid, let decisions, _): "decided \(mid) \(decisions.map(\.kind.rawValue).joined(separator: ","))"
    case .connectionChanged(_, let state): "connection \(state.rawValue)"
    case .allocationChanged(_, let allocation): "allocation \(allocation.mid) \(allocation.reason.rawValue)"
    case .publicationChanged(let publication):
      "changed \(publication.participantName) \(publication.kind.rawValue)\(publication.isMuted ? " muted" : "")"
    case .activeSpeaker(let publication): "speaks \(publication.participantName)"
    case .roleChanged(_, let role): "role \(role.name)"
    case .knocked(let knocker): "knocked \(knocker.name)"
    case .knockEnded(let knocker, let outcome): "knock \(knocker.name) \(outcome.rawValue)"
    case .lockChanged(let isLocked, let reason): "\(isLocked ? "locked" : "opened") \(reason.rawValue)"
    case .configurationChanged: "configured"
    case .recordingChanged(let isRecorded): "recorded \(isRecorded)"
    case .bitrateLimitExceeded: "too much"
    case .telephoneEvent(_, let event): "key \(event.code) \(event.isEnd)"
    case .picturesLimited(let reason): "limited \(reason ?? "no more")"
    case .closed(let reason): "closed \(reason)"
    case .dropped(let count): "dropped \(count)"
    }
  }
}

/// How much is in the tables of all shards together.
func census(of engine: Engine) async -> ShardEngine.Census {
  await engine.snapshots().reduce(into: ShardEngine.Census()) { $0 += $1.census }
}

/// Waits until nothing is left in any table of any shard; says what is, if something is.
func emptied(_ engine: Engine, sourceLocation: SourceLocation = #_sourceLocation) async {
  let empty = ShardEngine.Census()
  if await eventually("the shards are empty", sourceLocation: sourceLocation, { await census(of: engine) == empty }) { return }
  for snapshot in await engine.snapshots() { Issue.record("shard \(snapshot.shard): \(snapshot.census)", sourceLocation: sourceLocation) }
}

/// Polls until `condition` holds, pumping the clients meanwhile; gives up, and says so, after thirty seconds.
@discardableResult
func eventually(
  _ what: Comment, _ clients: [TestClient] = [], sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async -> Bool
) async -> Bool {
  let end = MonotonicClock.now + .seconds(Int64(30))
  while MonotonicClock.now < end {
    for client in clients { client.pump() }
    if await condition() { return true }
    try? await Task.sleep(for: .milliseconds(2))
  }
  Issue.record("not within thirty seconds: \(what)", sourceLocation: sourceLocation)
  return false
}

/// A participant with its client.
struct Guest {
  let participant: Participant
  let client: TestClient

  /// Joins, describes what it has, and takes the answer.
  static func join(
    _ room: Room, _ name: String, identity: String? = nil, role: Role = .member, subscribing policy: SubscriptionPolicy = .everyone,
    _ sections: [(EnfiladeWire.MediaKind, MediaDirection)]
  ) async throws -> Guest {
    let guest = Guest(
      participant: try await room.join(name: name, identity: identity, role: role, subscribing: policy), client: try TestClient(name: name))
    for (kind, direction) in sections { guest.client.addSection(kind, direction) }
    try await guest.negotiate()
    return guest
  }

  func negotiate() async throws {
    try client.accept(try await participant.answer(offer: try client.offer()))
  }
}
