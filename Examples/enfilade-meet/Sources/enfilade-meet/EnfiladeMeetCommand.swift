// The program `enfilade-meet`: an engine, and the signaling server around it.

import ArgumentParser
import Enfilade
import EnfiladeMeet
import Foundation
import Hummingbird
import Logging
import NIOSSL
import ServiceLifecycle
import UnixSignals

@main
struct EnfiladeMeetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enfilade-meet", abstract: "Meetings: a page to join by link, WHIP to publish, WHEP to watch.",
    subcommands: [ServeCommand.self, DoctorCommand.self], defaultSubcommand: ServeCommand.self)
}

/// Serves until it is told to stop.
struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serves meetings. This is what happens without a subcommand.")

  @Option(help: "The address on which to serve HTTP.")
  var host = "127.0.0.1"

  @Option(help: "The TCP port on which to serve HTTP; 0 takes any free one.")
  var httpPort = 8080

  @OptionGroup var media: MediaOptions

  @Option(help: "How many may be in one room, of every role.")
  var participantsPerRoom = MeetOptions().maximumParticipants

  @Option(help: "A file with the certificate chain (PEM), to serve HTTPS; with --tls-key.")
  var tlsCertificate: String?

  @Option(help: "A file with the certificate's private key (PEM).")
  var tlsKey: String?

  @Option(help: "A file whose content signs invitations; without it they end with the server.")
  var inviteSecretFile: String?

  @Flag(help: "Let nobody in without an invitation. Rooms are then made by POST /rooms.")
  var requireInvite = false

  @Option(help: "How many joins in a minute from one address; 0 for any number.")
  var joinsPerMinute = MeetOptions().joinsPerMinute

  @Option(help: "Opens /metrics and /debug/rooms from other machines; without it they are for this machine alone.")
  var operatorToken: String?

  @Option(help: "How many seconds meetings may go on after SIGTERM, while nobody new is let in.")
  var drainSeconds = 5

  @Option(help: "How much to log: trace, debug, info, notice, warning or error.", transform: logLevel)
  var logLevel = Logger.Level.notice

  func validate() throws {
    guard (tlsCertificate == nil) == (tlsKey == nil) else {
      throw ValidationError("A certificate needs its key, and a key its certificate.")
    }
    guard (0...86_400).contains(drainSeconds) else { throw ValidationError("Draining takes 0 to 86400 seconds.") }
    guard (0...1_000_000).contains(joinsPerMinute) else { throw ValidationError("Joins in a minute are 0 to 1000000.") }
    guard participantsPerRoom >= 1 else { throw ValidationError("A room is for one participant at least.") }
  }

  func run() async throws {
    LoggingSystem.bootstrap(StreamLogHandler.standardError)
    var logger = Logger(label: "enfilade-meet")
    logger.logLevel = logLevel

    let isLocal = MediaOptions.isLocal(host)
    let engine = try await Engine(media.configuration(isLocal: isLocal, logger: logger))
    let candidates = engine.candidates
    let meetings = Meetings(engine: engine, options: try meetOptions(), logger: logger)
    let shownHost = isLocal || host == "0.0.0.0" || host == "::" ? "localhost" : host
    let tls = try tlsCertificate.flatMap { certificate in try tlsKey.map { try MeetServer.tls(certificate: certificate, key: $0) } }
    let scheme = tls == nil ? "http" : "https"
    do {
      let application = try MeetServer.application(meetings: meetings, host: host, port: httpPort, tls: tls, logger: logger) { port in
        let places = candidates.isEmpty ? "no address" : candidates.joined(separator: ", ")
        let text = "Meetings at \(scheme)://\(shownHost):\(port)\nMedia at \(places)\n"
        // Written past the buffer of `print`, which keeps the line back when the output is a pipe.
        FileHandle.standardOutput.write(Data(text.utf8))
      }
      try await serve(application, meetings, logger: logger)
    } catch {
      await engine.shutdown()
      throw error
    }
    await engine.shutdown()
  }

  private func meetOptions() throws -> MeetOptions {
    var options = MeetOptions()
    options.maximumParticipants = participantsPerRoom
    options.joinsPerMinute = joinsPerMinute
    options.operatorToken = operatorToken
    options.requiresInvite = requireInvite
    if let inviteSecretFile {
      let secret = try String(contentsOfFile: inviteSecretFile, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
      guard secret.utf8.count >= 32 else { throw ValidationError("What signs invitations has at least 32 bytes (RFC 7518 §3.2).") }
      options.inviteSecret = secret
    }
    return options
  }

  /// Serves until SIGTERM or SIGINT; then lets the meetings end within the deadline. A second signal cuts that short.
  private func serve(_ application: some ApplicationProtocol, _ meetings: Meetings, logger: Logger) async throws {
    var quieter = logger
    quieter.logLevel = max(logger.logLevel, .notice)
    let group = ServiceGroup(configuration: .init(services: [application], gracefulShutdownSignals: [], logger: quieter))
    let deadline = Duration.seconds(drainSeconds)
    let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
    let watch = Task {
      var draining: Task<Void, Never>?
      for await signal in signals {
        if let draining {
          draining.cancel()
          continue
        }
        logger.notice("stopping", metadata: ["signal": "\(signal)", "drainSeconds": "\(drainSeconds)"])
        draining = Task {
          await meetings.drain(within: deadline)
          await group.triggerGracefulShutdown()
        }
      }
    }
    defer { watch.cancel() }
    try await group.run()
  }

  private static func logLevel(named name: String) throws -> Logger.Level {
    guard let level = Logger.Level(rawValue: name) else { throw ValidationError("There is no log level '\(name)'.") }
    return level
  }
}
