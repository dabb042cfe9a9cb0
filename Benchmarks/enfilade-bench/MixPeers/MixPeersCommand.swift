// `enfilade-bench mix-peers`: the same voices mixed by Enfilade and by Janus AudioBridge, by turns, each in a fresh process.

import ArgumentParser
import Foundation

struct MixPeersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mix-peers",
    abstract: "Compares what mixing costs Enfilade and Janus AudioBridge, and what it does to forwarding.",
    discussion: """
      Everybody speaks plain RTP over loopback; Opus is 48 kHz mono at the same bit rate and complexity for both, without forward error \
      correction. Counted is the processor time of the server's process (proc(5)). Enfilade mixes the loudest, Janus everybody.
      """)

  @Option(help: "Who speak all the time, and hear each other.") var speakers = 20
  @Option(help: "Who only listen, to three who speak.") var listeners = 60
  @Option(help: "Who are in the room where nobody speaks.") var idle = 50
  @Option(help: "Mixtures beside a room that is forwarded, each of two who speak.") var mixes = 100
  @Option(help: "Who listen in the room that is forwarded.") var forwarded = 20
  @Option(help: "How many are heard at the same time.") var heard = 3
  @Option(help: "Bits per second of each mixture.") var bitrate = 32_000
  @Option(help: "The encoder's effort, 0…10.") var complexity = 5
  @Option(help: "Seconds of each measurement.") var seconds = 8.0
  @Option(help: "Seconds of sound before it.") var warmUp = 2.0
  @Option(help: "How often each is measured; the median is told.") var rounds = 3
  @Option(help: "Threads that carry the media of Enfilade.") var shards = 2
  @Option(help: "The program janus; nothing else is measured of it if it is not there.") var janus = "/usr/bin/janus"

  func validate() throws {
    guard 1...100 ~= speakers, 1...1_000 ~= listeners, 1...1_000 ~= idle, 1...200 ~= mixes, 1...200 ~= forwarded, 1...15 ~= heard,
      6_000...510_000 ~= bitrate, 0...10 ~= complexity, 1...60 ~= seconds, 0...10 ~= warmUp, 1...9 ~= rounds, 1...64 ~= shards
    else { throw ValidationError("A number is out of range.") }
  }

  private enum Server: String { case enfilade = "Enfilade", janus = "Janus" }

  private struct Sample {
    var usedSeconds: Double
    var traffic: MixTraffic
  }

  // MARK: Measuring

  private func room(_ speakers: Int, _ listeners: Int, name: String = "mix") -> [MixParty] {
    (0..<speakers + listeners).map { MixParty(room: name, port: 0, speaks: $0 < speakers) }
  }

  private func measure(_ server: Server, _ parties: [MixParty]) throws -> Sample {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("enfilade-mix-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let load = try MixLoad(count: parties.count)
    var parties = parties
    for index in parties.indices { parties[index].port = load.ports[index] }
    let plan = MixPlan(
      quality: .init(bitrate: bitrate, complexity: complexity), heard: heard, shards: shards, lifetime: warmUp + seconds + 60,
      parties: parties)
    let process: ServerProcess
    let destinations: [Int]
    switch server {
    case .enfilade:
      let (question, reply) = (folder.appendingPathComponent("plan.json"), folder.appendingPathComponent("ports.json"))
      try JSONEncoder().encode(plan).write(to: question)
      process = try ServerProcess(
        "/proc/self/exe".resolvingLink, ["mix-server", "--plan", question.path, "--reply", reply.path], folder: folder, writes: reply)
      destinations = try JSONDecoder().decode([Int].self, from: Data(contentsOf: reply))
    case .janus:
      let port = Int.random(in: 20_000..<30_000)
      guard let base = URL(string: "http://127.0.0.1:\(port)/janus"), let ready = URL(string: "http://127.0.0.1:\(port)/janus/info") else {
        throw ServerFailure(description: "bad port \(port)")
      }
      let configuration = try JanusFolder.write(
        to: folder, port: port, eventLoops: 0, plugin: "audiobridge", settings: [#"local_ip = "127.0.0.1""#])
      process = try ServerProcess(
        janus, ["--configs-folder=\(configuration.path)", "--config=\(configuration.path)/janus.jcfg", "--disable-colors"],
        folder: folder, ready: ready)
      var bridge = AudioBridge(base: base)
      destinations = try bridge.join(plan)
    }
    defer { process.stop() }
    var before: ProcessUsage?
    var after: ProcessUsage?
    let traffic = load.run(parties, to: destinations, warmUp: warmUp, seconds: seconds) {
      before = ProcessUsage(of: process.identifier)
    } ends: {
      after = ProcessUsage(of: process.identifier)
    }
    guard let before, let after else { throw ServerFailure(description: "\(server.rawValue) is gone: \(process.lastWords)") }
    return Sample(usedSeconds: after.processorSeconds(since: before), traffic: traffic)
  }

  /// The one in the middle, by processor time.
  private func median(_ samples: [Sample]) -> Sample { samples.sorted { $0.usedSeconds < $1.usedSeconds }[samples.count / 2] }

  /// By turns, so that what else runs on the machine meets both.
  private func measure(_ servers: [Server], _ parties: [MixParty], times: Int) throws -> [Server: Sample] {
    var samples: [Server: [Sample]] = [:]
    for _ in 0..<times {
      for server in servers { samples[server, default: []].append(try measure(server, parties)) }
    }
    return samples.mapValues(median)
  }

  // MARK: Telling

  func run() throws {
    let servers: [Server] = FileManager.default.isExecutableFile(atPath: janus) ? [.enfilade, .janus] : [.enfilade]
    print("mix-peers: Opus 48 kHz mono, \(bitrate) bit/s, complexity \(complexity), no FEC; plain RTP; \(rounds) rounds of \(seconds) s")
    print("  what                                       server     % of a core   per core   packets a second out (wanted)")
    let speaking = try measure(servers, room(speakers, 0), times: rounds)
    for server in servers { tell("\(speakers) who all speak and listen", server, speaking[server], people: speakers, hearing: speakers) }
    let base = try measure(servers, room(3, 0), times: rounds)
    let listening = try measure(servers, room(3, listeners), times: rounds)
    var marginal: [Server: Double] = [:]
    for server in servers {
      tell("3 who speak", server, base[server], people: 3, hearing: 3)
      tell("3 who speak, \(listeners) who listen", server, listening[server], people: listeners, hearing: listeners + 3)
      if let with = listening[server], let without = base[server] {
        let more = max(1e-6, with.usedSeconds - without.usedSeconds)
        marginal[server] = more
        let (share, perCore) = (more / seconds * 100, Double(listeners) * seconds / more)
        print("    of that the \(listeners) who listen: " + String(format: "%.2f %% of a core, %.0f per core", share, perCore))
      }
    }
    let resting = try measure(servers, room(0, idle), times: 1)
    for server in servers { tell("\(idle) of whom nobody speaks", server, resting[server], people: idle, hearing: 0) }
    if speaking.values.contains(where: { Double($0.traffic.receivedCount) / seconds < Double(speakers * 50) * 0.9 }) {
      print("ratio, who speak: none, because not everybody was sent what they wanted")
    } else if let ours = speaking[.enfilade], let theirs = speaking[.janus] {
      print(String(format: "ratio, who speak: %.1f times as many per core", theirs.usedSeconds / ours.usedSeconds))
    }
    let heard = listening.values.map { Double($0.traffic.receivedCount) / seconds / Double((listeners + 3) * 50) }
    if heard.contains(where: { $0 < 0.9 }) {
      print("ratio, who only listen: none, because not everybody was sent what they wanted")
    } else if let ours = marginal[.enfilade], let theirs = marginal[.janus] {
      print(String(format: "ratio, who only listen: %.1f times as many per core", theirs / ours))
    }
    try compareForwarding()
  }

  private func tell(_ what: String, _ server: Server, _ sample: Sample?, people: Int, hearing: Int) {
    guard let sample else { return }
    let share = sample.usedSeconds / seconds
    let perCore = Double(people) / max(1e-6, share)
    print(
      "  \(what.padding(toLength: 42, withPad: " ", startingAt: 0)) \(server.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0))"
        + String(
          format: "%11.3f %10.0f   %.0f (%d)", share * 100, perCore, Double(sample.traffic.receivedCount) / seconds, hearing * 50))
  }

  /// A room of plain transports that hear each voice as it was sent, alone and beside mixtures on the same shards.
  private func compareForwarding() throws {
    var alone = [MixParty(room: "forwarded", port: 0, speaks: true, isMixed: false)]
    alone += (0..<forwarded).map { _ in MixParty(room: "forwarded", port: 0, speaks: false, isMixed: false) }
    let busy = alone + (0..<mixes).flatMap { room(2, 0, name: "mix \($0)") }
    for (name, parties) in [("alone", alone), ("beside \(mixes) mixes of two", busy), ("alone", alone)] {
      let sample = try measure(.enfilade, parties)
      let latency = sample.traffic.latency
      guard !latency.isEmpty else { throw ServerFailure(description: "nothing was forwarded") }
      let at = { (part: Double) in latency[min(latency.count - 1, Int(Double(latency.count) * part))] }
      print(
        String(
          format: "forwarded to %d, %@: p50 %.0f µs, p99 %.0f µs, p99.9 %.0f µs (%d packets; %.1f %% of a core)", forwarded, name, at(0.5),
          at(0.99), at(0.999), latency.count, sample.usedSeconds / seconds * 100))
    }
  }
}

extension String {
  /// Where a symbolic link points to; the same text where it is none.
  fileprivate var resolvingLink: String { (try? FileManager.default.destinationOfSymbolicLink(atPath: self)) ?? self }
}
