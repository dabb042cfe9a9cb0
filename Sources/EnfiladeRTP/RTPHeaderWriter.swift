// Writes the header of an outgoing packet: a fixed header of our own, and the extension elements the receiver negotiated
// (RFC 3550 §5.1, RFC 8285 §4).

public import EnfiladeWire

/// Which forms of header extension a receiver takes.
@usableFromInline package enum ExtensionForm: UInt8, Hashable, Sendable {
  /// One-byte elements alone: identifiers 1…14, data of 1…16 bytes. What does not fit is left out.
  case oneByteOnly
  /// Two-byte elements alone, for receivers with larger identifiers that did not allow mixing.
  case twoByteOnly
  /// Whichever each packet needs: the receiver said `a=extmap-allow-mixed` (RFC 8285 §4.1.2).
  case mixed
}

/// What one receiver is sent in header extensions. Made once per subscription, used for every packet.
@usableFromInline package struct ExtensionPlan: Sendable {
  /// The receiver's identifiers.
  @usableFromInline package var map: ExtensionMap
  @usableFromInline package var form: ExtensionForm
  /// Elements copied from the source packet when it has them.
  @usableFromInline package var copied: ExtensionKinds
  /// The media section's tag, at most 16 bytes of ASCII.
  @usableFromInline package var mid: InlineArray<16, UInt8>
  @usableFromInline package var midByteCount: UInt8

  /// - Parameters:
  ///   - map: the receiver's identifiers.
  ///   - allowsMixed: whether the receiver said `a=extmap-allow-mixed`.
  ///   - mid: the tag to send, or empty for none. Longer than 16 bytes cannot be sent, and is not.
  ///   - copied: which elements to take over from the source packet.
  @usableFromInline package init(map: ExtensionMap, allowsMixed: Bool, mid: [UInt8] = [], copied: ExtensionKinds = .forwarded) {
    self.map = map
    form = allowsMixed ? .mixed : map.needsTwoByteForm ? .twoByteOnly : .oneByteOnly
    var kept: ExtensionKinds = []
    for kind in ExtensionKind.allCases where copied.contains(kind) && map[kind] != nil { kept.insert(ExtensionKinds(kind)) }
    self.copied = kept
    self.mid = InlineArray(repeating: 0)
    midByteCount = 0
    if mid.count <= 16, map[.mid] != nil {
      for index in mid.indices { self.mid[index] = mid[index] }
      midByteCount = UInt8(mid.count)
    }
  }
}

/// The numbers of an outgoing packet that are its receiver's own.
@usableFromInline package struct OutgoingHeader: Hashable, Sendable {
  @usableFromInline package var ssrc: SSRC
  @usableFromInline package var timestamp: RTPTimestamp
  @usableFromInline package var sequenceNumber: SequenceNumber
  @usableFromInline package var payloadType: PayloadType
  @usableFromInline package var marker: Bool
  /// Whether the plan's MID goes along: on the first packets of a stream (RFC 9143 §15.1), or on all.
  @usableFromInline package var carriesMID: Bool
  /// Sent when the receiver negotiated it.
  @usableFromInline package var transportSequenceNumber: UInt16?
  /// Sent when the receiver negotiated it.
  @usableFromInline package var absoluteSendTime: AbsoluteSendTime?
  /// Written into the P bit; the padding itself comes after the payload (``RTPPadding``).
  @usableFromInline package var hasPadding: Bool

  @inlinable
  package init(
    ssrc: SSRC, timestamp: RTPTimestamp, sequenceNumber: SequenceNumber, payloadType: PayloadType, marker: Bool, carriesMID: Bool = false,
    transportSequenceNumber: UInt16? = nil, absoluteSendTime: AbsoluteSendTime? = nil, hasPadding: Bool = false
  ) {
    self.ssrc = ssrc
    self.timestamp = timestamp
    self.sequenceNumber = sequenceNumber
    self.payloadType = payloadType
    self.marker = marker
    self.carriesMID = carriesMID
    self.transportSequenceNumber = transportSequenceNumber
    self.absoluteSendTime = absoluteSendTime
    self.hasPadding = hasPadding
  }
}

@usableFromInline package enum RTPHeaderWriter {
  /// The longest header that can be made: fixed header, extension header, and every element at its longest, padded to a word.
  @usableFromInline package static let maximumByteCount = 12 + 4 + (ExtensionKind.count * (2 + 255) + 3) / 4 * 4

  /// Writes the header of a packet of our own making: nothing is copied from elsewhere.
  ///
  /// - Returns: the header's length, a multiple of four, or `nil` when `destination` is too small.
  @inlinable @_lifetime(destination: copy destination)
  package static func write(_ header: OutgoingHeader, plan: ExtensionPlan, into destination: inout MutableRawSpan) -> Int? {
    write(header, plan: plan, copying: RTPExtensions(), from: RawSpan(), into: &destination)
  }

  /// Puts the contributing sources of `source` into a header of `byteCount` bytes that was written before (RFC 3550 §5.1).
  ///
  /// - Parameter view: what was read from `source`.
  /// - Returns: the header's length with them, or `nil` when `destination` is too small.
  @_lifetime(destination: copy destination)
  package static func insertContributors(
    of view: RTPPacketView, in source: RawSpan, intoHeaderOf byteCount: Int, in destination: inout MutableRawSpan
  ) -> Int? {
    let count = view.csrcCount
    let added = 4 * count
    guard count > 0 else { return byteCount }
    guard byteCount + added <= destination.byteCount, 12 + added <= source.byteCount else { return nil }
    for index in (12..<byteCount).reversed() { destination.storeUInt8(destination.bytes.loadUInt8(at: index), at: index + added) }
    for index in 12..<12 + added { destination.storeUInt8(source.loadUInt8(at: index), at: index) }
    destination.storeUInt8(destination.bytes.loadUInt8(at: 0) | UInt8(count), at: 0)
    return byteCount + added
  }

  /// Writes a forwarded packet's header: `header`'s numbers, the plan's MID, and what the plan copies out of `source`, under the
  /// receiver's identifiers. Contributing sources are not carried over; see ``insertContributors(of:in:intoHeaderOf:in:)``.
  ///
  /// - Parameters:
  ///   - extensions: the elements of the source packet.
  ///   - source: the source packet that `extensions` was made from.
  ///   - dependencyDescriptor: takes the place of the source packet's, when given.
  /// - Returns: the header's length, a multiple of four, or `nil` when `destination` is too small.
  @inlinable @_lifetime(destination: copy destination)
  package static func write(
    _ header: OutgoingHeader, plan: ExtensionPlan, copying extensions: RTPExtensions, from source: RawSpan,
    dependencyDescriptor: RawSpan? = nil, into destination: inout MutableRawSpan
  ) -> Int? {
    guard destination.byteCount >= 12 else { return nil }
    var elements = ElementWriter(plan.form)
    elements.writeAll(header, plan, extensions, source, dependencyDescriptor, into: &destination)
    if elements.mustRestart {
      // Something needs the two-byte form, and then everything has it.
      elements = ElementWriter(.twoByteOnly)
      elements.writeAll(header, plan, extensions, source, dependencyDescriptor, into: &destination)
    }
    guard !elements.overflowed else { return nil }

    var first = UInt32(2) << 30 | UInt32(header.payloadType.rawValue) << 16 | UInt32(header.sequenceNumber.rawValue)
    if header.marker { first |= 0x80_0000 }
    if header.hasPadding { first |= 0x2000_0000 }
    var headerByteCount = 12
    if elements.offset > 16 {
      first |= 0x1000_0000
      headerByteCount = (elements.offset + 3) & ~3
      for index in elements.offset..<headerByteCount { destination.storeUInt8(0, at: index) }
      let profile: UInt32 = elements.form == .twoByteOnly ? 0x1000_0000 : 0xBEDE_0000
      destination.storeUInt32(profile | UInt32(truncatingIfNeeded: (headerByteCount - 16) / 4), at: 12)
    }
    destination.storeUInt32(first, at: 0)
    destination.storeUInt32(header.timestamp.rawValue, at: 4)
    destination.storeUInt32(header.ssrc.rawValue, at: 8)
    return headerByteCount
  }
}

/// Writes the elements of one header behind each other, from byte 16 on.
@usableFromInline package struct ElementWriter {
  @usableFromInline let form: ExtensionForm
  @usableFromInline var offset = 16
  @usableFromInline var overflowed = false
  @usableFromInline var mustRestart = false

  @inlinable init(_ form: ExtensionForm) { self.form = form }

  @inlinable @_lifetime(destination: copy destination)
  mutating func writeAll(
    _ header: OutgoingHeader, _ plan: ExtensionPlan, _ extensions: RTPExtensions, _ source: RawSpan, _ dependencyDescriptor: RawSpan?,
    into destination: inout MutableRawSpan
  ) {
    var copied = plan.copied.rawValue & extensions.present.rawValue & ~ExtensionKinds.writtenFresh.rawValue
    if header.carriesMID, plan.midByteCount != 0, begin(.mid, Int(plan.midByteCount), plan, in: &destination) {
      for index in 0..<Int(plan.midByteCount) { destination.storeUInt8(plan.mid[index], at: offset + index) }
      offset += Int(plan.midByteCount)
    }
    if let number = header.transportSequenceNumber, begin(.transportSequenceNumber, 2, plan, in: &destination) {
      destination.storeUInt16(number, at: offset)
      offset += 2
    }
    if let time = header.absoluteSendTime, begin(.absoluteSendTime, 3, plan, in: &destination) {
      destination.storeUInt24(time.rawValue, at: offset)
      offset += 3
    }
    if let dependencyDescriptor {
      copied &= ~ExtensionKinds(.dependencyDescriptor).rawValue
      if begin(.dependencyDescriptor, dependencyDescriptor.byteCount, plan, in: &destination) {
        copy(dependencyDescriptor, 0, dependencyDescriptor.byteCount, into: &destination)
      }
    }
    while copied != 0 {
      let index = copied.trailingZeroBitCount
      copied &= copied &- 1
      let place = extensions.places[index]
      let byteCount = Int(place & 0xFFFF)
      let start = Int(place >> 16)
      guard start + byteCount <= source.byteCount, begin(index, byteCount, plan, in: &destination) else { continue }
      copy(source, start, byteCount, into: &destination)
    }
  }

  @inlinable @_lifetime(destination: copy destination)
  mutating func begin(_ kind: ExtensionKind, _ byteCount: Int, _ plan: ExtensionPlan, in destination: inout MutableRawSpan) -> Bool {
    begin(Int(kind.rawValue), byteCount, plan, in: &destination)
  }

  /// Writes an element's header, if the receiver negotiated it, it can be said in the form, and all of it fits.
  @inlinable @_lifetime(destination: copy destination)
  mutating func begin(_ index: Int, _ byteCount: Int, _ plan: ExtensionPlan, in destination: inout MutableRawSpan) -> Bool {
    let identifier = plan.map.identifiers[index]
    guard identifier != 0, byteCount <= 255 else { return false }
    if form == .twoByteOnly {
      guard reserve(2 + byteCount, in: destination) else { return false }
      destination.storeUInt16(UInt16(identifier) << 8 | UInt16(truncatingIfNeeded: byteCount), at: offset)
      offset += 2
      return true
    }
    guard identifier <= 14, byteCount >= 1, byteCount <= 16 else {
      // Only the two-byte form can say this (RFC 8285 §4.2).
      if form == .mixed { mustRestart = true }
      return false
    }
    guard reserve(1 + byteCount, in: destination) else { return false }
    destination.storeUInt8(identifier << 4 | UInt8(truncatingIfNeeded: byteCount - 1), at: offset)
    offset += 1
    return true
  }

  /// Whether `byteCount` more bytes fit, with the padding that would end the extension behind them.
  @inlinable
  mutating func reserve(_ byteCount: Int, in destination: borrowing MutableRawSpan) -> Bool {
    guard (offset + byteCount + 3) & ~3 <= destination.byteCount else {
      overflowed = true
      return false
    }
    return true
  }

  @inlinable @_lifetime(destination: copy destination)
  mutating func copy(_ source: RawSpan, _ start: Int, _ byteCount: Int, into destination: inout MutableRawSpan) {
    for step in 0..<byteCount { destination.storeUInt8(source.loadUInt8(at: start + step), at: offset + step) }
    offset += byteCount
  }
}

/// Padding after a payload (RFC 3550 §5.1).
@usableFromInline package enum RTPPadding {
  /// Writes `byteCount` bytes of padding at `offset`; the last counts them all. The header's P bit must say so.
  ///
  /// - Returns: `false`, with nothing written, when the count is not in 1…255 or does not fit.
  @inlinable @_lifetime(destination: copy destination)
  package static func write(byteCount: Int, at offset: Int, in destination: inout MutableRawSpan) -> Bool {
    guard byteCount >= 1, byteCount <= 255, offset >= 0, offset + byteCount <= destination.byteCount else { return false }
    for index in offset..<offset + byteCount - 1 { destination.storeUInt8(0, at: index) }
    destination.storeUInt8(UInt8(truncatingIfNeeded: byteCount), at: offset + byteCount - 1)
    return true
  }
}
