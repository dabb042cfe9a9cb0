// What one subscriber's copy of a packet is, beside the shared bytes: enough to make it again, bit for bit.

package import EnfiladeRTP
public import EnfiladeWire

/// Where a sent packet came from and which numbers it has, in 24 bytes. The first sending and every retransmission are made from this
/// and the packet in the history, by the same functions, so they cannot differ.
@usableFromInline
package struct SentPacket: Hashable, Sendable, BitwiseCopyable {
  // Three whole words, because it is copied right after it was written, and a processor makes a wide load wait for narrow stores.
  /// Input number, source and picture id.
  @usableFromInline var first: UInt64
  /// Timestamp and decode targets.
  @usableFromInline var second: UInt64
  /// Frame number, TL0PICIDX, detail and flags.
  @usableFromInline var third: UInt64

  @usableFromInline
  package struct Flags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    @usableFromInline package var rawValue: UInt8
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }

    @inlinable package static var marker: Flags { Flags(rawValue: 1) }
    /// Stands where a packet was left out that others had left room for: padding without media.
    @inlinable package static var isFiller: Flags { Flags(rawValue: 2) }
    /// The payload descriptor has numbers of ours.
    @inlinable package static var rewritesPicture: Flags { Flags(rawValue: 4) }
    /// The dependency descriptor has numbers of ours; without this it is not to be sent.
    @inlinable package static var rewritesDependency: Flags { Flags(rawValue: 8) }
    /// The dependency descriptor brings the structure, which a packet that was left out had.
    @inlinable package static var bringsStructure: Flags { Flags(rawValue: 16) }
  }

  @inlinable package init(generation: UInt16, input: ExtendedSequenceNumber, timestamp: RTPTimestamp) {
    first = UInt64(UInt32(truncatingIfNeeded: input.rawValue)) << 32 | UInt64(generation) << 16
    second = UInt64(timestamp.rawValue) << 32
    third = 0
  }

  /// The low half of the serial number of the source.
  @inlinable package var generation: UInt16 { UInt16(truncatingIfNeeded: first >> 16) }
  /// The low 32 bits of the input number; ``PacketHistory/widen(_:)`` gives the rest.
  @inlinable package var inputLow: UInt32 { UInt32(truncatingIfNeeded: first >> 32) }
  @inlinable package var timestamp: RTPTimestamp { RTPTimestamp(UInt32(truncatingIfNeeded: second >> 32)) }

  /// 15 bits, for VP8 and VP9.
  @inlinable package var pictureID: UInt16 {
    get { UInt16(truncatingIfNeeded: first) }
    set { first = first & ~0xFFFF | UInt64(newValue) }
  }

  /// The decode targets that are sent from here on, or zero to leave the descriptor's own word.
  @inlinable package var activeDecodeTargets: UInt32 {
    get { UInt32(truncatingIfNeeded: second) }
    set { second = second & ~0xFFFF_FFFF | UInt64(newValue) }
  }

  /// Of the dependency descriptor.
  @inlinable package var frameNumber: UInt16 {
    get { UInt16(truncatingIfNeeded: third >> 24) }
    set { third = third & ~(0xFFFF << 24) | UInt64(newValue) << 24 }
  }

  @inlinable package var tl0PictureIndex: UInt8 {
    get { UInt8(truncatingIfNeeded: third >> 16) }
    set { third = third & ~(0xFF << 16) | UInt64(newValue) << 16 }
  }

  /// KEYIDX of VP8, or the number of decode targets less one; five bits.
  @inlinable package var detail: UInt8 {
    get { UInt8(truncatingIfNeeded: third >> 8) }
    set { third = third & ~(0xFF << 8) | UInt64(newValue) << 8 }
  }

  @inlinable package var flags: Flags {
    get { Flags(rawValue: UInt8(truncatingIfNeeded: third)) }
    set { third = third & ~0xFF | UInt64(newValue.rawValue) }
  }

  @inlinable package var marker: Bool { flags.contains(.marker) }
  @inlinable package var isFiller: Bool { flags.contains(.isFiller) }

  /// For a ``SequenceMap``'s places without a packet.
  @inlinable package static var placeholder: SentPacket {
    SentPacket(generation: 0, input: ExtendedSequenceNumber(0), timestamp: RTPTimestamp(0))
  }

  /// The beginning of the payload as this subscriber gets it; `nil` when it stays as it came.
  package func payloadPatch(_ codec: Codec, payload: RawSpan) -> PayloadPatch? {
    guard flags.contains(.rewritesPicture) else { return nil }
    switch codec {
    case .vp8: return .vp8(payload, pictureID: pictureID, tl0PictureIndex: tl0PictureIndex, keyIndex: detail)
    case .vp9: return .vp9(payload, pictureID: pictureID, tl0PictureIndex: tl0PictureIndex)
    default: return nil
    }
  }

  /// Writes the dependency descriptor as this subscriber gets it.
  ///
  /// - Parameters:
  ///   - source: the element of the packet in the history.
  ///   - structure: ``FrameReader/structureBits`` of the encoding.
  /// - Returns: its length, or `nil` when it is not to be sent, or does not fit ``dependencyDescriptorRoom(for:structure:)`` bytes.
  @_lifetime(destination: copy destination)
  package func writeDependencyDescriptor(
    _ source: RawSpan, structure: DependencyStructureBits?, into destination: inout MutableRawSpan
  ) -> Int? {
    guard flags.contains(.rewritesDependency) else { return nil }
    return DependencyDescriptor.rewrite(
      source, frameNumber: frameNumber, activeDecodeTargets: activeDecodeTargets == 0 ? nil : activeDecodeTargets,
      decodeTargetCount: Int(detail) + 1, structure: flags.contains(.bringsStructure) ? structure : nil, into: &destination)
  }

  /// How many bytes ``writeDependencyDescriptor(_:structure:into:)`` may need.
  package func dependencyDescriptorRoom(for source: RawSpan, structure: DependencyStructureBits?) -> Int {
    source.byteCount + DependencyDescriptor.maximumGrowth + (flags.contains(.bringsStructure) ? structure?.byteCount ?? 0 : 0)
  }
}

/// What a forwarder makes of one packet.
@usableFromInline
package enum ForwardVerdict: Sendable {
  /// Send it, under this number.
  case forward(ExtendedSequenceNumber)
  /// The same, and a stretch begins with it: later packets of its encoding may have overtaken it, and are to be offered again.
  case begin(ExtendedSequenceNumber)
  /// Send padding under this number: the packet is not wanted, but came so late that its number is already missed.
  case fill(ExtendedSequenceNumber)
  case drop(ForwardDrop)
}

/// Why a packet does not go to a subscriber.
@usableFromInline
package enum ForwardDrop: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
  /// Padding alone: swallowed.
  case padding
  /// Of a layer that is not sent to this subscriber.
  case layer
  /// Refers to a frame that this subscriber was not sent.
  case undecodable
  /// Of another encoding than the one that is sent.
  case otherEncoding
  /// Nothing is sent before the next key picture.
  case waitingForKeyframe
  /// Counted by a structure other than the one that is sent.
  case otherStructure
  /// From before the stretch it belongs to, or older than what is remembered.
  case tooOld
  /// Dealt with before.
  case duplicate
  /// The subscription is paused, or nothing is to be had for it.
  case notWanted
  /// A key picture that would make time go back; a newer one is awaited.
  case timestampBehind
}
