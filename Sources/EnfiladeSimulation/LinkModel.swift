// A link as a value: what it does to packets, said before anything runs.

/// One direction of one hop.
public struct LinkModel: Hashable, Sendable {
  /// Where a queue ends; what comes when it is full is lost.
  public enum QueueLimit: Hashable, Sendable {
    /// Packets that would wait longer than this are dropped.
    case milliseconds(Double)
    case bytes(Int)
    case unlimited
  }

  /// Packets lost on the way, after the queue.
  public enum Loss: Hashable, Sendable {
    case none
    /// Each packet by itself, with this probability.
    case random(Double)
    /// Two states (Gilbert and Elliott): in the bad one, packets are lost with `loss`; the states change with these probabilities per packet.
    case bursty(toBad: Double, toGood: Double, loss: Double)
  }

  /// What it carries over time.
  public var capacity: CapacitySchedule
  /// Propagation in milliseconds.
  public var oneWayDelayMilliseconds: Double
  /// The standard deviation of |N(0, σ)| cut at 3σ, in milliseconds (RFC 8868's bounded variation without reordering).
  public var jitterDeviationMilliseconds = 0.0
  /// Where its queue ends.
  public var queueLimit = QueueLimit.milliseconds(300)
  /// What gets lost on the way.
  public var loss = Loss.none
  /// The probability that a packet is held back by ``reorderingMilliseconds``, and overtaken.
  public var reordering = 0.0
  /// How long a reordered packet is held back, in milliseconds.
  public var reorderingMilliseconds = 10.0
  /// The probability that a packet comes twice.
  public var duplication = 0.0
  /// Larger packets are dropped, in bytes.
  public var maximumPacketByteCount = 1500

  /// A link with a capacity and a propagation delay in milliseconds.
  public init(capacity: CapacitySchedule, oneWayDelayMilliseconds: Double) {
    self.capacity = capacity
    self.oneWayDelayMilliseconds = oneWayDelayMilliseconds
  }

  /// A way back that is never the bottleneck.
  public static func wide(oneWayDelayMilliseconds: Double) -> LinkModel {
    LinkModel(capacity: CapacitySchedule(kilobitsPerSecond: 100_000), oneWayDelayMilliseconds: oneWayDelayMilliseconds)
  }
}
