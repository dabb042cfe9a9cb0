// The numbers that bound the server, each with its reason.

/// Limits and times of the signaling server.
package struct MeetOptions: Sendable {
  /// How many rooms may be open.
  ///
  /// A room without anybody costs memory too, and anybody may open one.
  package var maximumRooms = 1000
  /// How many may be in one room.
  package var maximumParticipants = 50
  /// How many of one's own m-lines one may constrain: as many as a session description within the limit of a body can have.
  static let maximumConstraints = 256
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
}
