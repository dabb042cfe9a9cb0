// `enfilade-bench protect`: what one packet's protection costs, by implementation, profile and size.

import ArgumentParser
import EnfiladeIO
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire
import Foundation

struct ProtectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "protect", abstract: "Nanoseconds per packet for each implementation, profile and size, in both directions.")

  @Option(help: "Bytes of the clear RTP packets, separated by commas.") var sizes = "160,500,1100"
  @Option(help: "Sessions that packets are spread over, as over the subscribers of a room.") var sessions = 200
  @Option(help: "Packets handed over in one call.") var batch = 512
  @Option(help: "Seconds of processor time for each measurement.") var seconds = 0.1
  @Option(help: "Measurements of which the middle one is shown.") var rounds = 5
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    _ = try parsedSizes()
    guard sessions >= 1, sessions <= 10_000 else { throw ValidationError("--sessions must be 1 to 10,000") }
    guard batch >= 1, batch <= 1_024 else { throw ValidationError("--batch must be 1 to 1,024") }
    guard seconds > 0, seconds <= 60, rounds >= 1, rounds <= 1_000 else { throw ValidationError("--seconds or --rounds is out of range") }
  }

  private func parsedSizes() throws -> [Int] {
    try sizes.split(separator: ",").map { text in
      guard let size = Int(text), size >= 32, size <= 1_400 else { throw ValidationError("--sizes: each must be 32 to 1,400") }
      return size
    }
  }

  func run() throws {
    var rows: [ProtectionCost] = []
    for backend in ProtectorBackend.allCases where backend != .auto && backend.isAvailable {
      for (name, profile) in SRTPProfile.named {
        for size in try parsedSizes() {
          let bench = try ProtectionBench(backend, profile: profile, packetBytes: size, sessionCount: sessions, batchCount: batch)
          let seal = (0..<rounds).map { _ in bench.measureSeal(seconds: seconds) }
          let open = (0..<rounds).map { _ in bench.measureOpen(seconds: seconds) }
          rows.append(
            ProtectionCost(
              protector: bench.protector.name, profile: name, packetBytes: size, sealNanoseconds: median(seal),
              openNanoseconds: median(open)))
        }
      }
    }
    if json { return try printJSON(rows) }
    print("protect: \(sessions) sessions, \(batch) packets a call, medians of \(rounds)")
    print("  protector   profile                   bytes    seal ns    open ns")
    for row in rows {
      let name = row.protector.padding(toLength: 11, withPad: " ", startingAt: 0)
      let profile = row.profile.padding(toLength: 24, withPad: " ", startingAt: 0)
      print("  \(name) \(profile)" + String(format: " %6d %10.1f %10.1f", row.packetBytes, row.sealNanoseconds, row.openNanoseconds))
    }
  }
}

/// One row of the table.
struct ProtectionCost: Codable {
  var protector: String
  var profile: String
  var packetBytes: Int
  var sealNanoseconds: Double
  var openNanoseconds: Double
}
