// The last frames of one encoding: to which layers and decode targets they belong.

/// Bit masks over the last 64 frames; bit *i* is the frame *i* before the newest.
package struct FrameHistory: Sendable {
  /// How many frames are remembered.
  package static let capacity = 64

  package private(set) var newest = Int64.min
  /// The newest frame at which decoding can begin: nothing behind it refers to anything before it.
  package private(set) var cut = Int64.min
  private var seen: UInt64 = 0
  private var temporal = InlineArray<8, UInt64>(repeating: 0)
  private var members = InlineArray<32, UInt64>(repeating: 0)

  package init() {}

  /// A mask as the frame `number` sees it: bit *k* − 1 is *k* frames before it.
  package static func shift(_ mask: UInt64, from newest: Int64, to number: Int64) -> UInt64 {
    let distance = number &- newest
    // Shifts of 64 and more give zero.
    return distance > 0 ? mask << UInt64(truncatingIfNeeded: distance &- 1) : mask >> UInt64(truncatingIfNeeded: min(64, 1 &- distance))
  }

  /// Frames of temporal layer `temporalID` before the frame `number`.
  package func frames(temporalID: Int, before number: Int64) -> UInt64 {
    Self.shift(temporal[temporalID & 7], from: newest, to: number)
  }

  /// Frames that belong to `decodeTarget`, before the frame `number` and since the last key picture. `nil` when `number` itself is before that.
  package func members(of decodeTarget: UInt8, before number: Int64) -> UInt64? {
    guard number >= cut else { return nil }
    return Self.shift(members[Int(decodeTarget & 31)], from: newest, to: number)
  }

  /// Which of the frames before `number` it can refer to at all.
  package func reachable(from number: Int64) -> UInt64 {
    let distance = number &- cut
    guard cut != .min, distance >= 0, distance < 64 else { return .max }
    return (1 << UInt64(distance)) &- 1
  }

  /// Takes a frame in; a second packet of a frame changes nothing.
  package mutating func note(_ frame: FrameInfo) {
    let number = frame.number
    if newest == .min { newest = number &- 1 }
    if number > newest {
      // Shifts of 64 and more give zero, but not what does not fit 64 bits.
      let distance = UInt64(min(64, number &- newest))
      newest = number
      seen <<= distance
      for index in 0..<8 { temporal[index] <<= distance }
      for index in 0..<32 { members[index] <<= distance }
    }
    let age = newest &- number
    guard age < 64 else { return }
    let bit: UInt64 = 1 << UInt64(age)
    if frame.flags.contains(.startsKeyPicture), number > cut {
      cut = number
      let later = bit &- 1 | bit
      seen &= later
      for index in 0..<8 { temporal[index] &= later }
      for index in 0..<32 { members[index] &= later }
    }
    guard seen & bit == 0 else { return }
    seen |= bit
    temporal[Int(frame.temporalID & 7)] |= bit
    for index in 0..<32 where frame.indications >> UInt64(2 * index) & 3 != 0 { members[index] |= bit }
  }
}
