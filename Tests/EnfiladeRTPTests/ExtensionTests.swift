// Header extensions: identifiers, elements, values (RFC 8285, RFC 6464 and the others).

import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("Header extensions")
struct ExtensionTests {
  /// A packet around extension words.
  static func packet(_ profile: String, _ elements: String) -> [UInt8] {
    var data = hex(elements)
    while data.count % 4 != 0 { data.append(0) }
    return hex("90 60 00 01  00 00 00 02  00 00 00 03") + hex(profile) + [0, UInt8(data.count / 4)] + data
  }

  static func elements(_ bytes: [UInt8]) throws -> [[UInt8]] {
    let view = try RTPPacketView.parse(bytes.rawBytes).get()
    var iterator = ExtensionElementIterator(view, in: bytes.rawBytes)
    var found: [[UInt8]] = []
    while let element = iterator.next() { found.append([element.identifier] + element.data(in: bytes.rawBytes).copyToArray()) }
    return found
  }

  @Test("URIs and kinds name each other, and nothing else names a kind")
  func uris() {
    for kind in ExtensionKind.allCases { #expect(ExtensionKind(uri: kind.uri) == kind) }
    #expect(ExtensionKind(uri: "urn:ietf:params:rtp-hdrext:toffset") == nil)
    #expect(ExtensionKind.allCases.count == ExtensionKind.count)
    #expect(Set(ExtensionKind.allCases.map(\.uri)).count == ExtensionKind.count)
  }

  @Test("A map answers both ways, for identifiers of either form")
  func map() {
    var map = ExtensionMap([.mid: 1, .audioLevel: 14, .dependencyDescriptor: 15, .videoLayersAllocation: 255])
    #expect(map[.mid] == 1)
    #expect(map.kind(of: 1) == .mid)
    #expect(map.kind(of: 14) == .audioLevel)
    #expect(map.kind(of: 15) == .dependencyDescriptor)
    #expect(map.kind(of: 255) == .videoLayersAllocation)
    #expect(map.kind(of: 0) == nil)
    #expect(map.kind(of: 2) == nil)
    #expect(map.kind(of: 16) == nil)
    #expect(map[.rid] == nil)
    #expect(map.needsTwoByteForm)
    map[.dependencyDescriptor] = nil
    map[.videoLayersAllocation] = 0
    #expect(!map.needsTwoByteForm)
    #expect(map.kind(of: 15) == nil)
  }

  @Test("An identifier moves from one kind to another, and a kind from one identifier to another")
  func mapMoves() {
    var map = ExtensionMap([.mid: 3])
    map[.rid] = 3
    #expect(map[.mid] == nil)
    #expect(map.kind(of: 3) == .rid)
    map[.rid] = 20
    #expect(map.kind(of: 3) == nil)
    #expect(map.kind(of: 20) == .rid)
    map[.audioLevel] = 20
    #expect(map[.rid] == nil)
    #expect(map.kind(of: 20) == .audioLevel)
    map[.audioLevel] = nil
    #expect(map.isEmpty)
    #expect(map == ExtensionMap())
  }

  @Test("One-byte elements have lengths of 1 to 16, and padding bytes stand anywhere (RFC 8285 §4.2)")
  func oneByteForm() throws {
    let sixteen = (0..<16).map { String($0, radix: 16) }.map { "0\($0)" }.joined(separator: " ")
    let bytes = Self.packet("BE DE", "00 10 AA 00 00 2F \(sixteen) 31 BB CC")
    #expect(try Self.elements(bytes) == [[1, 0xAA], [2] + (0..<16).map { UInt8($0) }, [3, 0xBB, 0xCC]])
  }

  @Test("Two-byte elements may be empty, and may be long (RFC 8285 §4.3)")
  func twoByteForm() throws {
    let bytes = Self.packet("10 05", "01 00 00 FF 02 AA BB 0F 11 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10 11")
    #expect(try Self.elements(bytes) == [[1], [255, 0xAA, 0xBB], [15] + (1...17).map { UInt8($0) }])
  }

  @Test(
    "Identifier 15, and identifier 0 with a length, end a one-byte extension; what came before stands", arguments: ["F0 11", "01 11 22"])
  func reserved(tail: String) throws {
    #expect(try Self.elements(Self.packet("BE DE", "10 AA \(tail) 20 BB")) == [[1, 0xAA]])
  }

  @Test(
    "An element that runs past the extension ends it; what came before stands",
    arguments: [
      ("BE DE", "10 AA 23 BB"), ("10 00", "01 01 AA 02 02 BB 00 00"), ("10 00", "01 01 AA 02"),
    ])
  func overrun(profile: String, elements: String) throws {
    let found = try Self.elements(Self.packet(profile, elements))
    #expect(found.first == [1, 0xAA])
    #expect(profile == "10 00" || found.count == 1)
  }

  @Test("An unknown profile has no elements")
  func unknownProfile() throws {
    #expect(try Self.elements(Self.packet("12 34", "10 AA 20 BB")) == [])
  }

  @Test("One element is found by its identifier, the first if it comes twice")
  func lookup() throws {
    let bytes = Self.packet("BE DE", "10 AA 20 BB 20 CC")
    let view = try RTPPacketView.parse(bytes.rawBytes).get()
    #expect(view.extensionElement(2, in: bytes.rawBytes)?.data(in: bytes.rawBytes).copyToArray() == [0xBB])
    #expect(view.extensionElement(3, in: bytes.rawBytes) == nil)
  }

  static let map = ExtensionMap([
    .absoluteSendTime: 2, .transportSequenceNumber: 3, .mid: 4, .audioLevel: 1, .rid: 10, .videoOrientation: 13, .playoutDelay: 12,
    .absoluteCaptureTime: 7,
  ])

  @Test("All known elements are found in one pass and read as what they are")
  func onePass() throws {
    let bytes = Self.packet(
      "BE DE",
      """
      10 85                      ; audio level 5 with voice (RFC 6464 §3)
      22 65 43 21                ; abs-send-time
      31 00 17                   ; transport-wide 23
      40 30                      ; mid "0"
      A1 68 69                   ; rid "hi"
      D0 0B                      ; back camera, 270 degrees
      C2 00 A0 14                ; playout delay 10 and 20 ticks
      77 E1 C2 0F 01 80 00 00 00 ; capture time without offset
      50 00                      ; not negotiated
      """)
    let view = try RTPPacketView.parse(bytes.rawBytes).get()
    let extensions = RTPExtensions(view, in: bytes.rawBytes, map: Self.map)
    let raw = bytes.rawBytes
    #expect(extensions.audioLevel(in: raw) == AudioLevel(level: 5, hasVoice: true))
    #expect(extensions.absoluteSendTime(in: raw)?.rawValue == 0x654321)
    #expect(extensions.transportSequenceNumber(in: raw) == 23)
    #expect(extensions.data(of: .mid, in: raw)?.copyToArray() == [0x30])
    #expect(extensions.data(of: .rid, in: raw)?.copyToArray() == [0x68, 0x69])
    #expect(extensions.data(of: .repairedRid, in: raw)?.byteCount == nil)
    #expect(extensions.videoOrientation(in: raw) == VideoOrientation(rotation: .clockwise270, isBackCamera: true))
    #expect(extensions.playoutDelay(in: raw) == PlayoutDelay(minimumTicks: 10, maximumTicks: 20))
    #expect(extensions.absoluteCaptureTime(in: raw) == AbsoluteCaptureTime(captured: NTPTimestamp(rawValue: 0xE1C2_0F01_8000_0000)))
    #expect(!extensions.present.contains(.dependencyDescriptor))
  }

  @Test("With any bit flipped, the values are read or absent")
  func flipped() {
    let original = Self.packet("BE DE", "10 85 22 65 43 21 31 00 17 40 30 A1 68 69 D0 0B C2 00 A0 14 77 E1 C2 0F 01 80 00 00 00")
    for bytes in flips(original) + truncations(original) {
      guard case .success(let view) = RTPPacketView.parse(bytes.rawBytes) else { continue }
      let extensions = RTPExtensions(view, in: bytes.rawBytes, map: Self.map)
      for kind in ExtensionKind.allCases {
        let byteCount = extensions.data(of: kind, in: bytes.rawBytes)?.byteCount
        #expect((byteCount != nil) == extensions.present.contains(kind))
      }
      _ = extensions.absoluteCaptureTime(in: bytes.rawBytes)
      _ = extensions.transportSequenceNumber(in: bytes.rawBytes)
    }
  }

  // MARK: Values

  @Test("Absolute send time keeps six bits of the seconds and eighteen of the fraction, and wraps after 64 s")
  func absoluteSendTime() {
    #expect(AbsoluteSendTime(NTPTimestamp(rawValue: 0x0000_0001_0000_0000)).rawValue == 1 << 18)
    #expect(AbsoluteSendTime(NTPTimestamp(rawValue: 0x0000_0000_8000_0000)).rawValue == 1 << 17)
    #expect(AbsoluteSendTime(NTPTimestamp(rawValue: 0xFFFF_FFFF_FFFF_FFFF)).rawValue == 0xFF_FFFF)
    let before = AbsoluteSendTime(NTPTimestamp(rawValue: 63 << 32))
    let after = AbsoluteSendTime(NTPTimestamp(rawValue: 65 << 32))
    #expect((after - before).nanoseconds == 2_000_000_000)
    #expect((before - after).nanoseconds == -2_000_000_000)
  }

  @Test("Values read what they wrote, and refuse other lengths")
  func identity() throws {
    func written(_ body: (inout ByteWriter) -> Void) -> [UInt8]? { [UInt8].writing(capacity: 32, body) }
    let time = AbsoluteSendTime(rawValue: 0x12_3456)
    #expect(written { time.write(into: &$0) } == [0x12, 0x34, 0x56])
    #expect(AbsoluteSendTime([0x12, 0x34, 0x56].rawBytes) == time)
    for byte in UInt8.min...UInt8.max {
      #expect(written { AudioLevel([byte].rawBytes)?.write(into: &$0) } == [byte])
      #expect(written { VideoOrientation([byte].rawBytes)?.write(into: &$0) } == [byte])
    }
    let delay = PlayoutDelay(minimumTicks: 0xABC, maximumTicks: 0xDEF)
    #expect(written { delay.write(into: &$0) } == [0xAB, 0xCD, 0xEF])
    #expect(PlayoutDelay([0xAB, 0xCD, 0xEF].rawBytes) == delay)
    #expect(delay.maximum == .milliseconds(35_670))
    for offset in [nil, -1, Int64.max] as [Int64?] {
      let capture = AbsoluteCaptureTime(captured: NTPTimestamp(rawValue: 0x0123_4567_89AB_CDEF), estimatedClockOffset: offset)
      let bytes = try #require(written { capture.write(into: &$0) })
      #expect(bytes.count == capture.byteCount)
      #expect(AbsoluteCaptureTime(bytes.rawBytes) == capture)
    }
    for length in 0..<20 {
      let bytes = [UInt8](repeating: 0, count: length)
      #expect((AbsoluteSendTime(bytes.rawBytes) != nil) == (length == 3))
      #expect((PlayoutDelay(bytes.rawBytes) != nil) == (length == 3))
      #expect((VideoOrientation(bytes.rawBytes) != nil) == (length == 1))
      #expect((AudioLevel(bytes.rawBytes) != nil) == (length == 1 || length == 2))
      #expect((AbsoluteCaptureTime(bytes.rawBytes) != nil) == (length == 8 || length == 16))
    }
  }
}
