import Enfilade

/// What a server knows a client by: the name of its WebSocket, its session, its cookie.
typealias Client = String

/// The rooms of this server, and who of its clients is in them.
actor Meetings {
  private let engine: Engine
  private var participants: [Client: Participant] = [:]

  /// - Parameter address: where clients reach this machine.
  init(announcing address: String) async throws {
    let configuration = Engine.Configuration(udpPort: 5000, announcedAddresses: [address])
    for finding in Engine.diagnose(configuration).findings { print(finding.severity, finding.text) }
    engine = try await Engine(configuration)
  }

  /// A client comes in. Who it may be, the server has looked at before.
  func enter(_ client: Client, room name: String, as displayName: String) async throws {
    let room = try await engine.room(name)
    participants[client] = try await room.join(name: displayName)
  }
}
