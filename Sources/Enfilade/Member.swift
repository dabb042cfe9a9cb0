// A participant as its room keeps it: what was negotiated, what it offers, what it receives.

import EnfiladeEngine
import EnfiladeRuntime
import EnfiladeSDP
import EnfiladeSTUN
import EnfiladeTransport
import EnfiladeWire

/// State of one participant, owned by its room's actor.
struct Member {
  /// A media section that brings something in.
  struct Source {
    let key: PublicationKey
    let mid: String
    let kind: MediaKind
    /// The names of its encodings (RFC 8851); empty when there is one.
    var rids: [String] = []
    /// The codec of the first packet; `nil` before it.
    var codec: String?
    var isLive: Bool { codec != nil }
  }

  /// A media section through which this participant is sent something.
  struct Slot {
    let key: SlotKey
    let mid: String
    let kind: MediaKind
    let source: SSRC
    let retransmissionSource: SSRC
    var publication: PublicationKey?
  }

  let id: ParticipantID
  let name: String
  let policy: SubscriptionPolicy
  let link: LinkID
  let shard: Shard
  let sessionID: UInt64
  var sessionVersion: UInt64 = 0
  var localCredentials: EnfiladeSTUN.ICECredentials?
  var remoteCredentials: EnfiladeSTUN.ICECredentials?
  var fingerprints: [SDPAttribute.Fingerprint] = []
  var connection = ConnectionState.connecting
  var sources: [Source] = []
  var slots: [Slot] = []
  /// What was last asked for by `receiversWanted`, so that it is not asked twice.
  var wanted = (audio: 0, video: 0)

  init(id: ParticipantID, name: String, policy: SubscriptionPolicy, link: LinkID, shard: Shard, sessionID: UInt64) {
    self.id = id
    self.name = name
    self.policy = policy
    self.link = link
    self.shard = shard
    self.sessionID = sessionID
  }

  /// Whether it is to receive what `publisher` offers.
  func wants(_ publisher: ParticipantID) -> Bool {
    switch policy {
    case .everyone: publisher != id
    case .nobody: false
    case .only(let wanted): publisher == wanted && publisher != id
    }
  }

  /// A source as others see it.
  func publication(_ source: Source) -> Publication {
    Publication(
      id: PublicationID(rawValue: source.key.rawValue), participant: id, participantName: name, kind: source.kind, mid: source.mid,
      codec: source.codec)
  }
}
