// What an invitation lets in.

import HTTPTypes

extension Meetings {
  /// The invitation that somebody brings.
  ///
  /// - Throws: `Problem` 401 where one is needed and there is none, 403 where it is not good.
  func invitation(_ text: (some StringProtocol)?, for room: RoomName) async throws(Problem) -> Invitation? {
    guard let text else {
      guard !options.requiresInvite else {
        throw Problem(.unauthorized, "This room is for those who are invited.", headers: [.wwwAuthenticate: "Bearer realm=\"invitation\""])
      }
      return nil
    }
    return try await invitations.check(String(text), for: room)
  }
}
