// A publisher of several encodings of fixed rates, and the forwarder's choice among them for one subscriber.

import EnfiladeCongestion
import EnfiladeForwarding
import EnfiladeWire

struct LayeredSource: ~Copyable {
  /// From the forwarder's request to the publisher's key frame, in seconds.
  static let keyFrameSeconds = 0.06
  /// The allocation is looked at this often, in seconds, and whenever something is reported.
  static let intervalSeconds = 0.2

  struct Frame {
    var byteCount: Int
    var isKey: Bool
    var layer: Int
  }

  private let kilobits: [Double]
  private let isScalable: Bool
  private var allocator = BandwidthAllocator()
  private var wish: SubscriptionWish
  private var pending: Int?
  private var keyFrameTime = 0.0
  private var isKeyFrameDue = true
  private(set) var current = 0
  private(set) var nextDeadline: Double
  private(set) var changes: [FlowResult.LayerChange] = []
  /// Steps up that were made above what was proven.
  private(set) var unpaidUpgradeCount = 0

  init(kilobits: [Double], isScalable: Bool, start: Double) {
    self.kilobits = kilobits
    self.isScalable = isScalable
    var options = LayerOptions()
    for (index, rate) in kilobits.enumerated() {
      let height = 180 << index
      options.append(
        LayerOption(
          spatial: UInt8(index), temporal: 0, bitrate: Bitrate(bitsPerSecond: Int64(rate * 1000)), width: UInt16(height * 16 / 9),
          height: UInt16(height), framesPerSecond: 30))
    }
    wish = SubscriptionWish(subscription: 0, role: .speaker, options: options, current: 0)
    nextDeadline = start
    changes = [FlowResult.LayerChange(seconds: start, layer: 0)]
  }

  /// Everything that could be forwarded.
  var maximum: Bitrate { Bitrate(bitsPerSecond: Int64((kilobits.last ?? 0) * 1000)) }

  /// - Returns: what a probe would have to show for the next step up.
  mutating func allocate(_ budget: BandwidthAllocator.Budget, at now: Double) -> Bitrate? {
    nextDeadline = now + Self.intervalSeconds
    let instant = Instant(nanoseconds: Int64(now * 1e9))
    let wishes = [wish]
    let summary = allocator.allocate(wishes.span, budget: budget, at: instant)
    // A subscriber of one publication sees at least its lowest encoding.
    let chosen = max(0, Int(allocator.allocations[0].option))
    if chosen != Int(wish.current) {
      let cost = wish.options[chosen].bitrate.bitsPerSecond + budget.reserved.bitsPerSecond
      if chosen > Int(wish.current), cost > budget.proven.bitsPerSecond { unpaidUpgradeCount += 1 }
      wish.wentDown = chosen < Int(wish.current)
      wish.changed = instant
      wish.current = Int8(chosen)
      pending = chosen
      keyFrameTime = now + Self.keyFrameSeconds
    }
    return summary.demand
  }

  mutating func requestKeyFrame(at now: Double) {
    if pending == nil {
      pending = current
      keyFrameTime = now + Self.keyFrameSeconds
    }
  }

  /// The next frame to forward.
  mutating func frame(framesPerSecond: Double, noise: Double, keyFrameFactor: Double, at now: Double) -> Frame {
    if let next = pending, now >= keyFrameTime || isScalable {
      pending = nil
      if next != current { changes.append(FlowResult.LayerChange(seconds: now, layer: next)) }
      // The layers of SVC depend on nothing that is not forwarded: no key frame is needed to step (RFC 9628 §3).
      isKeyFrameDue = !isScalable || next == current
      current = next
    }
    let isKey = isKeyFrameDue
    isKeyFrameDue = false
    let size = kilobits[current] * 1000 / framesPerSecond / 8 * noise
    return Frame(byteCount: Int(isKey ? size * keyFrameFactor : size), isKey: isKey, layer: current)
  }
}
