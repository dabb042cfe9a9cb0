// VP9: spatial and temporal layers by the payload descriptor, flexible mode and not (RFC 9628 §4.2).

import EnfiladeRTP
import EnfiladeWire

extension FrameReader {
  /// Spatial layers that get numbers of their own: the most any scalability mode has is three.
  private static var layerCount: Int64 { 4 }

  mutating func readVP9(_ payload: RawSpan, sequence: ExtendedSequenceNumber) -> Result<FrameInfo, Failure> {
    guard let descriptor = VP9Descriptor(payload), descriptor.spatialID < Self.layerCount else { return .failure(.descriptorMalformed) }
    let isKeyPicture = !descriptor.isInterPicturePredicted
    var frame = FrameInfo(flags: descriptor.startsKeyframe ? [.startsKeyPicture] : [])
    if isKeyPicture { frame.flags.insert(.isKeyPicture) }
    if descriptor.startsFrame { frame.flags.insert(.startsFrame) }
    if descriptor.endsFrame { frame.flags.insert(.endsFrame) }
    if descriptor.hasLayerIndices { frame.flags.insert(.marksSpatialLayers) }
    frame.spatialID = descriptor.spatialID
    frame.temporalID = descriptor.temporalID
    topSpatialID = max(topSpatialID, frame.spatialID)
    topTemporalID = max(topTemporalID, frame.temporalID)
    frame.indications = Self.indications(of: descriptor)
    guard let pictureID = descriptor.pictureID else {
      if let structure = descriptor.scalabilityStructure { scalability = structure }
      return .success(frame)
    }
    guard let picture = pictures.widen(pictureID, bitCount: descriptor.hasLongPictureID ? 15 : 7, sequence: sequence) else {
      return .failure(.tooLate)
    }
    // The group of a run before says nothing of this one.
    if pictures.place == .restarted { groupStart = .max }
    if let structure = descriptor.scalabilityStructure {
      scalability = structure
      groupStart = picture
      if descriptor.startsKeyframe {
        topSpatialID = min(3, structure.spatialLayerCount - 1)
        topTemporalID = frame.temporalID
        for index in 0..<VP9ScalabilityStructure.maximumKeptPictureCount {
          topTemporalID = max(topTemporalID, structure.picture(index)?.temporalID ?? 0)
        }
      }
    }
    // A group begins with its key picture, also when the packet that says so is lost.
    if isKeyPicture, picture > groupStart || groupStart == .max { groupStart = picture }
    frame.picture = picture
    frame.tl0PictureIndex = tl0.follow(descriptor.tl0PictureIndex ?? 0, at: pictures.place)
    frame.number = picture &* Self.layerCount &+ Int64(descriptor.spatialID)
    frame.flags.formUnion([.isNumbered, .hasPicture])
    frame.references = references(of: descriptor, number: frame.number, picture: picture)
    history.note(frame)
    return .success(frame)
  }

  /// For each spatial layer eight decode targets, one for each temporal layer.
  private static func indications(of descriptor: VP9Descriptor) -> UInt64 {
    let layer = descriptor.spatialID
    let isKey = !descriptor.isInterPicturePredicted
    // U: what follows in higher temporal layers refers to nothing above this one's that is older (RFC 9628 §4.2).
    let own = isKey || descriptor.isSwitchingUpPoint ? FrameInfo.switchable : 3
    var indications: UInt64 = 0
    for target in layer..<4 where target == layer || !descriptor.isNotReferenceForUpperSpatialLayers {
      indications |= temporalIndications(own, from: descriptor.temporalID) << UInt64(16 &* target)
    }
    return indications
  }

  private func references(of descriptor: VP9Descriptor, number: Int64, picture: Int64) -> UInt64 {
    var references: UInt64 = 0
    if descriptor.isInterPicturePredicted {
      if descriptor.isFlexible {
        for index in 0..<Int(descriptor.referenceCount) { references |= Self.bit(descriptor.pictureDifferences[index]) }
      } else if let group = groupPicture(of: picture) {
        for index in 0..<Int(group.referenceCount) { references |= Self.bit(group.pictureDifferences[index]) }
      } else {
        // Frames of this spatial layer stand at every fourth place.
        references = assumedReferences(of: number, temporalID: descriptor.temporalID, within: 0x8888_8888_8888_8888)
      }
    }
    if descriptor.isInterLayerPredicted, descriptor.spatialID > 0 { references |= 1 }
    return references & history.reachable(from: number)
  }

  private func groupPicture(of picture: Int64) -> VP9GroupPicture? {
    guard let scalability, let count = scalability.groupPictureCount, count > 0, picture >= groupStart else { return nil }
    return scalability.picture(Int((picture - groupStart) % Int64(count)))
  }

  /// The frame of the same spatial layer that many pictures back.
  private static func bit(_ pictureDifference: UInt8) -> UInt64 {
    let distance = Int(pictureDifference) * Int(layerCount)
    return distance >= 1 && distance <= 64 ? 1 << UInt64(distance - 1) : 0
  }
}
