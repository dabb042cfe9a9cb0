// The dependency descriptor header extension (AV1 RTP payload format, appendix A.8.2).

import EnfiladeWire

/// Why a descriptor cannot be used.
package enum DependencyParseFailure: UInt8, Error, Hashable, Sendable, CaseIterable {
  /// Fewer than the three mandatory bytes.
  case tooShort
  /// The fields run past the end, or exceed what we keep.
  case malformed
  /// No structure is known yet: nothing can be said before a key frame.
  case noStructure
  /// The structure has no template of that id: a frame of another structure.
  case unknownTemplate
}

/// The three bytes that every descriptor begins with; read without any structure.
@usableFromInline package struct DependencyHeader: Hashable, Sendable {
  @usableFromInline package var startsFrame: Bool
  @usableFromInline package var endsFrame: Bool
  @usableFromInline package var templateID: UInt8
  @usableFromInline package var frameNumber: UInt16

  @usableFromInline package static let byteCount = 3
  /// Where the frame number stands in the element's data, two bytes, for a forwarder that renumbers frames.
  @usableFromInline package static let frameNumberOffset = 1

  @inlinable package init?(_ data: RawSpan) {
    guard data.byteCount >= 3 else { return nil }
    let first = data.loadUInt8(at: 0)
    startsFrame = first & 0x80 != 0
    endsFrame = first & 0x40 != 0
    templateID = first & 0x3F
    frameNumber = data.loadUInt16(at: 1)
  }
}

/// One packet's descriptor, with what its template says filled in.
package struct DependencyDescriptor: Hashable, Sendable {
  package var header: DependencyHeader
  /// The frame's layer, references, chains and indications.
  package var frame: DependencyTemplate
  /// Whether the packet brought a structure: the first packet of a key frame.
  package var carriesStructure: Bool
  /// The decode targets that are sent from now on, one bit each; `nil` when the packet says nothing about them.
  package var activeDecodeTargets: UInt32?
}

/// Reads the descriptors of one encoding and keeps the structure they refer to.
package struct DependencyDescriptorReader: Hashable, Sendable {
  /// The structure of the last key frame.
  package private(set) var structure: DependencyStructure?
  /// Where a new structure is read, so that a broken one does not spoil what is known.
  private var incoming = DependencyStructure()

  package init() {}

  package mutating func read(_ data: RawSpan) -> Result<DependencyDescriptor, DependencyParseFailure> {
    guard let header = DependencyHeader(data) else { return .failure(.tooShort) }
    guard data.byteCount > DependencyHeader.byteCount else {
      guard let structure else { return .failure(.noStructure) }
      guard let template = structure.template(header.templateID) else { return .failure(.unknownTemplate) }
      return .success(DependencyDescriptor(header: header, frame: template, carriesStructure: false))
    }

    var bits = BitReader(data.extracting(DependencyHeader.byteCount..<data.byteCount))
    let carriesStructure = bits.readBit()
    let hasActiveDecodeTargets = bits.readBit()
    let custom = (indications: bits.readBit(), frameDifferences: bits.readBit(), chains: bits.readBit())
    if carriesStructure {
      guard incoming.read(&bits) else { return .failure(.malformed) }
      return finish(header, custom, &bits, incoming, isNew: true, hasActiveDecodeTargets)
    }
    guard let structure else { return .failure(.noStructure) }
    return finish(header, custom, &bits, structure, isNew: false, hasActiveDecodeTargets)
  }

  private mutating func finish(
    _ header: DependencyHeader, _ custom: (indications: Bool, frameDifferences: Bool, chains: Bool), _ bits: inout BitReader,
    _ structure: DependencyStructure, isNew: Bool, _ hasActiveDecodeTargets: Bool
  ) -> Result<DependencyDescriptor, DependencyParseFailure> {
    var active = isNew ? structure.allDecodeTargets : nil
    if hasActiveDecodeTargets {
      // The field has as many bits as there are targets; the lowest is the first target.
      active = bits.readBits(structure.decodeTargetCount)
    }
    guard var frame = structure.template(header.templateID) else { return .failure(.unknownTemplate) }
    if custom.indications {
      for target in 0..<structure.decodeTargetCount { frame.setIndication(bits.readBits(2), for: target) }
    }
    if custom.frameDifferences {
      frame.frameDifferences = .zero
      var count = 0
      while true {
        let size = Int(bits.readBits(2))
        if size == 0 { break }
        guard count < DependencyTemplate.maximumFrameDifferenceCount else { return .failure(.malformed) }
        frame.frameDifferences[count] = UInt16(truncatingIfNeeded: bits.readBits(4 * size) + 1)
        count += 1
      }
      frame.frameDifferenceCount = UInt8(count)
    }
    if custom.chains {
      for chain in 0..<structure.chainCount { frame.chainDifferences[chain] = UInt8(truncatingIfNeeded: bits.readBits(8)) }
    }
    guard !bits.overran else { return .failure(.malformed) }
    if isNew { adopt() }
    return .success(
      DependencyDescriptor(header: header, frame: frame, carriesStructure: isNew, activeDecodeTargets: active))
  }

  /// Makes what was read the structure in force, and its memory the place for the next.
  private mutating func adopt() {
    if structure == nil {
      structure = DependencyStructure()
    }
    if var old = structure {
      swap(&old, &incoming)
      structure = old
    }
  }
}
