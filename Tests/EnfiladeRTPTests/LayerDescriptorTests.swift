// The words about layers: what is read from them, what is written back, and that nothing in them traps.

import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("Layer descriptors")
struct LayerDescriptorTests {
  /// Spans cannot go into the macro, so what was made of them does.
  private func parsed<Value>(_ value: Value?) throws -> Value { try #require(value) }

  // MARK: VideoLayersAllocation

  @Test("An allocation of two encodings with shared mask, two temporal layers and resolutions is read")
  func allocation() throws {
    // RID 1, two streams, one spatial layer each: 01 01 0001. Temporal layers less one: 01 01 0000.
    let bytes: [UInt8] =
      [0x51, 0x50, 0x64, 0xC8, 0x01, 0xAC, 0x02, 0xD8, 0x04]
      // 320×180 at 15, 640×360 at 30, sizes less one.
      + [0x01, 0x3F, 0x00, 0xB3, 15, 0x02, 0x7F, 0x01, 0x67, 30]
    let allocation = try parsed(VideoLayersAllocation(bytes.rawBytes))
    #expect(allocation.streamIndex == 1)
    #expect(allocation.streamCount == 2)
    let low = allocation.layer(stream: 0, spatialID: 0)
    #expect(low.temporalLayerCount == 2)
    #expect((low.kilobitsPerSecond[0], low.kilobitsPerSecond[1]) == (100, 200))
    #expect((low.width, low.height, low.frameRate) == (320, 180, 15))
    let high = allocation.layer(stream: 1, spatialID: 0)
    #expect((high.kilobitsPerSecond[0], high.kilobitsPerSecond[1]) == (300, 600))
    #expect((high.width, high.height, high.frameRate) == (640, 360, 30))
    #expect(allocation.layer(stream: 0, spatialID: 1).temporalLayerCount == 0)
    #expect(allocation.layer(stream: 9, spatialID: -1).temporalLayerCount == 0)
  }

  @Test("One byte of zero says that nothing is sent")
  func nothingSent() throws {
    let allocation = try parsed(VideoLayersAllocation([UInt8(0)].rawBytes))
    #expect(allocation.streamCount == 0)
    #expect(VideoLayersAllocation([UInt8(0x10)].rawBytes) == nil)
  }

  @Test("Masks of each encoding's own leave an encoding off")
  func ownMasks() throws {
    // Three streams; masks 0001, 0000, 0011; then three layers of one temporal layer each, without resolutions.
    let bytes: [UInt8] = [0x20, 0x10, 0x30, 0x00, 10, 20, 30]
    let allocation = try parsed(VideoLayersAllocation(bytes.rawBytes))
    #expect(allocation.layer(stream: 0, spatialID: 0).kilobitsPerSecond[0] == 10)
    #expect(allocation.layer(stream: 1, spatialID: 0).temporalLayerCount == 0)
    #expect(allocation.layer(stream: 2, spatialID: 1).kilobitsPerSecond[0] == 30)
    #expect(!allocation.hasResolutions)
  }

  // MARK: Frame marking

  @Test("Frame marking is read in its short and its long form")
  func frameMarking() throws {
    let short = try parsed(FrameMarking([UInt8(0xB0)].rawBytes))
    #expect(short.startsFrame && !short.endsFrame && short.isIndependent && short.isDiscardable)
    #expect(short.temporalID == 0 && !short.isBaseLayerSync && short.tl0PictureIndex == nil)
    let long = try parsed(FrameMarking([UInt8(0x4A), 7, 99].rawBytes))
    #expect(!long.startsFrame && long.endsFrame && long.isBaseLayerSync)
    #expect(long.temporalID == 2 && long.layerID == 7 && long.tl0PictureIndex == 99)
    #expect(FrameMarking([UInt8]().rawBytes) == nil)
    #expect(FrameMarking([UInt8(1), 2, 3, 4].rawBytes) == nil)
  }

  // MARK: Payload patches

  @Test("A VP8 descriptor keeps everything but its running numbers, and its picture id has 15 bits", arguments: [false, true])
  func vp8Patch(isLong: Bool) throws {
    // RFC 7741 §4.2: X N S, then I L T K, the picture id, TL0PICIDX, TID Y KEYIDX; and a frame.
    let pictureID: [UInt8] = isLong ? [0x81, 0x02] : [0x7F]
    let payload: [UInt8] = [0xB0, 0xF0] + pictureID + [200, 0x65, 0x01, 0xAA]
    let patch = try parsed(PayloadPatch.vp8(payload.rawBytes, pictureID: 0x7FFE, tl0PictureIndex: 9, keyIndex: 31))
    let written = (0..<Int(patch.byteCount)).map { patch.bytes[$0] }
    #expect(written == [0xB0, 0xF0, 0xFF, 0xFE, 9, 0x7F])
    #expect(Int(patch.replacedByteCount) == payload.count - 2)
    let descriptor = try parsed(VP8Descriptor((written + [0x01]).rawBytes))
    #expect(descriptor.pictureID == 0x7FFE && descriptor.tl0PictureIndex == 9 && descriptor.keyIndex == 31)
    #expect(descriptor.temporalID == 1 && descriptor.isLayerSync)
  }

  @Test("A VP9 descriptor keeps its layers, its references and its structure")
  func vp9Patch() throws {
    // RFC 9628 §4.2: I P L, non-flexible, B E; 7-bit picture id; TID 1 U SID 2 D; TL0PICIDX.
    let payload: [UInt8] = [0xEC, 0x05, 0x35, 77, 0xBB]
    let patch = try parsed(PayloadPatch.vp9(payload.rawBytes, pictureID: 300, tl0PictureIndex: 78))
    #expect((0..<Int(patch.byteCount)).map { patch.bytes[$0] } == [0xEC, 0x81, 0x2C, 0x35, 78])
    #expect(patch.replacedByteCount == 4)
    // Flexible, with references and without TL0PICIDX: what follows the layer byte stays.
    let flexible: [UInt8] = [0xFC, 0x80, 0x05, 0x20, 0x02, 0xBB]
    let second = try parsed(PayloadPatch.vp9(flexible.rawBytes, pictureID: 6, tl0PictureIndex: 1))
    #expect((0..<Int(second.byteCount)).map { second.bytes[$0] } == [0xFC, 0x80, 0x06, 0x20])
    #expect(second.replacedByteCount == 4)
  }

  @Test("The group of a scalability structure is read, picture by picture")
  func pictureGroup() throws {
    // I L B V; SS: one spatial layer, G; two pictures: TID 0 U with one reference 2 back, TID 1 with references 1 and 2 back.
    let payload: [UInt8] = [0xAA, 0x01, 0x00, 0x07, 0x08, 0x02, 0x14, 0x02, 0x28, 0x01, 0x02, 0xCC]
    let descriptor = try parsed(VP9Descriptor(payload.rawBytes))
    let structure = try parsed(descriptor.scalabilityStructure)
    let first = try parsed(structure.picture(0))
    #expect(first.temporalID == 0 && first.isSwitchingUpPoint && first.referenceCount == 1 && first.pictureDifferences[0] == 2)
    let second = try parsed(structure.picture(1))
    #expect(second.temporalID == 1 && !second.isSwitchingUpPoint && second.referenceCount == 2)
    #expect((second.pictureDifferences[0], second.pictureDifferences[1]) == (1, 2))
    #expect(structure.picture(2) == nil)
  }

  // MARK: Sizes

  @Test("The size of a picture is read from a VP8 key frame and from an H.264 parameter set")
  func sizes() throws {
    let vp8: [UInt8] = [0x10, 0x00, 0x00, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x42, 0xE0, 0x01, 0x00]
    #expect(VideoResolution(vp8: vp8.rawBytes) == VideoResolution(width: 640, height: 480))
    // Constrained Baseline 3.1, 1280×720 (80 × 45 macroblocks), as WebRTC encoders write it: ue fields 0, 0, 0, 2, 1, gaps 0, 79, 44.
    // 1 | 1 | 1 | 011 | 010 | 0 | 0000001010000 | 00000101101 | 1 | 1 | 0 | 0 | stop
    let bits = "1" + "1" + "1" + "011" + "010" + "0" + "0000001010000" + "00000101101" + "1" + "1" + "0" + "0" + "1"
    var unit: [UInt8] = [0x67, 0x42, 0xC0, 0x1F]
    var byte: UInt8 = 0
    for (index, bit) in bits.enumerated() {
      byte = byte << 1 | (bit == "1" ? 1 : 0)
      if index % 8 == 7 { unit.append(byte) }
    }
    unit.append(byte << UInt8(8 - bits.count % 8))
    #expect(VideoResolution(h264: unit.rawBytes) == VideoResolution(width: 1280, height: 720))
    // The same in a STAP-A (RFC 6184 §5.7.1).
    let aggregate = [0x78, 0, UInt8(unit.count)] + unit + [0, 2, 0x68, 0xCE]
    #expect(VideoResolution(h264: aggregate.rawBytes) == VideoResolution(width: 1280, height: 720))
  }

  // MARK: Dependency descriptors

  /// The structure of L1T2 with two decode targets and one chain, in a key frame's descriptor.
  private static let keyDescriptor: [UInt8] = {
    // start, end, template 0, frame 5; structure present, no mask, nothing custom.
    var bits = "1" + "0" + "000000" + "0000000000000101" + "1" + "0" + "000"
    bits += "000000" + "00001"  // first template 0, two targets
    bits += "01" + "11"  // template 0: T0, then T1, end
    bits += "1010" + "0010"  // indications: switch switch; not present, switch
    bits += "0" + "1" + "0000" + "0"  // differences: none; one of 1
    bits += "10" + "0" + "0"  // one chain of ns(3), protecting both targets: ns(1) has no bits
    bits.removeLast(2)
    bits += "0000" + "0001"  // chain differences of the templates
    bits += "0"  // no resolutions
    while bits.count % 8 != 0 { bits += "0" }
    return stride(from: 0, to: bits.count, by: 8).map { start in
      UInt8(bits.dropFirst(start).prefix(8), radix: 2)!
    }
  }()

  private static func rewrite(
    _ source: [UInt8], frameNumber: UInt16, mask: UInt32?, count: Int, structure: DependencyStructureBits? = nil
  ) -> [UInt8]? {
    var room = [UInt8](repeating: 0xEE, count: source.count + 300)
    var span = room.mutableSpan
    // Bytes have no padding.
    var place = unsafe span.mutableBytes
    guard
      let written = DependencyDescriptor.rewrite(
        source.rawBytes, frameNumber: frameNumber, activeDecodeTargets: mask, decodeTargetCount: count, structure: structure, into: &place)
    else { return nil }
    return Array(room[..<written])
  }

  @Test("A rewritten descriptor says the same but for its frame number and its decode targets")
  func rewriteDescriptor() throws {
    var reader = DependencyDescriptorReader()
    let original = try reader.read(Self.keyDescriptor.rawBytes).get()
    #expect(original.carriesStructure && reader.structure?.decodeTargetCount == 2 && reader.structure?.chainCount == 1)
    let plain = try parsed(Self.rewrite(Self.keyDescriptor, frameNumber: 0xFFFE, mask: nil, count: 2))
    #expect(plain.count == Self.keyDescriptor.count)
    let told = try parsed(Self.rewrite(Self.keyDescriptor, frameNumber: 0xFFFE, mask: 0b01, count: 2))
    var second = DependencyDescriptorReader()
    let copy = try second.read(told.rawBytes).get()
    #expect(copy.header.frameNumber == 0xFFFE)
    #expect(copy.activeDecodeTargets == 1)
    #expect(copy.frame == original.frame)
    #expect(second.structure == reader.structure)
  }

  @Test("A short descriptor is given a mask, and a structure, that read back as what they are")
  func addStructure() throws {
    let structure = try parsed(DependencyStructureBits(of: Self.keyDescriptor.rawBytes))
    #expect(DependencyStructureBits(of: [UInt8(0xC1), 0, 6].rawBytes) == nil)
    let short: [UInt8] = [0xC1, 0x00, 0x06]
    let masked = try parsed(Self.rewrite(short, frameNumber: 7, mask: 0b10, count: 2))
    var reader = DependencyDescriptorReader()
    _ = reader.read(Self.keyDescriptor.rawBytes)
    let first = try reader.read(masked.rawBytes).get()
    #expect(first.activeDecodeTargets == 2 && first.header.frameNumber == 7 && first.frame.temporalID == 1)
    let full = try parsed(Self.rewrite(short, frameNumber: 8, mask: 0b11, count: 2, structure: structure))
    var fresh = DependencyDescriptorReader()
    let second = try fresh.read(full.rawBytes).get()
    #expect(second.carriesStructure && second.activeDecodeTargets == 3 && second.frame.temporalID == 1)
    #expect(fresh.structure == reader.structure)
  }

  // MARK: Redundancy

  @Test("A redundant payload is put together from packets that follow one another, and its primary block comes back")
  func redundancy() throws {
    let clear = PayloadType(111)
    func source(_ number: Int64, _ byteCount: Int) -> RedundancySource {
      RedundancySource(
        sequence: ExtendedSequenceNumber(number), timestamp: RTPTimestamp(UInt32(960 * number)), byteCount: byteCount)
    }
    let earlier: [Int64: RedundancySource] = [9: source(9, 3), 8: source(8, 2)]
    let plan = RedundancyPlan(primary: source(10, 4), distance: 2) { earlier[$0.rawValue] }
    #expect(plan.blockCount == 2 && plan.byteCount == 4 + 4 + 1 + 3 + 2)
    let headers = try parsed(
      [UInt8].writing(capacity: 32) { _ = plan.writeHeaders(payloadType: clear, timestamp: RTPTimestamp(9600), into: &$0) })
    let payload = headers + [8, 8] + [9, 9, 9] + [1, 2, 3, 4]
    guard var blocks = RedundantPayload(payload.rawBytes) else {
      Issue.record("the payload cannot be read")
      return
    }
    var read: [(UInt16, [UInt8])] = []
    while let block = blocks.next() {
      read.append((block.timestampOffset, Array(payload[Int(block.offset)..<Int(block.offset) + Int(block.byteCount)])))
    }
    #expect(read.map(\.0) == [1920, 960, 0])
    #expect(read.map(\.1) == [[8, 8], [9, 9, 9], [1, 2, 3, 4]])
    let primary = try parsed(RedundantPayload.primary(of: payload.rawBytes))
    #expect(Int(primary.byteCount) == 4)
    #expect(primary.payloadType == clear)
    #expect(RedundantPayload.primary(of: [0].rawBytes) == nil)
    // One that is missing ends the redundancy: what is older cannot be counted back to.
    let gap = RedundancyPlan(primary: source(10, 4), distance: 2) { $0.rawValue == 8 ? earlier[8] : nil }
    #expect(gap.blockCount == 0 && gap.byteCount == 1)
    #expect(RedundancyPlan(primary: source(10, 4), distance: 1) { earlier[$0.rawValue] }.blockCount == 1)
  }

  // MARK: Hostile bytes

  @Test("Bytes at random are read or refused, and never trap", arguments: 0..<200)
  func hostile(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var reader = DependencyDescriptorReader()
    _ = reader.read(Self.keyDescriptor.rawBytes)
    for _ in 0..<60 {
      var bytes = (0..<Int(random.next() % 40)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      if random.next() & 1 == 0 {
        bytes = Self.keyDescriptor
        bytes[Int(random.next() % UInt64(bytes.count))] ^= 1 << UInt8(random.next() % 8)
        bytes.removeLast(Int(random.next() % UInt64(bytes.count)))
      }
      _ = VideoLayersAllocation(bytes.rawBytes)
      _ = FrameMarking(bytes.rawBytes)
      _ = StreamIdentifier(bytes)
      _ = VideoResolution(vp8: bytes.rawBytes)
      _ = VideoResolution(h264: bytes.rawBytes)
      _ = VideoResolution(av1: bytes.rawBytes)
      _ = PayloadPatch.vp8(bytes.rawBytes, pictureID: 1, tl0PictureIndex: 2, keyIndex: 3)
      _ = PayloadPatch.vp9(bytes.rawBytes, pictureID: 1, tl0PictureIndex: 2)
      _ = reader.read(bytes.rawBytes)
      let structure = DependencyStructureBits(of: bytes.rawBytes)
      let rewritten = Self.rewrite(bytes, frameNumber: 1, mask: UInt32(truncatingIfNeeded: random.next()), count: 3, structure: structure)
      if let rewritten { #expect(rewritten.count <= bytes.count + DependencyDescriptor.maximumGrowth + (structure?.byteCount ?? 0)) }
    }
  }
}
