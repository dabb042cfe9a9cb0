// Reports that lie: numbers that were never sent, clocks that jump, floods. They may spoil the liar's own picture, and nothing else.

import EnfiladeCongestion
import EnfiladeEngine
import EnfiladeRTP
import EnfiladeTestSupport
import EnfiladeWire
import Foundation
import Testing

@Suite("Hostile feedback")
struct HostileFeedbackTests {
  private static let groups = 8
  private static let seedsPerGroup = Int(ProcessInfo.processInfo.environment["ENFILADE_SEEDS"] ?? "") ?? 2

  @Test("Whatever a peer reports, nothing traps, and its neighbour is served as before", arguments: 0..<groups)
  func seeds(group: Int) {
    for seed in 0..<Self.seedsPerGroup { Self.run(seed: 2_000_000 + UInt64(group * 1000 + seed)) }
  }

  private static func run(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let style: ReportingStyle = [.transportWide, .byStream, .estimate(.kilobitsPerSecond(500))][Int(seed % 3)]
    let world = EngineWorld(seed: seed, slotCount: 4096, congestion: CongestionProfile())
    let publisher = world.addPeer("publisher", publishes: [.audio, .video]) { $0.stream(.video).payloadByteCount = 900 }
    let liar = world.addPeer("liar", receives: [.audio, .video]) { $0.report(style) }
    let honest = world.addPeer("honest", receives: [.audio, .video]) { $0.report(.transportWide) }
    world.connect()
    for subscriber in [liar, honest] { for kind in MediaKind.allCases { world.subscribe(subscriber, to: publisher, kind) } }
    world.run(for: .seconds(Int64(1)))
    // Sometimes it lies beside the truth, sometimes instead of it.
    if random.next() % 2 == 0 { liar.reporting = .nothing }
    for _ in 0..<150 {
      world.run(for: .milliseconds(Int64(random.next() % 40)))
      let isFlood = random.next() % 12 == 0
      for _ in 0..<(isFlood ? 200 : 1) {
        let bytes = lie(style, to: liar, using: &random)
        liar.sendRTCP(in: world) { for byte in bytes { $0.writeUInt8(byte) } }
      }
      if let report = world.engine.downlinkReport(of: liar.link) {
        let estimate = report.congestion.estimate
        #expect(estimate >= CongestionProfile().minimum && estimate <= CongestionProfile().maximum, "seed \(seed)")
        #expect(report.queuedPacketCount <= 2 * Limits.pacerPacketCount, "seed \(seed)")
      }
    }
    world.run(for: .seconds(Int64(1)))
    for kind in MediaKind.allCases {
      let numbers = honest.packets(on: honest.slot(kind)).map(\.index)
      #expect(numbers.count > 80, "seed \(seed)")
      for (one, next) in zip(numbers, numbers.dropFirst()) { #expect(next - one == 1, "seed \(seed)") }
    }
    #expect(world.violations.isEmpty, "seed \(seed): \(world.violations)")
    for peer in world.peers { world.removeLink(of: peer) }
    let census = world.engine.census
    #expect(census == ShardEngine.Census(), "seed \(seed)")
  }

  /// An RTCP packet that may even be well-formed.
  private static func lie(_ style: ReportingStyle, to liar: ScriptedPeer, using random: inout SeededRandom) -> [UInt8] {
    func word() -> UInt32 { UInt32(truncatingIfNeeded: random.next()) }
    let newest = liar.transportNumbers.last?.number ?? 0
    var body: [UInt8] = big(1, 4)
    switch style {
    case .transportWide, .nothing:
      body += big(2, 4)
      let base = random.next() % 2 == 0 ? newest &- UInt16(random.next() % 60) : UInt16(truncatingIfNeeded: random.next())
      var left = Int(random.next() % 4 == 0 ? random.next() % 65_536 : random.next() % 60) + 1
      body += big(UInt64(base), 2) + big(UInt64(left), 2) + big(random.next(), 3) + big(random.next(), 1)
      var deltas: [UInt8] = []
      while left > 0, body.count < 700 {
        let symbol = Int(random.next() % 3)
        let count = min(left, symbol == 0 ? 8191 : Int(random.next() % 60) + 1)
        body += big(UInt64(symbol << 13 | count), 2)
        for _ in 0..<count { deltas += big(random.next(), symbol) }
        left -= count
      }
      body += deltas.prefix(1100 - body.count)
    case .byStream:
      for _ in 0..<Int(random.next() % 4) {
        let slot = liar.slots[Int(random.next() & 1)]
        let count = Int(random.next() % 80)
        let newest = UInt64(bitPattern: liar.received[slot.ssrc]?.last?.index.rawValue ?? 0)
        let begin = UInt16(truncatingIfNeeded: random.next() % 2 == 0 ? random.next() : newest &- 40)
        body += big(UInt64(random.next() % 3 == 0 ? word() : slot.ssrc.rawValue), 4) + big(UInt64(begin), 2) + big(UInt64(count), 2)
        for _ in 0..<count + count % 2 { body += big(random.next() % 2 == 0 ? random.next() : 0x8000 | random.next() % 200, 2) }
      }
      body += big(random.next(), 4)
    case .estimate, .estimateInstead:
      body += big(0, 4) + big(0x5245_4D42, 4) + big(0, 1) + big(random.next(), 3)
    }
    while body.count % 4 != 0 { body.append(0) }
    let (format, type): (UInt8, UInt8) = style == .byStream ? (11, 205) : style == .transportWide ? (15, 205) : (15, 206)
    var packet = [0x80 | format, type] + big(UInt64(body.count / 4), 2) + body
    if random.next() % 10 == 0 { packet[Int(random.next() % UInt64(packet.count))] ^= UInt8(truncatingIfNeeded: random.next()) }
    return packet
  }

  @Test("A flood of reports costs no more than the reports that a receiver needs")
  func flood() {
    let world = EngineWorld(seed: 720, congestion: CongestionProfile())
    let publisher = world.addPeer("publisher", publishes: [.video])
    let liar = world.addPeer("liar", receives: [.video]) { $0.report(.transportWide) }
    world.connect()
    world.subscribe(liar, to: publisher, .video)
    world.run(for: .seconds(Int64(1)))
    // Thirty bytes that speak of 65,535 packets.
    let body = big(1, 4) + big(2, 4) + big(0, 2) + big(65_535, 2) + big(0, 4) + [UInt8](repeating: 0, count: 0)
    let chunks = (0..<8).flatMap { _ in big(0x1FFF, 2) } + big(7, 2) + big(0, 2)
    let packet = [0x8F, 205] + big(UInt64((body.count + chunks.count) / 4), 2) + body + chunks
    let before = world.engine.drops[.feedbackTooOften]
    for _ in 0..<100 {
      for _ in 0..<50 { liar.sendRTCP(in: world) { for byte in packet { $0.writeUInt8(byte) } } }
      world.run(for: .milliseconds(10))
    }
    // Of 5,000 in a second at most those that have been saved up and those that a second allows are looked at.
    let refused = world.engine.drops[.feedbackTooOften] - before
    #expect(refused > 4_700)
    #expect(world.violations.isEmpty)
  }
}
