// What the templates of a dependency descriptor are (AV1 RTP payload format, appendix A.8.3).

import EnfiladeWire

/// What a frame is to a decode target (A.4.4).
package enum DecodeTargetIndication: UInt8, Hashable, Sendable, CaseIterable {
  case notPresent
  case discardable
  case `switch`
  case required
}

/// One template, or one frame: to which layer it belongs, to what it refers, and what it is to every decode target.
package struct DependencyTemplate: Hashable, Sendable {
  package var spatialID: UInt8
  package var temporalID: UInt8
  /// How many of ``frameDifferences`` count.
  package var frameDifferenceCount: UInt8
  /// Two bits for each decode target, the first in the lowest.
  package var indications: UInt64
  /// How many frames back each reference is: 1…4096.
  package var frameDifferences: SIMD8<UInt16>
  /// For each chain, how many frames back its last frame is; zero where the chain begins with this frame.
  package var chainDifferences: SIMD32<UInt8>

  /// The most references of one frame that we keep: AV1 has seven, and no codec in use has more than eight buffers.
  package static let maximumFrameDifferenceCount = 8

  package init() {
    spatialID = 0
    temporalID = 0
    frameDifferenceCount = 0
    indications = 0
    frameDifferences = .zero
    chainDifferences = .zero
  }

  package func indication(for decodeTarget: Int) -> DecodeTargetIndication {
    guard decodeTarget >= 0, decodeTarget < DependencyStructure.maximumDecodeTargetCount else { return .notPresent }
    return DecodeTargetIndication(rawValue: UInt8(indications >> UInt64(2 * decodeTarget) & 3)) ?? .notPresent
  }

  mutating func setIndication(_ value: UInt32, for decodeTarget: Int) {
    indications = indications & ~(3 << UInt64(2 * decodeTarget)) | UInt64(value & 3) << UInt64(2 * decodeTarget)
  }
}

/// The structure that a key frame carries and all frames up to the next refer to.
package struct DependencyStructure: Hashable, Sendable {
  /// The id of the first template.
  package private(set) var templateIDOffset: UInt8 = 0
  package private(set) var templates: [DependencyTemplate] = []
  package private(set) var decodeTargetCount = 0
  package private(set) var chainCount = 0
  /// Which chain keeps each decode target whole; indexed by decode target, meaningless without chains.
  package private(set) var protectingChains: SIMD32<UInt8> = .zero
  /// The highest layer of each decode target: what it shows.
  package private(set) var targetSpatialIDs: SIMD32<UInt8> = .zero
  package private(set) var targetTemporalIDs: SIMD32<UInt8> = .zero
  /// Indexed by spatial layer; zero without resolutions.
  package private(set) var widths: SIMD4<UInt32> = .zero
  package private(set) var heights: SIMD4<UInt32> = .zero
  package private(set) var hasResolutions = false
  package private(set) var spatialLayerCount = 0

  package static let maximumTemplateCount = 64
  package static let maximumDecodeTargetCount = 32
  package static let maximumSpatialLayerCount = 4
  package static let maximumTemporalLayerCount = 8

  package init() { templates.reserveCapacity(16) }

  /// All decode targets.
  package var allDecodeTargets: UInt32 { UInt32.max >> UInt32(32 - max(1, decodeTargetCount)) }

  /// The template that a frame names, or `nil` when this structure has none of that id.
  package func template(_ identifier: UInt8) -> DependencyTemplate? {
    let index = Int((identifier &- templateIDOffset) & 0x3F)
    return index < templates.count ? templates[index] : nil
  }

  /// `template_dependency_structure()`; `false` when it contradicts itself or ends early, and then it is of no use.
  mutating func read(_ bits: inout BitReader) -> Bool {
    templateIDOffset = UInt8(truncatingIfNeeded: bits.readBits(6))
    decodeTargetCount = Int(bits.readBits(5)) + 1
    guard readLayers(&bits) else { return false }
    for index in templates.indices {
      for target in 0..<decodeTargetCount { templates[index].setIndication(bits.readBits(2), for: target) }
    }
    guard readFrameDifferences(&bits), readChains(&bits) else { return false }
    setTargetLayers()
    widths = .zero
    heights = .zero
    hasResolutions = bits.readBit()
    if hasResolutions {
      for layer in 0..<spatialLayerCount {
        widths[layer] = bits.readBits(16) + 1
        heights[layer] = bits.readBits(16) + 1
      }
    }
    return !bits.overran
  }

  private mutating func readLayers(_ bits: inout BitReader) -> Bool {
    templates.removeAll(keepingCapacity: true)
    var template = DependencyTemplate()
    while true {
      guard templates.count < Self.maximumTemplateCount, !bits.overran else { return false }
      templates.append(template)
      switch bits.readBits(2) {
      case 0: break
      case 1:
        template.temporalID += 1
        guard template.temporalID < Self.maximumTemporalLayerCount else { return false }
      case 2:
        template.temporalID = 0
        template.spatialID += 1
        guard template.spatialID < Self.maximumSpatialLayerCount else { return false }
      default:
        spatialLayerCount = Int(template.spatialID) + 1
        return !bits.overran
      }
    }
  }

  private mutating func readFrameDifferences(_ bits: inout BitReader) -> Bool {
    for index in templates.indices {
      var count = 0
      while bits.readBit() {
        guard count < DependencyTemplate.maximumFrameDifferenceCount else { return false }
        templates[index].frameDifferences[count] = UInt16(truncatingIfNeeded: bits.readBits(4) + 1)
        count += 1
      }
      templates[index].frameDifferenceCount = UInt8(count)
    }
    return !bits.overran
  }

  private mutating func readChains(_ bits: inout BitReader) -> Bool {
    chainCount = Int(bits.readNonSymmetric(UInt32(decodeTargetCount + 1)))
    protectingChains = .zero
    guard chainCount > 0 else { return !bits.overran }
    for target in 0..<decodeTargetCount {
      protectingChains[target] = UInt8(truncatingIfNeeded: bits.readNonSymmetric(UInt32(chainCount)))
    }
    for index in templates.indices {
      for chain in 0..<chainCount { templates[index].chainDifferences[chain] = UInt8(truncatingIfNeeded: bits.readBits(4)) }
    }
    return !bits.overran
  }

  private mutating func setTargetLayers() {
    targetSpatialIDs = .zero
    targetTemporalIDs = .zero
    for template in templates {
      for target in 0..<decodeTargetCount where template.indication(for: target) != .notPresent {
        targetSpatialIDs[target] = max(targetSpatialIDs[target], template.spatialID)
        targetTemporalIDs[target] = max(targetTemporalIDs[target], template.temporalID)
      }
    }
  }
}
