// How pictures refer to one another in each scalability mode, as an encoder does it: the truth that descriptors are made from, and that the
// model decoder compares with what it is given (W3C Scalable Video Coding, §5).

import Testing

struct ScalabilityMode: CustomTestStringConvertible, Sendable, Hashable {
  enum Between: Sendable, Hashable {
    /// Every picture's upper layers refer to the lower ones.
    case full
    /// Only key pictures' do.
    case keyOnly
    /// Layers are streams of their own.
    case none
  }

  var spatial: Int
  var temporal: Int
  var between: Between
  /// Whether upper temporal layers lean on their own past in every second round.
  var leans = true

  var testDescription: String {
    let letter = between == .none ? "S" : "L"
    return "\(letter)\(spatial)T\(temporal)" + (between == .keyOnly ? "_KEY" : "")
  }

  static let all: [ScalabilityMode] =
    (1...3).flatMap { spatial in (1...3).map { ScalabilityMode(spatial: spatial, temporal: $0, between: .full) } }
    + (2...3).flatMap { spatial in (1...3).map { ScalabilityMode(spatial: spatial, temporal: $0, between: .keyOnly) } }
    + (2...3).flatMap { spatial in (1...3).map { ScalabilityMode(spatial: spatial, temporal: $0, between: .none) } }

  static let temporalOnly = (1...3).map { ScalabilityMode(spatial: 1, temporal: $0, between: .full) }

  /// The pattern of temporal layers.
  private var pattern: [Int] { [[0], [0, 1], [0, 2, 1, 2]][temporal - 1] }
  /// Pictures until everything repeats: twice the pattern, for in every second round upper layers lean on their own past.
  var groupLength: Int { pattern.count * 2 }

  func temporalID(at position: Int) -> Int { pattern[position % pattern.count] }

  /// How many pictures back the picture at `position` of a group refers to, in its own spatial layer. Behind a key picture the first group is
  /// like every other, but for what would refer to before it.
  func temporalDistances(at position: Int) -> [Int] {
    let place = position % pattern.count
    let leansBack = leans && position % groupLength >= pattern.count
    switch (temporal, place) {
    case (1, _): return [1]
    case (2, 0): return [2]
    case (2, _): return leansBack ? [1, 2] : [1]
    case (_, 0): return [4]
    case (_, 1): return leansBack ? [1, 2] : [1]
    case (_, 2): return leansBack ? [2, 4] : [2]
    default: return [1, 3]
    }
  }

  /// Whether what the picture refers to is in the lowest temporal layer alone.
  func refersToBaseAlone(at position: Int) -> Bool {
    temporalDistances(at: position).allSatisfy { temporalID(at: (position - $0 + 64 * groupLength) % groupLength) == 0 }
  }

  /// U of VP9: whether no later picture above this layer refers to one above it that came before.
  func isSwitchingUpPoint(at position: Int) -> Bool {
    let layer = temporalID(at: position)
    for ahead in 1...groupLength {
      let later = position + ahead
      guard temporalID(at: later) > layer else { continue }
      for distance in temporalDistances(at: later) where distance > ahead {
        if temporalID(at: later - distance + 64 * groupLength) > layer { return false }
      }
    }
    return true
  }

  /// The switch indication of the dependency descriptor for the target of temporal layer `target`: whoever has the layers below this picture's,
  /// and can decode it, can decode all that follows it in the target (AV1 RTP payload format, appendix A.4).
  func isSwitch(at position: Int, for target: Int) -> Bool {
    let layer = temporalID(at: position)
    guard layer == 0 || refersToBaseAlone(at: position) else { return false }
    for ahead in 1...groupLength {
      let later = position + ahead
      guard temporalID(at: later) <= target else { continue }
      for distance in temporalDistances(at: later) where distance > ahead {
        if temporalID(at: later - distance + 64 * groupLength) >= max(1, layer) { return false }
      }
    }
    return true
  }

  /// Whether some later picture refers to the one at this position, so that it cannot be thrown away.
  func isReferredTo(at position: Int) -> Bool {
    (1...4).contains { temporalDistances(at: position + $0).contains($0) }
  }
}
