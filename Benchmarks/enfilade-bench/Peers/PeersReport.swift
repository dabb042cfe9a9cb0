// What was measured of the peers, as JSON and as a table.

import EnfiladeLoad
import Foundation

/// All rounds of a comparison.
struct PeersReport: Codable, Sendable {
  /// One server under one load, once.
  struct Round: Codable, Sendable {
    var forwardedPacketsPerProcessorSecond: Double
    var processorSeconds: Double
    var userSeconds: Double
    var systemSeconds: Double
    var residentByteCount: Int
    var load: LoadReport

    var latency: LoadReport.Latency? { load.videoLatency ?? load.audioLatency }
    /// Packets that did not arrive, of those that should have.
    var missingRatio: Double { max(0, 1 - load.deliveredRatio) }
  }

  /// One server under one load.
  struct Entry: Codable, Sendable {
    var load: String
    var profile: String
    var peer: Peer
    var rounds: [Round] = []
    /// Why rounds are missing.
    var failures: [String] = []

    func median(_ value: (Round) -> Double?) -> Double? {
      let values = rounds.compactMap(value).sorted()
      guard !values.isEmpty else { return nil }
      let middle = values.count / 2
      return values.count % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2
    }
  }

  var machine: String
  var subscriberCount: Int
  var secondsPerRound: Double
  var entries: [Entry] = []
  /// Peers that could not be measured, and why.
  var absent: [String: String] = [:]

  /// One table for each load and profile.
  var tables: String {
    var text = "\(machine)\nOne publisher, \(subscriberCount) subscribers; medians of the rounds.\n"
    var seen: [String] = []
    for entry in entries where !seen.contains("\(entry.load) \(entry.profile)") {
      seen.append("\(entry.load) \(entry.profile)")
      text += "\n\(entry.load), \(entry.profile)\n"
      text += table(of: entries.filter { $0.load == entry.load && $0.profile == entry.profile })
    }
    for (peer, reason) in absent.sorted(by: { $0.key < $1.key }) { text += "\nNot measured: \(peer): \(reason)" }
    return text
  }

  private func table(of group: [Entry]) -> String {
    let own = group.first { $0.peer == .enfilade }?.median { $0.forwardedPacketsPerProcessorSecond }
    var rows = [
      [
        "server", "packets/CPU-s", "µs/packet", "user", "system", "Enfilade is", "p50 µs", "p99 µs", "RSS MiB", "missing", "client CPU",
        "rounds",
      ]
    ]
    for entry in group {
      func cell(_ format: String, _ value: (Round) -> Double?) -> String {
        entry.median(value).map { String(format: format, $0) } ?? "–"
      }
      let rate = entry.median { $0.forwardedPacketsPerProcessorSecond }
      var ratio = "–"
      if let own, let rate, rate > 0, entry.peer != .enfilade { ratio = String(format: "%.1f×", own / rate) }
      rows.append([
        entry.peer.title, cell("%.0f") { $0.forwardedPacketsPerProcessorSecond },
        rate.map { String(format: "%.2f", 1e6 / $0) } ?? "–",
        cell("%.0f %%") { $0.userSeconds / max(1e-9, $0.userSeconds + $0.systemSeconds) * 100 },
        cell("%.0f %%") { $0.systemSeconds / max(1e-9, $0.userSeconds + $0.systemSeconds) * 100 }, ratio,
        cell("%.0f") { $0.latency?.p50Microseconds }, cell("%.0f") { $0.latency?.p99Microseconds },
        cell("%.0f") { Double($0.residentByteCount) / 1_048_576 }, cell("%.3f %%") { $0.missingRatio * 100 },
        cell("%.1f %%") { $0.load.clientProcessorSeconds / max(1e-9, $0.load.seconds) * 100 }, "\(entry.rounds.count)",
      ])
    }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    var text = ""
    for row in rows {
      let cells = row.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        return column == 0 ? cell + padding : padding + cell
      }
      text += "  " + cells.joined(separator: "  ") + "\n"
    }
    for entry in group {
      for failure in Set(entry.failures).sorted() { text += "  \(entry.peer.title): \(failure)\n" }
    }
    return text
  }
}
