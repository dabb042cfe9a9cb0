// Everything that can be run by name.

extension Scenario {
  /// The scenarios of RFC 8867 and those of the goals, each once.
  public static var all: [Scenario] {
    var scenarios = [
      rfc8867Case1(), rfc8867Case1(oneWayDelayMilliseconds: 100), rfc8867Case2, rfc8867Case3, rfc8867Case4, rfc8867Case5, rfc8867Case6(),
      rfc8867Case6(queueMilliseconds: 1000), rfc8867Case7, rfc8867Case8, rfc8867Priority, rfc8867Bottlenecks,
    ]
    for goal in Goal.all where !scenarios.contains(where: { $0.name == goal.scenario.name }) { scenarios.append(goal.scenario) }
    return scenarios
  }

  /// The RFC's bottleneck and source on a capacity of one's own, such as a recorded trace.
  public static func traced(_ name: String, capacity: CapacitySchedule, durationSeconds: Double, maximumKilobits: Double) -> Scenario {
    var link = LinkModel(capacity: capacity, oneWayDelayMilliseconds: 50)
    link.queueLimit = .milliseconds(1000)
    var model = MediaModel()
    model.source = .adaptive(minimumKilobits: 50, maximumKilobits: maximumKilobits)
    model.audioKilobits = 20
    return Scenario(
      name: name, title: "Trace \(name)", durationSeconds: durationSeconds, links: [link, .wide(oneWayDelayMilliseconds: 50)],
      flows: [FlowModel("media", .media(model))])
  }
}
