// How large a picture is, read where a key frame begins; `nil` wherever the payload cannot be read, as when it is encrypted end to end.

import EnfiladeWire

/// The size of a picture in pixels.
package struct VideoResolution: Hashable, Sendable, BitwiseCopyable {
  package var width: UInt16
  package var height: UInt16

  package init(width: UInt16, height: UInt16) {
    self.width = width
    self.height = height
  }

  package var pixelCount: Int { Int(width) * Int(height) }

  /// A VP8 key frame's header (RFC 6386 §9.1), behind the descriptor.
  package init?(vp8 payload: RawSpan) {
    guard let descriptor = VP8Descriptor(payload), descriptor.isKeyframe else { return nil }
    let offset = Int(descriptor.byteCount)
    guard offset + 10 <= payload.byteCount, payload.loadUInt24(at: offset + 3) == 0x9D012A else { return nil }
    // Little-endian, 14 bits each; the upper two scale and are not used.
    width = payload.loadUInt16(at: offset + 6).byteSwapped & 0x3FFF
    height = payload.loadUInt16(at: offset + 8).byteSwapped & 0x3FFF
    guard width > 0, height > 0 else { return nil }
  }

  /// The sequence parameter set of an H.264 packet (ITU-T H.264 §7.3.2.1.1): a NAL unit of its own, or the first of that kind in a STAP-A.
  package init?(h264 payload: RawSpan) {
    guard payload.byteCount >= 4 else { return nil }
    switch payload.loadUInt8(at: 0) & 0x1F {
    case 7: self.init(sequenceParameterSet: payload)
    case 24:
      var offset = 1
      while offset + 2 <= payload.byteCount {
        let length = Int(payload.loadUInt16(at: offset))
        offset += 2
        guard length > 0, offset + length <= payload.byteCount else { return nil }
        if payload.loadUInt8(at: offset) & 0x1F == 7 {
          self.init(sequenceParameterSet: payload.extracting(offset..<offset + length))
          return
        }
        offset += length
      }
      return nil
    default: return nil
    }
  }

  private init?(sequenceParameterSet unit: RawSpan) {
    // Sets are far shorter than this; emulation prevention (§7.4.1.1) is taken out into a copy.
    var plain = InlineArray<64, UInt8>(repeating: 0)
    var count = 0
    var zeros = 0
    for index in 1..<unit.byteCount where count < 64 {
      let byte = unit.loadUInt8(at: index)
      if zeros >= 2, byte == 3 {
        zeros = 0
        continue
      }
      zeros = byte == 0 ? zeros + 1 : 0
      plain[count] = byte
      count += 1
    }
    // Sound: bytes have no padding.
    let bytes = unsafe plain.span.bytes
    var bits = BitReader(bytes.extracting(0..<count))
    let profile = bits.readBits(8)
    bits.skip(16)
    _ = bits.readExponentialGolomb()
    var chroma: UInt32 = 1
    switch profile {
    case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
      chroma = bits.readExponentialGolomb()
      if chroma == 3 { bits.skip(1) }
      _ = bits.readExponentialGolomb()
      _ = bits.readExponentialGolomb()
      bits.skip(1)
      // Scaling lists are not used in real time; a set that has them is not read further.
      guard !bits.readBit() else { return nil }
    default: break
    }
    _ = bits.readExponentialGolomb()
    switch bits.readExponentialGolomb() {
    case 0: _ = bits.readExponentialGolomb()
    case 1:
      bits.skip(1)
      _ = bits.readExponentialGolomb()
      _ = bits.readExponentialGolomb()
      let cycle = bits.readExponentialGolomb()
      guard cycle <= 255 else { return nil }
      for _ in 0..<cycle { _ = bits.readExponentialGolomb() }
    default: break
    }
    _ = bits.readExponentialGolomb()
    bits.skip(1)
    let widthInMacroblocks = UInt64(bits.readExponentialGolomb()) + 1
    let heightInMapUnits = UInt64(bits.readExponentialGolomb()) + 1
    let isFrameOnly = bits.readBit()
    if !isFrameOnly { bits.skip(1) }
    bits.skip(1)
    var crop = (left: UInt64(0), right: UInt64(0), top: UInt64(0), bottom: UInt64(0))
    if bits.readBit() {
      crop.left = UInt64(bits.readExponentialGolomb())
      crop.right = UInt64(bits.readExponentialGolomb())
      crop.top = UInt64(bits.readExponentialGolomb())
      crop.bottom = UInt64(bits.readExponentialGolomb())
    }
    guard !bits.overran, widthInMacroblocks <= 4096, heightInMapUnits <= 4096 else { return nil }
    let unitX: UInt64 = chroma == 1 || chroma == 2 ? 2 : 1
    let unitY: UInt64 = (chroma == 1 ? 2 : 1) * (isFrameOnly ? 1 : 2)
    let fullWidth = widthInMacroblocks * 16
    let fullHeight = heightInMapUnits * 16 * (isFrameOnly ? 1 : 2)
    let cutX = unitX * (crop.left + crop.right)
    let cutY = unitY * (crop.top + crop.bottom)
    guard cutX < fullWidth, cutY < fullHeight, fullWidth - cutX <= 0xFFFF, fullHeight - cutY <= 0xFFFF else { return nil }
    width = UInt16(fullWidth - cutX)
    height = UInt16(fullHeight - cutY)
  }

  /// The sequence header OBU in the first packet of an AV1 coded video sequence (AV1 specification §5.5.1); the first OBU but for a temporal
  /// delimiter, which is not sent.
  package init?(av1 payload: RawSpan) {
    guard let header = AV1AggregationHeader(payload), header.startsCodedVideoSequence else { return nil }
    var offset = 1
    // The element has a length in front unless it is the only one (W = 1).
    if header.elementCount != 1 {
      var length = 0
      var shift = 0
      while true {
        guard offset < payload.byteCount, shift <= 14 else { return nil }
        let byte = payload.loadUInt8(at: offset)
        offset += 1
        length |= Int(byte & 0x7F) << shift
        shift += 7
        if byte & 0x80 == 0 { break }
      }
      guard length > 0, offset + length <= payload.byteCount else { return nil }
    }
    guard offset < payload.byteCount else { return nil }
    let obu = payload.loadUInt8(at: offset)
    guard obu >> 3 & 0x0F == 1 else { return nil }
    offset += obu & 0x04 != 0 ? 2 : 1
    if obu & 0x02 != 0 {
      while offset < payload.byteCount, payload.loadUInt8(at: offset) & 0x80 != 0 { offset += 1 }
      offset += 1
    }
    guard offset < payload.byteCount else { return nil }
    self.init(sequenceHeader: payload.extracting(offset..<payload.byteCount))
  }

  private init?(sequenceHeader bytes: RawSpan) {
    var bits = BitReader(bytes)
    bits.skip(4)  // seq_profile, still_picture
    let isReduced = bits.readBit()
    if isReduced {
      bits.skip(5)
    } else {
      // Real-time encoders send no timing information; a header with it is not read further.
      guard !bits.readBit() else { return nil }
      let hasDelay = bits.readBit()
      let points = bits.readBits(5) + 1
      for _ in 0..<points {
        bits.skip(12)
        if bits.readBits(5) > 7 { bits.skip(1) }
        if hasDelay, bits.readBit() { bits.skip(4) }
      }
    }
    let widthBits = Int(bits.readBits(4)) + 1
    let heightBits = Int(bits.readBits(4)) + 1
    let wide = bits.readBits(widthBits) + 1
    let high = bits.readBits(heightBits) + 1
    guard !bits.overran, wide <= 0xFFFF, high <= 0xFFFF else { return nil }
    width = UInt16(wide)
    height = UInt16(high)
  }
}
