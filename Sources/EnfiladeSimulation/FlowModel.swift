// What is sent across the links, said before anything runs.

/// One sender and its receiver.
public struct FlowModel: Hashable, Sendable {
  /// What is sent.
  public enum Kind: Hashable, Sendable {
    /// Media under congestion control.
    case media(MediaModel)
    /// A file without end, Reno-like.
    case longTCP
    /// Files of 30 to 50 kB with pauses of exponential length between.
    case shortTCP(meanPauseSeconds: Double)
  }

  /// What is sent.
  public var kind: Kind
  /// Shown in tables and plots.
  public var name: String
  /// Seconds from the start of the scenario.
  public var startSeconds = 0.0
  /// When it stops.
  public var endSeconds = Double.infinity
  /// A pause between these seconds.
  public var pause: ClosedRange<Double>?
  /// Indices of the scenario's links, in order, towards the receiver.
  public var forward: [Int] = [0]
  /// Indices of the scenario's links, in order, towards the sender.
  public var backward: [Int] = [1]
  /// More propagation for this flow alone, in milliseconds, half of it in each direction's last hop.
  public var extraOneWayDelayMilliseconds = 0.0

  /// A flow that starts with the scenario.
  public init(_ name: String, _ kind: Kind) {
    self.name = name
    self.kind = kind
  }
}

/// A publisher's media, its way through the forwarder's congestion control, and a subscriber.
public struct MediaModel: Hashable, Sendable {
  /// Where video comes from.
  public enum Source: Hashable, Sendable {
    /// An encoder that follows the target after a reaction time.
    case adaptive(minimumKilobits: Double, maximumKilobits: Double)
    /// Encodings of fixed rates, of which the forwarder picks one (simulcast), or as many as fit (SVC).
    case layers(kilobits: [Double], isScalable: Bool)
  }

  /// In which format the subscriber reports.
  public enum Feedback: Hashable, Sendable, CaseIterable {
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01
    case transportWide
    /// RFC 8888
    case byStream
  }

  /// Which rules the sender follows.
  public enum Control: Hashable, Sendable, CaseIterable {
    /// What the engine does.
    case enfilade
    /// The same without any departure from senders in use.
    case reference
  }

  /// Where video comes from.
  public var source = Source.adaptive(minimumKilobits: 150, maximumKilobits: 1500)
  /// The rules the sender follows.
  public var control = Control.enfilade
  /// The reports' format.
  public var feedback = Feedback.transportWide
  /// Kilobits per second of audio, one packet each 20 ms; zero for none.
  public var audioKilobits = 0.0
  /// Frames each second.
  public var framesPerSecond = 30.0
  /// Each frame's size differs from the average by up to this share.
  public var frameNoise = 0.15
  /// An encoder follows the target after this time, in milliseconds.
  public var reactionMilliseconds = 100.0
  /// A key frame is so many times as large as another.
  public var keyFrameFactor = 4.0
  /// The rate at the start, in kilobits per second.
  public var startKilobits = 300.0
  /// Lost packets are asked for again.
  public var repairs = false
  /// The priority of this flow among those of one sender (RFC 8867 §6.1); one is ordinary.
  public var priority = 1.0

  /// Adaptive video and nothing else.
  public init() {}
}
