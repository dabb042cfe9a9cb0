// Writes the header of an outgoing packet: a fixed header of our own, and the extension elements the receiver negotiated
// (RFC 3550 §5.1, RFC 8285 §4).

package import EnfiladeWire

/// Which forms of header extension a receiver takes.
package enum ExtensionForm: UInt8, Hashable, Sendable {
  /// One-byte elements alone: identifiers 1…14, data of 1…16 bytes. What does not fit is left out.
  case oneByteOnly
  /// Two-byte elements alone, for receivers with larger identifiers that did not allow mixing.
  case twoByteOnly
  /// Whichever each packet needs: the receiver said `a=extmap-allow-mixed` (RFC 8285 §4.1.2).
  case mixed
}

/// What one receiver is sent in header extensions. Made once per subscription, used for every packet.
package struct ExtensionPlan: Hashable, Sendable {
  /// The receiver's identifiers.
  package var map: ExtensionMap
  package var form: ExtensionForm
  /// Elements copied from the source packet when it has them.
  package var copied: ExtensionKinds
  /// The media section's tag, at most 16 bytes of ASCII.
  @usableFromInline package var mid: SIMD16<UInt8>
  @usableFromInline package var midByteCount: UInt8

  /// - Parameters:
  ///   - map: the receiver's identifiers.
  ///   - allowsMixed: whether the receiver said `a=extmap-allow-mixed`.
  ///   - mid: the tag to send, or empty for none. Longer than 16 bytes cannot be sent, and is not.
  ///   - copied: which elements to take over from the source packet.
  package init(map: ExtensionMap, allowsMixed: Bool, mid: [UInt8] = [], copied: ExtensionKinds = .forwarded) {
    self.map = map
    form = allowsMixed ? .mixed : map.needsTwoByteForm ? .twoByteOnly : .oneByteOnly
    var kept: ExtensionKinds = []
    for kind in ExtensionKind.allCases where copied.contains(kind) && map[kind] != nil { kept.insert(ExtensionKinds(kind)) }
    self.copied = kept
    self.mid = .zero
    midByteCount = 0
    if mid.count <= 16, map[.mid] != nil {
      for index in mid.indices { self.mid[index] = mid[index] }
      midByteCount = UInt8(mid.count)
    }
  }
}

/// The numbers of an outgoing packet that are its receiver's own.
package struct OutgoingHeader: Hashable, Sendable {
  package var ssrc: SSRC
  package var timestamp: RTPTimestamp
  package var sequenceNumber: SequenceNumber
  package var payloadType: PayloadType
  package var marker: Bool
  /// Whether the plan's MID goes along: on the first packets of a stream (RFC 9143 §15.1), or on all.
  package var carriesMID: Bool
  /// Sent when the receiver negotiated it.
  package var transportSequenceNumber: UInt16?
  /// Sent when the receiver negotiated it.
  package var absoluteSendTime: AbsoluteSendTime?
  /// Written into the P bit; the padding itself comes after the payload (``RTPPadding``).
  package var hasPadding: Bool

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

package enum RTPHeaderWriter {
  /// The longest header that can be made: fixed header, extension header, and every element at its longest, padded to a word.
  package static let maximumByteCount = 12 + 4 + (ExtensionKind.count * (2 + 255) + 3) / 4 * 4

  /// Writes the header of a packet of our own making: nothing is copied from elsewhere.
  ///
  /// - Returns: the header's length, a multiple of four, or `nil` when `destination` is too small.
  @inlinable @_lifetime(destination: copy destination)
  package static func write(_ header: OutgoingHeader, plan: ExtensionPlan, into destination: inout MutableRawSpan) -> Int? {
    write(header, plan: plan, copying: RTPExtensions(), from: RawSpan(), into: &destination)
  }

  /// Writes a forwarded packet's header: `header`'s numbers, the plan's MID, and what the plan copies out of `source`, under the
  /// receiver's identifiers. Contributing sources are not carried over.
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
    let selection = ExtensionSelection(
      header, plan: plan, extensions: extensions, sourceByteCount: source.byteCount,
      descriptorByteCount: dependencyDescriptor?.byteCount)
    let extensionByteCount = (selection.elementByteCount + 3) & ~3
    let headerByteCount = extensionByteCount == 0 ? 12 : 16 + extensionByteCount
    guard headerByteCount <= destination.byteCount else { return nil }

    var first = UInt32(2) << 30 | UInt32(header.payloadType.rawValue) << 16 | UInt32(header.sequenceNumber.rawValue)
    if header.marker { first |= 0x80_0000 }
    if header.hasPadding { first |= 0x2000_0000 }
    if extensionByteCount != 0 { first |= 0x1000_0000 }
    destination.storeUInt32(first, at: 0)
    destination.storeUInt32(header.timestamp.rawValue, at: 4)
    destination.storeUInt32(header.ssrc.rawValue, at: 8)
    guard extensionByteCount != 0 else { return 12 }

    destination.storeUInt32((selection.isTwoByte ? 0x1000_0000 : 0xBEDE_0000) | UInt32(extensionByteCount / 4), at: 12)
    // The last word first, so that what the elements leave of it is padding.
    destination.storeUInt32(0, at: headerByteCount - 4)
    var offset = 16
    var rest = selection.selected
    while rest != 0 {
      let index = rest.trailingZeroBitCount
      rest &= rest &- 1
      let byteCount = Int(selection.byteCounts[index])
      let identifier = plan.map.identifiers[index]
      if selection.isTwoByte {
        destination.storeUInt16(UInt16(identifier) << 8 | UInt16(byteCount), at: offset)
        offset += 2
      } else {
        destination.storeUInt8(identifier << 4 | UInt8(truncatingIfNeeded: byteCount - 1), at: offset)
        offset += 1
      }
      switch ExtensionKind(rawValue: UInt8(truncatingIfNeeded: index)) {
      case .mid:
        for step in 0..<byteCount { destination.storeUInt8(plan.mid[step], at: offset + step) }
      case .transportSequenceNumber:
        destination.storeUInt16(header.transportSequenceNumber ?? 0, at: offset)
      case .absoluteSendTime:
        destination.storeUInt24(header.absoluteSendTime?.rawValue ?? 0, at: offset)
      case .dependencyDescriptor where dependencyDescriptor != nil:
        if let dependencyDescriptor {
          for step in 0..<byteCount { destination.storeUInt8(dependencyDescriptor.loadUInt8(at: step), at: offset + step) }
        }
      default:
        let from = Int(extensions.offsets[index])
        for step in 0..<byteCount { destination.storeUInt8(source.loadUInt8(at: from + step), at: offset + step) }
      }
      offset += byteCount
    }
    return headerByteCount
  }
}

/// Which elements one packet gets, in which form, and how many bytes that is.
package struct ExtensionSelection {
  /// One bit for each ``ExtensionKind``.
  @usableFromInline var selected: UInt16
  @usableFromInline var byteCounts: SIMD16<UInt8>
  @usableFromInline var isTwoByte: Bool
  /// Element headers and data, without padding.
  @usableFromInline var elementByteCount: Int

  @inlinable
  package init(
    _ header: OutgoingHeader, plan: ExtensionPlan, extensions: RTPExtensions, sourceByteCount: Int, descriptorByteCount: Int?
  ) {
    let fresh =
      ExtensionKinds(.mid).rawValue | ExtensionKinds(.transportSequenceNumber).rawValue | ExtensionKinds(.absoluteSendTime).rawValue
    selected = plan.copied.rawValue & extensions.present.rawValue & ~fresh
    byteCounts = extensions.byteCounts
    if header.carriesMID, plan.midByteCount != 0 { Self.choose(.mid, Int(plan.midByteCount), plan, &selected, &byteCounts) }
    if header.transportSequenceNumber != nil { Self.choose(.transportSequenceNumber, 2, plan, &selected, &byteCounts) }
    if header.absoluteSendTime != nil { Self.choose(.absoluteSendTime, 3, plan, &selected, &byteCounts) }
    if let descriptorByteCount { Self.choose(.dependencyDescriptor, descriptorByteCount, plan, &selected, &byteCounts) }

    var wide: UInt16 = 0
    var dataByteCount = 0
    var rest = selected
    while rest != 0 {
      let index = rest.trailingZeroBitCount
      let bit = UInt16(1) << UInt16(index)
      rest &= rest &- 1
      let byteCount = Int(byteCounts[index])
      let isFresh = fresh & bit != 0 || descriptorByteCount != nil && index == Int(ExtensionKind.dependencyDescriptor.rawValue)
      guard isFresh || Int(extensions.offsets[index]) + byteCount <= sourceByteCount else {
        selected &= ~bit
        continue
      }
      // What only the two-byte form can say (RFC 8285 §4.2).
      if byteCount == 0 || byteCount > 16 || plan.map.identifiers[index] > 14 {
        if plan.form == .oneByteOnly {
          selected &= ~bit
          continue
        }
        wide |= bit
      }
      dataByteCount += byteCount
    }
    isTwoByte = plan.form == .twoByteOnly || wide != 0
    elementByteCount = dataByteCount + selected.nonzeroBitCount * (isTwoByte ? 2 : 1)
  }

  /// Marks `kind` as written by us, if the receiver negotiated it and it has a form.
  @inlinable
  package static func choose(
    _ kind: ExtensionKind, _ byteCount: Int, _ plan: ExtensionPlan, _ selected: inout UInt16, _ byteCounts: inout SIMD16<UInt8>
  ) {
    let index = Int(kind.rawValue)
    let bit = ExtensionKinds(kind).rawValue
    guard plan.map.identifiers[index] != 0, byteCount <= 255 else {
      selected &= ~bit
      return
    }
    selected |= bit
    byteCounts[index] = UInt8(truncatingIfNeeded: byteCount)
  }
}

/// Padding after a payload (RFC 3550 §5.1).
package enum RTPPadding {
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
