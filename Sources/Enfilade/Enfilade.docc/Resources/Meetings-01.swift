import Enfilade

/// The rooms of this server, and who of its clients is in them.
actor Meetings {
  private let engine: Engine

  /// - Parameter address: where clients reach this machine.
  init(announcing address: String) async throws {
    let configuration = Engine.Configuration(udpPort: 5000, announcedAddresses: [address])
    for finding in Engine.diagnose(configuration).findings { print(finding.severity, finding.text) }
    engine = try await Engine(configuration)
  }
}
