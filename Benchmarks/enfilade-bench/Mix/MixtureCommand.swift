// `enfilade-bench mix`: what a mixture costs, by who speaks and who listens.

import ArgumentParser
import EnfiladeMixing
import EnfiladeOpus
import Foundation

struct MixtureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mix", abstract: "Processor time and allocations of one room's mixture, for numbers of speakers and listeners.")

  @Option(help: "Everybody who speaks, all the time; each of them listens, too. Separated by commas.") var speakers = "1,3,10,50"
  @Option(help: "Everybody who only listens. Separated by commas.") var listeners = "0,50,5000"
  @Option(help: "How many are heard at the same time.") var heard = 3
  @Option(help: "Bits per second of each mixture.") var bitrate = 32_000
  @Option(help: "The encoder's effort, 0…10.") var complexity = 5
  @Option(help: "Seconds of sound for each measurement.") var seconds = 20
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    _ = try numbers(speakers, "--speakers", 0...1_000)
    _ = try numbers(listeners, "--listeners", 0...50_000)
    guard 1...15 ~= heard, 6_000...510_000 ~= bitrate, 0...10 ~= complexity, 1...3_600 ~= seconds else {
      throw ValidationError("--heard, --bitrate, --complexity or --seconds is out of range")
    }
  }

  private func numbers(_ text: String, _ option: String, _ range: ClosedRange<Int>) throws -> [Int] {
    try text.split(separator: ",").map { text in
      guard let number = Int(text), range ~= number else { throw ValidationError("\(option): each must be in \(range)") }
      return number
    }
  }

  func run() throws {
    let settings = EncoderSettings(bitrate: bitrate, complexity: complexity)
    let bench = try MixBench(.init(speakerCount: heard, encoder: settings))
    var rows: [MixCost] = []
    for speakers in try numbers(speakers, "--speakers", 0...1_000) {
      for listeners in try numbers(listeners, "--listeners", 0...50_000) where speakers + listeners > 0 {
        rows.append(try bench.measure(speakers: speakers, listeners: listeners, seconds: seconds))
      }
    }
    if json { return try printJSON(rows) }
    print("mix: the \(heard) loudest heard, Opus at \(bitrate) bit/s, complexity \(complexity), \(seconds) s of sound")
    print("  speakers listeners   µs a tick   share of a core   rooms a core   encodes a tick   mallocs a tick")
    for row in rows {
      print(
        String(
          format: "  %8d %9d %11.1f %16.3f%% %14.0f %16.2f %16.3f", row.speakers, row.listeners, row.microsecondsPerTick,
          row.shareOfCore * 100, row.roomsPerCore, row.encodesPerTick, row.mallocsPerTick))
    }
  }
}
