// `enfilade-bench mix-server`: an engine with rooms of plain transports, in a process of its own, for `mix-peers`.

import ArgumentParser
import Enfilade
import Foundation

struct MixServerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mix-server", abstract: "The server of mix-peers.", shouldDisplay: false)

  @Option(help: "The plan, a file of JSON.") var plan: String
  @Option(help: "Where the ports are written to, in the order of the plan's parties.") var reply: String

  func run() async throws {
    let plan = try JSONDecoder().decode(MixPlan.self, from: Data(contentsOf: URL(fileURLWithPath: plan)))
    let engine = try await Engine(
      .init(udpPort: 0, bindAddress: "127.0.0.1", shards: plan.shards, includeLoopback: true))
    let mixing = MixConfiguration(
      speakers: plan.heard, bitrate: plan.quality.bitrate, complexity: plan.quality.complexity, expectedLossPercent: 0)
    var rooms: [String: Enfilade.Room] = [:]
    var ports: [Int] = []
    for (number, party) in plan.parties.enumerated() {
      if rooms[party.room] == nil {
        let room = try await engine.room(party.room, configuration: .init(capacity: plan.parties.count))
        await room.setMixing(mixing)
        rooms[party.room] = room
      }
      guard let room = rooms[party.room] else { preconditionFailure("The room was made above.") }
      let transport = try await room.join(
        name: "\(number)",
        over: .init(
          remote: "127.0.0.1:\(party.port)", media: [.init(.audio, [.init(.opus, payloadType: 111)], sends: party.speaks)],
          localAddress: "127.0.0.1"))
      if !party.isMixed { try await transport.participant.setAudioMode(.forwarded) }
      ports.append(transport.port)
    }
    try JSONEncoder().encode(ports).write(to: URL(fileURLWithPath: reply), options: .atomic)
    try await Task.sleep(for: .seconds(plan.lifetime))
    await engine.shutdown()
  }
}
