// Frame marking: what a frame is to temporal and spatial scalability, said outside the payload (RFC 9626 §3).

import EnfiladeWire

/// One packet's frame marking element, in its long form (with layers) or its short form (without).
package struct FrameMarking: Hashable, Sendable {
  /// S and E: the packet is the first, or the last, of its frame.
  package var startsFrame: Bool
  package var endsFrame: Bool
  /// I: decodable without anything before it.
  package var isIndependent: Bool
  /// D: nothing refers to this frame.
  package var isDiscardable: Bool
  /// B: refers to nothing but the lowest temporal layer. Meaningless in the short form.
  package var isBaseLayerSync: Bool
  package var temporalID: UInt8
  /// LID as the codec defines it (§3.2.2); zero in the short form.
  package var layerID: UInt8
  package var tl0PictureIndex: UInt8?

  package init?(_ data: RawSpan) {
    guard data.byteCount >= 1, data.byteCount <= 3 else { return nil }
    let first = data.loadUInt8(at: 0)
    startsFrame = first & 0x80 != 0
    endsFrame = first & 0x40 != 0
    isIndependent = first & 0x20 != 0
    isDiscardable = first & 0x10 != 0
    let isLong = data.byteCount > 1
    isBaseLayerSync = isLong && first & 0x08 != 0
    temporalID = isLong ? first & 0x07 : 0
    layerID = isLong ? data.loadUInt8(at: 1) : 0
    tl0PictureIndex = data.byteCount > 2 ? data.loadUInt8(at: 2) : nil
  }
}
