// A run is to whatever looks at it what its packets are one by one.

import EnfiladeCongestion
import EnfiladeWire
import Testing

@Suite("Runs of arrivals")
struct ArrivalRunTests {
  /// Frames of a few packets through a link that queues, jitters, and holds a frame back now and then.
  static func arrivals(_ seed: UInt64, capacity: Double) -> [PacketResult] {
    var random = SeededRandom(seed: seed)
    var results: [PacketResult] = []
    var free = 0.0
    for frame in 0..<600 {
      let sent = Double(frame) * 33.3
      for _ in 0..<Int.random(in: 1...12, using: &random) {
        let byteCount = Int.random(in: 100...1200, using: &random)
        free = max(free, sent + Double.random(in: 0...2, using: &random)) + Double(byteCount) * 8000 / capacity
        if frame % 97 == 96 { free += 40 }
        results.append(
          PacketResult(
            number: Int64(results.count), sent: Instant(nanoseconds: Int64(sent * 1e6)), arrivalNanoseconds: Int64((free + 25) * 1e6),
            byteCount: byteCount))
      }
    }
    return results
  }

  @Test("Estimators say the same of a run and of its packets", arguments: [400_000.0, 2e6, 20e6], [UInt64(1), 2, 3])
  func equality(capacity: Double, seed: UInt64) {
    let results = Self.arrivals(seed, capacity: capacity)
    var single = Estimators()
    var joined = Estimators()
    var next = 0
    var random = SeededRandom(seed: seed)
    var runCount = 0
    while next < results.count {
      let end = min(results.count, next + Int.random(in: 1...40, using: &random))
      let now = Instant(nanoseconds: results[end - 1].arrivalNanoseconds + 20_000_000)
      for result in results[next..<end] { single.take(ArrivalRun(result), at: now) }
      runCount += joined.take(results[next..<end], at: now)
      single.queue.endReport(at: now)
      joined.queue.endReport(at: now)
      #expect(single.state() == joined.state())
      next = end
    }
    print("\(results.count) packets at \(Int(capacity / 1000)) kbit/s were \(runCount) runs")
    #expect(runCount < results.count)
  }
}

/// Everything that looks at arrivals.
private struct Estimators: ~Copyable {
  var throughput = ThroughputEstimator()
  var bursts = BurstCapacity()
  var queue = QueueEstimator()
  var interArrival = InterArrival()
  var deltas: [InterArrival.Delta] = []

  struct State: Equatable {
    var rate: Double?
    var recent: Double?
    var capacity: Double?
    var standing: TimeDelta
    var newest: TimeDelta
    var deltas: [InterArrival.Delta]
  }

  mutating func take(_ run: ArrivalRun, at now: Instant) {
    throughput.handleArrival(run)
    bursts.handleArrival(run)
    queue.handleArrival(run)
    if let delta = interArrival.handleArrival(run, reportedAt: now) { deltas.append(delta) }
  }

  /// - Returns: how many runs they were.
  mutating func take(_ results: ArraySlice<PacketResult>, at now: Instant) -> Int {
    var run: ArrivalRun?
    var segmentStart: Int64 = 0
    var count = 0
    for result in results {
      if let open = run, open.isContinued(by: result), open.lastArrival - segmentStart < ThroughputEstimator.segmentLength.nanoseconds {
        run!.append(result)
        continue
      }
      if let open = run { take(open, at: now) }
      segmentStart = throughput.segmentStart(forArrival: result.arrivalNanoseconds)
      run = ArrivalRun(result)
      count += 1
    }
    if let open = run { take(open, at: now) }
    return count
  }

  mutating func state() -> State {
    State(
      rate: throughput.rate(), recent: throughput.recentRate(over: .milliseconds(300)), capacity: bursts.estimate, standing: queue.standing,
      newest: queue.newestDelay, deltas: deltas)
  }
}
