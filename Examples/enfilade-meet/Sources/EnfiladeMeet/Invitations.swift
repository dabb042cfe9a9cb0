// Signed invitations: links that say which room, as what, and until when (RFC 7519, JSON Web Tokens).

import Enfilade
import Foundation
import HTTPTypes
import JWTKit

/// What an invitation says.
struct Invitation: JWTPayload, Sendable {
  /// Its own number, by which it is revoked.
  let jti: IDClaim
  let exp: ExpirationClaim
  let room: String
  /// `host`, `member`, `viewer` or `publisher`.
  let role: String
  /// Whether it is for one person, who is then known by it: who was removed does not come back with it.
  let personal: Bool

  /// Who somebody is who brings it, where it is for one person.
  var identity: String? { personal ? "invitation:\(jti.value)" : nil }

  func verify(using algorithm: some JWTAlgorithm) async throws { try exp.verifyNotExpired() }

  static let roles = ["host": Role.host, "member": .member, "viewer": .viewer, "publisher": .publisher]
}

/// Writes and checks invitations. State is in memory: what was revoked is forgotten when it would have expired anyway.
actor Invitations {
  /// The longest life of an invitation.
  static let longest = Duration.seconds(30 * 24 * 3600)
  /// How many revoked ones are remembered.
  static let revokedCapacity = 10_000

  private let keys = JWTKeyCollection()
  private var revoked: [String: Date] = [:]
  private var isReady = false
  private let secret: String

  /// - Parameter secret: signs; who knows it can invite. A server that draws a new one at each start forgets its invitations.
  init(secret: String) { self.secret = secret }

  private func prepare() async {
    guard !isReady else { return }
    await keys.add(hmac: HMACKey(from: secret), digestAlgorithm: .sha256)
    isReady = true
  }

  /// Writes an invitation.
  func issue(room: RoomName, role: String, lifetime: Duration, isPersonal: Bool) async throws -> (id: String, text: String) {
    await prepare()
    let id = Token().description
    let invitation = Invitation(
      jti: .init(value: id), exp: .init(value: Date(timeIntervalSinceNow: Double(lifetime.components.seconds))), room: room.description,
      role: role, personal: isPersonal)
    return (id, try await keys.sign(invitation))
  }

  /// Reads an invitation.
  ///
  /// - Throws: `Problem` 403 that says what is wrong with it.
  func check(_ text: String, for room: RoomName) async throws(Problem) -> Invitation {
    await prepare()
    let invitation: Invitation
    do {
      invitation = try await keys.verify(text, as: Invitation.self)
    } catch let error as JWTError where error.errorType == .claimVerificationFailure {
      throw Problem(.forbidden, "This invitation has expired; ask for a new one.")
    } catch {
      throw Problem(.forbidden, "This invitation is not genuine; ask for a new one.")
    }
    guard invitation.room == room.description else { throw Problem(.forbidden, "This invitation is for another room.") }
    guard revoked[invitation.jti.value] == nil else { throw Problem(.forbidden, "This invitation has been withdrawn.") }
    guard Invitation.roles[invitation.role] != nil else { throw Problem(.forbidden, "This invitation names no role that there is.") }
    return invitation
  }

  /// Withdraws an invitation.
  ///
  /// Who came in with it stays.
  func revoke(_ id: String) throws(Problem) {
    let now = Date()
    if revoked.count >= Self.revokedCapacity { revoked = revoked.filter { $0.value > now } }
    guard revoked.count < Self.revokedCapacity else {
      throw Problem(.serviceUnavailable, "The server remembers too many withdrawn invitations.", headers: [.retryAfter: "3600"])
    }
    revoked[id] = now.addingTimeInterval(Double(Self.longest.components.seconds))
  }
}
