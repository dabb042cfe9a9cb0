// `fanout --congestion`: what estimation and pacing cost over loopback, at the rate of a call.

import EnfiladeCongestion
import EnfiladeLoad
import EnfiladeWire
import Foundation

/// Three shards with a room of one shape each, in turns: without congestion control; without it, and with the reports that come with it, which
/// nobody reads; and with both. Frames come thirty times a second, so timers and reports are as frequent for each packet as they are in a
/// call; the load is made by the number of subscribers.
struct PacedComparison: Codable {
  var shape: RoomShape
  var off: [ForwardingRound] = []
  var unread: [ForwardingRound] = []
  var on: [ForwardingRound] = []

  static let framesPerSecond = 30.0

  static func run(
    _ make: (CongestionProfile?, _ sendsReports: Bool) throws -> SocketFanOut, shape: RoomShape, seconds: Double, rounds: Int
  ) throws -> PacedComparison {
    var profile = CongestionProfile()
    let rate = Int64(Double(shape.publishers * shape.packetsPerFrame * shape.packetBytes * 8) * framesPerSecond)
    profile.start = .bitsPerSecond(rate * 2)
    profile.maximum = .bitsPerSecond(rate * 4)
    let off = try make(nil, false)
    defer { off.stop() }
    let unread = try make(nil, true)
    defer { unread.stop() }
    let on = try make(profile, true)
    defer { on.stop() }
    // Only the readers of the side that is measured run: six hundred sockets that are looked at again and again would leave no processor to it.
    for side in [off, unread, on] { side.rest() }
    _ = try off.measurePaced(framesPerSecond: framesPerSecond, seconds: 2)
    _ = try unread.measurePaced(framesPerSecond: framesPerSecond, seconds: 2)
    _ = try on.measurePaced(framesPerSecond: framesPerSecond, seconds: 4)
    var report = PacedComparison(shape: shape)
    for _ in 0..<rounds {
      report.off.append(try off.measurePaced(framesPerSecond: framesPerSecond, seconds: seconds))
      report.on.append(try on.measurePaced(framesPerSecond: framesPerSecond, seconds: seconds))
      report.unread.append(try unread.measurePaced(framesPerSecond: framesPerSecond, seconds: seconds))
    }
    return report
  }

  /// Of two sides' costs, in each round.
  private static func ratio(_ side: [ForwardingRound], _ base: [ForwardingRound]) -> String {
    String(format: "× %.3f", median(zip(side, base).map { $0.nanosecondsPerPacket / $1.nanosecondsPerPacket }))
  }

  var text: String {
    func line(_ name: String, _ rounds: [ForwardingRound]) -> String {
      String(
        format: "  %@ %7.1f ns a packet", name.padding(toLength: 38, withPad: " ", startingAt: 0),
        median(rounds.map(\.nanosecondsPerPacket)))
    }
    // Where receivers starve, links are taken for full, and what is compared is not the same any more.
    let carried = Double(on.reduce(0) { $0 + $1.packets }) / Double(max(1, off.reduce(0) { $0 + $1.packets }))
    let share = Int(carried * 100)
    let remark = carried < 0.97 ? "\n  not comparable: too busy a machine, only \(share) % of the packets were let through" : ""
    return """
      fanout over loopback at \(Int(Self.framesPerSecond)) frames a second: \(shape.publishers) publisher(s) × \(shape.subscribers) subscribers, \(shape.packetsPerFrame) packets of \(shape.packetBytes) bytes a frame
      \(line("without congestion control", off))
      \(line("without it, reports come unread", unread))   (\(Self.ratio(unread, off)))
      \(line("with it, and with reports", on))   (\(Self.ratio(on, off)); \(Self.ratio(on, unread)) of reports unread)\(remark)
      """
  }
}
