// What one subscriber was sent of the last frames of its source.

/// Three masks over the last 64 frames; bit *i* is the frame *i* before the newest. A frame that is in none has not been seen: lost, or late.
package struct FrameLedger: Sendable {
  package enum Standing: Hashable, Sendable {
    case new
    case forwarded
    case dropped
    /// In between the known ones, and not seen so far.
    case late
    case tooOld
  }

  package private(set) var newest = Int64.min
  private var forwarded: UInt64 = 0
  private var dropped: UInt64 = 0
  /// Dropped while newest, so that picture ids closed up behind them.
  private var closed: UInt64 = 0

  package init() {}

  @inline(__always)
  package func standing(of number: Int64) -> Standing {
    if number > newest { return .new }
    let age = newest &- number
    guard age >= 0, age < 64 else { return .tooOld }
    let bit: UInt64 = 1 << UInt64(age)
    return forwarded & bit != 0 ? .forwarded : dropped & bit != 0 ? .dropped : .late
  }

  /// The frames left out, as the frame `number` sees them: bit *k* − 1 is *k* frames before it.
  @inline(__always)
  package func droppedFrames(before number: Int64) -> UInt64 {
    newest == .min ? 0 : FrameHistory.shift(dropped, from: newest, to: number)
  }

  /// The frames that went out, in the same form.
  package func forwardedFrames(before number: Int64) -> UInt64 {
    newest == .min ? 0 : FrameHistory.shift(forwarded, from: newest, to: number)
  }

  /// How many pictures were closed up behind `number`.
  package func closedCount(after number: Int64) -> Int64 {
    let age = newest &- number
    guard age > 0 else { return 0 }
    return Int64((age >= 64 ? closed : closed & ((1 << UInt64(age)) &- 1)).nonzeroBitCount)
  }

  /// Notes what becomes of a frame that has not been seen before.
  package mutating func note(_ number: Int64, isForwarded: Bool, closesGap: Bool) {
    if newest == .min { newest = number &- 1 }
    if number > newest {
      let distance = UInt64(truncatingIfNeeded: min(64, number &- newest))
      forwarded <<= distance
      dropped <<= distance
      closed <<= distance
      newest = number
    }
    let age = newest &- number
    guard age < 64 else { return }
    let bit: UInt64 = 1 << UInt64(age)
    if isForwarded { forwarded |= bit } else { dropped |= bit }
    if closesGap { closed |= bit }
  }
}
