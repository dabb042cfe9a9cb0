// How many bits and frames each layer of one encoding has, as measured.

package import EnfiladeWire

/// Counts packets by spatial and temporal layer, and from time to time makes rates of them. Key pictures are many times as large as others and
/// rare: each is spread over the seconds that follow, or a layer would look dear just after somebody turned to it.
package struct LayerMeter: Sendable {
  package static let spatialLayerCount = 4
  package static let temporalLayerCount = 8
  /// Over how many windows a key picture is spread.
  private static let keyWindowCount: Int64 = 16

  private var byteCounts = InlineArray<32, UInt32>(repeating: 0)
  private var keyByteCounts = InlineArray<32, UInt32>(repeating: 0)
  private var frameCounts = InlineArray<32, UInt16>(repeating: 0)
  private var bitsPerSecond = InlineArray<32, Int64>(repeating: 0)
  private var keyBitsPerSecond = InlineArray<32, Int64>(repeating: 0)
  private var framesPerSecond = InlineArray<32, Float>(repeating: 0)
  /// To which decode targets frames of the layer belong, key pictures aside; one bit each.
  private var memberships = InlineArray<32, UInt32>(repeating: 0)
  private var windowStart: Instant?
  package private(set) var hasRates = false

  package init() {}

  /// A packet came. `true` when the rates have just been made anew.
  package mutating func handle(_ frame: FrameInfo, byteCount: Int, isKeyPicture: Bool, isFirstOfFrame: Bool, at now: Instant) -> Bool {
    let index = Self.index(Int(frame.spatialID), Int(frame.temporalID))
    if isKeyPicture {
      keyByteCounts[index] &+= UInt32(truncatingIfNeeded: byteCount)
    } else {
      byteCounts[index] &+= UInt32(truncatingIfNeeded: byteCount)
    }
    if isFirstOfFrame {
      frameCounts[index] &+= 1
      if !isKeyPicture || memberships[index] == 0 {
        var membership: UInt32 = 0
        for target in 0..<32 where frame.indications >> UInt64(2 * target) & 3 != 0 { membership |= 1 << UInt32(target) }
        memberships[index] = membership
      }
    }
    guard let start = windowStart else {
      windowStart = now
      return false
    }
    let elapsed = now - start
    guard elapsed >= Limits.layerMeterWindow else { return false }
    windowStart = now
    // After silence there is nothing to smooth.
    let isFresh = !hasRates || elapsed > Limits.layerMeterWindow * 4
    for index in 0..<32 {
      let rate = DataSize.bytes(Int64(byteCounts[index])).rate(over: elapsed).bitsPerSecond
      let keyRate = DataSize.bytes(Int64(keyByteCounts[index])).rate(over: elapsed).bitsPerSecond
      let frames = Float(Double(frameCounts[index]) / elapsed.seconds)
      bitsPerSecond[index] = isFresh ? rate : (bitsPerSecond[index] + rate) / 2
      // Where nothing but key pictures comes, they are what it costs.
      let windowCount: Int64 = rate > 0 ? Self.keyWindowCount : isFresh ? 1 : 2
      let kept = isFresh ? 0 : keyBitsPerSecond[index]
      keyBitsPerSecond[index] = kept + (keyRate - kept) / windowCount
      framesPerSecond[index] = isFresh ? frames : (framesPerSecond[index] + frames) / 2
      byteCounts[index] = 0
      keyByteCounts[index] = 0
      frameCounts[index] = 0
    }
    hasRates = true
    return true
  }

  /// Forgets which layers belong together, when their structure changes.
  package mutating func forgetMemberships() { memberships = InlineArray(repeating: 0) }

  /// The rate of everything that belongs to a decode target.
  package func bitrate(of decodeTarget: UInt8) -> Bitrate {
    var sum: Int64 = 0
    for index in 0..<32 where memberships[index] >> UInt32(decodeTarget & 31) & 1 != 0 {
      sum += bitsPerSecond[index] + keyBitsPerSecond[index]
    }
    return .bitsPerSecond(sum)
  }

  /// Frames per second of a spatial layer up to a temporal one.
  package func frameRate(spatialID: UInt8, temporalID: UInt8) -> Float {
    var sum: Float = 0
    for layer in 0...Int(temporalID & 7) { sum += framesPerSecond[Self.index(Int(spatialID), layer)] }
    return sum
  }

  private static func index(_ spatialID: Int, _ temporalID: Int) -> Int { (spatialID & 3) * temporalLayerCount + (temporalID & 7) }
}
