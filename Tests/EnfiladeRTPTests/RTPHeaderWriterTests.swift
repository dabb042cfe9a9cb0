// RTPHeaderWriter: headers of our own with elements under the receiver's identifiers (RFC 8285).

import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("Outgoing headers")
struct RTPHeaderWriterTests {
  static let header = OutgoingHeader(
    ssrc: SSRC(0x0102_0304), timestamp: RTPTimestamp(0x1111_1111), sequenceNumber: SequenceNumber(0xABCD), payloadType: PayloadType(97),
    marker: true)

  /// A published packet with MID 4, level 1, transport-wide 3, send time 2, orientation 13 and a descriptor at 5.
  static let source = hex(
    """
    90 60 00 01  00 00 00 02  00 00 00 03
    BE DE 00 07
    40 30            ; mid "0"
    10 85            ; audio level
    31 00 17         ; transport-wide 23
    22 65 43 21      ; abs-send-time
    D0 0B            ; orientation
    53 C0 00 07 80   ; dependency descriptor
    77 01 02 03 04 05 06 07 08  00   ; capture time
    AA BB CC
    """)
  static let sourceMap = ExtensionMap([
    .mid: 4, .audioLevel: 1, .transportSequenceNumber: 3, .absoluteSendTime: 2, .videoOrientation: 13, .dependencyDescriptor: 5,
    .absoluteCaptureTime: 7,
  ])

  static func sourceExtensions() throws -> RTPExtensions {
    let view = try RTPPacketView.parse(source.rawBytes).get()
    return RTPExtensions(view, in: source.rawBytes, map: sourceMap)
  }

  @Test("Without anything negotiated a header is twelve bytes")
  func plain() {
    let plan = ExtensionPlan(map: ExtensionMap(), allowsMixed: false)
    var header = Self.header
    header.carriesMID = true
    header.transportSequenceNumber = 1
    header.absoluteSendTime = AbsoluteSendTime(rawValue: 1)
    let bytes = writing(12) { RTPHeaderWriter.write(header, plan: plan, into: &$0) }
    #expect(bytes == hex("80 E1 AB CD  11 11 11 11  01 02 03 04"))
    header.hasPadding = true
    header.marker = false
    #expect(writing(12) { RTPHeaderWriter.write(header, plan: plan, into: &$0) } == hex("A0 61 AB CD  11 11 11 11  01 02 03 04"))
  }

  @Test("Our own elements go in the one-byte form, padded to a word")
  func ownElements() {
    let plan = ExtensionPlan(
      map: ExtensionMap([.mid: 9, .transportSequenceNumber: 8, .absoluteSendTime: 7]), allowsMixed: false, mid: [0x61, 0x62])
    var header = Self.header
    header.carriesMID = true
    header.transportSequenceNumber = 0x1234
    header.absoluteSendTime = AbsoluteSendTime(rawValue: 0x55_6677)
    #expect(
      writing(64) { RTPHeaderWriter.write(header, plan: plan, into: &$0) }
        == hex(
          """
          90 E1 AB CD  11 11 11 11  01 02 03 04
          BE DE 00 03
          91 61 62         ; mid "ab"
          81 12 34         ; transport-wide sequence number
          72 55 66 77      ; abs-send-time
          00 00
          """))
    header.carriesMID = false
    header.absoluteSendTime = nil
    #expect(writing(64) { RTPHeaderWriter.write(header, plan: plan, into: &$0) }?.count == 20)
  }

  @Test("A forwarded packet keeps what the sender said of the media, under the receiver's identifiers, and nothing hop by hop")
  func forwarded() throws {
    let plan = ExtensionPlan(
      map: ExtensionMap([
        .mid: 1, .audioLevel: 2, .transportSequenceNumber: 3, .absoluteSendTime: 4, .videoOrientation: 5, .absoluteCaptureTime: 6,
        .dependencyDescriptor: 8, .rid: 9,
      ]), allowsMixed: false, mid: [0x37])
    var header = Self.header
    header.carriesMID = true
    header.transportSequenceNumber = 99
    let extensions = try Self.sourceExtensions()
    let bytes = try #require(
      writing(128) { RTPHeaderWriter.write(header, plan: plan, copying: extensions, from: Self.source.rawBytes, into: &$0) })
    let view = try RTPPacketView.parse(bytes.rawBytes).get()
    #expect(view.headerByteCount == bytes.count)
    let found = RTPExtensions(view, in: bytes.rawBytes, map: plan.map)
    #expect(found.data(of: .mid, in: bytes.rawBytes)?.copyToArray() == [0x37])
    #expect(found.audioLevel(in: bytes.rawBytes) == AudioLevel(level: 5, hasVoice: true))
    #expect(found.transportSequenceNumber(in: bytes.rawBytes) == 99)
    #expect(found.videoOrientation(in: bytes.rawBytes)?.byte == 0x0B)
    #expect(found.absoluteCaptureTime(in: bytes.rawBytes)?.captured.rawValue == 0x0102_0304_0506_0708)
    #expect(found.data(of: .dependencyDescriptor, in: bytes.rawBytes)?.copyToArray() == [0xC0, 0x00, 0x07, 0x80])
    // The publisher's send time is not the receiver's.
    #expect(!found.present.contains(.absoluteSendTime))
    #expect(!found.present.contains(.rid))
  }

  @Test(
    "A dependency descriptor can be replaced, and then may need the two-byte form",
    arguments: [(true, 20), (false, 20), (false, 16), (true, 0)])
  func descriptor(allowsMixed: Bool, byteCount: Int) throws {
    let plan = ExtensionPlan(map: ExtensionMap([.dependencyDescriptor: 8, .audioLevel: 2]), allowsMixed: allowsMixed)
    let descriptor = (0..<byteCount).map { UInt8($0) }
    let extensions = try Self.sourceExtensions()
    let bytes = try #require(
      writing(128) {
        RTPHeaderWriter.write(
          Self.header, plan: plan, copying: extensions, from: Self.source.rawBytes, dependencyDescriptor: descriptor.rawBytes, into: &$0)
      })
    let view = try RTPPacketView.parse(bytes.rawBytes).get()
    let found = RTPExtensions(view, in: bytes.rawBytes, map: plan.map)
    let fits = (1...16).contains(byteCount)
    #expect(view.extensionProfile == (fits || !allowsMixed ? .oneByte : .twoByte))
    #expect(found.data(of: .dependencyDescriptor, in: bytes.rawBytes)?.copyToArray() == (fits || allowsMixed ? descriptor : nil))
    #expect(found.audioLevel(in: bytes.rawBytes)?.level == 5)
  }

  @Test("A receiver with large identifiers and no mixing gets the two-byte form in every packet")
  func twoByteOnly() throws {
    let plan = ExtensionPlan(map: ExtensionMap([.mid: 1, .audioLevel: 200]), allowsMixed: false, mid: [0x37])
    #expect(plan.form == .twoByteOnly)
    var header = Self.header
    header.carriesMID = true
    #expect(
      writing(64) { RTPHeaderWriter.write(header, plan: plan, into: &$0) }
        == hex("90 E1 AB CD 11 11 11 11 01 02 03 04  10 00 00 01  01 01 37 00"))
    let extensions = try Self.sourceExtensions()
    #expect(
      writing(64) { RTPHeaderWriter.write(header, plan: plan, copying: extensions, from: Self.source.rawBytes, into: &$0) }
        == hex("90 E1 AB CD 11 11 11 11 01 02 03 04  10 00 00 02  01 01 37 C8 01 85 00 00"))
  }

  @Test("A header that does not fit is not written, at any length")
  func doesNotFit() throws {
    let plan = ExtensionPlan(map: Self.sourceMap, allowsMixed: true, mid: [0x37])
    let extensions = try Self.sourceExtensions()
    let whole = try #require(
      writing(128) { RTPHeaderWriter.write(Self.header, plan: plan, copying: extensions, from: Self.source.rawBytes, into: &$0) })
    for length in 0..<whole.count {
      #expect(
        writing(length) { RTPHeaderWriter.write(Self.header, plan: plan, copying: extensions, from: Self.source.rawBytes, into: &$0) }
          == nil)
    }
    #expect(
      writing(whole.count) { RTPHeaderWriter.write(Self.header, plan: plan, copying: extensions, from: Self.source.rawBytes, into: &$0) }
        == whole)
  }

  @Test("Elements that point outside the source are left out rather than read")
  func foreignExtensions() throws {
    let plan = ExtensionPlan(map: Self.sourceMap, allowsMixed: true)
    let extensions = try Self.sourceExtensions()
    for length in 0..<Self.source.count {
      let bytes = try #require(
        writing(128) {
          RTPHeaderWriter.write(
            Self.header, plan: plan, copying: extensions, from: Self.source.rawBytes.extracting(0..<length), into: &$0)
        })
      #expect((try? RTPPacketView.parse(bytes.rawBytes).get())?.headerByteCount == bytes.count)
    }
  }

  @Test("Whatever is negotiated, a written header says exactly what was to be said", arguments: 0..<200)
  func property(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    func map(_ limit: UInt8) -> ExtensionMap {
      var map = ExtensionMap()
      for kind in ExtensionKind.allCases where Bool.random(using: &random) { map[kind] = UInt8.random(in: 1...limit, using: &random) }
      return map
    }
    // The source, built by hand in the two-byte form, with every kind in it.
    var elements: [UInt8] = []
    var sourceMap = ExtensionMap()
    var values: [ExtensionKind: [UInt8]] = [:]
    for (index, kind) in ExtensionKind.allCases.enumerated() {
      let value = (0..<Int.random(in: 0...24, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      sourceMap[kind] = UInt8(index + 1)
      values[kind] = value
      elements += [UInt8(index + 1), UInt8(value.count)] + value
    }
    while elements.count % 4 != 0 { elements.append(0) }
    let source = hex("90 60 00 01 00 00 00 02 00 00 00 03 10 00 00") + [UInt8(elements.count / 4)] + elements
    let extensions = RTPExtensions(try RTPPacketView.parse(source.rawBytes).get(), in: source.rawBytes, map: sourceMap)

    let allowsMixed = Bool.random(using: &random)
    let plan = ExtensionPlan(
      map: map(Bool.random(using: &random) ? 14 : 255), allowsMixed: allowsMixed, mid: [1, 2, 3], copied: .forwarded)
    var header = Self.header
    header.carriesMID = Bool.random(using: &random)
    header.transportSequenceNumber = Bool.random(using: &random) ? UInt16.random(in: 0...65535, using: &random) : nil
    header.absoluteSendTime = Bool.random(using: &random) ? AbsoluteSendTime(rawValue: 0x123456) : nil
    let bytes = try #require(
      writing(1500) { RTPHeaderWriter.write(header, plan: plan, copying: extensions, from: source.rawBytes, into: &$0) })
    let view = try RTPPacketView.parse(bytes.rawBytes).get()
    #expect(view.headerByteCount == bytes.count)
    let found = RTPExtensions(view, in: bytes.rawBytes, map: plan.map)
    for kind in ExtensionKind.allCases {
      var wanted: [UInt8]? = ExtensionKinds.forwarded.contains(kind) ? values[kind] : nil
      if kind == .mid { wanted = header.carriesMID ? [1, 2, 3] : nil }
      if kind == .transportSequenceNumber { wanted = header.transportSequenceNumber.map { [UInt8($0 >> 8), UInt8($0 & 0xFF)] } }
      if kind == .absoluteSendTime { wanted = header.absoluteSendTime.map { _ in [0x12, 0x34, 0x56] } }
      if plan.map[kind] == nil { wanted = nil }
      if plan.form == .oneByteOnly, let value = wanted, !(1...16).contains(value.count) { wanted = nil }
      #expect(found.data(of: kind, in: bytes.rawBytes)?.copyToArray() == wanted)
    }
  }

  @Test("Padding counts itself in its last byte, and is refused when it cannot (RFC 3550 §5.1)")
  func padding() {
    #expect(writing(8) { RTPPadding.write(byteCount: 3, at: 2, in: &$0) ? 5 : nil } == [0xA5, 0xA5, 0, 0, 3])
    #expect(writing(8) { RTPPadding.write(byteCount: 1, at: 0, in: &$0) ? 1 : nil } == [1])
    #expect(writing(8) { RTPPadding.write(byteCount: 0, at: 0, in: &$0) ? 1 : nil } == nil)
    #expect(writing(300) { RTPPadding.write(byteCount: 256, at: 0, in: &$0) ? 1 : nil } == nil)
    #expect(writing(300) { RTPPadding.write(byteCount: 255, at: 45, in: &$0) ? 1 : nil } != nil)
    #expect(writing(300) { RTPPadding.write(byteCount: 255, at: 46, in: &$0) ? 1 : nil } == nil)
  }
}
