// What one subscriber would like to see of one publication.

package import EnfiladeWire

/// What a picture is to the one who looks at it; decides who gets what is left.
package enum SubscriptionRole: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
  case screenShare
  case pinned
  case speaker
  case gallery
  case thumbnail

  /// How much a step up is worth, among the steps of others.
  package var weight: Double {
    switch self {
    case .screenShare: 16
    case .pinned: 8
    case .speaker: 6
    case .gallery: 2
    case .thumbnail: 1
    }
  }
}

/// A subscription as the allocator sees it.
package struct SubscriptionWish: Sendable, BitwiseCopyable {
  /// Its owner's name for it.
  package var subscription: Int32
  package var role: SubscriptionRole
  package var options: LayerOptions
  /// No more pixels in height than this are of use; zero for no limit.
  package var maximumHeight: UInt16
  /// No more frames each second than this are of use; zero for no limit.
  package var maximumFramesPerSecond: UInt8
  /// Which option is forwarded now; −1 for none.
  package var current: Int8
  /// When ``current`` last changed, and whether it went down then.
  package var changed: Instant
  package var wentDown: Bool

  package init(
    subscription: Int32, role: SubscriptionRole, options: LayerOptions, maximumHeight: UInt16 = 0, maximumFramesPerSecond: UInt8 = 0,
    current: Int8 = -1, changed: Instant = .zero, wentDown: Bool = false
  ) {
    self.subscription = subscription
    self.role = role
    self.options = options
    self.maximumHeight = maximumHeight
    self.maximumFramesPerSecond = maximumFramesPerSecond
    self.current = current
    self.changed = changed
    self.wentDown = wentDown
  }

  /// The best option of use: the last within the limits, or the lowest if none is.
  package var wanted: Int {
    var best = min(0, options.count - 1)
    for index in 0..<options.count {
      let option = options[index]
      let fits =
        (maximumHeight == 0 || option.height <= maximumHeight)
        && (maximumFramesPerSecond == 0 || option.framesPerSecond <= maximumFramesPerSecond)
      if fits { best = index }
    }
    return best
  }
}
