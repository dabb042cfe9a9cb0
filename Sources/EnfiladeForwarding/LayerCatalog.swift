// All layers of all encodings of a publication, best last; made a few times a second, looked at by every subscriber.

package import EnfiladeWire

/// What there is to choose from.
package struct LayerCatalog: ~Copyable, Sendable {
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

  /// An encoding that is not sent now: what it was when it was last sent, as far as anybody knows.
  package struct Dormant: Hashable, Sendable, BitwiseCopyable {
    package var encoding: UInt8 = 0
    /// Pixels of its largest picture; zero where nobody knows, until ``LayerCatalog/placeDormant()`` guesses.
    package var pixelCount = 0
    /// Of its cheapest layer; zero where nobody knows.
    package var bitrate = Bitrate.zero

    package init() {}
  }

  // On the heap: whatever reads an inline array through a value that holds it copies all of it.
  private var candidates = UniqueArray(repeating: Candidate(), count: capacity)
  package private(set) var count = 0
  private var sleepers = UniqueArray(repeating: Dormant(), count: Limits.encodingCount)
  package private(set) var dormantCount = 0

  package init() {}

  package subscript(index: Int) -> Candidate {
    precondition(index >= 0 && index < count, "no such candidate")
    return candidates[index]
  }

  /// One of the encodings that could be asked for, below ``dormantCount``.
  package func dormant(_ index: Int) -> Dormant {
    precondition(index >= 0 && index < dormantCount, "no such encoding")
    return sleepers[index]
  }

  package mutating func removeAll() {
    count = 0
    dormantCount = 0
  }

  /// Takes in an encoding that is not sent now.
  package mutating func addDormant(_ dormant: Dormant) {
    guard dormantCount < Limits.encodingCount else { return }
    sleepers[dormantCount] = dormant
    dormantCount += 1
  }

  /// Guesses the size of sleepers that were never seen: each encoding is four times the one below. To be called when all are in.
  package mutating func placeDormant() {
    for place in 0..<dormantCount where sleepers[place].pixelCount == 0 {
      sleepers[place].pixelCount = guess(of: Int(sleepers[place].encoding))
    }
  }

  private func guess(of encoding: Int) -> Int {
    var nearest: (encoding: Int, pixelCount: Int)?
    func consider(_ other: Int, _ pixelCount: Int) {
      guard pixelCount > 0, nearest.map({ abs(other - encoding) < abs($0.encoding - encoding) }) ?? true else { return }
      nearest = (other, pixelCount)
    }
    // The largest picture of an encoding stands for it, and candidates stand in rising order.
    for index in (0..<count).reversed() { consider(Int(candidates[index].encoding), candidates[index].layer.pixelCount) }
    for index in 0..<dormantCount { consider(Int(sleepers[index].encoding), sleepers[index].pixelCount) }
    guard let nearest else { return Self.unknownPixelCount(of: encoding) }
    let steps = 2 * (encoding - nearest.encoding)
    return steps >= 0 ? nearest.pixelCount << steps : nearest.pixelCount >> -steps
  }

  /// Nobody told a size: encodings and spatial layers stand in rising order, each four times the one below.
  private static func unknownPixelCount(of rank: Int) -> Int { 320 * 180 << (2 * min(4, rank)) }

  /// Takes in the layers of one encoding that are sent now.
  package mutating func add(_ encoding: borrowing Encoding, at now: Instant) {
    guard encoding.isLive(at: now) else { return }
    for index in 0..<encoding.details.layers.count where encoding.details.layers[index].isActive {
      var candidate = Candidate()
      candidate.encoding = encoding.index
      candidate.serial = encoding.serial
      candidate.layer = encoding.details.layers[index]
      candidate.pixelCount = candidate.layer.pixelCount
      if candidate.pixelCount == 0 {
        candidate.pixelCount = Self.unknownPixelCount(of: Int(encoding.index) + Int(candidate.layer.spatialID))
      }
      insert(candidate)
    }
  }

  private mutating func insert(_ candidate: Candidate) {
    guard count < Self.capacity else { return }
    var place = count
    while place > 0, Self.isBetter(candidates[place - 1], than: candidate) {
      candidates.swapAt(place - 1, place)
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
