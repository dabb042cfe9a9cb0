// VP8: temporal layers by TID and Y (RFC 7741 §4.2).

import EnfiladeRTP
import EnfiladeWire

extension FrameReader {
  mutating func readVP8(_ payload: RawSpan, sequence: ExtendedSequenceNumber) -> Result<FrameInfo, Failure> {
    guard let descriptor = VP8Descriptor(payload) else { return .failure(.descriptorMalformed) }
    let isKeyframe = descriptor.isKeyframe
    var frame = FrameInfo(flags: isKeyframe ? [.startsKeyPicture, .isKeyPicture] : [])
    if descriptor.startsFrame { frame.flags.insert(.startsFrame) }
    frame.temporalID = descriptor.temporalID ?? 0
    topTemporalID = max(topTemporalID, frame.temporalID)
    // Only Y makes a layer safe to enter (RFC 7741 §4.2); S begins a partition and says nothing of references.
    let isSwitch = isKeyframe || descriptor.isLayerSync
    frame.indications = Self.temporalIndications(isSwitch ? FrameInfo.switchable : 3, from: frame.temporalID)
    guard let pictureID = descriptor.pictureID else { return .success(frame) }
    guard let picture = closedPictures.widen(pictureID, bitCount: descriptor.hasLongPictureID ? 15 : 7, sequence: sequence) else {
      return .failure(.tooLate)
    }
    frame.picture = picture
    frame.number = frame.picture
    frame.tl0PictureIndex = tl0.follow(descriptor.tl0PictureIndex ?? 0, at: closedPictures.place)
    frame.keyIndex = keyIndex.follow(descriptor.keyIndex ?? 0, at: closedPictures.place) & 0x1F
    frame.flags.formUnion([.isNumbered, .hasPicture, .closesPictureGaps])
    if !isKeyframe {
      frame.references =
        descriptor.isLayerSync
        ? assumedReferences(of: frame.number, temporalID: 0) : assumedReferences(of: frame.number, temporalID: frame.temporalID)
    }
    history.note(frame)
    return .success(frame)
  }
}
