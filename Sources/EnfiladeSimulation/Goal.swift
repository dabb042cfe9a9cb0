// What is asked of congestion control, with bounds on both sides: too much fails as well as too little.

/// One number out of one or more runs of a scenario, and what it must be.
public struct Goal: Sendable {
  /// G1 to G11, with a letter where one has several numbers.
  public var name: String
  /// What the number is.
  public var title: String
  /// How it is written in a table.
  public var unit: String
  /// It must not be less.
  public var atLeast: Double?
  /// It must not be more.
  public var atMost: Double?
  /// What a port of the usual sender-side estimation reached in a simulator of its own, as published with the goals.
  public var published: Double?
  /// The experiment.
  public var scenario: Scenario
  /// The number.
  public var measure: @Sendable (SimulationResult) -> Double

  /// A number with its bounds.
  public init(
    _ name: String, _ title: String, unit: String, atLeast: Double? = nil, atMost: Double? = nil, published: Double? = nil,
    in scenario: Scenario, measure: @escaping @Sendable (SimulationResult) -> Double
  ) {
    self.name = name
    self.title = title
    self.unit = unit
    self.atLeast = atLeast
    self.atMost = atMost
    self.published = published
    self.scenario = scenario
    self.measure = measure
  }

  /// Whether a value is within the bounds.
  public func isMet(by value: Double) -> Bool {
    value.isFinite && atLeast.map { value >= $0 } ?? true && atMost.map { value <= $0 } ?? true
  }
}
