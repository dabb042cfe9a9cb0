// All layers of all encodings of a publication, best last; made a few times a second, looked at by every subscriber.

package import EnfiladeWire

/// What there is to choose from.
package struct LayerCatalog: Sendable {
  package struct Candidate: Hashable, Sendable, BitwiseCopyable {
    /// ``Encoding/index``.
    package var encoding: UInt8 = 0
    /// ``Encoding/serial``.
    package var serial: UInt32 = 0
    package var layer = Layer()
    /// Pixels, or a guess by rank where nobody knows.
    package var pixelCount = 0

    package init() {}
  }

  /// Four encodings of nine layers, as in L3T3, are more than any browser sends at once.
  package static let capacity = 48

  private var candidates = InlineArray<48, Candidate>(repeating: Candidate())
  package private(set) var count = 0

  package init() {}

  package subscript(index: Int) -> Candidate {
    precondition(index >= 0 && index < count, "no such candidate")
    return candidates[index]
  }

  package mutating func removeAll() { count = 0 }

  /// Takes in the layers of one encoding that are sent now.
  package mutating func add(_ encoding: borrowing Encoding, at now: Instant) {
    guard encoding.isLive(at: now) else { return }
    for index in 0..<encoding.layers.count where encoding.layers[index].isActive {
      var candidate = Candidate()
      candidate.encoding = encoding.index
      candidate.serial = encoding.serial
      candidate.layer = encoding.layers[index]
      candidate.pixelCount = candidate.layer.pixelCount
      // Nobody told a size: encodings and spatial layers stand in rising order, each four times the one below.
      if candidate.pixelCount == 0 {
        candidate.pixelCount = 320 * 180 << (2 * min(4, Int(encoding.index) + Int(candidate.layer.spatialID)))
      }
      insert(candidate)
    }
  }

  private mutating func insert(_ candidate: Candidate) {
    guard count < Self.capacity else { return }
    var place = count
    while place > 0, Self.isBetter(candidates[place - 1], than: candidate) {
      candidates[place] = candidates[place - 1]
      place -= 1
    }
    candidates[place] = candidate
    count += 1
  }

  /// More pixels first, then more frames.
  private static func isBetter(_ a: Candidate, than b: Candidate) -> Bool {
    if a.pixelCount != b.pixelCount { return a.pixelCount > b.pixelCount }
    if a.layer.temporalID != b.layer.temporalID { return a.layer.temporalID > b.layer.temporalID }
    return a.layer.bitrate > b.layer.bitrate
  }
}
