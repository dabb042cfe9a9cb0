// Names that are numbers.

/// A synchronization source (RFC 3550 §3).
@usableFromInline
package struct SSRC: Hashable, Sendable {
  @usableFromInline package var rawValue: UInt32
  @inlinable package init(_ rawValue: UInt32) { self.rawValue = rawValue }
}

/// A seven-bit RTP payload type (RFC 3550 §5.1).
@usableFromInline
package struct PayloadType: Hashable, Sendable {
  @usableFromInline package var rawValue: UInt8
  @inlinable package init(_ rawValue: UInt8) { self.rawValue = rawValue & 0x7F }
}

/// Audio or video: what a media section carries.
@usableFromInline package enum MediaKind: UInt8, Hashable, Sendable, CaseIterable {
  case audio
  case video
}
