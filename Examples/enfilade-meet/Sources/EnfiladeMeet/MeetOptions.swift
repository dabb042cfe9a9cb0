// The numbers that bound the server, each with its reason.

import Enfilade

/// Limits and times of the signaling server.
package struct MeetOptions: Sendable {
  /// How many rooms may be open.
  ///
  /// A room without anybody costs memory too, and anybody may open one.
  package var maximumRooms = 1000
  /// How many may be in one room.
  package var maximumParticipants = 50
  /// Signs invitations; `nil` draws one at start, so that invitations end with the server.
  package var inviteSecret: String?
  /// Whether nobody comes in without an invitation.
  ///
  /// Otherwise the name of a room lets in, and who comes first is the host.
  package var requiresInvite = false
  /// How many joins in a minute from one address; 0 for any number.
  package var joinsPerMinute = 300
  /// What opens `/metrics` and `/debug/rooms` from other machines; without it they are for this machine alone.
  package var operatorToken: String?
  /// How long who waits in front of a door is kept waiting for one answer.
  ///
  /// Below the 30 to 60 s after which proxies give up.
  package var knockPatience: Duration = .seconds(20)
  /// How many of one's own m-lines one may constrain: as many as a session description within the limit of a body can have.
  static let maximumConstraints = 256
  /// How many places a stage has for pictures, and for voices: more than a screen has room for.
  static let maximumPlaces = 64
  /// What somebody who comes late can read.
  static let messagesKept = 100
  /// Longer texts are sent by other means.
  static let messageLength = 2000
  /// How long a participant may be without media *and* without an event stream before being removed.
  ///
  /// Longer than it takes a page to reload or a phone to change networks.
  package var absence: Duration = .seconds(30)
  /// How long an empty room stays.
  package var emptyRoom: Duration = .seconds(60)
  /// How often an event stream says something even if nothing happens.
  ///
  /// Below the 30 to 60 s after which proxies give up.
  package var heartbeat: Duration = .seconds(15)
  /// How often absences and empty rooms are looked for.
  package var housekeeping: Duration = .seconds(1)

  /// The values that serve a small public server.
  package init() {}

  /// The rules of a room that is opened by its name.
  ///
  /// Who was removed could come back under another name: so the door is shut behind them. Who joins twice is there twice, because a browser may
  /// have two windows.
  var rules: Room.Configuration {
    Room.Configuration(capacity: maximumParticipants, locksAfterRemoval: true, duplicates: .allow)
  }
}
