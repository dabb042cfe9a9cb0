// enfilade-impair: a bad link on this machine, for tests with real clients.

import ArgumentParser
import EnfiladeIO
import EnfiladeWire
import Foundation

@main
struct ImpairCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enfilade-impair",
    abstract: "Relays UDP between addresses of this machine and loses, delays and reorders what it relays.",
    discussion: "Prints what it did as JSON when it ends: after --seconds, or on SIGTERM or SIGINT.")

  @Option(help: "Where clients send to, as 127.0.0.1:6000 or [::1]:6000.") var listen: String
  @Option(help: "The server behind the link.") var to: String
  @Option(help: "The share of datagrams lost, both ways.") var loss = 0.0
  @Option(help: "The share lost from client to server, instead of --loss.") var lossUp: Double?
  @Option(help: "The share lost from server to client, instead of --loss.") var lossDown: Double?
  @Option(help: "The share of datagrams lost in bursts, both ways.") var burstLoss = 0.0
  @Option(help: "The mean length of a burst, in datagrams.") var burstLength = 5.0
  @Option(help: "One-way delay in milliseconds.") var delayMs = 0.0
  @Option(help: "Up to this much more delay in milliseconds; the order is kept.") var jitterMs = 0.0
  @Option(help: "The share of datagrams that others overtake.") var reorder = 0.0
  @Option(help: "How long an overtaken datagram is held back, in milliseconds.") var reorderMs = 20.0
  @Option(help: "The link's rate in kilobits per second, each way.") var rateKbps: Double?
  @Option(help: "A file with the rate from server to client in kilobits per second, looked at twenty times a second.") var rateFile: String?
  @Option(help: "What the queue before the link holds, in milliseconds at that rate.") var queueMs = 200.0
  @Option(help: "The seed of every decision.") var seed: UInt64 = 1
  @Option(help: "Ends by itself after this many seconds.") var seconds = 600.0

  private func settings(loss share: Double?) -> ImpairmentSettings {
    var settings = ImpairmentSettings()
    settings.loss = share ?? loss
    settings.burstLoss = burstLoss
    settings.burstDatagramCount = burstLength
    settings.delay = .seconds(delayMs / 1_000)
    settings.jitter = .seconds(jitterMs / 1_000)
    settings.reorder = reorder
    settings.reorderDelay = .seconds(reorderMs / 1_000)
    settings.rate = rateKbps.map { .bitsPerSecond(Int64(max(0, min($0, 1e9)) * 1_000)) }
    settings.queue = .seconds(queueMs / 1_000)
    return settings
  }

  func validate() throws {
    for (name, text) in [("--listen", listen), ("--to", to)] {
      guard let address = parseEndpoint(text) else { throw ValidationError("\(name): \(text) is not an address with a port") }
      guard isOwnAddress(address) else { throw ValidationError("\(name): \(text) is not an address of this machine") }
    }
    if let problem = settings(loss: lossUp).problem ?? settings(loss: lossDown).problem { throw ValidationError(problem) }
    guard seconds > 0, seconds <= 86_400 else { throw ValidationError("--seconds must be positive and at most a day") }
  }

  func run() throws {
    guard let listen = parseEndpoint(listen), let server = parseEndpoint(to) else { throw ExitCode.validationFailure }
    let wakeUp = try WakeUp()
    try wakeOnSignal(wakeUp)
    let impairer = try Impairer(
      listen: listen, to: server, up: settings(loss: lossUp), down: settings(loss: lossDown), seed: seed, wakeUp: wakeUp)
    let end = MonotonicClock.now + .seconds(seconds)
    while !impairer.isStopped, MonotonicClock.now < end {
      guard let rateFile else {
        impairer.run(until: end)
        continue
      }
      impairer.setDownRate(try rate(in: rateFile))
      impairer.run(until: min(end, MonotonicClock.now + .milliseconds(50)))
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    print(String(decoding: try encoder.encode(impairer.report), as: UTF8.self))
  }

  private func rate(in file: String) throws -> Bitrate {
    let text = try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
    guard let kilobits = Int64(text), kilobits > 0, kilobits <= 1_000_000_000 else { throw ValidationError("\(file): \(text) is no rate") }
    return .kilobitsPerSecond(kilobits)
  }

  /// SIGTERM and SIGINT become a wake-up: a thread of its own waits for them, so that nothing runs inside a signal handler.
  private func wakeOnSignal(_ wakeUp: WakeUp) throws {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGINT)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    let waited = signals
    _ = try SystemThread(name: "signals") {
      var signals = waited
      var number: Int32 = 0
      while sigwait(&signals, &number) != 0 {}
      wakeUp.signal()
    }
  }
}
