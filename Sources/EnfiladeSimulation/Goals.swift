// The goals, G1 to G10. One-way delay 50 ms, frames of ±15 %, reaction 100 ms, feedback every 50 ms, unless said.

extension Goal {
  private static func scenario(
    _ name: String, _ title: String, seconds: Double, capacity: CapacitySchedule, maximumKilobits: Double, queueMilliseconds: Double = 300,
    loss: LinkModel.Loss = .none, startKilobits: Double = 300
  ) -> Scenario {
    var link = LinkModel(capacity: capacity, oneWayDelayMilliseconds: 50)
    link.queueLimit = .milliseconds(queueMilliseconds)
    link.loss = loss
    var model = MediaModel()
    model.source = .adaptive(minimumKilobits: 50, maximumKilobits: maximumKilobits)
    model.startKilobits = startKilobits
    return Scenario(
      name: name, title: title, durationSeconds: seconds, links: [link, .wide(oneWayDelayMilliseconds: 50)],
      flows: [FlowModel("media", .media(model))])
  }

  /// A link of 3 Mbit/s, and a source that could use 2.5.
  public static var rampScenario: Scenario {
    scenario(
      "ramp", "Ramp from 300 kbit/s on 3 Mbit/s", seconds: 20, capacity: CapacitySchedule(kilobitsPerSecond: 3000), maximumKilobits: 2500)
  }

  /// 2.6 Mbit/s, then 0.5 from 30 s to 60 s, then 2.6 again; a queue of 1 s.
  public static var dropScenario: Scenario {
    scenario(
      "drop", "2.6, 0.5, 2.6 Mbit/s", seconds: 90,
      capacity: CapacitySchedule([(seconds: 0, kilobitsPerSecond: 2600), (30, 500), (60, 2600)]), maximumKilobits: 4000,
      queueMilliseconds: 1000)
  }

  /// Constant capacity.
  public static func constantScenario(megabits: Double, loss: Double = 0) -> Scenario {
    scenario(
      loss == 0 ? "constant-\(megabits)" : "loss-\(Int(loss * 100))",
      loss == 0 ? "Constant \(megabits) Mbit/s" : "Constant \(megabits) Mbit/s, \(Int(loss * 100)) % random loss", seconds: 60,
      capacity: CapacitySchedule(kilobitsPerSecond: megabits * 1000), maximumKilobits: 10_000, loss: loss == 0 ? .none : .random(loss))
  }

  /// Two flows of our own on 2 Mbit/s, the second 10 s late.
  public static var pairScenario: Scenario {
    var scenario = scenario(
      "pair", "Two flows of our own on 2 Mbit/s", seconds: 60, capacity: CapacitySchedule(kilobitsPerSecond: 2000), maximumKilobits: 4000)
    scenario.flows.append(scenario.flows[0])
    scenario.flows[0].name = "first"
    scenario.flows[1].name = "second"
    scenario.flows[1].startSeconds = 10
    return scenario
  }

  /// All of them, in order.
  public static var all: [Goal] { ramp + drop + constant + variable + fairness + loss + layers + layersOnDrop }

  private static var ramp: [Goal] {
    [
      Goal("G1", "time to 2.375 Mbit/s", unit: "s", atMost: 1.0, published: 0.6, in: rampScenario) {
        $0.flows[0].timeUntilTarget(from: 0) { $0 >= 2.375e6 } ?? .infinity
      },
      Goal("G1l", "loss", unit: "%", atMost: 0, in: rampScenario) { $0.flows[0].lossShare * 100 },
      Goal("G1d", "delay, 95 %", unit: "ms", atMost: 60, in: rampScenario) { $0.flows[0].delay(quantile: 0.95) },
      Goal("G1u", "highest target over capacity", unit: "×", atMost: 1.2, in: rampScenario) {
        ($0.flows[0].targets.map(\.bitsPerSecond).max() ?? 0) / 3e6
      },
    ]
  }

  private static var drop: [Goal] {
    [
      Goal("G2", "time to ≤ 0.5 Mbit/s", unit: "s", atMost: 0.8, published: 1.2, in: dropScenario) {
        $0.flows[0].timeUntilTarget(from: 30) { $0 <= 0.5e6 } ?? .infinity
      },
      Goal("G3", "last delay above 100 ms", unit: "s", atMost: 3, published: 12.7, in: dropScenario) {
        ($0.flows[0].lastDelay(above: 100, from: 30, to: 60) ?? 30) - 30
      },
      Goal("G3u", "utilisation from +5 s", unit: "", atLeast: 0.9, atMost: 1.01, in: dropScenario) {
        $0.utilization(of: 0, from: 35, to: 60)
      },
      Goal("G4", "recovery to 2.25 Mbit/s", unit: "s", atMost: 8, published: 21, in: dropScenario) {
        $0.flows[0].timeUntilTarget(from: 60) { $0 >= 2.25e6 } ?? .infinity
      },
      Goal("G4d", "delay, 95 %, during it", unit: "ms", atMost: 120, in: dropScenario) {
        $0.flows[0].delay(quantile: 0.95, from: 60, to: 75)
      },
    ]
  }

  private static var constant: [Goal] {
    [(0.5, 60.0), (1, 55), (2, 110), (5, 120)].flatMap { megabits, delay in
      let scenario = constantScenario(megabits: megabits)
      return [
        Goal("G5u", "utilisation at \(megabits) Mbit/s", unit: "", atLeast: 0.93, atMost: 1.01, published: 0.935, in: scenario) {
          $0.utilization(of: 0, from: 10, to: 60)
        },
        Goal("G5d", "delay, 95 %", unit: "ms", atMost: 60, published: delay, in: scenario) {
          $0.flows[0].delay(quantile: 0.95, from: 10)
        },
      ]
    }
  }

  private static var variable: [Goal] {
    let scenario = Scenario.rfc8867Case1()
    return [
      Goal("G6u", "5.1 utilisation", unit: "", atLeast: 0.9, atMost: 1.01, published: 0.86, in: scenario) {
        $0.utilization(of: 0, from: 5, to: 100)
      },
      Goal("G6d", "5.1 delay, 95 %", unit: "ms", atMost: 120, published: 202, in: scenario) { $0.flows[0].delay(quantile: 0.95) },
      Goal("G6l", "5.1 loss", unit: "%", atMost: 0.5, published: 0.6, in: scenario) { $0.flows[0].lossShare * 100 },
    ]
  }

  private static var fairness: [Goal] {
    let three = Scenario.rfc8867Case4
    let tcp = Scenario.rfc8867Case6()
    let pair = pairScenario
    return [
      Goal("G7j", "5.4 Jain's index from 70 s", unit: "", atLeast: 0.97, published: 0.97, in: three) {
        $0.fairness(of: [0, 1, 2], from: 70, to: 120)
      },
      Goal("G7m", "5.4 largest over smallest", unit: "×", atMost: 1.5, published: 1.55, in: three) {
        $0.spread(of: [0, 1, 2], from: 70, to: 120)
      },
      Goal("G7u", "5.4 utilisation of all", unit: "", atLeast: 0.75, atMost: 1.01, in: three) { result in
        (0..<3).reduce(0) { $0 + result.flows[$1].delivered(from: 70, to: 120) } / 3.5e6
      },
      Goal("G8", "5.6 share beside Reno", unit: "", atLeast: 0.25, atMost: 0.75, published: 0.17, in: tcp) {
        let ours = $0.flows[0].delivered(from: 15, to: 120)
        return ours / (ours + $0.flows[1].delivered(from: 15, to: 120))
      },
      Goal("G8m", "5.6 least rate over 1 s", unit: "kbit/s", atLeast: 150, in: tcp) {
        $0.flows[0].lowestDelivered(over: 1, from: 10, to: 120) / 1000
      },
      Goal("G9", "two flows, share of the first", unit: "", atLeast: 0.35, atMost: 0.65, published: 0.6, in: pair) {
        let first = $0.flows[0].delivered(from: 25, to: 60)
        return first / (first + $0.flows[1].delivered(from: 25, to: 60))
      },
      Goal("G9u", "two flows, utilisation", unit: "", atLeast: 0.8, atMost: 1.01, in: pair) {
        ($0.flows[0].delivered(from: 25, to: 60) + $0.flows[1].delivered(from: 25, to: 60)) / 2e6
      },
    ]
  }

  private static var loss: [Goal] {
    [(0.0, 0.93, 0.935), (0.05, 0.9, 0.91), (0.1, 0.75, 0.54)].map { loss, goal, published in
      let scenario = constantScenario(megabits: 2.6, loss: loss)
      return Goal(
        "G10", "\(Int(loss * 100)) % random loss, delivered", unit: "", atLeast: goal, atMost: 1.01, published: published, in: scenario
      ) { $0.utilization(of: 0, from: 10, to: 60) }
    }
  }

  /// Encodings of 150, 500 and 1500 kbit/s on a constant link.
  public static func layeredScenario(kilobits: Double) -> Scenario {
    var scenario = scenario(
      "layers-\(Int(kilobits))", "Encodings of 150, 500, 1500 kbit/s on \(Int(kilobits)) kbit/s", seconds: 120,
      capacity: CapacitySchedule(kilobitsPerSecond: kilobits), maximumKilobits: 0)
    var model = MediaModel()
    model.source = .layers(kilobits: [150, 500, 1500], isScalable: false)
    model.audioKilobits = 20
    model.repairs = true
    scenario.flows[0].kind = .media(model)
    return scenario
  }

  /// The link's capacity and the best encoding that fits with audio and a tenth to spare.
  private static var layers: [Goal] {
    [(400.0, 0), (800, 1), (1200, 1), (2000, 2), (3000, 2)].flatMap { kilobits, best in
      let scenario = layeredScenario(kilobits: kilobits)
      return [
        Goal("G11c", "\(Int(kilobits)) kbit/s, changes a minute", unit: "", atMost: 2, in: scenario) {
          // The climb from the lowest encoding at the start is no change of mind: the first ten seconds are not counted.
          Double($0.flows[0].layerChanges.count { $0.seconds > 10 }) / (110.0 / 60)
        },
        Goal("G11b", "time on the best that fits", unit: "", atLeast: 0.9, in: scenario) {
          let samples = $0.flows[0].samples.filter { $0.seconds > 10 }
          return Double(samples.count { $0.layer == best }) / Double(samples.count)
        },
        Goal("G11u", "upgrades that were not paid for", unit: "", atMost: 0, in: scenario) { Double($0.flows[0].unpaidUpgradeCount) },
        Goal("G11f", "longest freeze", unit: "ms", atMost: 200, in: scenario) { $0.flows[0].longestFreezeMilliseconds },
      ]
    }
  }

  /// Encodings of 150, 500 and 1500 kbit/s on 3 Mbit/s, 0.6 from 30 s on, 3 again from 60 s on.
  public static var layeredDropScenario: Scenario {
    var scenario = layeredScenario(kilobits: 3000)
    scenario.name = "layers-drop"
    scenario.title = "Encodings of 150, 500, 1500 kbit/s on 3, 0.6, 3 Mbit/s"
    scenario.durationSeconds = 90
    scenario.links[0].capacity = CapacitySchedule([(seconds: 0, kilobitsPerSecond: 3000), (30, 600), (60, 3000)])
    scenario.links[0].queueLimit = .milliseconds(1000)
    return scenario
  }

  /// What the same asks when the capacity changes.
  private static var layersOnDrop: [Goal] {
    let scenario = layeredDropScenario
    return [
      Goal("G12q", "layers, last delay above 300 ms after a drop", unit: "s", atMost: 3, in: scenario) {
        ($0.flows[0].lastDelay(above: 300, from: 30, to: 60) ?? 30) - 30
      },
      Goal("G12b", "best encoding back after recovery", unit: "s", atMost: 10, in: scenario) { result in
        (result.flows[0].layerChanges.first { $0.seconds > 60 && $0.layer == 2 }?.seconds ?? .infinity) - 60
      },
      Goal("G12f", "longest freeze", unit: "ms", atMost: 500, in: scenario) { $0.flows[0].longestFreezeMilliseconds },
      Goal("G12c", "changes in 90 s", unit: "", atLeast: 4, atMost: 7, in: scenario) { Double($0.flows[0].layerChanges.count) },
    ]
  }
}
