// The answer of `fanout`, as JSON and as a table.

import EnfiladeIO
import EnfiladeWire
import Foundation

/// One measurement: how many packets for how much processor time.
struct ForwardingRound: Codable {
  var packets: Int
  var processorSeconds: Double
  var systemShare: Double

  init(packets: Int, time: ProcessorTime) {
    self.packets = packets
    processorSeconds = time.total.seconds
    systemShare = time.systemShare
  }

  var packetsPerProcessorSecond: Double { Double(packets) / processorSeconds }
  var nanosecondsPerPacket: Double { processorSeconds * 1e9 / Double(packets) }
}

/// What one run of `fanout` found.
struct FanOutReport: Codable {
  var path: String
  var protector: String
  var profile: String
  var shape: RoomShape
  var levelling: Bool
  var segmentation: Bool
  var receivers: String
  var sealedPacketBytes: Int
  var packetsPerMessage: Double
  var engine: [ForwardingRound]
  var floor: [ForwardingRound]
  /// Of the engine's rate to the floor's, in each pair of measurements.
  var ratios: [Double] { zip(engine, floor).map { $0.packetsPerProcessorSecond / $1.packetsPerProcessorSecond } }
  var packetsPerProcessorSecond: Double
  var floorPacketsPerProcessorSecond: Double
  var ratioToFloor: Double
  var systemShare: Double
  var addedLatency: LatencySummary?
  /// From where to where the latency was taken.
  var latencyIs: String
  /// Heap of one subscriber: its link, its keys, its outgoing streams.
  var memoryBytesPerSubscriber: Int?
  /// `nil` where allocations are not counted.
  var mallocsPerPacket: Double?
  var mallocs: Int64?

  mutating func summarize() {
    packetsPerProcessorSecond = median(engine.map(\.packetsPerProcessorSecond))
    floorPacketsPerProcessorSecond = median(floor.map(\.packetsPerProcessorSecond))
    ratioToFloor = median(ratios)
    systemShare = median(engine.map(\.systemShare))
  }

  var text: String {
    var lines = [
      "fanout \(path): \(shape.publishers) publisher(s) × \(shape.subscribers) subscribers, \(shape.packetsPerFrame) packets of \(shape.packetBytes) bytes a frame",
      "  \(profile) by \(protector), levelling \(levelling ? "on" : "off"), GSO \(segmentation ? "on" : "off"), receivers: \(receivers)",
      String(
        format: "  engine         %9.0f packets per CPU-second  (%6.1f ns each, %2.0f %% in the kernel)", packetsPerProcessorSecond,
        1e9 / packetsPerProcessorSecond, systemShare * 100),
      String(
        format: "  floor          %9.0f packets per CPU-second  (%6.1f ns each)", floorPacketsPerProcessorSecond,
        1e9 / floorPacketsPerProcessorSecond),
      String(format: "  ratio          %9.3f  (median of %d: ", ratioToFloor, engine.count)
        + ratios.map { String(format: "%.3f", $0) }.joined(separator: " ") + ")",
      String(format: "  run length     %9.2f packets per message, %d bytes each", packetsPerMessage, sealedPacketBytes),
    ]
    if let addedLatency {
      lines.append(
        String(
          format: "  added latency  %9.0f µs p50, %.0f µs p99, %.0f µs p99.9  (%@)", addedLatency.p50Microseconds,
          addedLatency.p99Microseconds, addedLatency.p999Microseconds, latencyIs))
    }
    if let memoryBytesPerSubscriber {
      lines.append(String(format: "  memory         %9.1f KiB per subscriber", Double(memoryBytesPerSubscriber) / 1_024))
    }
    if let mallocs, let mallocsPerPacket {
      lines.append(String(format: "  mallocs        %9.6f per packet  (%d in all)", mallocsPerPacket, mallocs))
    }
    return lines.joined(separator: "\n")
  }
}

/// Prints a value as JSON, keys in order.
func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
  print(String(decoding: try encoder.encode(value), as: UTF8.self))
}
