// The dependency descriptor against appendix A of the AV1 RTP payload format.

import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("Dependency descriptors")
struct DependencyDescriptorTests {
  /// Bytes from digits of 0 and 1, padded with zeros; `;` begins a note.
  static func bits(_ text: String) -> [UInt8] {
    var digits: [UInt8] = []
    for line in text.split(separator: "\n") { digits += line.prefix { $0 != ";" }.compactMap { $0 == "0" ? 0 : $0 == "1" ? 1 : nil } }
    while digits.count % 8 != 0 { digits.append(0) }
    return stride(from: 0, to: digits.count, by: 8).map { start in digits[start..<start + 8].reduce(0) { $0 << 1 | $1 } }
  }

  /// A key frame of one spatial and two temporal layers, 640 x 360.
  static let keyframe = bits(
    """
    1 1 000101 0000000000000001    ; start, end, template 5, frame 1
    1 0 0 0 0                      ; a structure, nothing custom
    000101                         ; templates from 5
    00001                          ; two decode targets
    00 01 11                       ; three templates: T0, T0, T1
    10 10  10 10  00 01            ; switch switch, switch switch, not present discardable
    0  1 0001 0  1 0000 0          ; none; two back; one back
    1 0                            ; one chain (ns(3) = 1); ns(1) takes no bits
    0000 0010 0001                 ; chain: here, two back, one back
    1 0000001001111111 0000000101100111
    """)

  static func read(_ bytes: [UInt8], _ reader: inout DependencyDescriptorReader) -> Result<DependencyDescriptor, DependencyParseFailure> {
    reader.read(bytes.rawBytes)
  }

  @Test(
    "Non-symmetric numbers take the fewest bits (AV1 §4.10.7)",
    arguments: [
      (1, "", 0), (2, "0", 0), (2, "1", 1), (3, "0", 0), (3, "10", 1), (3, "11", 2), (5, "00", 0), (5, "10", 2), (5, "110", 3),
      (5, "111", 4),
    ] as [(UInt32, String, UInt32)])
  func nonSymmetric(limit: UInt32, text: String, value: UInt32) {
    let bytes = Self.bits(text + "1")
    var reader = BitReader(bytes.rawBytes)
    let found = reader.readNonSymmetric(limit)
    let offset = reader.bitOffset
    #expect(found == value)
    #expect(offset == text.count)
  }

  @Test("Bits are read across bytes, and past the end there is nothing")
  func bitReader() {
    let bytes = hex("A5 5A FF 00 12")
    var reader = BitReader(bytes.rawBytes)
    let first = reader.readBits(3)
    let second = reader.readBits(10)
    let third = reader.readBits(27)
    let before = reader.overran
    let fourth = reader.readBits(1)
    let after = reader.overran
    #expect(first == 0b101)
    #expect(second == 0b00101_01011)
    #expect(third == 0b010_11111111_00000000_00010010)
    #expect(!before && after)
    #expect(fourth == 0)
  }

  @Test("A key frame's descriptor gives the structure of L1T2")
  func structure() throws {
    var reader = DependencyDescriptorReader()
    let descriptor = try Self.read(Self.keyframe, &reader).get()
    #expect(descriptor.carriesStructure)
    #expect(descriptor.header.startsFrame && descriptor.header.endsFrame)
    #expect(descriptor.header.frameNumber == 1)
    #expect(descriptor.activeDecodeTargets == 0b11)
    #expect(descriptor.frame.frameDifferenceCount == 0)
    #expect(descriptor.frame.chainDifferences[0] == 0)
    let structure = try #require(reader.structure)
    #expect(structure.templateIDOffset == 5)
    #expect(structure.decodeTargetCount == 2)
    #expect(structure.chainCount == 1)
    #expect(structure.templates.map(\.temporalID) == [0, 0, 1])
    #expect(structure.templates.map(\.spatialID) == [0, 0, 0])
    #expect(structure.templates.map { $0.indication(for: 0) } == [.switch, .switch, .notPresent])
    #expect(structure.templates.map { $0.indication(for: 1) } == [.switch, .switch, .discardable])
    #expect(structure.templates.map { $0.frameDifferences[0] } == [0, 2, 1])
    #expect(structure.templates.map { $0.chainDifferences[0] } == [0, 2, 1])
    #expect(structure.targetTemporalIDs[0] == 0)
    #expect(structure.targetTemporalIDs[1] == 1)
    #expect(structure.hasResolutions)
    #expect(structure.widths[0] == 640)
    #expect(structure.heights[0] == 360)
  }

  @Test("Later frames name templates, by three bytes or with their own fields")
  func laterFrames() throws {
    var reader = DependencyDescriptorReader()
    _ = try Self.read(Self.keyframe, &reader).get()
    let short = try Self.read(Self.bits("1 0 000111 0000000000000010"), &reader).get()
    #expect(short.frame.temporalID == 1)
    #expect(short.activeDecodeTargets == nil)
    #expect(!short.header.endsFrame)
    let custom = try Self.read(
      Self.bits(
        """
        0 1 000110 0000000000000011
        0 1 1 1 1                ; active targets, and everything custom
        01                       ; only the first target
        11 01                    ; required, discardable
        01 0011  11 000000010000 10 00000000 00   ; 4 back; 17 back; 1 back; no more
        00001001                 ; chain nine back
        """), &reader
    ).get()
    #expect(custom.activeDecodeTargets == 1)
    #expect(custom.frame.indication(for: 0) == .required)
    #expect(custom.frame.indication(for: 1) == .discardable)
    #expect(custom.frame.frameDifferenceCount == 3)
    #expect(custom.frame.frameDifferences == SIMD8(4, 17, 1, 0, 0, 0, 0, 0))
    #expect(custom.frame.chainDifferences[0] == 9)
  }

  @Test("Without a structure, or with another's template, nothing is said")
  func withoutStructure() throws {
    var reader = DependencyDescriptorReader()
    #expect(Self.read(hex("C0 00"), &reader) == .failure(.tooShort))
    #expect(Self.read(hex("C5 00 01"), &reader) == .failure(.noStructure))
    #expect(Self.read(hex("C5 00 01 00"), &reader) == .failure(.noStructure))
    _ = try Self.read(Self.keyframe, &reader).get()
    #expect(Self.read(hex("C4 00 01"), &reader) == .failure(.unknownTemplate))
    #expect(Self.read(hex("C8 00 01"), &reader) == .failure(.unknownTemplate))
    #expect((try? Self.read(hex("C7 00 01"), &reader).get()) != nil)
  }

  @Test("Template ids wrap at 64")
  func wrappingTemplates() throws {
    var bytes = Self.keyframe
    // Offset 63: the templates are 63, 0 and 1.
    bytes[0] = 0xC0 | 63
    bytes[3] = bytes[3] & 0xF8 | 0b111
    bytes[4] = bytes[4] & 0x1F | 0b111_00000
    var reader = DependencyDescriptorReader()
    _ = try Self.read(bytes, &reader).get()
    #expect(try Self.read(hex("C1 00 02"), &reader).get().frame.temporalID == 1)
    #expect(Self.read(hex("C2 00 02"), &reader) == .failure(.unknownTemplate))
  }

  @Test("Truncated anywhere, a key frame's descriptor is refused, and what was known stays")
  func truncated() throws {
    for short in truncations(Self.keyframe) {
      var reader = DependencyDescriptorReader()
      _ = try Self.read(Self.keyframe, &reader).get()
      let before = reader.structure
      // Three bytes are a whole descriptor, of a template that is known.
      if short.count != 3 { #expect((try? Self.read(short, &reader).get()) == nil) }
      #expect(reader.structure == before)
    }
  }

  @Test("With any bit flipped, nothing traps, and what is refused changes nothing")
  func flipped() throws {
    for bytes in flips(Self.keyframe) {
      var reader = DependencyDescriptorReader()
      _ = try Self.read(Self.keyframe, &reader).get()
      let before = reader.structure
      if case .failure = Self.read(bytes, &reader) { #expect(reader.structure == before) }
    }
  }

  @Test(
    "More templates, layers or references than there can be are refused",
    arguments: [
      String(repeating: " 00", count: 64),  // 65 templates
      String(repeating: " 01", count: 8),  // 9 temporal layers
      String(repeating: " 10", count: 4),  // 5 spatial layers
      "11 0000 " + String(repeating: "1 0000 ", count: 9),  // 9 references
    ])
  func limits(tail: String) {
    var reader = DependencyDescriptorReader()
    let bytes = Self.bits("1 1 000000 0000000000000001 1 0 0 0 0 000000 00001 " + tail + String(repeating: "1", count: 400))
    #expect(Self.read(bytes, &reader) == .failure(.malformed))
    #expect(reader.structure == nil)
  }
}
