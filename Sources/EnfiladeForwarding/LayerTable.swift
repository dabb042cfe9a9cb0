// What one encoding can be watched as: its decode targets with what each shows and costs.

import EnfiladeRTP
package import EnfiladeWire

/// One decode target of an encoding.
package struct Layer: Hashable, Sendable, BitwiseCopyable {
  package var decodeTarget: UInt8 = 0
  package var spatialID: UInt8 = 0
  package var temporalID: UInt8 = 0
  /// Whether its sender sends it now.
  package var isActive = true
  package var width: UInt16 = 0
  package var height: UInt16 = 0
  /// Zero while nobody knows.
  package var framesPerSecond: Float = 0
  /// Zero while nobody knows.
  package var bitrate = Bitrate.zero

  package init() {}

  package var pixelCount: Int { Int(width) * Int(height) }
}

/// The layers of one encoding, lowest first.
package struct LayerTable: Sendable {
  private var layers = InlineArray<32, Layer>(repeating: Layer())
  package private(set) var count = 0
  /// Which structure the decode targets are numbered by; as in ``FrameInfo/epoch``.
  package internal(set) var epoch: UInt8 = 0
  /// For each decode target those whose frames all belong to it, itself among them.
  private var subsets = InlineArray<32, UInt32>(repeating: 0)

  package init() {}

  package subscript(index: Int) -> Layer {
    get {
      precondition(index >= 0 && index < count, "no such layer")
      return layers[index]
    }
    set {
      precondition(index >= 0 && index < count, "no such layer")
      layers[index] = newValue
    }
  }

  /// The decode targets that somebody who receives `decodeTarget` can decode.
  package func subset(of decodeTarget: UInt8) -> UInt32 { subsets[Int(decodeTarget & 31)] }

  /// The best layer that is in no dimension above the given one, or the lowest there is.
  package func layer(spatialID: UInt8, temporalID: UInt8) -> Layer? {
    var best: Layer?
    for index in 0..<count {
      let layer = layers[index]
      guard layer.spatialID <= spatialID, layer.temporalID <= temporalID else { continue }
      if let known = best, (known.spatialID, known.temporalID) > (layer.spatialID, layer.temporalID) { continue }
      best = layer
    }
    return best ?? (count > 0 ? layers[0] : nil)
  }

  mutating func removeAll() {
    count = 0
    subsets = InlineArray(repeating: 0)
  }

  mutating func append(_ layer: Layer) {
    guard count < 32 else { return }
    layers[count] = layer
    count += 1
  }

  /// Works out which decode targets contain one another, from the templates.
  mutating func setSubsets(of structure: DependencyStructure) {
    for outer in 0..<structure.decodeTargetCount {
      var mask: UInt32 = 0
      for inner in 0..<structure.decodeTargetCount {
        let isContained = structure.templates.allSatisfy {
          $0.indication(for: inner) == .notPresent || $0.indication(for: outer) != .notPresent
        }
        if isContained { mask |= 1 << UInt32(inner) }
      }
      subsets[outer] = mask
    }
  }
}
