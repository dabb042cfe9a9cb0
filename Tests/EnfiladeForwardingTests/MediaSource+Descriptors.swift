// The words in which each codec tells what a frame refers to, written from the specifications.

extension MediaSource {
  /// RFC 7741 §4.2.
  func vp8(_ position: Int, _ temporalID: Int, isKey: Bool, isFirst: Bool) -> [UInt8] {
    var bytes: [UInt8] = [isFirst ? 0x90 : 0x80, 0xF0, 0x80 | UInt8(pictureID >> 8), UInt8(truncatingIfNeeded: pictureID), tl0]
    let isSync = temporalID > 0 && mode.refersToBaseAlone(at: position)
    bytes.append(UInt8(temporalID) << 6 | (isSync ? 0x20 : 0) | keyIndex)
    return bytes + vp8Frame(isKey: isKey, isFirst: isFirst)
  }

  /// RFC 6386 §9.1: the frame tag, the start code and the size.
  func vp8Frame(isKey: Bool, isFirst: Bool) -> [UInt8] {
    guard isKey, isFirst else { return [1] }
    return [0, 0, 0, 0x9D, 0x01, 0x2A, UInt8(width & 0xFF), UInt8(width >> 8), UInt8(height & 0xFF), UInt8(height >> 8)]
  }

  /// A sequence parameter set (ITU-T H.264 §7.3.2.1.1) of Constrained Baseline 3.1. Sizes are multiples of 16, but for a cropped height.
  func parameterSet() -> [UInt8] {
    var bits = BitString()
    func exponential(_ value: Int) {
      let width = Int.bitWidth - (value + 1).leadingZeroBitCount
      bits.append(0, width - 1)
      bits.append(value + 1, width)
    }
    for value in [0, 0, 0, 2, 1] { exponential(value) }
    bits.append(0, 1)
    exponential(width / 16 - 1)
    exponential((height + 15) / 16 - 1)
    bits.append(0b11, 2)
    let cropped = ((height + 15) / 16 * 16 - height) / 2
    bits.append(cropped > 0 ? 1 : 0, 1)
    if cropped > 0 { for value in [0, 0, 0, cropped] { exponential(value) } }
    bits.append(0b01, 2)
    return [0x67, 0x42, 0xC0, 0x1F] + bits.bytes
  }

  /// RFC 9628 §4.2.
  func vp9(
    _ position: Int, _ layer: Int, _ temporalID: Int, isKey: Bool, _ distances: [Int], _ isInterLayer: Bool, isFirst: Bool, isLast: Bool
  ) -> [UInt8] {
    let isFlexible = description != .vp9Group
    let hasStructure = isKey && isFirst && layer == 0
    // Z: no upper layer refers to this frame.
    let isTop = layer == mode.spatial - 1
    let isLeaf = isTop || mode.between == .none || mode.between == .keyOnly && !isKey
    var first: UInt8 = 0xA0
    if !isKey { first |= 0x40 }
    if isFlexible { first |= 0x10 }
    if isFirst { first |= 0x08 }
    if isLast { first |= 0x04 }
    if hasStructure { first |= 0x02 }
    if isLeaf { first |= 0x01 }
    var bytes: [UInt8] = [first, 0x80 | UInt8(pictureID >> 8), UInt8(truncatingIfNeeded: pictureID)]
    let isSwitch = isKey || mode.isSwitchingUpPoint(at: position)
    bytes.append(UInt8(temporalID) << 5 | (isSwitch ? 0x10 : 0) | UInt8(layer) << 1 | (isInterLayer ? 1 : 0))
    if !isFlexible { bytes.append(tl0) }
    if isFlexible, !isKey {
      for (index, distance) in distances.enumerated() { bytes.append(UInt8(distance) << 1 | (index < distances.count - 1 ? 1 : 0)) }
    }
    if hasStructure { bytes += scalabilityStructure(hasGroup: !isFlexible) }
    return bytes + [0]
  }

  private func scalabilityStructure(hasGroup: Bool) -> [UInt8] {
    var bytes: [UInt8] = [UInt8(mode.spatial - 1) << 5 | 0x10 | (hasGroup ? 0x08 : 0)]
    for layer in 0..<mode.spatial {
      let shift = mode.spatial - 1 - layer
      for size in [width >> shift, height >> shift] { bytes += [UInt8(size >> 8), UInt8(size & 0xFF)] }
    }
    guard hasGroup else { return bytes }
    bytes.append(UInt8(mode.groupLength))
    for position in 0..<mode.groupLength {
      let distances = mode.temporalDistances(at: position)
      let isSwitch = mode.isSwitchingUpPoint(at: position)
      bytes.append(UInt8(mode.temporalID(at: position)) << 5 | (isSwitch ? 0x10 : 0) | UInt8(distances.count) << 2)
      bytes += distances.map { UInt8($0) }
    }
    return bytes
  }

  // MARK: Dependency descriptor (AV1 RTP payload format, appendix A.8)

  /// Templates in layer order: for each spatial layer the key frame, then one for each temporal layer.
  private var templates: [(layer: Int, temporalID: Int, isKey: Bool)] {
    (0..<mode.spatial).flatMap { layer in [(layer, 0, true)] + (0..<mode.temporal).map { (layer, $0, false) } }
  }

  private func indication(_ layer: Int, _ temporalID: Int, isKey: Bool, isSwitch: Bool, isLeaf: Bool, spatial: Int, temporal: Int) -> Int {
    guard temporalID <= temporal else { return 0 }
    let isMember =
      switch mode.between {
      case .full: layer <= spatial
      case .keyOnly: isKey ? layer <= spatial : layer == spatial
      case .none: layer == spatial
      }
    guard isMember else { return 0 }
    if isKey { return layer == spatial || layer == 0 ? 2 : 3 }
    guard layer == spatial else { return 3 }
    return isLeaf ? 1 : isSwitch ? 2 : 3
  }

  func dependencyDescriptor(
    _ layer: Int, _ temporalID: Int, _ position: Int, isKey: Bool, _ references: [UInt32], isFirst: Bool, isLast: Bool
  ) -> [UInt8] {
    var bits = BitString()
    let template = layer * (mode.temporal + 1) + (isKey ? 0 : 1 + temporalID)
    bits.append(isFirst ? 1 : 0, 1)
    bits.append(isLast ? 1 : 0, 1)
    bits.append((template + Int(source % 50)) & 63, 6)
    bits.append(currentFrameNumber & 0xFFFF, 16)
    let hasStructure = isKey && isFirst && layer == 0
    bits.append(hasStructure ? 1 : 0, 1)
    bits.append(0, 1)
    bits.append(0b111, 3)
    if hasStructure { appendStructure(&bits) }
    let isLeaf = temporalID > 0 && !mode.isReferredTo(at: position)
    for spatial in 0..<mode.spatial {
      for temporal in 0..<mode.temporal {
        bits.append(
          indication(
            layer, temporalID, isKey: isKey, isSwitch: mode.isSwitch(at: position, for: temporal), isLeaf: isLeaf, spatial: spatial,
            temporal: temporal), 2)
      }
    }
    for reference in references {
      let distance = currentFrameNumber - wideNumber(of: reference) - 1
      let size = distance < 16 ? 1 : distance < 256 ? 2 : 3
      bits.append(size, 2)
      bits.append(distance, 4 * size)
    }
    bits.append(0, 2)
    let beginsChain = isKey && (layer == 0 || mode.between == .none)
    for chain in 0..<mode.spatial { bits.append(beginsChain ? 0 : min(255, currentFrameNumber - chainEnd(chain)), 8) }
    return bits.bytes
  }

  private func appendStructure(_ bits: inout BitString) {
    bits.append(Int(source % 50), 6)
    bits.append(mode.spatial * mode.temporal - 1, 5)
    for (index, template) in templates.enumerated() {
      guard index + 1 < templates.count else {
        bits.append(3, 2)
        break
      }
      let next = templates[index + 1]
      bits.append(next.layer != template.layer ? 2 : next.temporalID != template.temporalID ? 1 : 0, 2)
    }
    for template in templates {
      for spatial in 0..<mode.spatial {
        for temporal in 0..<mode.temporal {
          bits.append(
            indication(
              template.layer, template.temporalID, isKey: template.isKey, isSwitch: false, isLeaf: false, spatial: spatial,
              temporal: temporal),
            2)
        }
      }
    }
    // No differences in the templates: each frame says its own.
    for _ in templates { bits.append(0, 1) }
    bits.appendNonSymmetric(mode.spatial, of: mode.spatial * mode.temporal + 1)
    for spatial in 0..<mode.spatial { for _ in 0..<mode.temporal { bits.appendNonSymmetric(spatial, of: mode.spatial) } }
    for _ in templates { for _ in 0..<mode.spatial { bits.append(0, 4) } }
    bits.append(1, 1)
    for layer in 0..<mode.spatial {
      let shift = mode.spatial - 1 - layer
      bits.append((width >> shift) - 1, 16)
      bits.append((height >> shift) - 1, 16)
    }
  }
}
