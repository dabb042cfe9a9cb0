// Why a picture is as large as it is: the forwarder's decisions, for people who ask.

import EnfiladeForwarding
import EnfiladeWire

/// One decision about what a participant is sent in one of its media sections.
public struct LayerDecision: Sendable, Hashable {
  /// What was decided.
  public enum Kind: String, Sendable, Hashable, Codable {
    /// This is what should be sent; the reason says why not more.
    case wanted
    /// A key frame of this encoding is awaited, without which nothing of it can be shown.
    case awaitingKeyframe
    /// This is what is sent from here on.
    case forwarding
    /// Nothing is sent from here on.
    case stopped
  }

  /// Why.
  public enum Reason: String, Sendable, Hashable, Codable {
    /// It is the best there is.
    case best
    /// The participant has use for no more: ``VideoConstraint``.
    case constraint
    /// No more bits may be spent on it.
    case budget
    /// More could be had, but not for long enough yet.
    case patience
    /// A picture begins with a key frame, which has not come.
    case waitingForKeyframe
    /// The participant has paused it.
    case paused
    /// The publisher sends nothing that could be sent on.
    case senderStopped
    /// The participant takes no codec that the publisher sends.
    case codec
    /// A frame that others refer to is lost for good: a key frame mends it.
    case brokenReference
  }

  /// How long ago it was decided.
  public let age: Duration
  /// What was decided.
  public let kind: Kind
  /// Why.
  public let reason: Reason
  /// Which of the publisher's encodings, counted from zero in the order of its offer; meaningless when ``kind`` is ``Kind/stopped``.
  public let encoding: Int
  /// The spatial layer, counted from zero; meaningless as ``encoding``.
  public let spatialLayer: Int
  /// The temporal layer, counted from zero; meaningless as ``encoding``.
  public let temporalLayer: Int
}

extension LayerDecision {
  init(_ entry: DecisionLog.Entry, seenAt now: Instant) {
    age = .nanoseconds(max(0, (now - entry.at).nanoseconds))
    kind = Kind(entry.kind)
    reason = Reason(entry.reason)
    encoding = Int(entry.encoding)
    spatialLayer = Int(entry.spatialID)
    temporalLayer = Int(entry.temporalID)
  }
}

extension LayerDecision.Kind {
  fileprivate init(_ kind: DecisionLog.Entry.Kind) {
    switch kind {
    case .wanted: self = .wanted
    case .awaited: self = .awaitingKeyframe
    case .switched: self = .forwarding
    case .stopped: self = .stopped
    }
  }
}

extension LayerDecision.Reason {
  fileprivate init(_ reason: LayerReason) {
    switch reason {
    case .best: self = .best
    case .constraint: self = .constraint
    case .budget: self = .budget
    case .patience: self = .patience
    case .waitingForKeyframe: self = .waitingForKeyframe
    case .paused: self = .paused
    case .senderStopped: self = .senderStopped
    case .codec: self = .codec
    case .brokenReference: self = .brokenReference
    }
  }
}
