// Throughput, queue, bursts, loss, application limit, silence: each alone.

import EnfiladeCongestion
import EnfiladeWire
import Testing

@Suite("Estimators")
struct EstimatorTests {
  static func at(_ milliseconds: Double) -> Instant { Instant(nanoseconds: Int64(milliseconds * 1e6)) }

  // MARK: Throughput

  /// 1000 bytes every 10 ms sent, arriving at times in milliseconds.
  static func throughput(_ count: Int, arrival: (Int) -> Double) -> Double? {
    var estimator = ThroughputEstimator()
    for index in 0..<count {
      estimator.handleArrival(
        ArrivalRun(sent: at(Double(index) * 10), arrivalNanoseconds: Int64(arrival(index) * 1e6), byteCount: 1000))
    }
    return estimator.rate()
  }

  @Test("Nothing before ten packets; then what arrives")
  func throughputSteady() {
    #expect(Self.throughput(9) { Double($0) * 10 } == nil)
    #expect(abs(Self.throughput(200) { Double($0) * 10 }! - 800_000) < 8000)
  }

  @Test("Never more than was sent, and one pause does not count")
  func throughputBounds() {
    #expect(Self.throughput(200) { Double($0) * 5 }! <= 808_000)
    let paused = Self.throughput(200) { Double($0) * 10 + ($0 > 150 ? 400 : 0) }!
    #expect(paused > 720_000 && paused <= 808_000)
  }

  @Test("The moment's rate follows a fall within its window")
  func recent() {
    var estimator = ThroughputEstimator()
    for index in 0..<100 {
      estimator.handleArrival(
        ArrivalRun(sent: Self.at(Double(index) * 10), arrivalNanoseconds: Int64(index) * 10_000_000, byteCount: 1000))
    }
    for index in 0..<10 {
      estimator.handleArrival(
        ArrivalRun(sent: Self.at(1000 + Double(index) * 10), arrivalNanoseconds: 1_000_000_000 + Int64(index) * 40_000_000, byteCount: 1000)
      )
    }
    #expect(abs(estimator.recentRate(over: .milliseconds(200))! - 200_000) < 10_000)
    #expect(estimator.rate()! > 400_000)
  }

  // MARK: Queue

  @Test("The queue is delay above the least of twenty seconds, whatever the clocks say")
  func queue() {
    var queue = QueueEstimator()
    for index in 0..<200 {
      let sent = Self.at(Double(index) * 50)
      let delay: Int64 = index < 100 ? 30_000_000 : 90_000_000
      queue.handleArrival(ArrivalRun(sent: sent, arrivalNanoseconds: sent.nanoseconds + delay - 5_000_000_000))
      queue.endReport(at: sent)
    }
    #expect(queue.standing == .milliseconds(60))
    #expect(queue.newestDelay == .milliseconds(60))
    // A longer path is believed after a while.
    for index in 200..<700 {
      let sent = Self.at(Double(index) * 50)
      queue.handleArrival(ArrivalRun(sent: sent, arrivalNanoseconds: sent.nanoseconds + 90_000_000 - 5_000_000_000))
      queue.endReport(at: sent)
    }
    #expect(queue.standing == .zero)
  }

  @Test("What is under way adds to the queue to come, and time takes from it")
  func predicted() {
    var queue = QueueEstimator()
    queue.handleArrival(ArrivalRun(sent: .zero, arrivalNanoseconds: 50_000_000))
    queue.endReport(at: Self.at(100))
    queue.handleArrival(ArrivalRun(sent: Self.at(1000), arrivalNanoseconds: 1_150_000_000))
    queue.endReport(at: Self.at(1200))
    #expect(queue.newestDelay == .milliseconds(100))
    // 200 ms after that packet left: 25 kB more at 1 Mbit/s are 200 ms, less the 200 that passed.
    #expect(queue.predicted(inFlightByteCount: 25_000, capacity: 1e6, at: Self.at(1200)) == .milliseconds(100))
    #expect(queue.predicted(inFlightByteCount: 0, capacity: 1e6, at: Self.at(1200)) == .zero)
  }

  // MARK: Bursts

  /// Frames of four packets of 1000 bytes through a link of so many bits per second.
  static func burst(_ rate: Double, frames: Int, sendGap: Double = 0) -> Double? {
    var bursts = BurstCapacity()
    var number: Int64 = 0
    for frame in 0..<frames {
      for packet in 0..<4 {
        let sent = Double(frame) * 33 + Double(packet) * sendGap
        let arrival = Double(frame) * 33 + 50 + max(Double(packet) * 8e6 / rate, Double(packet) * sendGap)
        bursts.handleArrival(ArrivalRun(number: number, sent: at(sent), arrivalNanoseconds: Int64(arrival * 1e6), byteCount: 1000))
        number += 1
      }
    }
    return bursts.estimate
  }

  @Test("A frame that leaves at once measures the link", arguments: [1e6, 3e6, 10e6])
  func bursts(rate: Double) { #expect(abs(Self.burst(rate, frames: 20)! / rate - 1) < 0.01) }

  @Test("Frames spread by their sender measure nothing")
  func spread() { #expect(Self.burst(1e6, frames: 20, sendGap: 5) == nil) }

  @Test("Too few bursts say nothing")
  func fewBursts() { #expect(Self.burst(1e6, frames: 2) == nil) }

  // MARK: Application limit

  @Test("Sending less than 65 % of the target for a while is limited by the application; sending all of it is not")
  func applicationLimit() {
    var detector = ApplicationLimitDetector(target: 1_000_000)
    for index in 0..<200 { detector.handleSent(byteCount: 1250, at: Self.at(Double(index) * 10)) }
    #expect(detector.since == nil)
    for index in 200..<400 { detector.handleSent(byteCount: 125, at: Self.at(Double(index) * 10)) }
    #expect(detector.since != nil)
    for index in 400..<500 { detector.handleSent(byteCount: 1250, at: Self.at(Double(index) * 10)) }
    #expect(detector.since == nil && detector.ended != nil)
  }

  // MARK: Silence

  @Test("After three seconds without a report while packets are sent, a fifth less each second, down to the floor")
  func silence() {
    var limit = RoundTripLimit()
    limit.handleFeedback(roundTrip: .milliseconds(100), at: .zero)
    var rate = 1_000_000.0
    var steps = 0
    for second in 1...30 {
      let now = Self.at(Double(second) * 1000)
      if let reduced = limit.update(rate: rate, lastSent: now, minimum: 50_000, at: now) {
        #expect(second >= 3)
        rate = reduced
        steps += 1
      }
    }
    #expect(rate == 50_000 && steps == 14)
    #expect(limit.update(rate: rate, lastSent: .zero, minimum: 5000, at: Self.at(60_000)) == nil)
  }

  // MARK: Reported loss

  @Test(
    "Reported loss: up by 8 % a second below 2 %, held to 10 %, down by half the loss above",
    arguments: [(0.0, 1.08), (0.05, 1.0), (0.2, 0.9)])
  func reported(loss: Double, factor: Double) {
    var controller = ReportedLossController(start: 1_000_000)
    controller.handleReport(fractionLost: loss, packetCount: 100, roundTrip: .milliseconds(100), at: Self.at(1000))
    #expect(abs(controller.rate - 1_000_000 * factor) <= 1000)
  }

  @Test("Fewer than twenty packets are no report")
  func fewReported() {
    var controller = ReportedLossController(start: 1_000_000)
    controller.handleReport(fractionLost: 0.5, packetCount: 10, roundTrip: .milliseconds(100), at: Self.at(1000))
    #expect(controller.rate == 1_000_000)
  }
}
