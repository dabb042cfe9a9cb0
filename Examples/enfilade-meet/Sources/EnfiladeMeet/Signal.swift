// What the event stream says: the names and the JSON of server-sent events.

package import Enfilade

/// One event, and for whom it is.
package struct Signal: Sendable {
  package enum Audience: Sendable, Hashable {
    case everybody
    case moderators
    case one(ParticipantID)
  }

  package let name: String
  package let data: String
  package let audience: Audience

  private init(_ name: String, _ value: some Encodable, to audience: Audience = .everybody) {
    self.name = name
    self.data = JSON.string(value)
    self.audience = audience
  }

  /// Whether somebody may hear it.
  package func isFor(_ reader: ParticipantID, isModerator: Bool) -> Bool {
    switch audience {
    case .everybody: true
    case .moderators: isModerator
    case .one(let id): id == reader
    }
  }
}

extension Signal {
  static func snapshot(_ snapshot: Snapshot, to id: ParticipantID) -> Signal { .init("snapshot", snapshot, to: .one(id)) }
  static func participantJoined(_ participant: ParticipantState) -> Signal { .init("participant-joined", participant) }
  static func participantChanged(_ participant: ParticipantState) -> Signal { .init("participant-changed", participant) }

  package static func participantLeft(_ id: ParticipantID, reason: String) -> Signal {
    .init("participant-left", ["id": id.rawValue, "reason": reason])
  }

  static func publicationStarted(_ publication: PublicationState) -> Signal { .init("publication-started", publication) }
  static func publicationChanged(_ publication: PublicationState) -> Signal { .init("publication-changed", publication) }
  static func publicationEnded(_ publication: PublicationState) -> Signal { .init("publication-ended", publication) }
  static func slotChanged(_ slot: SlotState, to id: ParticipantID) -> Signal { .init("slot-changed", slot, to: .one(id)) }
  static func receiversWanted(_ wanted: WantedReceivers, to id: ParticipantID) -> Signal { .init("receivers-wanted", wanted, to: .one(id)) }
  static func encodingsWanted(_ wanted: WantedEncodings, to id: ParticipantID) -> Signal { .init("encodings-wanted", wanted, to: .one(id)) }
  static func allocationChanged(_ allocation: AllocationState, to id: ParticipantID) -> Signal {
    .init("allocation-changed", allocation, to: .one(id))
  }

  static func rulesChanged(_ rules: RulesState) -> Signal { .init("rules-changed", rules) }
  static func recordingChanged(_ isRecorded: Bool) -> Signal { .init("recording-changed", ["recorded": isRecorded]) }
  static func activeSpeaker(_ id: ParticipantID) -> Signal { .init("active-speaker", ["id": id.rawValue]) }
  static func knocked(_ knocker: KnockerState) -> Signal { .init("knocked", knocker, to: .moderators) }
  static func knockEnded(_ id: ParticipantID) -> Signal { .init("knock-ended", ["id": id.rawValue], to: .moderators) }
  static func message(_ message: Message) -> Signal { .init("message", message) }
  static func draining(seconds: Int) -> Signal { .init("draining", ["seconds": seconds]) }

  package static func goodbye(reason: String, to id: ParticipantID) -> Signal { .init("goodbye", ["reason": reason], to: .one(id)) }
}

/// A participant as the others see them.
struct ParticipantState: Encodable, Sendable {
  let id: String
  let name: String
  /// `host`, `member`, `publisher` or `viewer`.
  let role: String
  /// Whether they may admit, mute, remove and lock.
  let moderates: Bool
  /// What the participant says about their own devices; not said by WHIP and WHEP clients.
  var microphone: Bool?
  var camera: Bool?
  /// Whether they ask for the word: the how-manieth to do so.
  var hand: Int?
  var connection: String
  var publications: [PublicationState]
}

struct PublicationState: Encodable, Sendable {
  let id: String
  let participant: String
  let kind: String
  let purpose: String
  let codec: String?
  let encrypted: Bool
  let muted: Bool
  let mayUnmute: Bool

  init(_ publication: Publication) {
    id = publication.id.description
    participant = publication.participant.rawValue
    kind = publication.kind.rawValue
    purpose = publication.purpose.rawValue
    codec = publication.codec
    encrypted = publication.isEncrypted
    muted = publication.isMuted
    mayUnmute = publication.mayUnmute
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

/// What one of the reader's own m-lines is given of what the way to them carries, and why it is not more.
struct AllocationState: Encodable, Sendable {
  let mid: String
  let reason: String
  let width: Int
  let height: Int
  let framesPerSecond: Int
  let bitrate: Int
  let wantedHeight: Int
  /// Bits per second; left out while nobody knows.
  let available: Int?

  init(_ allocation: VideoAllocation, available: Int?) {
    mid = allocation.mid
    reason = allocation.reason.rawValue
    width = allocation.frameWidth
    height = allocation.frameHeight
    framesPerSecond = allocation.framesPerSecond
    bitrate = allocation.allocatedBitrate
    wantedHeight = allocation.targetFrameHeight
    self.available = available
  }
}

/// What the way to somebody carries.
struct QualityState: Encodable, Sendable {
  let availableBitrate: Int
  let allocatedBitrate: Int
  let wantedBitrate: Int
  let roundTripMilliseconds: Int
  let fractionLost: Double
  let queueMilliseconds: Int
  let allocations: [AllocationState]

  init(_ quality: ConnectionQuality) {
    availableBitrate = quality.availableOutgoingBitrate
    allocatedBitrate = quality.allocatedBitrate
    wantedBitrate = quality.targetBitrate
    roundTripMilliseconds = Int(quality.currentRoundTripTime / .milliseconds(1))
    fractionLost = quality.fractionLost
    queueMilliseconds = Int(quality.networkQueueTime / .milliseconds(1))
    allocations = quality.allocations.map { AllocationState($0, available: nil) }
  }
}

/// The rules of the room.
struct RulesState: Encodable, Sendable, Equatable {
  let locked: Bool
  let lobby: Bool
  let requiresHost: Bool
  let locksAfterRemoval: Bool
  /// `nothing`, `lock` or `close`.
  let hostDeparture: String
  let capacity: Int

  init(_ configuration: Room.Configuration) {
    locked = configuration.isLocked
    lobby = configuration.hasLobby
    requiresHost = configuration.requiresHost
    locksAfterRemoval = configuration.locksAfterRemoval
    hostDeparture = configuration.hostDeparture.rawValue
    capacity = configuration.capacity
  }
}

/// Who waits in front of the door.
struct KnockerState: Encodable, Sendable {
  let id: String
  let name: String

  init(_ knocker: Knocker) {
    id = knocker.id.rawValue
    name = knocker.name
  }
}

/// Something that somebody wrote to all.
struct Message: Encodable, Sendable {
  let from: String
  /// Kept with the message: who wrote it may have left.
  let name: String
  let text: String
  /// Milliseconds since 1970.
  let at: Int64
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
  let rules: RulesState
  /// Only for who may decide about them.
  let knockers: [KnockerState]
  let messages: [Message]
  let recorded: Bool
  /// Who spoke last.
  let speaker: String?
}

extension LeaveReason {
  /// The reason as the others are told.
  var signalName: String {
    switch self {
    case .left: "left"
    case .connectionFailed(let detail): "connection failed: \(detail)"
    case .removed: "removed"
    case .replaced: "replaced"
    case .roomClosed(.asked): "room closed"
    case .roomClosed(.expired): "room expired"
    case .roomClosed(.hostLeft): "host left"
    case .roomClosed(.shutDown): "server stopped"
    }
  }
}
