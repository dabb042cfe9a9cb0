// Header extension elements of a parsed packet (RFC 8285 §4.2, §4.3).

import EnfiladeWire

/// Where an element's data stands in its packet.
@usableFromInline package struct ExtensionElement: Hashable, Sendable {
  @usableFromInline package var identifier: UInt8
  @usableFromInline package var byteCount: UInt8
  @usableFromInline package var offset: UInt16

  @inlinable package init(identifier: UInt8, byteCount: UInt8, offset: UInt16) {
    self.identifier = identifier
    self.byteCount = byteCount
    self.offset = offset
  }

  /// The element's data; empty when `bytes` is not the packet it was found in.
  @inlinable @_lifetime(copy bytes)
  package func data(in bytes: RawSpan) -> RawSpan {
    guard Int(offset) + Int(byteCount) <= bytes.byteCount else { return bytes.extracting(0..<0) }
    return bytes.extracting(Int(offset)..<Int(offset) + Int(byteCount))
  }
}

/// Walks the elements of one packet in wire order. What is malformed ends the walk; the elements before it stand.
@usableFromInline package struct ExtensionElementIterator: ~Escapable {
  @usableFromInline package let bytes: RawSpan
  @usableFromInline package var offset: Int
  @usableFromInline package let end: Int
  @usableFromInline package let isTwoByte: Bool

  @inlinable @_lifetime(copy bytes)
  package init(_ view: RTPPacketView, in bytes: RawSpan) {
    self.bytes = bytes
    offset = view.extensionOffset
    isTwoByte = view.extensionProfile == .twoByte
    let hasElements = view.extensionProfile == .oneByte || view.extensionProfile == .twoByte
    let last = view.extensionOffset + view.extensionByteCount
    end = hasElements && last <= bytes.byteCount ? last : view.extensionOffset
  }

  @inlinable @_lifetime(self: copy self)
  package mutating func next() -> ExtensionElement? {
    while offset < end {
      let first = bytes.loadUInt8(at: offset)
      let identifier: UInt8
      let byteCount: Int
      let start: Int
      if isTwoByte {
        if first == 0 {
          offset += 1
          continue
        }
        guard offset + 2 <= end else { break }
        identifier = first
        byteCount = Int(bytes.loadUInt8(at: offset + 1))
        start = offset + 2
      } else {
        if first == 0 {
          offset += 1
          continue
        }
        identifier = first >> 4
        // 15 is reserved, and 0 is padding and has no length: both end the extension (RFC 8285 §4.2).
        guard identifier != 15, identifier != 0 else { break }
        byteCount = Int(first & 0x0F) + 1
        start = offset + 1
      }
      guard start + byteCount <= end else { break }
      offset = start + byteCount
      return ExtensionElement(
        identifier: identifier, byteCount: UInt8(truncatingIfNeeded: byteCount), offset: UInt16(truncatingIfNeeded: start))
    }
    offset = end
    return nil
  }
}

extension RTPPacketView {
  /// The first element with this local identifier.
  @inlinable package func extensionElement(_ identifier: UInt8, in bytes: RawSpan) -> ExtensionElement? {
    var iterator = ExtensionElementIterator(self, in: bytes)
    while let element = iterator.next() {
      if element.identifier == identifier { return element }
    }
    return nil
  }
}

/// Every known element of one packet, found in one pass. Holds offsets; the getters read from the packet they are given.
@usableFromInline package struct RTPExtensions: Sendable {
  @usableFromInline package var present: ExtensionKinds
  /// Indexed by kind, and meaningless where it is absent: the offset in the upper half, the length in the lower.
  @usableFromInline package var places: InlineArray<16, UInt32>

  @inlinable package init() {
    present = []
    places = InlineArray(repeating: 0)
  }

  /// Finds what `map` names. Of an element that comes twice the first counts.
  @inlinable package init(_ view: RTPPacketView, in bytes: RawSpan, map: ExtensionMap) {
    self.init()
    var found: UInt16 = 0
    var iterator = ExtensionElementIterator(view, in: bytes)
    while let element = iterator.next() {
      let index = map.kindIndex(of: element.identifier)
      guard index >= 0, found >> UInt16(truncatingIfNeeded: index) & 1 == 0 else { continue }
      places[index] = UInt32(element.offset) << 16 | UInt32(element.byteCount)
      found |= 1 << UInt16(truncatingIfNeeded: index)
    }
    present = ExtensionKinds(rawValue: found)
  }

  @inlinable package func offset(of kind: ExtensionKind) -> Int { Int(places[Int(kind.rawValue)] >> 16) }
  @inlinable package func byteCount(of kind: ExtensionKind) -> Int { Int(places[Int(kind.rawValue)] & 0xFFFF) }

  /// An element was made shorter where it lies.
  package mutating func setByteCount(_ byteCount: Int, of kind: ExtensionKind) {
    let place = places[Int(kind.rawValue)]
    places[Int(kind.rawValue)] = place & 0xFFFF_0000 | UInt32(truncatingIfNeeded: byteCount)
  }

  /// The element's data, or `nil` when it is absent.
  @inlinable @_lifetime(copy bytes)
  package func data(of kind: ExtensionKind, in bytes: RawSpan) -> RawSpan? {
    let start = offset(of: kind)
    let end = start + byteCount(of: kind)
    guard present.contains(kind), end <= bytes.byteCount else { return nil }
    return bytes.extracting(start..<end)
  }

  @inlinable package func transportSequenceNumber(in bytes: RawSpan) -> UInt16? {
    // The second version of the extension has two more bytes, a feedback request, which a receiver may leave unread.
    guard let data = data(of: .transportSequenceNumber, in: bytes), data.byteCount >= 2 else { return nil }
    return data.loadUInt16(at: 0)
  }

  @inlinable package func absoluteSendTime(in bytes: RawSpan) -> AbsoluteSendTime? {
    guard let data = data(of: .absoluteSendTime, in: bytes) else { return nil }
    return AbsoluteSendTime(data)
  }

  @inlinable package func audioLevel(in bytes: RawSpan) -> AudioLevel? {
    guard let data = data(of: .audioLevel, in: bytes) else { return nil }
    return AudioLevel(data)
  }

  @inlinable package func videoOrientation(in bytes: RawSpan) -> VideoOrientation? {
    guard let data = data(of: .videoOrientation, in: bytes) else { return nil }
    return VideoOrientation(data)
  }

  @inlinable package func playoutDelay(in bytes: RawSpan) -> PlayoutDelay? {
    guard let data = data(of: .playoutDelay, in: bytes) else { return nil }
    return PlayoutDelay(data)
  }

  @inlinable package func absoluteCaptureTime(in bytes: RawSpan) -> AbsoluteCaptureTime? {
    guard let data = data(of: .absoluteCaptureTime, in: bytes) else { return nil }
    return AbsoluteCaptureTime(data)
  }
}
