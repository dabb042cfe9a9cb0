// An RTP packet, parsed once into numbers and offsets (RFC 3550 §5.1, RFC 8285 §4).

public import EnfiladeWire

/// Why bytes are not an RTP packet.
@usableFromInline package enum RTPParseFailure: UInt8, Error, Hashable, Sendable, CaseIterable {
  /// Fewer bytes than the fixed header.
  case tooShort
  /// More bytes than a datagram can carry.
  case tooLong
  /// The version is not 2.
  case badVersion
  /// The list of contributing sources runs past the end.
  case truncatedContributingSources
  /// The header extension runs past the end.
  case truncatedExtension
  /// The padding count is zero, or larger than what follows the header.
  case badPadding
}

/// What the fixed header says, for use before the packet is authenticated: nothing here has been compared with the packet's length.
@usableFromInline package struct RTPFixedHeader: Hashable, Sendable {
  @usableFromInline package var ssrc: SSRC
  @usableFromInline package var sequenceNumber: SequenceNumber
  @usableFromInline package var payloadType: PayloadType

  /// The length of the part of the header that every packet has.
  @usableFromInline package static let byteCount = 12

  /// `nil` when the bytes are shorter than a fixed header or the version is not 2.
  @inlinable package static func parse(_ bytes: RawSpan) -> RTPFixedHeader? {
    guard bytes.byteCount >= 12 else { return nil }
    let first = bytes.loadUInt32(at: 0)
    guard first >> 30 == 2 else { return nil }
    return RTPFixedHeader(
      ssrc: SSRC(bytes.loadUInt32(at: 8)), sequenceNumber: SequenceNumber(UInt16(truncatingIfNeeded: first)),
      payloadType: PayloadType(UInt8(truncatingIfNeeded: first >> 16)))
  }

  @inlinable package init(ssrc: SSRC, sequenceNumber: SequenceNumber, payloadType: PayloadType) {
    self.ssrc = ssrc
    self.sequenceNumber = sequenceNumber
    self.payloadType = payloadType
  }
}

/// Which form the header extension has.
@usableFromInline package enum ExtensionProfile: UInt8, Hashable, Sendable {
  /// No header extension.
  case none
  /// Elements with a one-byte header: 0xBEDE (RFC 8285 §4.2).
  case oneByte
  /// Elements with a two-byte header: 0x1000…0x100F (RFC 8285 §4.3).
  case twoByte
  /// A profile we do not know; its bytes are skipped.
  case other
}

/// One parsed RTP packet: 24 bytes of numbers, no reference to the bytes they came from.
@usableFromInline package struct RTPPacketView: Hashable, Sendable {
  @usableFromInline package var ssrc: SSRC
  @usableFromInline package var timestamp: RTPTimestamp
  @usableFromInline package var sequenceNumber: SequenceNumber
  @usableFromInline package var _payloadOffset: UInt16
  @usableFromInline package var _payloadByteCount: UInt16
  @usableFromInline package var _extensionOffset: UInt16
  @usableFromInline package var _extensionByteCount: UInt16
  @usableFromInline package var payloadType: PayloadType
  @usableFromInline package var marker: Bool
  @usableFromInline package var _csrcCount: UInt8
  @usableFromInline package var _paddingByteCount: UInt8
  @usableFromInline package var extensionProfile: ExtensionProfile

  @inlinable
  package init(
    ssrc: SSRC, timestamp: RTPTimestamp, sequenceNumber: SequenceNumber, payloadType: PayloadType, marker: Bool, csrcCount: Int,
    payloadOffset: Int, payloadByteCount: Int, paddingByteCount: Int, extensionProfile: ExtensionProfile, extensionOffset: Int,
    extensionByteCount: Int
  ) {
    self.ssrc = ssrc
    self.timestamp = timestamp
    self.sequenceNumber = sequenceNumber
    self.payloadType = payloadType
    self.marker = marker
    self.extensionProfile = extensionProfile
    _csrcCount = UInt8(truncatingIfNeeded: csrcCount)
    _payloadOffset = UInt16(truncatingIfNeeded: payloadOffset)
    _payloadByteCount = UInt16(truncatingIfNeeded: payloadByteCount)
    _paddingByteCount = UInt8(truncatingIfNeeded: paddingByteCount)
    _extensionOffset = UInt16(truncatingIfNeeded: extensionOffset)
    _extensionByteCount = UInt16(truncatingIfNeeded: extensionByteCount)
  }

  /// The number of contributing sources, 0…15.
  @inlinable package var csrcCount: Int { Int(_csrcCount) }
  /// The fixed header, contributing sources and header extension together.
  @inlinable package var headerByteCount: Int { Int(_payloadOffset) }
  @inlinable package var payloadOffset: Int { Int(_payloadOffset) }
  /// The payload without padding.
  @inlinable package var payloadByteCount: Int { Int(_payloadByteCount) }
  /// Padding with its count byte; zero when there is none.
  @inlinable package var paddingByteCount: Int { Int(_paddingByteCount) }
  /// Where the extension's elements begin, after its four-byte header.
  @inlinable package var extensionOffset: Int { Int(_extensionOffset) }
  /// The length of the extension's elements, a multiple of four.
  @inlinable package var extensionByteCount: Int { Int(_extensionByteCount) }
  /// The whole packet.
  @inlinable package var packetByteCount: Int { Int(_payloadOffset) + Int(_payloadByteCount) + Int(_paddingByteCount) }

  @inlinable package static func parse(_ bytes: RawSpan) -> Result<RTPPacketView, RTPParseFailure> {
    let byteCount = bytes.byteCount
    guard byteCount >= 12 else { return .failure(.tooShort) }
    guard byteCount <= Int(UInt16.max) else { return .failure(.tooLong) }
    let first = bytes.loadUInt32(at: 0)
    guard first >> 30 == 2 else { return .failure(.badVersion) }
    let csrcCount = Int(first >> 24 & 0x0F)
    var offset = 12 + 4 * csrcCount
    guard offset <= byteCount else { return .failure(.truncatedContributingSources) }

    var profile = ExtensionProfile.none
    var extensionOffset = 0
    var extensionByteCount = 0
    if first & 0x1000_0000 != 0 {
      guard offset + 4 <= byteCount else { return .failure(.truncatedExtension) }
      let word = bytes.loadUInt32(at: offset)
      extensionOffset = offset + 4
      extensionByteCount = Int(word & 0xFFFF) * 4
      offset = extensionOffset + extensionByteCount
      guard offset <= byteCount else { return .failure(.truncatedExtension) }
      profile = word >> 16 == 0xBEDE ? .oneByte : word >> 20 == 0x100 ? .twoByte : .other
    }

    var padding = 0
    if first & 0x2000_0000 != 0 {
      // The last byte counts itself, so zero is no count (RFC 3550 §5.1).
      guard offset < byteCount else { return .failure(.badPadding) }
      padding = Int(bytes.loadUInt8(at: byteCount - 1))
      guard padding != 0, padding <= byteCount - offset else { return .failure(.badPadding) }
    }
    return .success(
      RTPPacketView(
        ssrc: SSRC(bytes.loadUInt32(at: 8)), timestamp: RTPTimestamp(bytes.loadUInt32(at: 4)),
        sequenceNumber: SequenceNumber(UInt16(truncatingIfNeeded: first)),
        payloadType: PayloadType(UInt8(truncatingIfNeeded: first >> 16)), marker: first & 0x80_0000 != 0, csrcCount: csrcCount,
        payloadOffset: offset, payloadByteCount: byteCount - offset - padding, paddingByteCount: padding, extensionProfile: profile,
        extensionOffset: extensionOffset, extensionByteCount: extensionByteCount))
  }

  /// The contributing source at `index`, which must be below ``csrcCount``; `bytes` is the packet this view was made from.
  @inlinable package func csrc(at index: Int, in bytes: RawSpan) -> SSRC? {
    guard index >= 0, index < csrcCount, 16 + 4 * index <= bytes.byteCount else { return nil }
    return SSRC(bytes.loadUInt32(at: 12 + 4 * index))
  }

  /// The payload without padding; empty when `bytes` is not the packet this view was made from.
  @inlinable @_lifetime(copy bytes)
  package func payload(in bytes: RawSpan) -> RawSpan {
    guard payloadOffset + payloadByteCount <= bytes.byteCount else { return bytes.extracting(0..<0) }
    return bytes.extracting(payloadOffset..<payloadOffset + payloadByteCount)
  }
}
