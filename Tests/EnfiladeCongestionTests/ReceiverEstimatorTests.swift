// What a publisher is told that takes nothing but one number: it must follow the path, whatever the publisher's clock says.

import EnfiladeCongestion
import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("The receiver's estimate (draft-alvestrand-rmcat-remb-03)")
struct ReceiverEstimatorTests {
  /// A publisher that sends frames at the rate it was told last, over a path that queues.
  private struct Path: ~Copyable {
    var estimator = ReceiverEstimator(maximum: .megabitsPerSecond(5))
    var random: SeededRandom
    /// Bits per second.
    var capacity = 800_000.0
    /// Of what the encoder was told it makes so much.
    var obedience = 1.0
    var clock = AbsoluteSendTime(rawValue: 0xFF_F000)
    /// The publisher's clock runs so much faster.
    var drift = 0.0
    var rate = 300_000.0
    var told: [(at: Double, rate: Double)] = []
    var queues: [(at: Double, queue: Double)] = []
    private var free = 0.0
    private var now = 0.0

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func run(for seconds: Double) {
      let end = now + seconds
      while now < end {
        var left = rate * obedience / 30 / 8 * Double.random(in: 0.8...1.2, using: &random)
        var arrivals: [(at: Double, byteCount: Int)] = []
        while left > 0 {
          let byteCount = max(60, Int(min(left, 1200)))
          left -= Double(byteCount)
          free = max(free, now) + Double(byteCount + 28) * 8 / capacity
          arrivals.append((free + 0.02, byteCount))
        }
        queues.append((now, free - now))
        let sent = AbsoluteSendTime(
          rawValue: clock.rawValue &+ UInt32(truncatingIfNeeded: Int64(now * (1 + drift) * 262_144)))
        for arrival in arrivals {
          let at = Instant(nanoseconds: Int64(arrival.at * 1e9))
          estimator.handlePacket(sendTime: sent, byteCount: arrival.byteCount, roundTrip: .milliseconds(40), at: at)
          if let bitrate = estimator.pollEstimate(at: at) {
            rate = Double(bitrate.bitsPerSecond)
            told.append((arrival.at, rate))
          }
        }
        now += 1.0 / 30
      }
    }
  }

  @Test("It finds what the path carries, and follows it down and up", arguments: [UInt64(1), 2, 3, 4, 5])
  func following(seed: UInt64) throws {
    var path = Path(seed: seed)
    path.run(for: 40)
    let settled = path.told.filter { $0.at > 25 }.map(\.rate).sorted()
    #expect((0.6 * 800_000...1.1 * 800_000).contains(settled[settled.count / 2]), "\(settled)")
    path.capacity = 300_000
    path.run(for: 20)
    let first = try #require(path.told.first { $0.at > 40 && $0.rate < 330_000 })
    #expect(first.at < 42.5, "told after \(first.at - 40) s")
    #expect(path.queues.filter { $0.at > 45 }.map(\.queue).max()! < 0.3)
    path.capacity = 2_000_000
    path.run(for: 60)
    #expect(path.told.last!.rate > 1_000_000)
  }

  @Test("Told once a second, and sooner only when much is lost; nothing once nothing comes")
  func intervals() {
    var path = Path(seed: 6)
    path.run(for: 30)
    for (one, next) in zip(path.told, path.told.dropFirst()) {
      #expect(next.at - one.at >= 0.199)
      #expect(next.rate < one.rate || next.at - one.at >= 0.999)
    }
    #expect((28...60).contains(path.told.count))
    #expect(path.estimator.nextDeadline != .distantFuture)
    _ = path.estimator.pollEstimate(at: Instant(nanoseconds: 60_000_000_000))
    #expect(path.estimator.nextDeadline == .distantFuture)
  }

  @Test("A publisher that sends little is not told much more than it has shown", arguments: [UInt64(7), 8])
  func applicationLimited(seed: UInt64) {
    var path = Path(seed: seed)
    path.capacity = 4_000_000
    path.obedience = 0.25
    path.run(for: 60)
    // It began with one megabit per second, and a quarter of that was seen.
    #expect(path.told.allSatisfy { $0.rate <= 1_010_000 })
  }

  @Test("A clock that drifts is followed through its wraps", arguments: [-200e-6, 200e-6])
  func drift(drift: Double) {
    var path = Path(seed: 9)
    path.drift = drift
    path.run(for: 200)
    let settled = path.told.filter { $0.at > 25 }.map(\.rate).sorted()
    #expect((0.6 * 800_000...1.1 * 800_000).contains(settled[settled.count / 2]))
  }

  @Test("A clock that lies misleads nobody but its owner, and stops nothing")
  func lies() {
    var estimator = ReceiverEstimator(maximum: .megabitsPerSecond(5))
    var random = SeededRandom(seed: 10)
    var now = Instant.zero
    for _ in 0..<200_000 {
      now = now + TimeDelta(nanoseconds: Int64.random(in: 0...5_000_000, using: &random))
      estimator.handlePacket(
        sendTime: AbsoluteSendTime(rawValue: UInt32.random(in: 0...0xFF_FFFF, using: &random)), byteCount: 1200,
        roundTrip: .milliseconds(40), at: now)
      if let told = estimator.pollEstimate(at: now) { #expect((0...5_000_000).contains(told.bitsPerSecond)) }
    }
  }
}
