// Which decode target a subscriber is sent, and since when.

/// One decode target of one structure.
package struct OperatingPoint: Hashable, Sendable, BitwiseCopyable {
  package var decodeTarget: UInt8
  package var spatialID: UInt8
  package var temporalID: UInt8
  package var epoch: UInt8

  package init(_ layer: Layer, epoch: UInt8) {
    decodeTarget = layer.decodeTarget
    spatialID = layer.spatialID
    temporalID = layer.temporalID
    self.epoch = epoch
  }

  /// Whether it is the same picture, more often.
  package func hasMoreFrames(than other: OperatingPoint) -> Bool {
    spatialID == other.spatialID && (temporalID, decodeTarget) > (other.temporalID, other.decodeTarget)
  }

  /// A source of one layer.
  package static var only: OperatingPoint { OperatingPoint(Layer(), epoch: 0) }
}

/// The last few points of one stretch: a frame that comes late is judged by the one that held at its place. Layers are chosen four times a
/// second and may be left in two steps, so these are the changes of a second: more than the frames that are remembered.
package struct OperatingPointHistory: Sendable {
  private static let capacity = 8

  private struct Entry: Sendable {
    var first: Int64
    var point: OperatingPoint
  }

  private var entries: InlineArray<8, Entry>
  package private(set) var count = 1

  package init(_ point: OperatingPoint, from number: Int64) {
    entries = InlineArray(repeating: Entry(first: number, point: point))
  }

  /// The point of the newest frames.
  @inline(__always)
  package var current: OperatingPoint { entries[count - 1].point }

  /// The point at `index`, oldest first.
  package subscript(index: Int) -> OperatingPoint {
    precondition(index >= 0 && index < count, "no such point")
    return entries[index].point
  }

  /// The first frame of the point at `index`.
  package func first(of index: Int) -> Int64 { entries[index].first }

  /// Which point held for a frame; `nil` for one before all that is remembered.
  package func index(at number: Int64) -> Int? {
    var index = count - 1
    while index >= 0 {
      if number >= entries[index].first { return index }
      index -= 1
    }
    return nil
  }

  /// The point that held for a frame; for one before all that is remembered the oldest.
  package func point(at number: Int64) -> OperatingPoint { entries[index(at: number) ?? 0].point }

  /// The current point has another name for the same frames.
  package mutating func rename(to point: OperatingPoint) { entries[count - 1].point = point }

  /// From the frame `number` on, another point holds.
  package mutating func change(to point: OperatingPoint, from number: Int64) {
    if entries[count - 1].first == number {
      entries[count - 1].point = point
      return
    }
    if count == Self.capacity {
      for index in 1..<Self.capacity { entries[index - 1] = entries[index] }
      count = Self.capacity - 1
    }
    entries[count] = Entry(first: number, point: point)
    count += 1
  }
}
