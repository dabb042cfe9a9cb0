// A participant of a meeting, with what signaling knows and the engine does not.

import Enfilade

/// One participant in a meeting's list.
struct Member: Sendable {
  let participant: Participant
  let role: Role
  /// The right to act as this participant; the last part of the session URL of WHIP and WHEP.
  let token: Token
  var microphone: Bool?
  var camera: Bool?
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

  var id: ParticipantID { participant.id }

  var isPresent: Bool { openStreams > 0 || connection == .connected }

  var state: ParticipantState {
    .init(
      id: id.rawValue, name: participant.name, role: role, microphone: microphone, camera: camera, connection: connection.rawValue,
      publications: publications.map(PublicationState.init))
  }

  var entityTag: String { "\"\(iceSession)\"" }

  mutating func bind(_ publication: Publication?, to mid: String) {
    if let index = slots.firstIndex(where: { $0.mid == mid }) {
      slots[index].publication = publication
    } else {
      slots.append((mid, publication))
    }
  }
}
