// When a shard's thread is too busy: pictures give way first, in steps, and come back in steps.

import EnfiladeWire

/// How far the pictures of one shard's subscribers are held back. A step down follows a second of too much load; a step up follows longer rest,
/// so that what comes back does not go again at once.
struct LoadShedding: Sendable {
  /// Nothing, smaller pictures, very small ones, none.
  static let levels = 0...3
  private static let patience = TimeDelta.seconds(Int64(1))
  private static let rest = TimeDelta.seconds(Int64(4))
  /// A step up is taken when the load is below the limit by so much: a step down saves about a third.
  private static let restPermille = 300

  /// The load, in thousandths of the thread's time, beyond which pictures give way.
  let limitPermille: Int
  private(set) var level = 0
  private var busySince: Instant?
  private var restsSince: Instant?

  init(limitPermille: Int) { self.limitPermille = limitPermille }

  /// Whether nothing is held back, and the load so small that it takes a while to matter.
  func isCalm(permille: Int) -> Bool { level == 0 && permille < limitPermille / 4 }

  /// Takes the load of a moment.
  ///
  /// - Returns: whether the level is another one now.
  mutating func handleLoad(permille: Int, at now: Instant) -> Bool {
    busySince = permille > limitPermille ? busySince ?? now : nil
    restsSince = permille < limitPermille - Self.restPermille ? restsSince ?? now : nil
    if let since = busySince, now - since >= Self.patience, level < Self.levels.upperBound {
      level += 1
      busySince = now
      return true
    }
    if let since = restsSince, now - since >= Self.rest, level > 0 {
      level -= 1
      restsSince = now
      return true
    }
    return false
  }
}

extension VideoConstraint {
  /// What is left of it while a shard sheds load.
  func shed(_ level: Int) -> VideoConstraint {
    var rest = self
    switch level {
    case ..<1: break
    case 1: rest.limit(width: 640, height: 360, framesPerSecond: 15)
    case 2: rest.limit(width: 320, height: 180, framesPerSecond: 15)
    default: rest.isPaused = true
    }
    return rest
  }

  private mutating func limit(width: Int, height: Int, framesPerSecond: Double) {
    let (area, overflows) = maximumWidth.multipliedReportingOverflow(by: maximumHeight)
    if overflows || area > width * height { (maximumWidth, maximumHeight) = (width, height) }
    maximumFramesPerSecond = min(maximumFramesPerSecond, framesPerSecond)
  }
}
