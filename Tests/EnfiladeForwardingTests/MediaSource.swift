// An encoder of one encoding: RTP packets of a codec in a scalability mode, with counters that begin where the seed says.

import EnfiladeRTP
import EnfiladeWire

/// Which words describe the layers.
enum Description: Hashable, Sendable, CaseIterable {
  case vp8
  case vp8Dependency
  case vp9Flexible
  case vp9Group
  case vp9Dependency
  case av1Dependency
  case h264
  case h264Dependency
  case h264FrameMarking

  var codec: Codec {
    switch self {
    case .vp8, .vp8Dependency: .vp8
    case .vp9Flexible, .vp9Group, .vp9Dependency: .vp9
    case .av1Dependency: .av1
    case .h264, .h264Dependency, .h264FrameMarking: .h264
    }
  }

  var usesDependencyDescriptor: Bool { [.vp8Dependency, .vp9Dependency, .av1Dependency, .h264Dependency].contains(self) }
}

/// One packet as it leaves the encoder.
struct SourcePacket: Sendable {
  var bytes: [UInt8]
  var sequence: UInt16
  var truth: FrameTruth
}

struct MediaSource {
  static let extensions = ExtensionMap([.dependencyDescriptor: 3, .frameMarking: 4])

  let description: Description
  private(set) var mode: ScalabilityMode
  let source: UInt32
  let width: Int
  let height: Int
  /// The size of the largest layer's packets, in bytes, and how many a frame has.
  let packetsPerFrame: Int
  var random: SeededRandom

  var sequence: UInt16
  let timestampBase: UInt32
  var pictureID: UInt16
  var tl0: UInt8
  var keyIndex: UInt8
  var frameNumber: UInt16
  /// Pictures since the key picture; the truth's frame ids of each, by spatial layer.
  private var pictures: [[UInt32]] = []
  private var frameNumbers: [UInt32: Int] = [:]
  private var nextFrame: UInt32 = 0
  private var wideFrameNumber: Int
  /// The wide frame number of the last frame of each chain.
  private var chains: [Int]

  init(description: Description, mode: ScalabilityMode, source: UInt32, width: Int, height: Int, packetsPerFrame: Int, seed: UInt64) {
    self.description = description
    self.mode = mode
    // Frame marking as it is in use does not tell, so an encoder that sends it does not do it.
    if description == .h264FrameMarking { self.mode.leans = false }
    self.source = source
    self.width = width
    self.height = height
    self.packetsPerFrame = packetsPerFrame
    var dice = SeededRandom(seed: seed)
    // Half of them about to wrap.
    func counter(_ bits: UInt64) -> UInt64 {
      let top: UInt64 = 1 << bits
      return dice.next() & 1 == 0 ? top - 1 - dice.next() % min(40, top) : dice.next() % top
    }
    sequence = UInt16(truncatingIfNeeded: counter(16))
    timestampBase = UInt32(truncatingIfNeeded: dice.next() & 1 == 0 ? (1 << 32) - 1 - dice.next() % 90_000 : dice.next())
    pictureID = UInt16(truncatingIfNeeded: counter(15))
    tl0 = UInt8(truncatingIfNeeded: counter(8))
    keyIndex = UInt8(truncatingIfNeeded: counter(5))
    frameNumber = UInt16(truncatingIfNeeded: counter(16))
    wideFrameNumber = Int(frameNumber)
    chains = Array(repeating: 0, count: mode.spatial)
    random = dice
  }

  /// The encoder starts anew: picture ids and the like come from elsewhere, sequence numbers and time go on.
  mutating func restartCounters() {
    // Far enough to be told from loss.
    pictureID = (pictureID &+ 1000 &+ UInt16(truncatingIfNeeded: random.next() % 30_000)) & 0x7FFF
    tl0 = UInt8(truncatingIfNeeded: random.next())
    wideFrameNumber += 1000 + Int(random.next() % 60_000)
    frameNumbers = [:]
    pictures = []
  }

  func timestamp(_ milliseconds: Int) -> UInt32 { timestampBase &+ UInt32(truncatingIfNeeded: milliseconds * 90) }

  /// The packets of one picture, all layers.
  mutating func picture(at milliseconds: Int, isKey asked: Bool) -> [SourcePacket] {
    let isKey = asked || pictures.isEmpty
    if isKey {
      pictures = []
      keyIndex = (keyIndex + 1) & 31
    }
    let position = pictures.count
    let temporalID = isKey ? 0 : mode.temporalID(at: position)
    pictureID = (pictureID + 1) & 0x7FFF
    if temporalID == 0 { tl0 &+= 1 }
    var packets: [SourcePacket] = []
    var frames: [UInt32] = []
    for layer in 0..<mode.spatial {
      var references: [UInt32] = []
      var distances: [Int] = []
      if !isKey {
        // What would reach behind the key picture is left away.
        distances = mode.temporalDistances(at: position).filter { $0 <= position }
        references = distances.map { pictures[position - $0][layer] }
      }
      let isInterLayer = layer > 0 && (mode.between == .full || mode.between == .keyOnly && isKey)
      if isInterLayer { references.append(frames[layer - 1]) }
      let frame = nextFrame
      nextFrame += 1
      frames.append(frame)
      packets += packetize(
        frame: frame, layer: layer, temporalID: temporalID, position: position, isKey: isKey, distances: distances,
        isInterLayer: isInterLayer, references: references, milliseconds: milliseconds)
    }
    pictures.append(frames)
    return packets
  }

  private mutating func packetize(
    frame: UInt32, layer: Int, temporalID: Int, position: Int, isKey: Bool, distances: [Int], isInterLayer: Bool, references: [UInt32],
    milliseconds: Int
  ) -> [SourcePacket] {
    wideFrameNumber += 1
    frameNumbers[frame] = wideFrameNumber
    let count = 1 + Int(random.next() % UInt64(packetsPerFrame)) + (isKey ? 2 : 0)
    var packets: [SourcePacket] = []
    for index in 0..<count {
      let isFirst = index == 0
      let isLast = index == count - 1
      var payload: [UInt8]
      var elements: [(UInt8, [UInt8])] = []
      switch description {
      case .vp8: payload = vp8(position, temporalID, isKey: isKey, isFirst: isFirst)
      case .vp8Dependency: payload = [isFirst ? 0x10 : 0x00] + vp8Frame(isKey: isKey, isFirst: isFirst)
      case .vp9Flexible, .vp9Group:
        payload = vp9(position, layer, temporalID, isKey: isKey, distances, isInterLayer, isFirst: isFirst, isLast: isLast)
      case .vp9Dependency:
        payload = vp9(position, layer, temporalID, isKey: isKey, distances, isInterLayer, isFirst: isFirst, isLast: isLast)
      case .av1Dependency: payload = [isKey && isFirst && layer == 0 ? 0x18 : 0x10, 0x30]
      case .h264, .h264Dependency, .h264FrameMarking: payload = isKey && isFirst ? parameterSet() : [0x41, 0]
      }
      if description.usesDependencyDescriptor {
        elements.append(
          (3, dependencyDescriptor(layer, temporalID, position, isKey: isKey, references, isFirst: isFirst, isLast: isLast)))
      }
      if description == .h264FrameMarking {
        let flags: UInt8 = (isFirst ? 0x80 : 0) | (isLast ? 0x40 : 0) | (isKey ? 0x20 : 0)
        elements.append((4, [flags | UInt8(temporalID), 0, tl0]))
      }
      let truth = FrameTruth(
        source: source, frame: frame, captureMilliseconds: UInt32(milliseconds), spatialID: layer, temporalID: temporalID,
        isKeyPicture: isKey,
        packetIndex: index, packetCount: count, references: references)
      payload += [UInt8](repeating: 0xA5, count: Int(random.next() % 40)) + truth.bytes
      sequence &+= 1
      packets.append(
        SourcePacket(
          bytes: packet(payload, elements, marker: isLast && layer == mode.spatial - 1, milliseconds: milliseconds), sequence: sequence,
          truth: truth))
    }
    if temporalID == 0 { noteChains(layer, isKey: isKey) }
    return packets
  }

  var currentFrameNumber: Int { wideFrameNumber }
  func wideNumber(of frame: UInt32) -> Int { frameNumbers[frame] ?? 0 }
  func chainEnd(_ chain: Int) -> Int { chains[chain] }

  /// The frame is the newest of the chains that it belongs to.
  private mutating func noteChains(_ layer: Int, isKey: Bool) {
    for chain in 0..<mode.spatial {
      let isMember =
        switch mode.between {
        case .full: layer <= chain
        case .keyOnly: isKey ? layer <= chain : layer == chain
        case .none: layer == chain
        }
      if isMember { chains[chain] = wideFrameNumber }
    }
  }

  private func packet(_ payload: [UInt8], _ elements: [(UInt8, [UInt8])], marker: Bool, milliseconds: Int) -> [UInt8] {
    let time = timestamp(milliseconds)
    var bytes: [UInt8] = [
      elements.isEmpty ? 0x80 : 0x90, (marker ? 0x80 : 0) | 96, UInt8(sequence >> 8), UInt8(truncatingIfNeeded: sequence),
    ]
    for value in [time, source] { for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) } }
    if !elements.isEmpty {
      var data: [UInt8] = []
      for (identifier, value) in elements { data += [identifier, UInt8(value.count)] + value }
      while data.count & 3 != 0 { data.append(0) }
      bytes += [0x10, 0x00, 0, UInt8(data.count / 4)] + data
    }
    return bytes + payload
  }

  /// A packet of padding alone, as probes are.
  mutating func padding(at milliseconds: Int) -> SourcePacket {
    sequence &+= 1
    var bytes = packet([], [], marker: false, milliseconds: milliseconds)
    bytes[0] |= 0x20
    bytes += [0, 0, 0, 4]
    let truth = FrameTruth(
      source: source, frame: .max, captureMilliseconds: 0, spatialID: 0, temporalID: 0, isKeyPicture: false, packetIndex: 0, packetCount: 0,
      references: [])
    return SourcePacket(bytes: bytes, sequence: sequence, truth: truth)
  }
}
