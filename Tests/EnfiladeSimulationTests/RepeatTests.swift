// A scenario and a seed give the same, to the byte.

import EnfiladeSimulation
import Testing

@Suite("Repeatability")
struct RepeatTests {
  /// Every source of randomness at once, for a few seconds.
  static var rough: Scenario {
    var link = LinkModel(
      capacity: CapacitySchedule([(seconds: 0, kilobitsPerSecond: 1200), (4, 400), (8, 2000)]), oneWayDelayMilliseconds: 30)
    link.jitterDeviationMilliseconds = 4
    link.loss = .bursty(toBad: 0.02, toGood: 0.3, loss: 0.5)
    link.reordering = 0.01
    link.duplication = 0.01
    link.queueLimit = .bytes(30_000)
    var media = MediaModel()
    media.audioKilobits = 20
    media.repairs = true
    var layered = media
    layered.source = .layers(kilobits: [100, 300, 900], isScalable: true)
    var short = FlowModel("short", .shortTCP(meanPauseSeconds: 2))
    short.startSeconds = 1
    return Scenario(
      name: "rough", title: "everything at once", durationSeconds: 12, links: [link, .wide(oneWayDelayMilliseconds: 30)],
      flows: [FlowModel("a", .media(media)), FlowModel("b", .media(layered)), short, FlowModel("tcp", .longTCP)])
  }

  @Test("The same seed twice is the same result, in both formats of feedback", arguments: MediaModel.Feedback.allCases)
  func same(feedback: MediaModel.Feedback) {
    let scenario = Self.rough.reporting(feedback)
    #expect(scenario.run(seed: 7) == scenario.run(seed: 7))
  }

  @Test("Another seed is another result")
  func different() { #expect(Self.rough.run(seed: 7) != Self.rough.run(seed: 8)) }

  @Test("Nothing is made up: what arrives was sent, and what is lost was sent")
  func conservation() {
    let result = Self.rough.run(seed: 3)
    for flow in result.flows.prefix(2) {
      #expect(flow.sentPacketCount > 500)
      #expect(flow.delays.count + flow.lostPacketCount <= flow.sentPacketCount)
      #expect(flow.delays.allSatisfy { $0.milliseconds >= 0 })
      #expect(flow.frameCount > 50)
    }
    // Four flows cannot take more than the link has.
    let total = result.flows.reduce(0) { $0 + $1.delivered(from: 0, to: 12) }
    #expect(total <= result.scenario.links[0].capacity.average(from: 0, to: 12) * 1.01)
  }

  @Test("Reports by stream steer as well as reports by transport", arguments: [800.0, 2500])
  func formats(kilobits: Double) {
    var scenario = Goal.constantScenario(megabits: kilobits / 1000)
    scenario.durationSeconds = 25
    for feedback in MediaModel.Feedback.allCases {
      let result = scenario.reporting(feedback).run(seed: 2)
      let use = result.utilization(of: 0, from: 10, to: 25)
      #expect(use >= 0.9 && use <= 1.01, "\(feedback): \(use)")
      #expect(result.flows[0].delay(quantile: 0.95, from: 10) < 70)
    }
  }

  @Test("A packet larger than the link's maximum does not pass")
  func maximumPacket() {
    var scenario = Goal.rampScenario
    scenario.durationSeconds = 3
    scenario.links[0].maximumPacketByteCount = 400
    let result = scenario.run(seed: 1)
    #expect(result.flows[0].lostPacketCount > 0)
  }
}
