// Any codec with a dependency descriptor (AV1 RTP payload format, appendix A), and H.264 with frame marking (RFC 9626).

import EnfiladeRTP
import EnfiladeWire

extension FrameReader {
  mutating func readDependencyDescriptor(
    _ data: RawSpan, codec: Codec, payload: RawSpan, sequence: ExtendedSequenceNumber
  ) -> Result<FrameInfo, Failure> {
    // Only a packet that brings a structure can change it; the flag stands behind the first three bytes.
    let bringsStructure = data.byteCount > DependencyHeader.byteCount && data.byte(at: DependencyHeader.byteCount) & 0x80 != 0
    let before = bringsStructure ? dependency.structure : nil
    let descriptor: DependencyDescriptor
    switch dependency.read(data) {
    case .success(let read): descriptor = read
    case .failure(.noStructure), .failure(.unknownTemplate): return .failure(.structureUnknown)
    case .failure: return .failure(.dependencyMalformed)
    }
    if descriptor.carriesStructure, before != dependency.structure {
      epoch &+= 1
      structureBits = DependencyStructureBits(of: data)
    }
    let startsKeyPicture = descriptor.carriesStructure && descriptor.header.startsFrame && descriptor.frame.frameDifferenceCount == 0
    if let active = descriptor.activeDecodeTargets { activeDecodeTargets = active }

    var frame = FrameInfo(flags: [.isNumbered, .usesDependencyDescriptor, .marksSpatialLayers])
    if descriptor.header.startsFrame { frame.flags.insert(.startsFrame) }
    if descriptor.header.endsFrame { frame.flags.insert(.endsFrame) }
    if descriptor.carriesStructure { frame.flags.insert(.carriesStructure) }
    if startsKeyPicture { frame.flags.formUnion([.startsKeyPicture, .isKeyPicture]) }
    guard let number = frames.widen(descriptor.header.frameNumber, bitCount: 16, sequence: sequence) else { return .failure(.tooLate) }
    frame.number = number
    frame.spatialID = descriptor.frame.spatialID
    frame.temporalID = descriptor.frame.temporalID
    frame.indications = descriptor.frame.indications
    frame.epoch = epoch
    for index in 0..<Int(descriptor.frame.frameDifferenceCount) {
      let distance = descriptor.frame.frameDifferences[index]
      if distance >= 1, distance <= 64 { frame.references |= 1 << UInt64(distance - 1) }
    }
    frame.references &= history.reachable(from: frame.number)
    if codec == .vp9 { readPicture(payload, sequence: sequence, into: &frame) }
    history.note(frame)
    return .success(frame)
  }

  /// VP9 has running numbers in its payload as well.
  private mutating func readPicture(_ payload: RawSpan, sequence: ExtendedSequenceNumber, into frame: inout FrameInfo) {
    guard let descriptor = VP9Descriptor(payload), let pictureID = descriptor.pictureID,
      let picture = pictures.widen(pictureID, bitCount: descriptor.hasLongPictureID ? 15 : 7, sequence: sequence)
    else { return }
    frame.picture = picture
    frame.tl0PictureIndex = tl0.follow(descriptor.tl0PictureIndex ?? 0, at: pictures.place)
    frame.flags.insert(.hasPicture)
  }

  mutating func readFrameMarking(
    _ marking: FrameMarking, payload: RawSpan, sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp
  ) -> Result<FrameInfo, Failure> {
    // Encrypted end to end, a parameter set cannot be seen, and I is all there is to go by.
    let startsKeyPicture = marking.startsFrame && marking.isIndependent && marking.temporalID == 0
    var frame = FrameInfo(flags: startsKeyPicture ? [.startsKeyPicture, .isKeyPicture] : [])
    if marking.startsFrame { frame.flags.insert(.startsFrame) }
    if marking.endsFrame { frame.flags.insert(.endsFrame) }
    frame.temporalID = marking.temporalID
    topTemporalID = max(topTemporalID, frame.temporalID)
    // Encoders in use do not set B, so a layer is entered behind any frame of the lowest.
    let isSwitch = marking.isBaseLayerSync || marking.isIndependent || marking.temporalID == 0
    frame.indications = Self.temporalIndications(isSwitch ? FrameInfo.switchable : 3, from: frame.temporalID)
    guard let number = timestamps.number(timestamp) else { return .success(frame) }
    frame.number = number
    frame.flags.insert(.isNumbered)
    if !marking.isIndependent {
      let base = Self.newest(history.frames(temporalID: 0, before: number))
      // Frames of upper layers count only since the newest of the lowest, for the same reason.
      let since = base == 0 ? UInt64.max : base | (base &- 1)
      frame.references =
        marking.isBaseLayerSync
        ? base & history.reachable(from: number) : assumedReferences(of: number, temporalID: marking.temporalID, within: since)
    }
    history.note(frame)
    return .success(frame)
  }
}
