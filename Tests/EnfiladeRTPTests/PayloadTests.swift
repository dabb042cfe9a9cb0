// Payload descriptors: RFC 7741, RFC 9628, RFC 6184, AV1's payload format, RFC 2198, RFC 4588.

import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("Payloads")
struct PayloadTests {
  // MARK: Codecs

  @Test("Codecs are known by their names, whatever the case (RFC 4855 §3)")
  func codecNames() {
    for codec in Codec.allCases {
      #expect(Codec(encodingName: codec.encodingName) == codec)
      #expect(Codec(encodingName: codec.encodingName.uppercased()) == codec)
      #expect(Codec(encodingName: codec.encodingName.lowercased()) == codec)
    }
    #expect(Codec(encodingName: "AV1X") == .av1)
    #expect(Codec(encodingName: "H265") == nil)
    #expect(Codec.opus.clockRate == 48_000)
    #expect(Codec.vp8.clockRate == 90_000)
    #expect(Codec.g722.clockRate == 8_000)  // RFC 3551 §4.5.2
    #expect(Codec.rtx.kind == nil)
    #expect(Codec.telephoneEvent.kind == .audio)
  }

  // MARK: VP8

  static let vp8 = hex("90 E0  92 34  56  E0  10 00 9D 01 2A ; X S, I L T: id 0x1234, TL0PICIDX 0x56, TID 3 Y; key frame")

  @Test("A VP8 descriptor with everything (RFC 7741 §4.2)")
  func vp8Full() throws {
    let all = hex("F3 F0  92 34  56  A5  01 ; X N S PID 3, I L T K: TID 2 Y KEYIDX 5")
    let descriptor = VP8Descriptor(all.rawBytes)
    #expect(descriptor?.byteCount == 6)
    #expect(descriptor?.isNonReference == true)
    #expect(descriptor?.startsPartition == true)
    #expect(descriptor?.startsFrame == false)
    #expect(descriptor?.partitionIndex == 3)
    #expect(descriptor?.pictureID == 0x1234)
    #expect(descriptor?.hasLongPictureID == true)
    #expect(descriptor?.tl0PictureIndex == 0x56)
    #expect(descriptor?.temporalID == 2)
    #expect(descriptor?.isLayerSync == true)
    #expect(descriptor?.keyIndex == 5)
    #expect(descriptor?.pictureIDOffset == 2)
    #expect(descriptor?.tl0PictureIndexOffset == 4)
    #expect(descriptor?.layerOffset == 5)
    #expect(descriptor?.isKeyframe == false)
  }

  @Test(
    "VP8 descriptors of every shape have the length of their parts",
    arguments: [
      ("10 00", 1, nil, nil), ("90 00 00", 2, nil, nil), ("90 80 7F 00", 3, 127, nil), ("90 80 FF FF 00", 4, 0x7FFF, nil),
      ("90 40 09 00", 3, nil, nil), ("90 20 40 00", 3, nil, 1), ("90 10 05 00", 3, nil, nil), ("80 00 01", 2, nil, nil),
    ] as [(String, UInt8, UInt16?, UInt8?)])
  func vp8Shapes(text: String, byteCount: UInt8, pictureID: UInt16?, temporalID: UInt8?) {
    let descriptor = VP8Descriptor(hex(text).rawBytes)
    #expect(descriptor?.byteCount == byteCount)
    #expect(descriptor?.pictureID == pictureID)
    #expect(descriptor?.temporalID == temporalID)
  }

  @Test(
    "A VP8 key frame begins with S, partition zero, and a frame header whose P bit is clear",
    arguments: [
      ("10 00", true), ("10 01", false), ("00 00", false), ("11 00", false), ("90 80 05 10", true), ("90 E0 92 34 56 E0 10", true),
      ("90 E0 92 34 56 E0 11", false), ("10", false), ("", false),
    ])
  func vp8Keyframes(text: String, isStart: Bool) {
    #expect(Keyframe.isStart(.vp8, payload: hex(text).rawBytes) == isStart)
  }

  // MARK: VP9

  @Test("A VP9 descriptor of the non-flexible mode (RFC 9628 §4.2)")
  func vp9NonFlexible() {
    let descriptor = VP9Descriptor(hex("ED 92 34  B5  56  AA ; I P L B E Z; id 0x1234; TID 5 U SID 2 D; TL0PICIDX").rawBytes)
    #expect(descriptor?.byteCount == 5)
    #expect(descriptor?.isInterPicturePredicted == true)
    #expect(descriptor?.isFlexible == false)
    #expect(descriptor?.startsFrame == true)
    #expect(descriptor?.endsFrame == true)
    #expect(descriptor?.isNotReferenceForUpperSpatialLayers == true)
    #expect(descriptor?.pictureID == 0x1234)
    #expect(descriptor?.temporalID == 5)
    #expect(descriptor?.isSwitchingUpPoint == true)
    #expect(descriptor?.spatialID == 2)
    #expect(descriptor?.isInterLayerPredicted == true)
    #expect(descriptor?.tl0PictureIndex == 0x56)
    #expect(descriptor?.pictureIDOffset == 1)
    #expect(descriptor?.tl0PictureIndexOffset == 4)
  }

  @Test(
    "In the flexible mode up to three references follow, and a fourth is refused",
    arguments: [
      ("F8 05 20 02 AA", 4), ("F8 05 20 03 02 AA", 5), ("F8 05 20 03 03 02 AA", 6), ("F8 05 20 03 03 03 02 AA", nil), ("B8 05 20 AA", 3),
    ] as [(String, UInt16?)])
  func vp9Flexible(text: String, byteCount: UInt16?) {
    #expect(VP9Descriptor(hex(text).rawBytes)?.byteCount == byteCount)
  }

  static let vp9Structure = hex(
    """
    8A 92 34               ; I B V
    58                     ; three layers, with resolutions, with a group
    01 40 00 B4            ; 320 x 180
    02 80 01 68            ; 640 x 360
    05 00 02 D0            ; 1280 x 720
    02  04 01  28 02 01    ; two pictures: one reference; two
    AA
    """)

  @Test("A scalability structure gives the layers' sizes (RFC 9628 §4.2.1)")
  func vp9ScalabilityStructure() {
    let descriptor = VP9Descriptor(Self.vp9Structure.rawBytes)
    let structure = descriptor?.scalabilityStructure
    #expect(structure?.spatialLayerCount == 3)
    #expect(structure?.widths == SIMD8(320, 640, 1280, 0, 0, 0, 0, 0))
    #expect(structure?.heights == SIMD8(180, 360, 720, 0, 0, 0, 0, 0))
    #expect(structure?.groupPictureCount == 2)
    #expect(descriptor.map { Int($0.byteCount) } == Self.vp9Structure.count - 1)
  }

  @Test(
    "A VP9 key frame begins where nothing is predicted from: P and D clear, B set, lowest layer",
    arguments: [
      ("88 05 AA", true), ("C8 05 AA", false), ("80 05 AA", false), ("A8 05 00 07 AA", true), ("A8 05 02 07 AA", false),
      ("A8 05 01 07 AA", false), ("88", false),
    ])
  func vp9Keyframes(text: String, isStart: Bool) {
    #expect(Keyframe.isStart(.vp9, payload: hex(text).rawBytes) == isStart)
  }

  // MARK: H.264

  @Test(
    "H.264 parameter sets and IDR slices are found in single units, aggregates and first fragments (RFC 6184 §5)",
    arguments: [
      ("67 42 00 1F", H264Payload.Contents.sequenceParameterSet),
      ("68 CE", .pictureParameterSet),
      ("65 88", .instantaneousRefresh),
      ("61 88", []),
      ("78 00 04 67 42 00 1F 00 02 68 CE", [.sequenceParameterSet, .pictureParameterSet]),
      ("78 00 02 67 42 00 02 68 CE 00 02 65 88", [.sequenceParameterSet, .pictureParameterSet, .instantaneousRefresh]),
      ("7C 85 88", .instantaneousRefresh), ("7C 05 88", []), ("7C 45 88", []), ("7C 87 42", .sequenceParameterSet), ("7C 81 88", []),
      ("", nil), ("7C", nil), ("7C C5 88", nil), ("78", nil), ("78 00", nil), ("78 00 00", nil), ("78 00 05 67 42", nil),
    ] as [(String, H264Payload.Contents?)])
  func h264(text: String, contents: H264Payload.Contents?) {
    #expect(H264Payload.contents(hex(text).rawBytes) == contents)
    #expect(Keyframe.isStart(.h264, payload: hex(text).rawBytes) == (contents?.contains(.sequenceParameterSet) ?? false))
  }

  // MARK: AV1

  @Test(
    "An AV1 sequence starts where N is set, which cannot be inside an element",
    arguments: [
      ("08 0A", true), ("18 0A", true), ("00 0A", false), ("88 0A", false), ("08", false), ("", false), ("50 0A", false),
    ])
  func av1(text: String, isStart: Bool) {
    #expect(Keyframe.isStart(.av1, payload: hex(text).rawBytes) == isStart)
  }

  @Test("The AV1 aggregation header's fields")
  func av1Header() {
    let header = AV1AggregationHeader(hex("E8 0A").rawBytes)
    #expect(header == nil)
    #expect(AV1AggregationHeader(hex("E0 0A").rawBytes)?.continuesElement == true)
    #expect(AV1AggregationHeader(hex("E0 0A").rawBytes)?.isContinued == true)
    #expect(AV1AggregationHeader(hex("E0 0A").rawBytes)?.elementCount == 2)
  }

  @Test("Audio decodes from any packet that has a payload, and a retransmission is not looked into")
  func others() {
    #expect(Keyframe.isStart(.opus, payload: hex("FC").rawBytes) == true)
    #expect(Keyframe.isStart(.opus, payload: hex("").rawBytes) == false)
    #expect(Keyframe.isStart(.rtx, payload: hex("00 01 10 00").rawBytes) == false)
  }

  // MARK: Redundancy

  static let redundancy = hex(
    """
    EF 0F 00 03        ; type 111, 960 earlier, three bytes (RFC 2198 §3)
    EF 07 80 02        ; type 111, 480 earlier, two bytes
    6F                 ; type 111, the primary
    AA AA AA  BB BB  CC CC
    """)

  @Test("Redundant blocks come oldest first, the primary last (RFC 2198 §3)")
  func redundancyBlocks() {
    let bytes = Self.redundancy
    guard var payload = RedundantPayload(bytes.rawBytes) else {
      Issue.record("refused")
      return
    }
    var blocks: [RedundantBlock] = []
    while let block = payload.next() { blocks.append(block) }
    #expect(
      blocks == [
        RedundantBlock(payloadType: PayloadType(111), timestampOffset: 960, offset: 9, byteCount: 3, isPrimary: false),
        RedundantBlock(payloadType: PayloadType(111), timestampOffset: 480, offset: 12, byteCount: 2, isPrimary: false),
        RedundantBlock(payloadType: PayloadType(111), timestampOffset: 0, offset: 14, byteCount: 2, isPrimary: true),
      ])
    let built = [UInt8].writing(capacity: 100) { writer in
      for block in blocks {
        if block.isPrimary {
          RedundantPayload.writePrimaryHeader(payloadType: block.payloadType, into: &writer)
        } else {
          RedundantPayload.writeHeader(
            payloadType: block.payloadType, timestampOffset: UInt32(block.timestampOffset), byteCount: Int(block.byteCount), into: &writer)
        }
      }
      for block in blocks {
        writer.writeBytes(bytes.rawBytes.extracting(Int(block.offset)..<Int(block.offset) + Int(block.byteCount)))
      }
    }
    #expect(built == bytes)
  }

  @Test("A redundant header that cannot say its block is not written")
  func redundancyLimits() {
    let bytes = [UInt8].writing(capacity: 6) { writer in
      let tooOld = RedundantPayload.writeHeader(payloadType: PayloadType(111), timestampOffset: 1 << 14, byteCount: 1, into: &writer)
      let tooLong = RedundantPayload.writeHeader(payloadType: PayloadType(111), timestampOffset: 1, byteCount: 1 << 10, into: &writer)
      let fits = RedundantPayload.writeHeader(payloadType: PayloadType(111), timestampOffset: 0x3FFF, byteCount: 0x3FF, into: &writer)
      let noRoom = RedundantPayload.writeHeader(payloadType: PayloadType(111), timestampOffset: 1, byteCount: 1, into: &writer)
      #expect(!tooOld && !tooLong && fits && !noRoom)
    }
    #expect(bytes == hex("EF FF FF FF"))
  }

  @Test("A retransmission begins with the original's sequence number (RFC 4588 §4)")
  func retransmission() {
    let payload = hex("12 34 AA BB")
    #expect(RetransmissionPayload.originalSequenceNumber(payload.rawBytes) == SequenceNumber(0x1234))
    #expect(RetransmissionPayload.originalPayload(payload.rawBytes)?.copyToArray() == [0xAA, 0xBB])
    #expect(RetransmissionPayload.originalSequenceNumber([0x12].rawBytes) == nil)
    #expect(writing(4) { RetransmissionPayload.write(SequenceNumber(0x1234), at: 1, in: &$0) ? 3 : nil } == [0xA5, 0x12, 0x34])
    #expect(writing(4) { RetransmissionPayload.write(SequenceNumber(0x1234), at: 3, in: &$0) ? 3 : nil } == nil)
  }

  // MARK: Cruelty

  static let whole: [[UInt8]] = [
    vp8, vp9Structure, redundancy, hex("F3 F0 92 34 56 A5 01"), hex("ED 92 34 B5 56 AA"), hex("F8 05 20 03 03 02 AA"),
    hex("78 00 02 67 42 00 02 68 CE 00 02 65 88"), hex("08 0A 0B 00 00"),
  ]

  @Test("Truncated anywhere or with any bit flipped, readers stay inside the payload", arguments: whole)
  func cruelty(bytes: [UInt8]) {
    for payload in truncations(bytes) + flips(bytes) { #expect(violation(ofPayload: payload.rawBytes) == nil) }
  }

  @Test("A descriptor cut short is refused, for each of them")
  func truncatedDescriptor() {
    for length in 0..<7 { #expect(VP8Descriptor(Self.vp8.rawBytes.extracting(0..<length)) == nil) }
    for length in 0..<Self.vp9Structure.count { #expect(VP9Descriptor(Self.vp9Structure.rawBytes.extracting(0..<length)) == nil) }
    for length in 0..<14 {
      let isRefused = RedundantPayload(Self.redundancy.rawBytes.extracting(0..<length)) == nil
      #expect(isRefused)
    }
  }
}
