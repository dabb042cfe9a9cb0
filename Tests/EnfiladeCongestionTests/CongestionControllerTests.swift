// The whole, fed with feedback as it is on the wire.

import EnfiladeCongestion
import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("Congestion controller")
struct CongestionControllerTests {
  static func at(_ milliseconds: Int64) -> Instant { .zero + .milliseconds(milliseconds) }

  static func transportFeedback(base: Int64, arrivals: [(Int64, Instant)], count: UInt8 = 0) -> [UInt8] {
    let list = arrivals.map { TransportArrival(sequenceNumber: ExtendedSequenceNumber($0.0), arrival: $0.1) }
    return [UInt8].writing(capacity: 1500) { writer in
      _ = RTCPWriter.transportFeedback(
        senderSSRC: SSRC(1), mediaSSRC: SSRC(2), feedbackCount: count, base: ExtendedSequenceNumber(base), arrivals: list.span,
        into: &writer)
    }!
  }

  static func feed(_ bytes: [UInt8], to controller: inout CongestionController, at now: Instant) {
    var reader = RTCPReader(bytes.rawBytes)
    while let packet = reader.next() {
      switch packet {
      case .transportFeedback(let feedback): controller.handleFeedback(feedback, at: now)
      case .congestionControlFeedback(let feedback): controller.handleFeedback(feedback, at: now)
      default: Issue.record("not feedback")
      }
    }
  }

  /// Sends `count` packets of 1000 bytes, one each 10 ms, from `start` ms on.
  static func send(_ numbers: Range<Int64>, _ controller: inout CongestionController) {
    for number in numbers {
      controller.handleSent(ExtendedSequenceNumber(number), byteCount: 1000, purpose: .video, at: at(number * 10))
    }
  }

  @Test("The first packet starts two probes; before it there is nothing to do")
  func start() {
    var controller = CongestionController()
    #expect(controller.nextDeadline == .distantFuture)
    #expect(controller.pollProbe() == nil)
    #expect(controller.pollTarget() == .kilobitsPerSecond(300))
    #expect(controller.pollTarget() == nil)
    Self.send(0..<1, &controller)
    #expect(controller.pollProbe()?.rate == 900_000)
    #expect(controller.pollProbe()?.rate == 1_800_000)
    #expect(controller.pollProbe() == nil)
    #expect(controller.nextDeadline < .distantFuture)
  }

  @Test("Feedback empties what is under way, measures the round trip, and is believed once")
  func feedback() {
    var controller = CongestionController()
    Self.send(100..<110, &controller)
    #expect(controller.inFlightByteCount == 10_000)
    let bytes = Self.transportFeedback(base: 100, arrivals: (100..<110).filter { $0 != 104 }.map { ($0, Self.at($0 * 10 + 50)) })
    Self.feed(bytes, to: &controller, at: Self.at(1200))
    #expect(controller.inFlightByteCount == 0)
    #expect(controller.roundTrip == .milliseconds(1200 - 1090))
    let target = controller.target
    Self.feed(bytes, to: &controller, at: Self.at(1210))
    #expect(controller.target == target)
  }

  @Test("Numbers wrap at sixteen bits, and so does the reference time at 24")
  func wrapping() {
    var controller = CongestionController()
    let start: Int64 = 65_530 + 65_536 * 3
    for number in start..<start + 12 {
      controller.handleSent(ExtendedSequenceNumber(number), byteCount: 1000, purpose: .video, at: Self.at(number - start))
    }
    // 2^24 × 64 ms is twelve days.
    let wrap = Instant(nanoseconds: (Int64(1) << 24) * 64_000_000)
    Self.feed(
      Self.transportFeedback(base: start, arrivals: (start..<start + 6).map { ($0, wrap - .milliseconds(70 - ($0 - start))) }),
      to: &controller,
      at: Self.at(100))
    Self.feed(
      Self.transportFeedback(
        base: start + 6, arrivals: (start + 6..<start + 12).map { ($0, wrap - .milliseconds(64 - ($0 - start - 6)) + .milliseconds(64)) }),
      to: &controller, at: Self.at(150))
    #expect(controller.inFlightByteCount == 0)
    #expect(controller.delay.queue.standing < .milliseconds(100))
  }

  @Test("Feedback about packets that were never sent changes nothing")
  func foreign() {
    var controller = CongestionController()
    Self.send(0..<10, &controller)
    let target = controller.target
    Self.feed(
      Self.transportFeedback(base: 30_000, arrivals: (30_000..<30_050).map { ($0, Self.at($0)) }), to: &controller, at: Self.at(200))
    #expect(controller.target == target)
    #expect(controller.roundTrip == Limits.assumedRoundTripTime)
  }

  @Test("Both formats of the same arrivals are the same results")
  func formats() {
    func run(byStream: Bool) -> Bitrate {
      var controller = CongestionController()
      var report: [(Int64, Instant)] = []
      var target = controller.target
      for number in 0..<Int64(600) {
        let now = Self.at(number * 10)
        controller.handleSent(ExtendedSequenceNumber(number), byteCount: 1000, purpose: .video, at: now)
        if byStream {
          controller.handleSent(SSRC(number % 2 == 0 ? 8 : 9), SequenceNumber(UInt16(number / 2)), number: ExtendedSequenceNumber(number))
        }
        // A link of half a megabit: 16 ms for each packet. Multiples of 1/64 s are exact in both formats.
        let queued = number * 16 - number * 10
        report.append((number, now + .milliseconds(50 + min(queued, 400))))
        guard number % 10 == 9 else { continue }
        let time = now + .milliseconds(500)
        if byStream {
          let bytes = [UInt8].writing(capacity: 1500) { writer in
            guard let feedback = CongestionControlFeedbackWriter(senderSSRC: SSRC(1), into: &writer) else { return }
            for stream in 0..<Int64(2) {
              let metrics = report.filter { $0.0 % 2 == stream }.map { PacketMetric(receivedBefore: time - $0.1) }
              _ = feedback.add(
                ssrc: SSRC(UInt32(8 + stream)), beginSequenceNumber: SequenceNumber(UInt16((number - 9) / 2)), metrics: metrics.span,
                into: &writer)
            }
            feedback.finish(timestamp: UInt32(truncatingIfNeeded: time.nanoseconds * 65_536 / 1_000_000_000), into: &writer)
          }!
          Self.feed(bytes, to: &controller, at: now)
        } else {
          Self.feed(Self.transportFeedback(base: number - 9, arrivals: report), to: &controller, at: now)
        }
        report.removeAll()
        target = controller.target
      }
      return target
    }
    let (transport, stream) = (run(byStream: false), run(byStream: true))
    #expect(transport.bitsPerSecond < 600_000)
    #expect(abs(Double(transport.bitsPerSecond) / Double(stream.bitsPerSecond) - 1) < 0.05, "\(transport) \(stream)")
  }

  @Test("The peer's own estimate is a ceiling, with packet feedback and without")
  func receiverEstimate() {
    var controller = CongestionController()
    controller.handleReceiverEstimate(.kilobitsPerSecond(120), at: Self.at(10))
    #expect(controller.target == .kilobitsPerSecond(120))
    controller.handleReceiverEstimate(.megabitsPerSecond(5), at: Self.at(20))
    #expect(controller.target == .kilobitsPerSecond(300))
  }

  @Test("A peer that reports only loss is steered by loss")
  func reports() {
    var controller = CongestionController()
    for second in 1...10 {
      controller.handleReport(fractionLost: 0, packetCount: 50, roundTrip: .milliseconds(80), at: Self.at(Int64(second) * 1100))
    }
    let grown = controller.target
    #expect(grown > .kilobitsPerSecond(500))
    for second in 11...15 { controller.handleReport(fractionLost: 0.3, packetCount: 50, roundTrip: nil, at: Self.at(Int64(second) * 1100)) }
    #expect(controller.target.bitsPerSecond < grown.bitsPerSecond / 2)
  }

  @Test("A change of the path begins anew")
  func pathChange() {
    var controller = CongestionController()
    Self.send(0..<50, &controller)
    while controller.pollProbe() != nil {}
    controller.handlePathChange(at: Self.at(600))
    #expect(controller.target == .kilobitsPerSecond(300))
    #expect(controller.inFlightByteCount == 0)
  }

  @Test("An idle link has no deadline")
  func idle() {
    var controller = CongestionController()
    Self.send(0..<10, &controller)
    while controller.pollProbe() != nil {}
    var now = Self.at(100)
    for _ in 0..<500 where controller.nextDeadline != .distantFuture {
      now = max(now, controller.nextDeadline)
      controller.handleTimeout(at: now)
      while controller.pollProbe() != nil {}
    }
    #expect(controller.nextDeadline == .distantFuture)
    #expect(now < Self.at(15_000))
  }
}
