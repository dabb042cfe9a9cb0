// From a codec's own words to ``FrameInfo``: once for each packet that comes in, never again for those it goes out to.

package import EnfiladeRTP
package import EnfiladeWire

/// Reads the packets of one encoding. Layers come from header extensions where there are any, else from the payload descriptor; what is
/// behind the descriptor is not needed, so payloads encrypted end to end pass.
package struct FrameReader: Sendable {
  /// Why a packet has no frame.
  package enum Failure: UInt8, Error, Hashable, Sendable, CaseIterable {
    /// The payload descriptor contradicts itself or ends early.
    case descriptorMalformed
    /// The dependency descriptor is malformed.
    case dependencyMalformed
    /// The dependency descriptor refers to a structure that has not come: it may be on its way, behind this packet.
    case structureUnknown
    /// The packet comes too late for its frame to have a place among the others.
    case tooLate
    /// The stream has a structure, and the packet no descriptor that says where in it its frame stands.
    case dependencyMissing
  }

  package internal(set) var history = FrameHistory()
  package internal(set) var dependency = DependencyDescriptorReader()
  /// Counts up with every structure that differs from the one before.
  package internal(set) var epoch: UInt8 = 0
  /// The structure in force as it came, for subscribers whose packets do not bring it.
  package internal(set) var structureBits: DependencyStructureBits?
  /// The decode targets the sender sends now, by its last word on them.
  package internal(set) var activeDecodeTargets: UInt32 = .max
  /// The highest layers seen since the last restart, where no structure tells.
  package internal(set) var topSpatialID: UInt8 = 0
  package internal(set) var topTemporalID: UInt8 = 0
  /// The newest scalability structure of VP9.
  package internal(set) var scalability: VP9ScalabilityStructure?
  var frames = FrameCounter(room: 6)
  var pictures = FrameCounter(room: 2)
  /// VP8's receivers take a gap of picture ids for loss, but not in front of a key frame.
  var closedPictures = FrameCounter(room: 2)
  var tl0 = CompanionCounter(bitCount: 8)
  var keyIndex = CompanionCounter(bitCount: 5)
  var timestamps = TimestampCounter()
  /// The picture that the group of ``scalability`` begins with.
  var groupStart: Int64 = 0

  package init() {}

  /// Whether decode targets are told by a structure.
  package var usesStructure: Bool { dependency.structure != nil }

  /// What a packet says of its frame.
  ///
  /// - Parameters:
  ///   - payload: without padding and not empty.
  ///   - bytes: the packet, which `extensions` refers to.
  package mutating func read(
    _ codec: Codec, payload: RawSpan, extensions: RTPExtensions, in bytes: RawSpan, sequence: ExtendedSequenceNumber,
    timestamp: RTPTimestamp
  ) -> Result<FrameInfo, Failure> {
    switch codec {
    case .vp8:
      // Senders that describe dependencies beside the payload leave everything but the beginnings out of it.
      guard let descriptor = VP8Descriptor(payload), descriptor.pictureID == nil else { return readVP8(payload, sequence: sequence) }
      if let data = extensions.data(of: .dependencyDescriptor, in: bytes) {
        return readDependencyDescriptor(data, codec: codec, payload: payload, sequence: sequence)
      }
      return usesStructure ? .failure(.dependencyMissing) : readVP8(payload, sequence: sequence)
    case .vp9, .h264, .av1:
      if let data = extensions.data(of: .dependencyDescriptor, in: bytes) {
        return readDependencyDescriptor(data, codec: codec, payload: payload, sequence: sequence)
      }
      // Without its descriptor a frame of such a stream has no place in the structure.
      if usesStructure, codec != .vp9 { return .failure(.dependencyMissing) }
      switch codec {
      case .vp9: return readVP9(payload, sequence: sequence)
      case .h264:
        guard let data = extensions.data(of: .frameMarking, in: bytes), let marking = FrameMarking(data) else {
          return readUnlayered(Keyframe.isStart(.h264, payload: payload))
        }
        return readFrameMarking(marking, payload: payload, sequence: sequence, timestamp: timestamp)
      default: return readUnlayered(Keyframe.isStart(.av1, payload: payload))
      }
    default:
      return .success(FrameInfo())
    }
  }

  /// A stream with one layer, in which only the beginnings matter.
  private func readUnlayered(_ startsKeyPicture: Bool) -> Result<FrameInfo, Failure> {
    var frame = FrameInfo(flags: startsKeyPicture ? [.startsKeyPicture, .startsFrame, .isKeyPicture] : [])
    // Present in all decode targets there might be, and a switch to none.
    frame.indications = .max
    return .success(frame)
  }

  // MARK: Masks

  /// Indications of a frame in temporal layer `temporalID` for the eight targets of one spatial layer: `value` from its own layer up.
  static func temporalIndications(_ value: UInt64, from temporalID: UInt8) -> UInt64 {
    let every: UInt64 = 0x5555 &* value
    return every << UInt64(2 &* (temporalID & 7)) & 0xFFFF
  }

  /// The newest of a mask whose lowest bit is the newest.
  static func newest(_ mask: UInt64) -> UInt64 { mask & (0 &- mask) }

  /// What a frame refers to when nobody tells: the newest frame of each temporal layer up to its own.
  func assumedReferences(of number: Int64, temporalID: UInt8, within allowed: UInt64 = .max) -> UInt64 {
    var references: UInt64 = 0
    for layer in 0...Int(temporalID & 7) { references |= Self.newest(history.frames(temporalID: layer, before: number) & allowed) }
    return references & history.reachable(from: number)
  }
}
