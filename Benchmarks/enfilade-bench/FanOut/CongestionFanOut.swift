// `fanout --in-process --congestion`: what estimation and pacing cost for each packet, beside the same room without.

import CAllocationCounter
import EnfiladeCongestion
import EnfiladeEngine
import EnfiladeIO
import EnfiladeLoad
import EnfiladeSRTP
import EnfiladeTransport
import EnfiladeWire

/// Three rooms of one shape, measured in turns: without congestion control; without it, and with the reports that come with it, which nobody
/// reads; and with both. Frames are a thirtieth of a second apart in the engine's time, so that reports are as frequent as they are: one of each
/// subscriber for every two frames.
final class CongestionFanOut {
  enum SideName: String {
    case off
    case unread
    case on
  }

  private struct Side: ~Copyable {
    var world: InProcessEngine
    let frames: SealedFrames
    let reports: ArrivalReports?
  }

  /// One side's share of a measurement.
  struct Round: Codable {
    /// Packets sent.
    var packets: Int
    /// Sending, and taking in reports.
    var sendingNanoseconds: Double
    var reportsNanoseconds: Double
    var mallocs: Int64

    var sendingPerPacket: Double { sendingNanoseconds / Double(packets) }
    var allPerPacket: Double { (sendingNanoseconds + reportsNanoseconds) / Double(packets) }
  }

  struct Report: Codable {
    var shape: RoomShape
    var off: [Round]
    var unread: [Round]
    var on: [Round]

    var text: String {
      let plain = median(off.map(\.allPerPacket))
      let deaf = median(unread.map(\.allPerPacket))
      let sending = median(on.map(\.sendingPerPacket))
      let all = median(on.map(\.allPerPacket))
      func ratio(_ side: [Round], _ base: [Round], _ value: (Round) -> Double) -> String {
        "× \(rounded(median(zip(side, base).map { value($0) / $1.allPerPacket }), 3))"
      }
      return """
        fanout in-process: \(shape.publishers) publisher(s) × \(shape.subscribers) subscribers, \(shape.packetsPerFrame) packets of \(shape.packetBytes) bytes a frame
          without congestion control        \(rounded(plain)) ns a packet
          without it, reports come unread   \(rounded(deaf)) ns a packet   (\(ratio(unread, off, \.allPerPacket)))
          with it, sending                  \(rounded(sending)) ns a packet   (\(ratio(on, off, \.sendingPerPacket)))
          with it, reports taken in         \(rounded(all)) ns a packet   (\(ratio(on, off, \.allPerPacket)); \(ratio(on, unread, \.allPerPacket)) of reports unread)
          mallocs                           \(on.map(\.mallocs).reduce(0, +)) with, \(off.map(\.mallocs).reduce(0, +)) without
        """
    }

    private func rounded(_ value: Double, _ digits: Int = 1) -> Double {
      let scale = digits == 1 ? 10.0 : 1000
      return (value * scale).rounded() / scale
    }
  }

  private let shape: RoomShape
  private var off: Side
  private var unread: Side
  private var on: Side
  static let frameInterval = TimeDelta.microseconds(33_333)
  /// Frames between two reports: 67 ms, between the 50 and the 100 of receivers in use.
  private static let framesPerReport = 2

  init(_ shape: RoomShape, profile: SRTPProfile, levelsRuns: Bool, makeProtector: () throws -> any PacketProtector) throws {
    self.shape = shape
    off = try Self.makeSide(shape, profile, levelsRuns, isControlled: false, sendsReports: false, makeProtector)
    unread = try Self.makeSide(shape, profile, levelsRuns, isControlled: false, sendsReports: true, makeProtector)
    on = try Self.makeSide(shape, profile, levelsRuns, isControlled: true, sendsReports: true, makeProtector)
  }

  private static func makeSide(
    _ shape: RoomShape, _ profile: SRTPProfile, _ levelsRuns: Bool, isControlled: Bool, sendsReports: Bool,
    _ makeProtector: () throws -> any PacketProtector
  ) throws -> Side {
    var random = SeededRandom(seed: 1)
    let room = Room(shape, profile: profile, using: &random) { SocketAddress(ipv4: 0x0A00_0000 + UInt32($0), port: 5_000) }
    let peers = try makeProtector()
    // Enough for all that is sent, from the beginning: what is measured is the steady state.
    var congestion = CongestionProfile()
    let rate = Int64(shape.publishers * shape.packetsPerFrame * shape.packetBytes * 8 * 30)
    congestion.start = .bitsPerSecond(rate * 2)
    congestion.maximum = .bitsPerSecond(rate * 4)
    let frames = try SealedFrames(room, frameLimit: framesPerReport, protector: peers)
    let sections = try SubscriberReports(room, protector: peers)
    var world = InProcessEngine(
      room, protector: try makeProtector(), profile: profile, levelsRuns: levelsRuns, seed: 1, frameInterval: frameInterval,
      congestion: isControlled ? congestion : nil, countsMessages: true)
    world.addPublishers()
    world.addSubscribers()
    world.start(frames, reports: sections)
    return Side(world: world, frames: frames, reports: sendsReports ? try ArrivalReports(room, protector: peers) : nil)
  }

  /// Makes the reports on what was sent last, and the next frames to send: outside of what is measured.
  private static func prepare(_ side: inout Side) {
    side.world.keepConsent()
    side.frames.fill(frameCount: framesPerReport)
    side.reports?.note(side.world.sentMessages.span)
    side.world.forgetMessages()
    side.reports?.fill()
  }

  /// Forwards for `seconds` of processor time.
  private static func measure(_ side: inout Side, seconds: Double) -> Round {
    let packetsBefore = side.world.engine.traffic.packetsOut
    let thread = enfilade_thread_number()
    var sending = ProcessorTime.zero
    var reporting = ProcessorTime.zero
    var mallocs: Int64 = 0
    while (sending.total + reporting.total).seconds < seconds {
      prepare(&side)
      let mallocsBefore = enfilade_allocation_count(thread)
      let before = ProcessorTime.ofThisThread
      if let reports = side.reports { side.world.report(reports) }
      let between = ProcessorTime.ofThisThread
      side.world.forward(side.frames)
      let after = ProcessorTime.ofThisThread
      mallocs += enfilade_allocation_count(thread) - mallocsBefore
      reporting += between - before
      sending += after - between
    }
    return Round(
      packets: Int(side.world.engine.traffic.packetsOut - packetsBefore), sendingNanoseconds: sending.total.seconds * 1e9,
      reportsNanoseconds: reporting.total.seconds * 1e9, mallocs: mallocs)
  }

  /// Forwards a given number of packets on one side and nothing else, for a profiler; see `Benchmarks/callgrind`.
  func forwardOnly(_ side: SideName, packets: Int) -> Int {
    switch side {
    case .off: Self.forwardOnly(&off, packets: packets)
    case .unread: Self.forwardOnly(&unread, packets: packets)
    case .on: Self.forwardOnly(&on, packets: packets)
    }
  }

  private static func forwardOnly(_ side: inout Side, packets: Int) -> Int {
    let before = side.world.engine.traffic.packetsOut
    while Int(side.world.engine.traffic.packetsOut - before) < packets {
      prepare(&side)
      if let reports = side.reports { side.world.report(reports) }
      side.world.forward(side.frames)
    }
    return Int(side.world.engine.traffic.packetsOut - before)
  }

  func run(seconds: Double, rounds: Int) -> Report {
    _ = Self.measure(&off, seconds: 1)
    _ = Self.measure(&unread, seconds: 1)
    _ = Self.measure(&on, seconds: 1.5)
    var report = Report(shape: shape, off: [], unread: [], on: [])
    for _ in 0..<rounds {
      report.off.append(Self.measure(&off, seconds: seconds))
      report.on.append(Self.measure(&on, seconds: seconds))
      report.unread.append(Self.measure(&unread, seconds: seconds))
    }
    return report
  }
}
