// The AV1 aggregation header (AV1 RTP payload format §4.4), and what of the first OBU a forwarder looks at.

import EnfiladeWire

/// The first byte of every AV1 payload.
package struct AV1AggregationHeader: Hashable, Sendable {
  /// Z: the first element continues one of the previous packet.
  package var continuesElement: Bool
  /// Y: the last element goes on in the next packet.
  package var isContinued: Bool
  /// W: how many elements there are, or zero when each has a length.
  package var elementCount: UInt8
  /// N: the first packet of a coded video sequence.
  package var startsCodedVideoSequence: Bool

  /// `nil` when the payload is empty, or says that a sequence starts with the rest of an element.
  package init?(_ payload: RawSpan) {
    guard payload.byteCount > 1 else { return nil }
    let byte = payload.loadUInt8(at: 0)
    continuesElement = byte & 0x80 != 0
    isContinued = byte & 0x40 != 0
    elementCount = byte >> 4 & 3
    startsCodedVideoSequence = byte & 0x08 != 0
    if startsCodedVideoSequence, continuesElement { return nil }
  }
}
