// The test cases of RFC 8867. Where the RFC leaves a value open, the one taken is said here.

extension Scenario {
  /// Path ratios of RFC 8867 as a schedule.
  private static func ratios(_ reference: Double, _ pairs: [(Double, Double)]) -> CapacitySchedule {
    CapacitySchedule(pairs.map { (seconds: $0.0, kilobitsPerSecond: $0.1 * reference) })
  }

  /// A bottleneck with the RFC's defaults: 50 ms, a queue of 300 ms, jitter without reordering (σ 5 ms, cut at 15).
  private static func bottleneck(_ capacity: CapacitySchedule, delay: Double = 50, queue: Double = 300) -> LinkModel {
    var link = LinkModel(capacity: capacity, oneWayDelayMilliseconds: delay)
    link.jitterDeviationMilliseconds = 5
    link.queueLimit = .milliseconds(queue)
    return link
  }

  /// The RFC's source: video of 150 kbit/s to 1.5 Mbit/s, audio of 20 kbit/s.
  private static func media(_ name: String, start: Double = 0) -> FlowModel {
    var model = MediaModel()
    model.source = .adaptive(minimumKilobits: 150, maximumKilobits: 1500)
    model.frameNoise = 0.05
    model.audioKilobits = 20
    model.startKilobits = 170
    var flow = FlowModel(name, .media(model))
    flow.startSeconds = start
    return flow
  }

  /// §5.1, variable available capacity with a single flow.
  public static func rfc8867Case1(oneWayDelayMilliseconds delay: Double = 50) -> Scenario {
    Scenario(
      name: delay == 50 ? "5.1" : "5.1-\(Int(delay))", title: "RFC 8867 5.1: variable capacity, one flow, \(Int(delay)) ms",
      durationSeconds: 100,
      links: [
        bottleneck(ratios(1000, [(0, 1), (40, 2.5), (60, 0.6), (80, 1)]), delay: delay), .wide(oneWayDelayMilliseconds: delay),
      ],
      flows: [media("media")])
  }

  /// §5.2, variable available capacity with multiple flows.
  public static var rfc8867Case2: Scenario {
    Scenario(
      name: "5.2", title: "RFC 8867 5.2: variable capacity, two flows", durationSeconds: 125,
      links: [
        bottleneck(ratios(2000, [(0, 2), (25, 1), (50, 1.75), (75, 0.5), (100, 1)])), .wide(oneWayDelayMilliseconds: 50),
      ],
      flows: [media("first"), media("second")])
  }

  /// §5.3, congested feedback link: media in both directions.
  public static var rfc8867Case3: Scenario {
    var back = media("backward")
    back.forward = [1]
    back.backward = [0]
    return Scenario(
      name: "5.3", title: "RFC 8867 5.3: congested feedback link", durationSeconds: 100,
      links: [
        bottleneck(ratios(1000, [(0, 2), (20, 1), (40, 0.5), (60, 2)])), bottleneck(ratios(1000, [(0, 2), (35, 0.8), (70, 2)])),
      ],
      flows: [media("forward"), back])
  }

  /// §5.4, competing media flows with the same congestion control.
  public static var rfc8867Case4: Scenario {
    Scenario(
      name: "5.4", title: "RFC 8867 5.4: three flows of the same kind", durationSeconds: 120,
      links: [bottleneck(CapacitySchedule(kilobitsPerSecond: 3500)), .wide(oneWayDelayMilliseconds: 50)],
      flows: [media("first"), media("second", start: 20), media("third", start: 40)])
  }

  /// §5.5, round-trip time fairness.
  public static var rfc8867Case5: Scenario {
    let delays = [10.0, 25, 50, 100, 150]
    return Scenario(
      name: "5.5", title: "RFC 8867 5.5: fairness among round-trip times", durationSeconds: 300,
      links: [bottleneck(CapacitySchedule(kilobitsPerSecond: 4000), delay: 0), .wide(oneWayDelayMilliseconds: 0)],
      flows: delays.enumerated().map { index, delay in
        var flow = media("\(Int(delay)) ms", start: Double(index) * 10)
        flow.extraOneWayDelayMilliseconds = delay
        return flow
      })
  }

  /// §5.6, media flow competing with a long TCP flow; media from 5 s on.
  public static func rfc8867Case6(queueMilliseconds queue: Double = 300) -> Scenario {
    Scenario(
      name: queue == 300 ? "5.6" : "5.6-\(Int(queue))", title: "RFC 8867 5.6: against a long TCP flow, queue \(Int(queue)) ms",
      durationSeconds: 120,
      links: [bottleneck(CapacitySchedule(kilobitsPerSecond: 2000), queue: queue), .wide(oneWayDelayMilliseconds: 50)],
      flows: [media("media", start: 5), FlowModel("tcp", .longTCP)])
  }

  /// §5.7, media flows competing with short TCP flows.
  public static var rfc8867Case7: Scenario {
    var flows = [media("first"), media("second")]
    for index in 0..<10 { flows.append(FlowModel("tcp \(index + 1)", .shortTCP(meanPauseSeconds: 10))) }
    return Scenario(
      name: "5.7", title: "RFC 8867 5.7: against short TCP flows", durationSeconds: 300,
      links: [bottleneck(CapacitySchedule(kilobitsPerSecond: 2000)), .wide(oneWayDelayMilliseconds: 50)], flows: flows)
  }

  /// §5.8, media pause and resume.
  public static var rfc8867Case8: Scenario {
    var second = media("second")
    second.pause = 40...60
    return Scenario(
      name: "5.8", title: "RFC 8867 5.8: pause and resume", durationSeconds: 120,
      links: [bottleneck(CapacitySchedule(kilobitsPerSecond: 3500)), .wide(oneWayDelayMilliseconds: 50)],
      flows: [media("first"), second, media("third")])
  }

  /// §6.1, media flows with priority: the first counts twice.
  public static var rfc8867Priority: Scenario {
    var scenario = rfc8867Case4
    scenario.name = "6.1"
    scenario.title = "RFC 8867 6.1: priority 2:1:1"
    if case .media(var model) = scenario.flows[0].kind {
      model.priority = 2
      scenario.flows[0].kind = .media(model)
    }
    return scenario
  }

  /// §6.3, multiple bottlenecks: the first flow crosses all, each of the others two.
  public static var rfc8867Bottlenecks: Scenario {
    var long = media("across all")
    long.forward = [0, 1, 2]
    long.backward = [3]
    var left = media("left")
    left.forward = [0, 1]
    left.backward = [3]
    var right = media("right")
    right.forward = [1, 2]
    right.backward = [3]
    return Scenario(
      name: "6.3", title: "RFC 8867 6.3: multiple bottlenecks", durationSeconds: 300,
      links: [
        bottleneck(CapacitySchedule(kilobitsPerSecond: 2000), delay: 100), bottleneck(CapacitySchedule(kilobitsPerSecond: 8000), delay: 40),
        bottleneck(CapacitySchedule(kilobitsPerSecond: 1500), delay: 40), .wide(oneWayDelayMilliseconds: 90),
      ],
      flows: [long, left, right])
  }
}
