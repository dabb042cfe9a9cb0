// What the event stream says: the names and the JSON of server-sent events.

package import Enfilade

/// One event, and whether it is for everybody in the room or for one of them.
package struct Signal: Sendable {
  package let name: String
  package let data: String
  /// `nil` is everybody.
  package let audience: ParticipantID?

  private init(_ name: String, _ value: some Encodable, to audience: ParticipantID? = nil) {
    self.name = name
    self.data = JSON.string(value)
    self.audience = audience
  }
}

extension Signal {
  static func snapshot(_ snapshot: Snapshot, to id: ParticipantID) -> Signal { .init("snapshot", snapshot, to: id) }
  static func participantJoined(_ participant: ParticipantState) -> Signal { .init("participant-joined", participant) }
  static func participantChanged(_ participant: ParticipantState) -> Signal { .init("participant-changed", participant) }

  package static func participantLeft(_ id: ParticipantID, reason: String) -> Signal {
    .init("participant-left", ["id": id.rawValue, "reason": reason])
  }

  static func publicationStarted(_ publication: PublicationState) -> Signal { .init("publication-started", publication) }
  static func publicationEnded(_ publication: PublicationState) -> Signal { .init("publication-ended", publication) }
  static func slotChanged(_ slot: SlotState, to id: ParticipantID) -> Signal { .init("slot-changed", slot, to: id) }
  static func receiversWanted(_ wanted: WantedReceivers, to id: ParticipantID) -> Signal { .init("receivers-wanted", wanted, to: id) }
  static func encodingsWanted(_ wanted: WantedEncodings, to id: ParticipantID) -> Signal { .init("encodings-wanted", wanted, to: id) }
  package static func goodbye(reason: String, to id: ParticipantID) -> Signal { .init("goodbye", ["reason": reason], to: id) }
}

/// A participant as the others see them.
struct ParticipantState: Encodable, Sendable {
  let id: String
  let name: String
  let role: Role
  /// What the participant says about their own devices; not said by WHIP and WHEP clients.
  var microphone: Bool?
  var camera: Bool?
  var connection: String
  var publications: [PublicationState]
}

/// How a participant came in.
enum Role: String, Encodable, Sendable {
  /// By the meeting page: sends and receives.
  case member
  /// By WHIP: only sends.
  case publisher
  /// By WHEP: only receives.
  case viewer
}

struct PublicationState: Encodable, Sendable {
  let id: String
  let participant: String
  let kind: String
  let codec: String?

  init(_ publication: Publication) {
    id = publication.id.description
    participant = publication.participant.rawValue
    kind = publication.kind.rawValue
    codec = publication.codec
  }
}

/// Which publication comes in on which m-line of the reader's peer connection; no publication means the line is idle.
struct SlotState: Encodable, Sendable {
  let mid: String
  let publication: PublicationState?
}

/// How many more `recvonly` m-lines of each kind the reader should offer.
struct WantedReceivers: Encodable, Sendable {
  let audio: Int
  let video: Int
}

/// Which of the encodings that the reader offers on one of its own m-lines anybody watches.
struct WantedEncodings: Encodable, Sendable {
  let mid: String
  let rids: [String]
}

/// The whole room as one participant needs to know it.
struct Snapshot: Encodable, Sendable {
  let room: String
  /// The reader's own id.
  let id: String
  let participants: [ParticipantState]
  let slots: [SlotState]
  let receiversWanted: WantedReceivers?
  let encodings: [WantedEncodings]
}

extension LeaveReason {
  /// The reason as the others are told.
  var signalName: String {
    switch self {
    case .left: "left"
    case .connectionFailed(let detail): "connection failed: \(detail)"
    case .removed: "removed"
    case .replaced: "replaced"
    case .roomClosed: "room closed"
    }
  }
}
