// Probes: what they find, and when they are made.

import EnfiladeCongestion
import EnfiladeWire
import Testing

@Suite("Probes")
struct ProbeTests {
  static func at(_ milliseconds: Double) -> Instant { Instant(nanoseconds: Int64(milliseconds * 1e6)) }

  /// Packets of 1000 bytes as (send ms, arrival ms).
  static func found(_ packets: [(Double, Double)], minimum: Int = 4) -> Double? {
    var estimator = ProbeEstimator()
    estimator.begin(ProbeID(1), minimumPacketCount: minimum, minimumByteCount: minimum * 1000)
    var last: Double?
    for (index, packet) in packets.enumerated() {
      let result = PacketResult(
        number: Int64(index), sent: at(packet.0), arrivalNanoseconds: Int64(packet.1 * 1e6), byteCount: 1000, purpose: .padding,
        probe: ProbeID(1))
      last = estimator.handleArrival(result)
    }
    return last
  }

  @Test("Four packets 10 ms apart on both sides are 800 kbit/s")
  func plain() { #expect(Self.found([(0, 10), (10, 20), (20, 30), (30, 40)]) == 800_000) }

  @Test("Arrivals at 320 kbit/s mean that the link was full: 95 %, 304 kbit/s")
  func full() {
    let found = Self.found([(0, 15), (10, 40), (20, 65), (30, 90)])
    #expect(abs(found! - 304_000) < 1)
  }

  @Test("Too few packets, no time between them, or arrivals twice as fast as sending say nothing")
  func invalid() {
    #expect(Self.found([(0, 10), (10, 20)]) == nil)
    #expect(Self.found([(0, 10), (0, 20), (0, 30), (0, 40)]) == nil)
    #expect(Self.found([(0, 10), (10, 10), (20, 10), (30, 10)]) == nil)
    #expect(Self.found([(0, 10), (10, 14), (20, 18), (30, 22)]) == nil)
    #expect(Self.found([(0, 10), (500, 510), (1000, 1010), (1500, 1510)]) == nil)
  }

  @Test("The last packet's size does not count for sending, nor the first's for arrival")
  func sizes() {
    var estimator = ProbeEstimator()
    estimator.begin(ProbeID(3), minimumPacketCount: 4, minimumByteCount: 3000)
    var found: Double?
    for (index, size) in [1000, 1000, 1000, 400].enumerated() {
      found = estimator.handleArrival(
        PacketResult(
          number: Int64(index), sent: Self.at(Double(index) * 10), arrivalNanoseconds: Int64(index) * 10_000_000 + 5, byteCount: size,
          probe: ProbeID(3)))
    }
    // 800 kbit/s sent, 640 arrived: the link was full.
    #expect(found == 608_000)
  }

  @Test("A probe never shows more than it tried")
  func nominal() {
    var estimator = ProbeEstimator()
    estimator.begin(ProbeID(2), rate: 500_000, minimumPacketCount: 4, minimumByteCount: 4000)
    var found: Double?
    for index in 0..<4 {
      found = estimator.handleArrival(
        PacketResult(
          number: Int64(index), sent: Self.at(Double(index) * 10), arrivalNanoseconds: Int64(index) * 10_000_000 + 5, byteCount: 1000,
          probe: ProbeID(2)))
    }
    #expect(found == 500_000)
  }

  @Test("The first two probes are three and six times the start, and the next follows success at 70 %")
  func initial() {
    var controller = ProbeController(usesBursts: true, maximum: 10e6)
    controller.start(rate: 300_000, at: .zero)
    #expect(controller.poll()?.rate == 900_000)
    #expect(controller.poll()?.rate == 1_800_000)
    #expect(controller.poll() == nil)
    controller.handleResult(1_200_000, at: Self.at(50))
    #expect(controller.poll() == nil)
    controller.handleResult(1_300_000, at: Self.at(60))
    #expect(controller.poll()?.rate == 2_600_000)
  }

  @Test("Nothing is probed above what is of use")
  func maximum() {
    var controller = ProbeController(usesBursts: true, maximum: 1e6)
    controller.start(rate: 300_000, at: .zero)
    #expect(controller.poll()?.rate == 900_000)
    #expect(controller.poll()?.rate == 1_000_000)
    controller.handleResult(950_000, at: Self.at(50))
    #expect(controller.poll() == nil)
  }

  @Test("An application that sends too little is probed for every five seconds, then ever less often while nothing is found")
  func periodic() {
    var controller = ProbeController(usesBursts: false, maximum: 10e6)
    controller.start(rate: 300_000, at: .zero)
    while controller.poll() != nil {}
    var context = ProbeController.Context()
    context.rate = 500_000
    context.isApplicationLimited = true
    context.isPathClear = true
    var times: [Int] = []
    for step in 0..<1200 {
      controller.update(context, at: Self.at(Double(step) * 100))
      while controller.poll() != nil { times.append(step / 10) }
    }
    #expect(times.count >= 4 && times.count <= 8, "\(times)")
    #expect(zip(times.dropFirst(), times).map { $0 - $1 }.allSatisfy { $0 >= 5 })
  }

  /// When a demand of twice the rate is probed for in two minutes in which no probe finds anything.
  private static func demandTimes(isUrgent: Bool) -> [Int64] {
    var probes = ProbeController(usesBursts: true, maximum: 10e6)
    var context = ProbeController.Context()
    context.rate = 400_000
    context.isPathClear = true
    var times: [Int64] = []
    for step in 0..<1200 {
      let now = Instant(nanoseconds: Int64(step) * 100_000_000)
      probes.update(context, at: now)
      probes.handleDemand(800_000, isUrgent: isUrgent, context: context, at: now)
      while probes.poll() != nil { times.append(now.nanoseconds / 1_000_000_000) }
    }
    return times
  }

  @Test("A demand that nothing is found for is tried ever less often, but where a picture is not shown for want of it")
  func urgentDemand() {
    let patient = Self.demandTimes(isUrgent: false)
    #expect((3...6).contains(patient.count), "\(patient)")
    #expect(zip(patient.dropFirst(2), patient.dropFirst()).allSatisfy { $0 - $1 > 10 })
    let urgent = Self.demandTimes(isUrgent: true)
    #expect((20...24).contains(urgent.count), "\(urgent)")
    #expect(zip(urgent.dropFirst(), urgent).allSatisfy { (5...6).contains($0 - $1) })
  }

  @Test("Bursts that show more than before are tried at once; the same again is not")
  func news() {
    var controller = ProbeController(usesBursts: true, maximum: 10e6)
    var context = ProbeController.Context()
    context.rate = 500_000
    context.burstCapacity = 520_000
    for step in 0..<20 { controller.update(context, at: Self.at(Double(step) * 50)) }
    context.isPathClear = true
    context.burstCapacity = 2_600_000
    var found: Probe?
    for step in 20..<35 where found == nil {
      controller.update(context, at: Self.at(Double(step) * 50))
      found = controller.poll()
    }
    #expect(found?.rate == 1_000_000)
    // Nothing found: the next one waits.
    var again = 0
    for step in 35..<150 {
      controller.update(context, at: Self.at(Double(step) * 50))
      while controller.poll() != nil { again += 1 }
    }
    #expect(again == 0)
  }
}
