// What is behind an encoding: read, measured and announced, once for all its subscribers.

import EnfiladeRTP
import EnfiladeWire

/// What is known of an encoding beyond its name: its frames, its layers, what was measured and announced.
package struct EncodingDetails {
  let index: UInt8
  let codec: Codec
  package private(set) var reader = FrameReader()
  package private(set) var layers = LayerTable()
  private var meter = LayerMeter()
  private var allocation: VideoLayersAllocation?
  private var sizes = InlineArray<4, VideoResolution>(repeating: VideoResolution(width: 0, height: 0))
  private var newestFrame = Int64.min
  private var newestTimestamp: RTPTimestamp?
  /// Of the newest key picture: descriptors tell it at its beginning only.
  private var keyTimestamp: RTPTimestamp?
  private(set) var lastPacketAt: Instant?
  private(set) var keyframeSpan: KeyframeSpan?

  init(index: UInt8, codec: Codec) {
    self.index = index
    self.codec = codec
  }

  func isLive(at now: Instant) -> Bool {
    guard let lastPacketAt, layers.count > 0, now - lastPacketAt < Limits.encodingSilence else { return false }
    guard let allocation else { return true }
    return (0..<4).contains { allocation.layer(stream: Int(index), spatialID: $0).temporalLayerCount > 0 }
  }

  // MARK: Handle

  mutating func handlePacket(
    payload: RawSpan, extensions: RTPExtensions, in bytes: RawSpan, sequence: ExtendedSequenceNumber, timestamp: RTPTimestamp,
    at now: Instant
  ) -> Result<FrameInfo, FrameReader.Failure> {
    let known = (epoch: reader.epoch, active: reader.activeDecodeTargets, spatial: reader.topSpatialID, temporal: reader.topTemporalID)
    let result = reader.read(codec, payload: payload, extensions: extensions, in: bytes, sequence: sequence, timestamp: timestamp)
    guard case .success(let frame) = result else { return result }
    lastPacketAt = now
    var isFirst = false
    if frame.flags.contains(.isNumbered) {
      isFirst = frame.number > newestFrame
      newestFrame = max(newestFrame, frame.number)
    } else if newestTimestamp.map({ timestamp.distance(from: $0) > 0 }) ?? true {
      isFirst = true
    }
    if newestTimestamp.map({ timestamp.distance(from: $0) > 0 }) ?? true { newestTimestamp = timestamp }
    if keyframeSpan == nil, frame.flags.contains(.startsKeyPicture) {
      keyframeSpan = KeyframeSpan(start: sequence, startedAt: now, timestamp: timestamp)
    }
    keyframeSpan?.handle(frame, sequence: sequence, timestamp: timestamp, byteCount: payload.byteCount, at: now)
    if frame.flags.contains(.startsKeyPicture) {
      keyTimestamp = timestamp
      readSize(payload, frame)
    }
    let isKeyPicture = frame.flags.contains(.isKeyPicture) || timestamp == keyTimestamp
    let hasNewRates = meter.handle(frame, byteCount: payload.byteCount, isKeyPicture: isKeyPicture, isFirstOfFrame: isFirst, at: now)
    if known.epoch != reader.epoch { meter.forgetMemberships() }
    let isChanged =
      known.epoch != reader.epoch || known.active != reader.activeDecodeTargets || known.spatial != reader.topSpatialID
      || known.temporal != reader.topTemporalID
    if layers.count == 0 || isChanged || hasNewRates || frame.flags.contains(.startsKeyPicture) { makeLayers() }
    return result
  }

  mutating func handleAllocation(_ allocation: VideoLayersAllocation) {
    guard self.allocation != allocation else { return }
    self.allocation = allocation
    makeLayers()
  }

  // MARK: -

  private mutating func readSize(_ payload: RawSpan, _ frame: FrameInfo) {
    switch codec {
    case .vp8: if let size = VideoResolution(vp8: payload) { sizes[0] = size }
    case .h264: if let size = VideoResolution(h264: payload) { sizes[0] = size }
    case .av1: if reader.dependency.structure == nil, let size = VideoResolution(av1: payload) { sizes[0] = size }
    case .vp9:
      guard let structure = reader.scalability, structure.hasResolutions else { return }
      for layer in 0..<min(4, Int(structure.spatialLayerCount)) {
        sizes[layer] = VideoResolution(width: structure.widths[layer], height: structure.heights[layer])
      }
    default: break
    }
  }

  private mutating func makeLayers() {
    layers.removeAll()
    layers.epoch = reader.epoch
    if let structure = reader.dependency.structure {
      for target in 0..<structure.decodeTargetCount {
        var layer = Layer()
        layer.decodeTarget = UInt8(target)
        layer.spatialID = structure.targetSpatialIDs[target]
        layer.temporalID = structure.targetTemporalIDs[target]
        layer.isActive = reader.activeDecodeTargets >> UInt32(target) & 1 != 0
        if structure.hasResolutions {
          layer.width = UInt16(truncatingIfNeeded: min(0xFFFF, structure.widths[Int(layer.spatialID)]))
          layer.height = UInt16(truncatingIfNeeded: min(0xFFFF, structure.heights[Int(layer.spatialID)]))
        }
        complete(&layer)
        layers.append(layer)
      }
      layers.setSubsets(of: structure)
      return
    }
    for spatialID in 0...reader.topSpatialID {
      for temporalID in 0...reader.topTemporalID {
        var layer = Layer()
        layer.spatialID = spatialID
        layer.temporalID = temporalID
        // The highest stands for all there may come to be, so that a layer that is new is not left out until somebody notices.
        layer.decodeTarget = 8 &* spatialID &+ (temporalID == reader.topTemporalID ? 7 : temporalID)
        complete(&layer)
        layers.append(layer)
      }
    }
  }

  /// Fills in what is known from elsewhere: what was measured, before what was announced, before nothing.
  private func complete(_ layer: inout Layer) {
    let size = sizes[Int(layer.spatialID & 3)]
    if layer.width == 0 { (layer.width, layer.height) = (size.width, size.height) }
    if let allocation {
      let announced = allocation.layer(stream: Int(index), spatialID: Int(layer.spatialID))
      if announced.temporalLayerCount == 0 { layer.isActive = false }
      if announced.width > 0 { (layer.width, layer.height) = (announced.width, announced.height) }
      if announced.temporalLayerCount > 0 {
        let temporal = min(Int(layer.temporalID), Int(announced.temporalLayerCount) - 1)
        layer.bitrate = .kilobitsPerSecond(Int64(announced.kilobitsPerSecond[temporal]))
        // Each temporal layer doubles the rate of those below it.
        layer.framesPerSecond = Float(announced.frameRate) / Float(1 << (Int(announced.temporalLayerCount) - 1 - temporal))
      }
    }
    guard meter.hasRates else { return }
    let measured = meter.bitrate(of: layer.decodeTarget)
    if measured > .zero { layer.bitrate = measured }
    let frames = meter.frameRate(spatialID: layer.spatialID, temporalID: layer.temporalID)
    if frames > 0 { layer.framesPerSecond = frames }
  }
}
