// What came out, in numbers.

/// One flow's course, every ``SimulationResult/sampleSeconds``.
public struct FlowSample: Hashable, Sendable {
  /// At the end of the sample's stretch, from the start of the scenario.
  public var seconds = 0.0
  /// The estimate, in bits per second.
  public var target = 0.0
  /// Bits per second that left, padding included.
  public var sent = 0.0
  /// Bits per second that arrived for the first time, padding excluded.
  public var delivered = 0.0
  /// The longest delay above propagation of a packet that arrived in the stretch, in milliseconds.
  public var delayMilliseconds = 0.0
  /// What the delay controller does: 0 steady, 1 draining, 2 competing.
  public var mode = 0
  /// The encoding forwarded, from zero; −1 while paused or where there is only one.
  public var layer = -1
}

/// One packet's delay.
public struct DelaySample: Hashable, Sendable {
  /// When it arrived, in seconds from the start.
  public var seconds: Double
  /// From the source to the subscriber, pacer and queues included, above propagation.
  public var milliseconds: Double
}

/// One flow's result.
public struct FlowResult: Hashable, Sendable {
  /// As the scenario names it.
  public var name: String
  /// Its course.
  public var samples: [FlowSample] = []
  /// One for each media packet that arrived the first time.
  public var delays: [DelaySample] = []
  /// Changes of the estimate: seconds and bits per second.
  public var targets: [TargetChange] = []
  /// Media packets sent for the first time.
  public var sentPacketCount = 0
  /// Of those, how many a link dropped or lost.
  public var lostPacketCount = 0
  /// Frames shown, and the longest times between two of them, in milliseconds.
  public var frameCount = 0
  /// The longest time without a new frame while the source sent, in milliseconds.
  public var longestFreezeMilliseconds = 0.0
  /// Changes of the spatial layer: when, and to which.
  public var layerChanges: [LayerChange] = []
  /// Upgrades that no probe had paid for.
  public var unpaidUpgradeCount = 0
  /// Packets of all kinds that were sent, with padding.
  public var allPacketCount = 0
  /// Packets that passed the pacer undelayed.
  public var undelayedPacketCount = 0
  /// Bytes of padding.
  public var paddingByteCount = 0

  /// A change of the estimate.
  public struct TargetChange: Hashable, Sendable {
    /// From the start of the scenario.
    public var seconds: Double
    /// The estimate from then on.
    public var bitsPerSecond: Double
  }

  /// A change of the encoding that is forwarded.
  public struct LayerChange: Hashable, Sendable {
    /// From the start of the scenario.
    public var seconds: Double
    /// The encoding from then on.
    public var layer: Int
  }
}

/// What a scenario and a seed gave. Equal for equal scenarios and seeds.
public struct SimulationResult: Hashable, Sendable {
  /// The grain of ``FlowResult/samples``.
  public static let sampleSeconds = 0.1

  /// What ran.
  public var scenario: Scenario
  /// The seed it ran with.
  public var seed: UInt64
  /// In the order of the scenario's flows.
  public var flows: [FlowResult]
}
