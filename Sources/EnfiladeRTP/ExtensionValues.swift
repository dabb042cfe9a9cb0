// The fixed-size header extensions as values: each reads its element's data and writes it back unchanged.

public import EnfiladeWire

/// The moment of sending, 24 bits of seconds with 18 bits of fraction: wraps every 64 seconds.
@usableFromInline package struct AbsoluteSendTime: Hashable, Sendable {
  @usableFromInline package var rawValue: UInt32
  @usableFromInline package static let byteCount = 3

  @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue & 0xFF_FFFF }
  /// Six bits of the seconds and the upper 18 of the fraction.
  @inlinable package init(_ ntp: NTPTimestamp) { self.init(rawValue: UInt32(truncatingIfNeeded: ntp.rawValue >> 14)) }

  @inlinable package init?(_ data: RawSpan) {
    guard data.byteCount == Self.byteCount else { return nil }
    self.init(rawValue: data.loadUInt24(at: 0))
  }

  @_lifetime(writer: copy writer)
  package func write(into writer: inout ByteWriter) { writer.writeUInt24(rawValue) }

  /// The signed distance, for times less than 32 seconds apart.
  @inlinable package static func - (a: AbsoluteSendTime, b: AbsoluteSendTime) -> TimeDelta {
    let ticks = Int64(Int32(bitPattern: (a.rawValue &- b.rawValue) << 8) >> 8)
    return TimeDelta(nanoseconds: (ticks * 1_000_000_000) >> 18)
  }
}

/// How loud a packet's audio is (RFC 6464 §3).
@usableFromInline package struct AudioLevel: Hashable, Sendable {
  /// Minus dBov: 0 is the loudest, 127 is silence.
  @usableFromInline package var level: UInt8
  /// Whether the sender believes that this is speech.
  @usableFromInline package var hasVoice: Bool
  @usableFromInline package static let byteCount = 1

  @inlinable package init(level: UInt8, hasVoice: Bool) {
    self.level = level & 0x7F
    self.hasVoice = hasVoice
  }

  /// RFC 6464 §3 lets the two-byte form carry a second byte of padding.
  @inlinable package init?(_ data: RawSpan) {
    guard data.byteCount == 1 || data.byteCount == 2 else { return nil }
    let byte = data.loadUInt8(at: 0)
    self.init(level: byte, hasVoice: byte & 0x80 != 0)
  }

  @inlinable package var byte: UInt8 { (hasVoice ? 0x80 : 0) | level }

  @_lifetime(writer: copy writer)
  package func write(into writer: inout ByteWriter) { writer.writeUInt8(byte) }
}

/// How the picture must be turned (3GPP TS 26.114 §7.4.5).
@usableFromInline package struct VideoOrientation: Hashable, Sendable {
  @usableFromInline package enum Rotation: UInt8, Hashable, Sendable, CaseIterable {
    case none
    case clockwise90
    case clockwise180
    case clockwise270
  }

  /// The byte as received; its upper four bits are reserved.
  @usableFromInline package var byte: UInt8
  @usableFromInline package static let byteCount = 1

  @inlinable package init(byte: UInt8) { self.byte = byte }
  @inlinable package init(rotation: Rotation, isFlipped: Bool = false, isBackCamera: Bool = false) {
    byte = rotation.rawValue | (isFlipped ? 4 : 0) | (isBackCamera ? 8 : 0)
  }
  @inlinable package init?(_ data: RawSpan) {
    guard data.byteCount == Self.byteCount else { return nil }
    self.init(byte: data.loadUInt8(at: 0))
  }

  @inlinable package var rotation: Rotation { Rotation(rawValue: byte & 3) ?? .none }
  @inlinable package var isFlipped: Bool { byte & 4 != 0 }
  @inlinable package var isBackCamera: Bool { byte & 8 != 0 }

  @_lifetime(writer: copy writer)
  package func write(into writer: inout ByteWriter) { writer.writeUInt8(byte) }
}

/// The sender's wish for the receiver's buffer: two times of 12 bits, in steps of 10 ms.
@usableFromInline package struct PlayoutDelay: Hashable, Sendable {
  @usableFromInline package var minimumTicks: UInt16
  @usableFromInline package var maximumTicks: UInt16
  @usableFromInline package static let byteCount = 3
  @usableFromInline package static let tick = TimeDelta.milliseconds(10)

  @inlinable package init(minimumTicks: UInt16, maximumTicks: UInt16) {
    self.minimumTicks = min(minimumTicks, 0xFFF)
    self.maximumTicks = min(maximumTicks, 0xFFF)
  }
  @inlinable package init?(_ data: RawSpan) {
    guard data.byteCount == Self.byteCount else { return nil }
    let value = data.loadUInt24(at: 0)
    self.init(minimumTicks: UInt16(truncatingIfNeeded: value >> 12), maximumTicks: UInt16(truncatingIfNeeded: value & 0xFFF))
  }

  @inlinable package var minimum: TimeDelta { Self.tick * Int64(minimumTicks) }
  @inlinable package var maximum: TimeDelta { Self.tick * Int64(maximumTicks) }
  @inlinable package var rawValue: UInt32 { UInt32(minimumTicks) << 12 | UInt32(maximumTicks) }

  @_lifetime(writer: copy writer)
  package func write(into writer: inout ByteWriter) { writer.writeUInt24(rawValue) }
}

/// When the media was captured, on the capturer's clock, and how far that clock is from the sender's.
@usableFromInline package struct AbsoluteCaptureTime: Hashable, Sendable {
  @usableFromInline package var captured: NTPTimestamp
  /// Signed 32.32 seconds to add to the sender's clock to reach the one that ``captured`` was read from. The sender is whose clock the sender
  /// reports of the stream are on; without this its receiver cannot tell.
  @usableFromInline package var estimatedClockOffset: Int64?

  @inlinable package init(captured: NTPTimestamp, estimatedClockOffset: Int64? = nil) {
    self.captured = captured
    self.estimatedClockOffset = estimatedClockOffset
  }
  @inlinable package init?(_ data: RawSpan) {
    guard data.byteCount == 8 || data.byteCount == 16 else { return nil }
    captured = NTPTimestamp(rawValue: data.loadUInt64(at: 0))
    estimatedClockOffset = data.byteCount == 16 ? Int64(bitPattern: data.loadUInt64(at: 8)) : nil
  }

  @usableFromInline package static let shortByteCount = 8
  @usableFromInline package static let longByteCount = 16

  @inlinable package var byteCount: Int { estimatedClockOffset == nil ? Self.shortByteCount : Self.longByteCount }

  /// Makes an element with an offset mean the same in reports on another clock, which is ahead of the one before by `difference`.
  ///
  /// - Parameter place: where the element's data begins.
  @_lifetime(bytes: copy bytes)
  package static func moveClock(by difference: TimeDelta, in bytes: inout MutableRawSpan, at place: Int) {
    let ahead = NTPTimestamp(rawValue: 0) + difference
    let offset = bytes.bytes.loadUInt64(at: place + 8) &- ahead.rawValue
    bytes.storeUInt32(UInt32(truncatingIfNeeded: offset >> 32), at: place + 8)
    bytes.storeUInt32(UInt32(truncatingIfNeeded: offset), at: place + 12)
  }

  /// Makes an element with an offset one without. What it leaves behind is padding (RFC 8285 §4.2, §4.3).
  @_lifetime(bytes: copy bytes)
  package static func takeOutOffset(in bytes: inout MutableRawSpan, at place: Int) {
    // The length stands in front of the data: in a byte of its own, or, less one, in the lower half of one.
    let length = bytes.bytes.loadUInt8(at: place - 1)
    bytes.storeUInt8(length &- UInt8(longByteCount - shortByteCount), at: place - 1)
    for index in shortByteCount..<longByteCount { bytes.storeUInt8(0, at: place + index) }
  }

  @_lifetime(writer: copy writer)
  package func write(into writer: inout ByteWriter) {
    writer.writeUInt64(captured.rawValue)
    if let estimatedClockOffset { writer.writeUInt64(UInt64(bitPattern: estimatedClockOffset)) }
  }
}
