// How a client meets a server: one adapter for each way of speaking.

package import Foundation

/// Brings clients into a room and out of it. Each call blocks, for a bounded time.
package protocol Signaling: AnyObject {
  /// Joins a publisher: its offer, the server's answer.
  func publish(_ client: LoadClient) throws(LoadError)
  /// Joins a subscriber to everything that is published.
  func subscribe(_ client: LoadClient) throws(LoadError)
  /// Joins somebody who sends and has room for a part of what the others send.
  func enter(_ client: LoadClient, _ stage: StageWish) throws(LoadError)
  /// Tells the server that we are still there, where it asks for that.
  func keepAlive() throws(LoadError)
  /// Deletes every session of this run. Goes through all of them, whatever the server says; gives how many it refused.
  func leaveAll() -> Int
}

extension Signaling {
  package func enter(_ client: LoadClient, _ stage: StageWish) throws(LoadError) {
    throw .badOption("Members are possible with the signaling of enfilade-meet only.")
  }
}

/// The ways that are known.
package enum SignalingKind: String, CaseIterable, Sendable {
  /// WHIP and WHEP as `enfilade-meet` serves them, and its own resources for members.
  case enfilade
  /// WHIP and WHEP as `Benchmarks/pion-sfu` serves them.
  case pion
  /// The HTTP interface of Janus, its videoroom plugin.
  case janus
  /// WHIP and WHEP under paths that are given.
  case whip

  /// `base` is the server's URL; for Janus that of its interface, `http://host:8088/janus`. A path may hold `{room}`.
  package func make(
    base: URL, room: String, publishPath: String? = nil, subscribePath: String? = nil, invitation: String? = nil
  ) throws(LoadError) -> any Signaling {
    switch self {
    case .enfilade:
      return MeetSignaling(
        base: base, room: room, publishPath: publishPath, subscribePath: subscribePath, invitation: invitation)
    case .pion:
      return WHIPSignaling(
        base: base, publishPath: publishPath ?? "/whip/{room}", subscribePath: subscribePath ?? "/whep/{room}", room: room)
    case .whip:
      guard let publishPath, let subscribePath else { throw .badOption("The signaling 'whip' needs both paths.") }
      return WHIPSignaling(base: base, publishPath: publishPath, subscribePath: subscribePath, room: room)
    case .janus:
      return JanusSignaling(base: base, room: room)
    }
  }
}
