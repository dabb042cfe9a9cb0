// What a subscriber wants of a picture, in pixels, frames and bits; which layer that is, the engine finds.

import EnfiladeForwarding
import EnfiladeWire

/// The most that is of use to a subscriber in one media section.
public struct VideoConstraint: Sendable, Hashable {
  /// The largest picture that is of use, in pixels. Pictures are compared by area, so a turned one counts the same. When every layer is
  /// larger, the smallest is sent.
  public var maximumWidth: Int
  /// See ``maximumWidth``.
  public var maximumHeight: Int
  /// The most frames per second that are of use.
  public var maximumFramesPerSecond: Double
  /// The most bits per second that may be sent; `nil` for as many as it takes.
  public var maximumBitrate: Int?
  /// Send nothing until this is taken back.
  public var isPaused: Bool
  /// What the picture is to the one who looks at it: decides who is first when not everything fits the downlink.
  public var priority: VideoPriority

  /// A constraint; what is not given is not constrained.
  public init(
    maximumWidth: Int = 65_535, maximumHeight: Int = 65_535, maximumFramesPerSecond: Double = .infinity, maximumBitrate: Int? = nil,
    isPaused: Bool = false, priority: VideoPriority = .gallery
  ) {
    self.maximumWidth = maximumWidth
    self.maximumHeight = maximumHeight
    self.maximumFramesPerSecond = maximumFramesPerSecond
    self.maximumBitrate = maximumBitrate
    self.isPaused = isPaused
    self.priority = priority
  }
}

extension LayerTarget {
  init(_ constraint: VideoConstraint) {
    self.init(
      maximumWidth: UInt16(clamping: constraint.maximumWidth), maximumHeight: UInt16(clamping: constraint.maximumHeight),
      maximumFrameRate: constraint.maximumFramesPerSecond.isNaN ? .infinity : Float(max(0, constraint.maximumFramesPerSecond)),
      budget: .bitsPerSecond(Int64(constraint.maximumBitrate.map { max(0, $0) } ?? .max)), isPaused: constraint.isPaused)
    role = SubscriptionRole(constraint.priority)
  }
}
