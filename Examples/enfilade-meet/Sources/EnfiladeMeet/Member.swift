// A participant of a meeting, with what signaling knows and the engine does not.

import Enfilade

/// By which door somebody came.
enum Entrance: String, Sendable {
  case page
  /// WHIP: only sends.
  case whip
  /// WHEP: only receives.
  case whep
}

/// One participant in a meeting's list.
struct Member: Sendable {
  let participant: Participant
  let entrance: Entrance
  var role: Role
  /// The right to act as this participant; the last part of the session URL of WHIP and WHEP.
  let token: Token
  var microphone: Bool?
  var camera: Bool?
  var hand: Int?
  var connection: ConnectionState = .connecting
  var publications: [Publication] = []
  var slots: [(mid: String, publication: Publication?)] = []
  var receiversWanted: WantedReceivers?
  /// Which of its encodings anybody watches, for each section that has several.
  var encodings: [WantedEncodings] = []
  /// The sections whose pictures it has constrained.
  var constrained: Set<String> = []
  /// How many event streams are open.
  ///
  /// More than one for a moment, when a page reconnects before the old stream was seen to close.
  var openStreams = 0
  var absentSince: ContinuousClock.Instant?
  /// Counts ICE sessions: the entity tag of a WHIP or WHEP session (RFC 9725 §4.3.1).
  var iceSession = 1

  init(participant: Participant, entrance: Entrance, role: Role, token: Token) {
    self.participant = participant
    self.entrance = entrance
    self.role = role
    self.token = token
  }

  var id: ParticipantID { participant.id }

  var isPresent: Bool { openStreams > 0 || connection == .connected }

  var moderates: Bool { role.permissions.contains(.moderate) }

  var state: ParticipantState {
    .init(
      id: id.rawValue, name: participant.name, role: role.name, moderates: moderates, microphone: microphone, camera: camera, hand: hand,
      connection: connection.rawValue, publications: publications.map(PublicationState.init))
  }

  var entityTag: String { "\"\(iceSession)\"" }

  mutating func bind(_ publication: Publication?, to mid: String) {
    if let index = slots.firstIndex(where: { $0.mid == mid }) {
      slots[index].publication = publication
    } else {
      slots.append((mid, publication))
    }
  }

  /// Takes a publication in, in place of what was known of it.
  mutating func note(_ publication: Publication) {
    if let index = publications.firstIndex(where: { $0.id == publication.id }) {
      publications[index] = publication
    } else {
      publications.append(publication)
    }
  }
}
