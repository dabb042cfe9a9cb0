// `enfilade-bench window`: what it buys when packets wait for company, and what they pay for it.

import ArgumentParser
import EnfiladeIO
import EnfiladeLoad
import EnfiladeWire
import Foundation
import Synchronization

struct WindowCommand: ParsableCommand, Sendable {
  static let configuration = CommandConfiguration(
    commandName: "window",
    abstract: "Cost and latency at a given load, with the flush window off and on, in turn.",
    discussion: """
      The load has the shape that Chromium's traffic has: packets of a frame differ by a byte and come 30 to 100 µs apart. How many frames a \
      second make the wanted load is found first, with the window off. Both then carry the same frames.
      """)

  @OptionGroup var options: FanOutOptions
  @Option(help: "The share of a second that the shard's thread is to be busy with the window off.") var load = 0.5
  @Option(help: "The longest that a packet may wait, in microseconds.") var longestWait = 1_000

  func validate() throws {
    guard load > 0.01, load < 0.95 else { throw ValidationError("--load must be 0.01 to 0.95") }
    guard longestWait > 0, longestWait <= 10_000 else { throw ValidationError("--longest-wait must be 1 to 10,000") }
    guard options.publishers == 1 else { throw ValidationError("one publisher is enough here") }
  }

  /// What was measured with one setting.
  struct Side: Codable {
    var rounds: [ForwardingRound] = []
    var messages: UInt64 = 0
    var latencies: [LatencySummary] = []

    var packetsPerMessage: Double { Double(rounds.reduce(0) { $0 + $1.packets }) / Double(messages) }

    mutating func add(_ measured: (round: ForwardingRound, messages: UInt64, latencies: LatencyHistogram)) {
      rounds.append(measured.round)
      messages += measured.messages
      latencies.append(LatencySummary(measured.latencies))
    }

    func row(_ name: String, of seconds: Double) -> String {
      String(
        format: "  %@ %12.0f %12.2f %9.0f %9.0f %9.1f", name.padding(toLength: 8, withPad: " ", startingAt: 0),
        median(rounds.map(\.packetsPerProcessorSecond)), packetsPerMessage, median(latencies.map(\.p50Microseconds)),
        median(latencies.map(\.p99Microseconds)), median(rounds.map { $0.processorSeconds / seconds * 100 }))
    }
  }

  struct Report: Codable {
    var shape: RoomShape
    var profile: String
    var framesPerSecond: Double
    var off: Side
    var on: Side
  }

  /// On a processor of its own, beside the shard's: a feeder that spins would otherwise be the very thing that the shard waits for.
  func run() throws {
    let result = Mutex<(any Error)?>(nil)
    let thread = try SystemThread(name: "feeder", processor: 1) {
      do { try measure() } catch { result.withLock { $0 = error } }
    }
    thread.join()
    if let error = result.withLock({ $0 }) { throw error }
  }

  private func measure() throws {
    var shape = options.shape
    shape.unevenBytes = max(1, shape.unevenBytes)
    let gaps = VideoShape(bitrate: .zero).gapNanoseconds
    func bench(_ wait: TimeDelta) throws -> SocketFanOut {
      try SocketFanOut(
        shape, profile: options.srtpProfile(), levelsRuns: options.levelling, settings: SocketSettings(pinsShard: true, longestWait: wait)
      ) { try options.makePacketProtector() }
    }
    let (off, on) = (try bench(.zero), try bench(.microseconds(Int64(longestWait))))
    defer {
      off.stop()
      on.stop()
    }
    off.warmUp()
    on.warmUp()
    var framesPerSecond = 100.0
    for _ in 0..<3 {
      let trial = try off.measureLoad(framesPerSecond: framesPerSecond, seconds: 0.5, gaps: gaps).round
      let frames = Double(trial.packets) / Double(shape.forwardedPerFrame)
      framesPerSecond = min(load / (trial.processorSeconds / max(1, frames)), 5_000)
    }
    var report = Report(shape: shape, profile: options.profile, framesPerSecond: framesPerSecond, off: Side(), on: Side())
    for _ in 0..<options.rounds {
      report.off.add(try off.measureLoad(framesPerSecond: framesPerSecond, seconds: options.seconds, gaps: gaps))
      report.on.add(try on.measureLoad(framesPerSecond: framesPerSecond, seconds: options.seconds, gaps: gaps))
    }
    if options.json { return try printJSON(report) }
    print(
      String(
        format: "window: %d subscribers, %.0f frames a second of %d packets, %@, medians of %d", shape.subscribers, framesPerSecond,
        shape.packetsPerFrame, options.profile, options.rounds))
    print("  window    packets/CPU-s  packets/msg    p50 µs    p99 µs    busy %")
    print(report.off.row("off", of: options.seconds))
    print(report.on.row("on", of: options.seconds))
  }
}
