// The VP9 payload descriptor with its scalability structure (RFC 9628 §4.2).

import EnfiladeWire

/// Parsed descriptor with the places of the fields that a forwarder rewrites.
package struct VP9Descriptor: Hashable, Sendable {
  package var byteCount: UInt16
  /// P: refers to earlier pictures.
  package var isInterPicturePredicted: Bool
  /// F: references are told by differences, else by the structure.
  package var isFlexible: Bool
  /// B.
  package var startsFrame: Bool
  /// E.
  package var endsFrame: Bool
  /// Z: no upper spatial layer refers to this frame.
  package var isNotReferenceForUpperSpatialLayers: Bool
  package var hasLongPictureID: Bool
  package var pictureID: UInt16?
  /// L.
  package var hasLayerIndices: Bool
  package var temporalID: UInt8
  /// U.
  package var isSwitchingUpPoint: Bool
  package var spatialID: UInt8
  /// D: refers to the spatial layer below.
  package var isInterLayerPredicted: Bool
  package var tl0PictureIndex: UInt8?
  /// P_DIFF: how many pictures back each reference is, in flexible mode; as many as ``referenceCount``.
  package var pictureDifferences: SIMD4<UInt8>
  package var referenceCount: UInt8
  package var scalabilityStructure: VP9ScalabilityStructure?
  /// Where the picture id stands in the payload, or zero.
  package var pictureIDOffset: UInt8
  /// Where TL0PICIDX stands in the payload, or zero.
  package var tl0PictureIndexOffset: UInt8

  /// Whether decoding can begin here: the first packet of a lowest layer that refers to nothing.
  package var startsKeyframe: Bool { !isInterPicturePredicted && startsFrame && spatialID == 0 && !isInterLayerPredicted }

  package init?(_ payload: RawSpan) {
    guard payload.byteCount > 0 else { return nil }
    let first = payload.loadUInt8(at: 0)
    isInterPicturePredicted = first & 0x40 != 0
    hasLayerIndices = first & 0x20 != 0
    isFlexible = first & 0x10 != 0
    startsFrame = first & 0x08 != 0
    endsFrame = first & 0x04 != 0
    isNotReferenceForUpperSpatialLayers = first & 0x01 != 0
    hasLongPictureID = false
    temporalID = 0
    isSwitchingUpPoint = false
    spatialID = 0
    isInterLayerPredicted = false
    pictureIDOffset = 0
    tl0PictureIndexOffset = 0
    pictureDifferences = .zero
    referenceCount = 0
    byteCount = 0
    var offset = 1
    if first & 0x80 != 0 {
      guard offset < payload.byteCount else { return nil }
      pictureIDOffset = UInt8(offset)
      let byte = payload.loadUInt8(at: offset)
      if byte & 0x80 != 0 {
        guard offset + 1 < payload.byteCount else { return nil }
        hasLongPictureID = true
        pictureID = payload.loadUInt16(at: offset) & 0x7FFF
        offset += 2
      } else {
        pictureID = UInt16(byte)
        offset += 1
      }
    }
    if hasLayerIndices {
      guard offset < payload.byteCount else { return nil }
      let byte = payload.loadUInt8(at: offset)
      temporalID = byte >> 5
      isSwitchingUpPoint = byte & 0x10 != 0
      spatialID = byte >> 1 & 7
      isInterLayerPredicted = byte & 1 != 0
      offset += 1
      if !isFlexible {
        guard offset < payload.byteCount else { return nil }
        tl0PictureIndexOffset = UInt8(offset)
        tl0PictureIndex = payload.loadUInt8(at: offset)
        offset += 1
      }
    }
    if isFlexible, isInterPicturePredicted {
      // At most three references; the last bit of each says whether another follows.
      for reference in 0..<3 {
        guard offset < payload.byteCount else { return nil }
        let byte = payload.loadUInt8(at: offset)
        let hasMore = byte & 1 != 0
        pictureDifferences[reference] = byte >> 1
        referenceCount += 1
        offset += 1
        if !hasMore { break }
        if reference == 2 { return nil }
      }
    }
    if first & 0x02 != 0 {
      guard let structure = VP9ScalabilityStructure(payload, at: &offset) else { return nil }
      scalabilityStructure = structure
    }
    guard offset < payload.byteCount else { return nil }
    byteCount = UInt16(truncatingIfNeeded: offset)
  }
}

/// One picture of a group: its layer, and how far back it refers (RFC 9628 §4.2.1).
package struct VP9GroupPicture: Hashable, Sendable {
  package var temporalID: UInt8 = 0
  /// U.
  package var isSwitchingUpPoint = false
  /// As many of ``pictureDifferences`` count.
  package var referenceCount: UInt8 = 0
  package var pictureDifferences: SIMD4<UInt8> = .zero
}

/// What the layers of the stream are (RFC 9628 §4.2.1).
package struct VP9ScalabilityStructure: Hashable, Sendable {
  /// 1…8.
  package var spatialLayerCount: UInt8
  /// Indexed by spatial layer; zero where no resolution was given.
  package var widths: SIMD8<UInt16>
  package var heights: SIMD8<UInt16>
  package var hasResolutions: Bool
  /// The number of pictures in the group, or `nil` when none was described.
  package var groupPictureCount: UInt8?
  /// The first pictures of the group.
  private var pictures: InlineArray<16, VP9GroupPicture>

  /// Groups that are longer than this are not kept: encoders in use repeat after eight pictures at most.
  package static let maximumKeptPictureCount = 16

  /// The group's picture at `index`, when the whole group is known.
  package func picture(_ index: Int) -> VP9GroupPicture? {
    guard let count = groupPictureCount, Int(count) <= Self.maximumKeptPictureCount, index >= 0, index < Int(count) else { return nil }
    return pictures[index]
  }

  package static func == (a: Self, b: Self) -> Bool {
    guard a.spatialLayerCount == b.spatialLayerCount, a.widths == b.widths, a.heights == b.heights,
      a.hasResolutions == b.hasResolutions, a.groupPictureCount == b.groupPictureCount
    else { return false }
    for index in 0..<maximumKeptPictureCount where a.pictures[index] != b.pictures[index] { return false }
    return true
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(spatialLayerCount)
    hasher.combine(widths)
    hasher.combine(heights)
    hasher.combine(groupPictureCount)
  }

  init?(_ payload: RawSpan, at offset: inout Int) {
    guard offset < payload.byteCount else { return nil }
    let first = payload.loadUInt8(at: offset)
    offset += 1
    spatialLayerCount = (first >> 5) + 1
    hasResolutions = first & 0x10 != 0
    widths = .zero
    heights = .zero
    pictures = InlineArray(repeating: VP9GroupPicture())
    if hasResolutions {
      guard offset + 4 * Int(spatialLayerCount) <= payload.byteCount else { return nil }
      for layer in 0..<Int(spatialLayerCount) {
        widths[layer] = payload.loadUInt16(at: offset)
        heights[layer] = payload.loadUInt16(at: offset + 2)
        offset += 4
      }
    }
    if first & 0x08 != 0 {
      guard offset < payload.byteCount else { return nil }
      let count = payload.loadUInt8(at: offset)
      offset += 1
      groupPictureCount = count
      for index in 0..<Int(count) {
        guard offset < payload.byteCount else { return nil }
        let byte = payload.loadUInt8(at: offset)
        let references = Int(byte >> 2 & 3)
        guard offset + 1 + references <= payload.byteCount else { return nil }
        if index < Self.maximumKeptPictureCount {
          pictures[index].temporalID = byte >> 5
          pictures[index].isSwitchingUpPoint = byte & 0x10 != 0
          pictures[index].referenceCount = UInt8(truncatingIfNeeded: references)
          for reference in 0..<references {
            pictures[index].pictureDifferences[reference] = payload.loadUInt8(at: offset + 1 + reference)
          }
        }
        offset += 1 + references
      }
    }
  }
}
