// The same offered load against Enfilade and its peers, in one run, by turns.

import ArgumentParser
import EnfiladeIO
import EnfiladeLoad
import EnfiladeTransport
import EnfiladeWire
import Foundation

/// `enfilade-bench peers`.
struct PeersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "peers",
    abstract: "Offers the same WebRTC load to Enfilade, Janus and a minimal Pion SFU, and compares what a packet costs them.",
    discussion: """
      One publisher, many subscribers, over loopback, the same SRTP profile for all. Servers take turns, and each measurement has a \
      fresh process. Counted are the packets that subscribers received in a window, over the user and system time that the server's \
      process used in it (proc(5)). Loss is what did not arrive of what was sent. Latency is one-way, publisher to subscriber, through \
      the server; every system call and wake-up of the load client is in it.

      Janus is measured with its videoroom plugin as an ICE-lite agent, by default with as many event loops as there are \
      processors.
      """)

  @Option(help: "Which servers: \(Peer.allCases.map(\.rawValue).joined(separator: ", ")).", transform: Self.peers)
  var peers = Peer.allCases

  @Option(
    help: "Which loads: video (2500 kbit/s), video:<kbit/s>, opus, or several with a plus between; a comma separates loads.",
    transform: Self.loads)
  var loads = ["video", "opus"].compactMap(PeerLoad.init)

  @Option(help: "Which SRTP profiles: aes-cm, aes-gcm, aes-gcm-256.", transform: Self.profiles)
  var profiles = [SRTPProfile.aes128CMHMACSHA1_80, .aeadAES128GCM]

  @Option(help: "How many watch.")
  var subscribers = 100

  @Option(help: "How often each is measured.")
  var rounds = 5

  @Option(help: "Seconds of each measurement.")
  var seconds = 6.0

  @Option(help: "Seconds of media before it.")
  var warmUp = 1.5

  @Option(help: "Subscribers whose packets wake the client at once; latency is theirs. The wake-up is on the server's bill.")
  var probes = LoadOptions().probeCount

  @Flag(inversion: .prefixedNo, help: "Let the client's kernel coalesce what is received (UDP_GRO).")
  var gro = true

  @Option(help: "The release build of enfilade-meet; else $ENFILADE_MEET.")
  var enfilade: String?

  @Option(help: "Threads that carry the media of Enfilade; as many as it takes by itself if not given.")
  var enfiladeShards: Int?

  @Option(help: "The program janus; else $JANUS.")
  var janus: String?

  @Option(help: "The library that shows Janus the loopback interface; else $JANUS_PRELOAD.")
  var janusPreload: String?

  @Option(help: "Threads that carry the media of Janus; 0 gives each of its handles one of its own, as it does when nothing is said.")
  var janusEventLoops = SystemThread.processorCount

  @Option(help: "The Pion SFU; else $PION_SFU.")
  var pion: String?

  @Flag(help: "Write JSON, with every round, instead of the tables.")
  var json = false

  func validate() throws {
    guard (1...4000).contains(subscribers), (1...100).contains(rounds), (0...1024).contains(janusEventLoops), probes >= 0, seconds >= 0.5,
      seconds <= 600, warmUp >= 0, warmUp <= 60
    else {
      throw ValidationError("A number is out of range.")
    }
  }

  func run() throws {
    let paths = resolvePaths()
    var report = PeersReport(machine: Self.machine, subscriberCount: subscribers, secondsPerRound: seconds)
    let present = peers.filter { peer in
      guard let reason = peer.absence(paths) else { return true }
      report.absent[peer.title] = reason
      return false
    }
    for profile in profiles {
      for load in loads {
        report.entries += measure(load, profile, present, paths)
      }
    }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    } else {
      print(report.tables)
    }
    if report.entries.allSatisfy(\.rounds.isEmpty) { throw ExitCode(1) }
  }

  /// All rounds of one load; who comes first changes with the round.
  private func measure(_ load: PeerLoad, _ profile: SRTPProfile, _ present: [Peer], _ paths: PeerPaths) -> [PeersReport.Entry] {
    var entries = present.map { PeersReport.Entry(load: load.name, profile: profile.registeredName, peer: $0) }
    for round in 0..<rounds {
      for step in present.indices {
        let index = (step + round) % present.count
        // What has failed twice and never worked will not work in the next round.
        if entries[index].rounds.isEmpty, entries[index].failures.count >= 2 { continue }
        note("\(load.name), \(profile.registeredName), round \(round + 1) of \(rounds): \(present[index].title)")
        do {
          entries[index].rounds.append(try measureOnce(present[index], load, profile, paths))
        } catch {
          note("  \(error)")
          entries[index].failures.append("\(error)")
        }
      }
    }
    return entries
  }

  private func measureOnce(_ peer: Peer, _ load: PeerLoad, _ profile: SRTPProfile, _ paths: PeerPaths) throws -> PeersReport.Round {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("enfilade-peers-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let (server, base) = try peer.start(paths, port: Int.random(in: 20_000..<32_000), folder: folder)
    defer { server.stop() }

    var options = LoadOptions()
    options.subscriberCount = subscribers
    options.duration = .seconds(seconds)
    options.warmUp = .seconds(warmUp)
    options.probeCount = probes
    options.coalescesReceive = gro
    options.profiles = [profile]
    load.apply(to: &options)
    let run = try LoadRun(options, signaling: try peer.signaling.make(base: base, room: options.room))
    var before: ProcessUsage?
    var after: ProcessUsage?
    run.windowBegins = { before = ProcessUsage(of: server.identifier) }
    run.windowEnds = { after = ProcessUsage(of: server.identifier) }
    let result: LoadReport
    do {
      result = try run.run()
    } catch {
      throw ServerFailure(description: "\(error) \(server.lastWords)")
    }
    guard let before, let after else { throw ServerFailure(description: "the server ended: \(server.lastWords)") }
    guard result.rejectedPacketCount == 0, result.unstampedPacketCount == 0 else {
      throw ServerFailure(
        description: "\(result.rejectedPacketCount) packets could not be opened, \(result.unstampedPacketCount) were not ours")
    }
    let processorSeconds = after.processorSeconds(since: before)
    return PeersReport.Round(
      forwardedPacketsPerProcessorSecond: processorSeconds > 0 ? Double(result.receivedPacketCount) / processorSeconds : 0,
      processorSeconds: processorSeconds, userSeconds: after.userSeconds - before.userSeconds,
      systemSeconds: after.systemSeconds - before.systemSeconds, residentByteCount: after.residentByteCount, load: result)
  }

  // MARK: Options

  private func resolvePaths() -> PeerPaths {
    let environment = ProcessInfo.processInfo.environment
    func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }
    return PeerPaths(
      enfilade: absolute(enfilade ?? environment["ENFILADE_MEET"] ?? "Examples/enfilade-meet/.build/release/enfilade-meet"),
      enfiladeShards: enfiladeShards,
      janus: absolute(janus ?? environment["JANUS"] ?? "/usr/bin/janus"),
      janusPreload: absolute(janusPreload ?? environment["JANUS_PRELOAD"] ?? "build/bench/libshow_loopback.so"),
      janusEventLoops: janusEventLoops,
      pion: absolute(pion ?? environment["PION_SFU"] ?? "build/bench/pion-sfu"))
  }

  private static func peers(_ text: String) throws -> [Peer] {
    try list(text) { Peer(rawValue: $0) }
  }

  private static func loads(_ text: String) throws -> [PeerLoad] {
    try list(text) { PeerLoad($0) }
  }

  private static func profiles(_ text: String) throws -> [SRTPProfile] {
    try list(text) { name in SRTPProfile.negotiated.first { $0.shortName == name } }
  }

  private static func list<Element>(_ text: String, _ parse: (String) -> Element?) throws -> [Element] {
    try text.split(separator: ",").map { part in
      guard let element = parse(String(part)) else { throw ValidationError("'\(part)' is not known.") }
      return element
    }
  }

  // MARK: Text

  /// Progress, apart from the result.
  private func note(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }

  private static var machine: String {
    let processor = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n").first {
      $0.hasPrefix("model name")
    }
    let name = processor?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown processor"
    let kernel = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8))?.trimmingCharacters(
      in: .whitespacesAndNewlines)
    return "\(ProcessInfo.processInfo.activeProcessorCount) × \(name), Linux \(kernel ?? "unknown")"
  }
}
