// What one packet says of its frame, in the same words for every codec: worked out once where the packet comes in, used by every subscriber.

public import EnfiladeWire

/// A packet's frame in the terms of decode targets (AV1 RTP payload format, appendix A.4). VP8, VP9 and H.264 are put into these terms by
/// ``FrameReader``, so a forwarder knows one kind of stream.
@usableFromInline
package struct FrameInfo: BitwiseCopyable, Sendable {
  @usableFromInline
  package struct Flags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    @usableFromInline package var rawValue: UInt16
    @inlinable package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The packet is the first of a picture at which decoding can begin, in every layer.
    @inlinable package static var startsKeyPicture: Flags { Flags(rawValue: 1) }
    @inlinable package static var startsFrame: Flags { Flags(rawValue: 2) }
    @inlinable package static var endsFrame: Flags { Flags(rawValue: 4) }
    /// ``FrameInfo/number`` counts frames; audio has none.
    @inlinable package static var isNumbered: Flags { Flags(rawValue: 8) }
    /// ``FrameInfo/picture`` is on the wire, in the payload descriptor.
    @inlinable package static var hasPicture: Flags { Flags(rawValue: 16) }
    /// Pictures left out must not leave a gap in the picture ids: VP8's receivers take one for loss. VP9's tell references by distances,
    /// which a gap keeps true (RFC 9628 §4.2).
    @inlinable package static var closesPictureGaps: Flags { Flags(rawValue: 32) }
    /// The numbers are those of a dependency descriptor.
    @inlinable package static var usesDependencyDescriptor: Flags { Flags(rawValue: 64) }
    /// The packet brings the structure of its dependency descriptors.
    @inlinable package static var carriesStructure: Flags { Flags(rawValue: 128) }
    /// The marker bit of a spatial layer's last packet is ours to set, when what is above is left out.
    @inlinable package static var marksSpatialLayers: Flags { Flags(rawValue: 256) }
    /// No layer of the picture has references outside it.
    @inlinable package static var isKeyPicture: Flags { Flags(rawValue: 512) }
  }

  /// Counts the frames of the encoding in coding order, never going back: VP9 has four numbers for each picture, one for each spatial layer.
  @usableFromInline package var number: Int64
  /// The picture id, widened, where the payload has one.
  @usableFromInline package var picture: Int64
  /// Which frames this one refers to: bit *k* − 1 is the one *k* frames back. What is further back than 64 frames is not tracked.
  @usableFromInline package var references: UInt64
  /// What the frame is to each of 32 decode targets: two bits, as in ``DecodeTargetIndication``.
  @usableFromInline package var indications: UInt64
  @usableFromInline package var flags: Flags
  @usableFromInline package var spatialID: UInt8
  @usableFromInline package var temporalID: UInt8
  @usableFromInline package var tl0PictureIndex: UInt8
  @usableFromInline package var keyIndex: UInt8
  /// Tells the structures apart that decode targets are numbered by.
  @usableFromInline package var epoch: UInt8
  /// Fills the last word, so that copies are of whole words: a narrow end costs a wait in the store buffer for each copy.
  @usableFromInline var reserved: UInt8 = 0

  /// A packet that needs nothing that came before: audio, and video of which nothing is known.
  @inlinable package init(flags: Flags = [.startsKeyPicture, .startsFrame, .endsFrame]) {
    number = 0
    picture = 0
    references = 0
    indications = .max
    self.flags = flags
    spatialID = 0
    temporalID = 0
    tl0PictureIndex = 0
    keyIndex = 0
    epoch = 0
  }

  /// What the frame is to a decode target: 0 not present, 1 discardable, 2 switch, 3 required.
  @inlinable package func indication(_ decodeTarget: UInt8) -> UInt64 { indications >> UInt64((decodeTarget & 31) &* 2) & 3 }

  package static let notPresent: UInt64 = 0
  package static let switchable: UInt64 = 2
}

/// One packet as a forwarder is asked about it.
@usableFromInline
package struct ForwardPacket: BitwiseCopyable, Sendable {
  @usableFromInline package var frame: FrameInfo
  @usableFromInline package var sequence: ExtendedSequenceNumber
  @usableFromInline package var timestamp: RTPTimestamp
  @usableFromInline package var marker: Bool
  /// Padding alone.
  @usableFromInline package var isEmpty: Bool
  /// As in ``FrameInfo``.
  @usableFromInline var reserved: UInt16 = 0

  @inlinable package init(frame: FrameInfo, sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp, marker: Bool, isEmpty: Bool) {
    self.frame = frame
    self.sequence = sequence
    self.timestamp = timestamp
    self.marker = marker
    self.isEmpty = isEmpty
  }
}
