// `enfilade-bench scale`: cost per packet against load, as a table and as a picture.

import ArgumentParser
import EnfiladeIO
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire
import Foundation

struct ScaleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scale",
    abstract: "Cost per forwarded packet over the number of subscribers and of shards.",
    discussion:
      "Each shard is an engine on a thread of its own with a room of its own, so that what is shown is what shards cost one another.")

  @Option(help: "Numbers of subscribers in each room, separated by commas.") var subscribers = "10,20,50,100,200,500,1000,2000"
  @Option(help: "The most shards; one to this many are measured.") var shards = 1
  @Option(help: "Bytes of the clear RTP packet as published, header included.") var packetBytes = 1_100
  @Option(help: "Packets of a frame; they arrive together.") var packetsPerFrame = 8
  @Option(help: "AEAD_AES_128_GCM, AEAD_AES_256_GCM or AES_CM_128_HMAC_SHA1_80.") var profile = "AEAD_AES_128_GCM"
  @Option(help: "auto, libsrtp or multiBuffer.") var protector = "auto"
  @Option(help: "Seconds of processor time for each measurement.") var seconds = 0.3
  @Option(help: "Measurements of which the middle one is shown.") var rounds = 5
  @Option(help: "Write the curve to this file, as SVG.") var svg: String?
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    guard try !counts().isEmpty else { throw ValidationError("--subscribers names nothing") }
    guard shards >= 1, shards <= 64 else { throw ValidationError("--shards must be 1 to 64") }
    for count in try counts() { try options(count).validate() }
  }

  private func counts() throws -> [Int] {
    try subscribers.split(separator: ",").map { text in
      guard let count = Int(text) else { throw ValidationError("--subscribers: \(text) is not a number") }
      return count
    }
  }

  private func options(_ subscribers: Int) throws -> FanOutOptions {
    try FanOutOptions.parse([
      "--subscribers", "\(subscribers)", "--packet-bytes", "\(packetBytes)", "--packets-per-frame", "\(packetsPerFrame)", "--profile",
      profile, "--protector", protector, "--seconds", "\(seconds)", "--rounds", "\(rounds)",
    ])
  }

  func run() throws {
    var points: [ScalePoint] = []
    for shardCount in 1...shards {
      for count in try counts() { points.append(try measure(count, shards: shardCount)) }
    }
    if let svg { try ScaleChart(points, title: profile).svg.write(toFile: svg, atomically: true, encoding: .utf8) }
    if json { return try printJSON(points) }
    print("scale: \(packetsPerFrame) packets of \(packetBytes) bytes a frame, \(profile), medians of \(rounds), in process")
    print("  shards  subscribers   ns/packet   floor ns   packets/CPU-s   KiB/subscriber")
    for point in points {
      print(
        String(
          format: "  %6d %12d %11.1f %10.1f %15.0f %16.1f", point.shards, point.subscribers, point.nanosecondsPerPacket,
          point.floorNanosecondsPerPacket, 1e9 / point.nanosecondsPerPacket, point.kibibytesPerSubscriber ?? .nan))
    }
  }

  /// All shards at once; the cost is the mean over them.
  private func measure(_ subscribers: Int, shards shardCount: Int) throws -> ScalePoint {
    let options = try options(subscribers)
    let workers = try (0..<shardCount).map { index in try ScaleWorker(options, index: index) }
    let threads = try workers.dropFirst().map { worker in try SystemThread(name: "scale") { worker.run() } }
    workers[0].run()
    for thread in threads { thread.join() }
    let points = workers.map(\.result)
    func mean(_ value: (ScalePoint) -> Double) -> Double { points.map(value).reduce(0, +) / Double(points.count) }
    return ScalePoint(
      shards: shardCount, subscribers: subscribers, nanosecondsPerPacket: mean(\.nanosecondsPerPacket),
      floorNanosecondsPerPacket: mean(\.floorNanosecondsPerPacket), kibibytesPerSubscriber: points[0].kibibytesPerSubscriber)
  }
}

/// One point of the curve.
struct ScalePoint: Codable {
  var shards: Int
  var subscribers: Int
  var nanosecondsPerPacket: Double
  var floorNanosecondsPerPacket: Double
  var kibibytesPerSubscriber: Double?
}

/// One shard's engine on its thread. Made on one thread, run on another, read after that one has ended.
final class ScaleWorker: @unchecked Sendable {
  private let bench: InProcessFanOut
  private let options: FanOutOptions
  private(set) var result: ScalePoint

  init(_ options: FanOutOptions, index: Int) throws {
    self.options = options
    bench = try InProcessFanOut(options.shape, profile: options.srtpProfile(), levelsRuns: options.levelling, seed: UInt64(index + 1)) {
      try options.makePacketProtector()
    }
    result = ScalePoint(
      shards: 1, subscribers: options.subscribers, nanosecondsPerPacket: .nan, floorNanosecondsPerPacket: .nan,
      kibibytesPerSubscriber: bench.memoryBytesPerSubscriber.map { Double($0) / 1_024 })
  }

  func run() {
    bench.warmUp()
    var engine: [Double] = []
    var floor: [Double] = []
    for _ in 0..<options.rounds {
      engine.append(bench.measureEngine(seconds: options.seconds).round.nanosecondsPerPacket)
      floor.append(bench.measureFloor(seconds: options.seconds).nanosecondsPerPacket)
    }
    result.nanosecondsPerPacket = median(engine)
    result.floorNanosecondsPerPacket = median(floor)
  }
}
