// The program `enfilade-meet`: an engine, and the signaling server around it.

import ArgumentParser
import Enfilade
import EnfiladeMeet
import Foundation
import Hummingbird
import Logging

@main
struct EnfiladeMeetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enfilade-meet",
    abstract: "Serves meetings: a page to join by link, WHIP to publish, WHEP to watch.")

  @Option(help: "The address on which to serve HTTP.")
  var host = "127.0.0.1"

  @Option(help: "The TCP port on which to serve HTTP; 0 takes any free one.")
  var httpPort = 8080

  @Option(help: "The UDP port for media, the first of as many as there are threads; 0 takes free ones.")
  var udpPort = 5000

  @Option(name: .customLong("announce"), help: "A public address of this machine, for clients outside its network. May be repeated.")
  var announcedAddresses: [String] = []

  @Option(name: .customLong("bind"), help: "The local address for media; every one if not given.")
  var bindAddress: String?

  @Option(help: "How many threads carry media; one for each processor if not given.")
  var shards: Int?

  @Option(help: "How many participants more than the emptiest thread a room's thread may have before the room spreads to another.")
  var roomSpread = 10

  @Flag(inversion: .prefixedNo, help: "Keep each thread on a processor of its own.")
  var pin = true

  @Option(help: "How many microseconds packets may wait for company when a thread is busy; 0 for not at all.")
  var longestWait = 1000

  @Option(help: "How many may be in one room, of every role.")
  var participantsPerRoom = MeetOptions().maximumParticipants

  @Flag(inversion: .prefixedNo, help: "Offer 127.0.0.1 to clients. On if HTTP is served there too.")
  var loopback: Bool?

  @Option(help: "How much to log: trace, debug, info, notice, warning or error.", transform: logLevel)
  var logLevel = Logger.Level.notice

  func validate() throws {
    guard participantsPerRoom >= 1 else { throw ValidationError("A room is for one participant at least.") }
  }

  func run() async throws {
    LoggingSystem.bootstrap(StreamLogHandler.standardError)
    var logger = Logger(label: "enfilade-meet")
    logger.logLevel = logLevel

    let isLocal = ["127.0.0.1", "localhost", "::1"].contains(host)
    let engine = try await Engine(
      .init(
        udpPort: udpPort, announcedAddresses: announcedAddresses, bindAddress: bindAddress, shards: shards, pinsThreads: pin,
        roomSpread: roomSpread, longestWait: .microseconds(longestWait), includeLoopback: loopback ?? isLocal, logger: logger))
    let candidates = engine.candidates
    var options = MeetOptions()
    options.maximumParticipants = participantsPerRoom
    let shownHost = isLocal || host == "0.0.0.0" || host == "::" ? "localhost" : host
    let application = try MeetServer.application(engine: engine, options: options, host: host, port: httpPort, logger: logger) { port in
      let media = candidates.isEmpty ? "no address" : candidates.joined(separator: ", ")
      let text = "Meetings at http://\(shownHost):\(port)\nMedia at \(media) (UDP)\n"
      // Written past the buffer of `print`, which keeps the line back when the output is a pipe.
      FileHandle.standardOutput.write(Data(text.utf8))
    }
    do {
      try await application.runService()
    } catch {
      await engine.shutdown()
      throw error
    }
    await engine.shutdown()
  }

  private static func logLevel(named name: String) throws -> Logger.Level {
    guard let level = Logger.Level(rawValue: name) else { throw ValidationError("There is no log level '\(name)'.") }
    return level
  }
}
