// A room of fifty, each with a stage: what it costs the server, and what everybody waits.

import ArgumentParser
import EnfiladeLoad
import EnfiladeWire
import Foundation

/// `enfilade-bench meeting`.
struct MeetingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "meeting",
    abstract: "Measures a large room: members who publish three encodings and Opus, and each have places for some of the others.",
    discussion: """
      Starts enfilade-meet, and as many members as are asked for on one thread beside it. Three at a time speak, in turns of four \
      seconds, and come to the front of everybody's stage. Loss is what the numbers of a stream say is missing: what a change of place \
      or layer leaves out is none. Latency is one-way, publisher to subscriber; a picture out of the history counts with its age.
      """)

  @Option(help: "How many are in the room.")
  var members = 50

  @Option(help: "What each has room for: groups of places, COUNTxWIDTHxHEIGHT, separated by commas.")
  var stage = "9x640x360,16x320x180"

  @Option(help: "How many voices each hears.")
  var voices = 3

  @Option(help: "Of the largest encoding, in kbit/s; the others have a fifth and a sixteenth.")
  var videoBitrate = 2500

  @Option(help: "Seconds to measure.")
  var seconds = 60.0

  @Option(help: "Seconds of media before that.")
  var warmUp = 5.0

  @Option(help: "Members whose packets wake the client at once; latency is theirs.")
  var probes = 4

  @Option(help: "Threads that carry the media; as many as the server takes by itself if not given.")
  var shards: Int?

  @Option(help: "The release build of enfilade-meet; else $ENFILADE_MEET.")
  var enfilade: String?

  @Argument(parsing: .postTerminator, help: "More arguments for the server.")
  var serverArguments: [String] = []

  func validate() throws {
    guard (2...1000).contains(members), (50...50_000).contains(videoBitrate), (1...3600).contains(seconds), (0...60).contains(warmUp),
      (0...members).contains(probes), StageWish(parsing: stage, voices: voices) != nil
    else { throw ValidationError("A number is out of range, or the stage is no stage.") }
  }

  func run() throws {
    let environment = ProcessInfo.processInfo.environment
    guard let program = enfilade ?? environment["ENFILADE_MEET"], FileManager.default.isExecutableFile(atPath: program) else {
      throw ValidationError("Where is the server? --enfilade, or $ENFILADE_MEET; `make server` builds it.")
    }
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("enfilade-meeting-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let port = Int.random(in: 20_000..<32_000)
    guard let base = URL(string: "http://127.0.0.1:\(port)"), let ready = URL(string: "/health", relativeTo: base) else {
      throw ValidationError("bad port \(port)")
    }
    var arguments = [
      "--http-port", "\(port)", "--udp-port", "0", "--no-tcp", "--bind", "127.0.0.1", "--loopback", "--log-level", "warning",
      "--participants-per-room", "\(members)",
    ]
    if let shards { arguments += ["--shards", "\(shards)"] }
    let server = try ServerProcess(program, arguments + serverArguments, folder: folder, ready: ready)
    defer { server.stop() }

    let run = try LoadRun(options, signaling: try SignalingKind.enfilade.make(base: base, room: "meeting"))
    var before: ProcessUsage?
    var after: ProcessUsage?
    run.windowBegins = { before = ProcessUsage(of: server.identifier) }
    run.windowEnds = { after = ProcessUsage(of: server.identifier) }
    let report = try run.run()
    guard let before, let after else { throw ServerFailure(description: "The server is gone: \(server.lastWords)") }
    print(report.table)
    let used = after.processorSeconds(since: before)
    print(
      "server: \(Self.rounded(used, 2)) s of processor, \(Self.rounded(used / report.seconds * 100, 1)) % of one, "
        + "\(after.residentByteCount >> 20) MiB; \(Self.rounded(Double(report.receivedPacketCount) / used, 0)) packets out per CPU-second")
    // Nothing that does not open, and nothing that nobody sent.
    if report.rejectedPacketCount + report.unstampedPacketCount > 0 { throw ExitCode(1) }
  }

  private var options: LoadOptions {
    var options = LoadOptions()
    options.publisherCount = 0
    options.subscriberCount = 0
    options.memberCount = members
    options.stage = StageWish(parsing: stage, voices: voices) ?? .gallery
    options.video = VideoShape(bitrate: .kilobitsPerSecond(Int64(videoBitrate)))
    options.offersSimulcast = true
    options.duration = .seconds(seconds)
    options.warmUp = .seconds(warmUp)
    options.probeCount = probes
    return options
  }

  private static func rounded(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
}
