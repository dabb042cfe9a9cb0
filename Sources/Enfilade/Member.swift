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
    /// What the application says of it.
    var description = PublicationDescription()
    /// The codec of the first packet; `nil` before it.
    var codec: String?
    /// Its participant may publish it.
    var isPermitted = true
    /// It was muted in the room.
    var isMuted = false
    /// Its participant may take that back.
    var mayUnmute = true
    /// What its shards were last told.
    var isGateClosed = false
    /// Where it stands in mixtures of two channels, from left, −1, to right, 1.
    var placement: Float = 0

    /// Packets come, and others may have them.
    var isLive: Bool { codec != nil && isPermitted }
    /// Whether its shards are to let nothing of it through.
    var wantsGateClosed: Bool { isMuted || !isPermitted }
    var purpose: PublicationPurpose { description.purpose ?? (kind == .audio ? .microphone : .camera) }

    func isPermitted(by permissions: Permissions) -> Bool {
      guard !permissions.contains(.hidden) else { return false }
      return switch purpose {
      case .microphone: permissions.contains(.publishAudio)
      case .camera: permissions.contains(.publishVideo)
      case .screen, .screenAudio: permissions.contains(.publishScreen)
      case .playback: permissions.contains(.publishAudio)
      }
    }
  }

  /// A media section through which this participant is sent something.
  struct Slot {
    let key: SlotKey
    let mid: String
    let kind: MediaKind
    let source: SSRC
    let retransmissionSource: SSRC
    var publication: PublicationKey?
    /// What is of use in it, for a picture.
    var constraint = VideoConstraint()
    /// What the application chose for it; `nil` leaves it to the room.
    var chosen: PublicationKey?
    /// As what the mixture comes in it.
    var mixFormat = MediaFormat.opus
  }

  let id: ParticipantID
  let name: String
  /// Who it is to the application.
  let identity: String?
  var role: Role
  let policy: SubscriptionPolicy
  let link: LinkID
  let shard: Shard
  let sessionID: UInt64
  var sessionVersion: UInt64 = 0
  var localCredentials: EnfiladeSTUN.ICECredentials?
  var remoteCredentials: EnfiladeSTUN.ICECredentials?
  var fingerprints: [SDPAttribute.Fingerprint] = []
  /// The sockets that are its own, for one without ICE; `nil` for all others.
  var plainSockets: [UInt32]?
  /// What the application plays; `nil` for everybody who has a link.
  var playback: PlaybackLine?
  var connection = ConnectionState.connecting
  /// Set by the application; `nil` for the usual one.
  var bandwidthPolicy: BandwidthPolicy?
  var sources: [Source] = []
  var slots: [Slot] = []
  /// How it hears the others.
  var audioMode = AudioMode.forwarded
  /// The slot that carries the mixture.
  var mixSlot: SlotKey?
  /// Volumes it set in the mixture.
  var volumes: [PublicationKey: Float] = [:]
  /// What there is room for on its screen; `nil` for everything.
  var stage: Stage?
  /// What was last asked for by `receiversWanted`, so that it is not asked twice.
  var wanted = (audio: 0, video: 0)

  init(_ knocker: Knocker, policy: SubscriptionPolicy, link: LinkID, shard: Shard, sessionID: UInt64) {
    id = knocker.id
    name = knocker.name
    identity = knocker.identity
    role = knocker.role
    self.policy = policy
    self.link = link
    self.shard = shard
    self.sessionID = sessionID
  }

  /// Its shard has been told of it.
  var hasLink: Bool { localCredentials != nil || plainSockets != nil }

  /// Whether it is to receive what `publisher` offers.
  func wants(_ publisher: ParticipantID) -> Bool {
    guard role.permissions.contains(.subscribe) else { return false }
    return switch policy {
    case .everyone: publisher != id
    case .nobody: false
    case .only(let wanted): publisher == wanted && publisher != id
    }
  }

  /// A source as others see it.
  func publication(_ source: Source) -> Publication {
    Publication(
      id: PublicationID(rawValue: source.key.rawValue), participant: id, participantName: name, kind: source.kind, mid: source.mid,
      codec: source.codec, purpose: source.purpose, isEncrypted: source.description.isEncrypted, isMuted: source.isMuted,
      mayUnmute: source.mayUnmute)
  }

  /// The participant as others see it.
  var info: ParticipantInfo {
    ParticipantInfo(
      id: id, name: name, identity: identity, role: role, connection: connection, publications: sources.filter(\.isLive).map(publication))
  }

  /// Whether it takes a seat.
  var isSeated: Bool { playback == nil && !role.permissions.contains(.hidden) }
}
