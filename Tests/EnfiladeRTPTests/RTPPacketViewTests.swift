// RTPPacketView and RTPFixedHeader against RFC 3550 §5.1 and RFC 8285 §4.

import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("RTP packets")
struct RTPPacketViewTests {
  /// Two contributing sources, a one-byte extension, five bytes of payload, three of padding.
  static let full = hex(
    """
    B2 E0 12 34      ; V=2 P=1 X=1 CC=2, M=1 PT=96, sequence number 0x1234 (RFC 3550 §5.1)
    00 01 02 03      ; timestamp
    DE AD BE EF      ; SSRC
    00 00 00 11      ; CSRC 0
    00 00 00 22      ; CSRC 1
    BE DE 00 02      ; one-byte form, two words (RFC 8285 §4.2)
    10 AA            ; id 1, one byte
    31 BB CC         ; id 3, two bytes
    00 00 00         ; padding
    01 02 03 04 05   ; payload
    00 00 03         ; padding, counted by its last byte
    """)

  /// The smallest packet: a fixed header alone.
  static let bare = hex("80 00 00 01  00 00 00 02  00 00 00 03")

  static func parse(_ bytes: [UInt8]) throws -> RTPPacketView { try RTPPacketView.parse(bytes.rawBytes).get() }

  @Test("Every field of a packet with sources, extension and padding is where RFC 3550 §5.1 puts it")
  func fields() throws {
    let view = try Self.parse(Self.full)
    #expect(view.marker)
    #expect(view.payloadType == PayloadType(96))
    #expect(view.sequenceNumber == SequenceNumber(0x1234))
    #expect(view.timestamp == RTPTimestamp(0x0001_0203))
    #expect(view.ssrc == SSRC(0xDEAD_BEEF))
    #expect(view.csrcCount == 2)
    #expect(view.csrc(at: 0, in: Self.full.rawBytes) == SSRC(0x11))
    #expect(view.csrc(at: 1, in: Self.full.rawBytes) == SSRC(0x22))
    #expect(view.csrc(at: 2, in: Self.full.rawBytes) == nil)
    #expect(view.extensionProfile == .oneByte)
    #expect(view.extensionOffset == 24)
    #expect(view.extensionByteCount == 8)
    #expect(view.headerByteCount == 32)
    #expect(view.payloadOffset == 32)
    #expect(view.payloadByteCount == 5)
    #expect(view.paddingByteCount == 3)
    #expect(view.packetByteCount == Self.full.count)
    #expect(view.payload(in: Self.full.rawBytes).copyToArray() == [1, 2, 3, 4, 5])
  }

  @Test("A fixed header alone is a packet without payload")
  func bareHeader() throws {
    let view = try Self.parse(Self.bare)
    #expect(view.payloadByteCount == 0)
    #expect(view.headerByteCount == 12)
    #expect(view.extensionProfile == .none)
    #expect(!view.marker)
  }

  @Test("The view stays a handful of numbers: at most 24 bytes")
  func size() {
    #expect(MemoryLayout<RTPPacketView>.size <= 24)
  }

  static let broken: [(String, RTPParseFailure)] = [
    ("", .tooShort),
    ("80 00 00 01 00 00 00 02 00 00 00", .tooShort),
    ("40 00 00 01 00 00 00 02 00 00 00 03", .badVersion),
    ("C0 00 00 01 00 00 00 02 00 00 00 03", .badVersion),
    ("81 00 00 01 00 00 00 02 00 00 00 03 00 00 00", .truncatedContributingSources),
    ("90 00 00 01 00 00 00 02 00 00 00 03", .truncatedExtension),
    ("90 00 00 01 00 00 00 02 00 00 00 03 BE DE 00 01 10 AA 00", .truncatedExtension),
    ("90 00 00 01 00 00 00 02 00 00 00 03 BE DE FF FF 10 AA 00 00", .truncatedExtension),
    ("A0 00 00 01 00 00 00 02 00 00 00 03", .badPadding),
    ("A0 00 00 01 00 00 00 02 00 00 00 03 00", .badPadding),
    ("A0 00 00 01 00 00 00 02 00 00 00 03 02", .badPadding),
  ]

  @Test("What is not RTP is refused with its reason", arguments: broken)
  func refuses(text: String, reason: RTPParseFailure) {
    #expect(RTPPacketView.parse(hex(text).rawBytes) == .failure(reason))
  }

  @Test("A packet of more than 65535 bytes is refused, since its offsets would not fit")
  func tooLong() {
    var bytes = Self.bare
    bytes += [UInt8](repeating: 0, count: 65_536 - bytes.count)
    #expect(RTPPacketView.parse(bytes.rawBytes) == .failure(.tooLong))
    bytes.removeLast()
    #expect((try? RTPPacketView.parse(bytes.rawBytes).get())?.payloadByteCount == 65_523)
  }

  @Test("Padding may fill the packet after the header: a probe")
  func onlyPadding() throws {
    let view = try Self.parse(hex("A0 60 00 01 00 00 00 02 00 00 00 03 00 00 00 04"))
    #expect(view.payloadByteCount == 0)
    #expect(view.paddingByteCount == 4)
  }

  @Test(
    "Extension profiles are told apart",
    arguments: [
      ("BE DE", ExtensionProfile.oneByte), ("10 00", .twoByte), ("10 0F", .twoByte), ("10 10", .other), ("00 00", .other),
    ])
  func profiles(profile: String, kind: ExtensionProfile) throws {
    #expect(try Self.parse(hex("90 60 00 01 00 00 00 02 00 00 00 03 \(profile) 00 00")).extensionProfile == kind)
  }

  @Test("Truncated anywhere, a packet is refused or has a meaning inside its bytes")
  func truncated() {
    for bytes in truncations(Self.full) {
      guard case .success(let view) = RTPPacketView.parse(bytes.rawBytes) else { continue }
      #expect(view.packetByteCount == bytes.count)
    }
    // The extension ends at 32, and the padding's count is the last byte: these lengths cannot be packets.
    for length in 0..<33 { #expect(throws: RTPParseFailure.self) { try Self.parse(Array(Self.full[..<length])) } }
  }

  @Test("With any bit flipped, offsets stay inside the packet and elements can be walked")
  func flipped() {
    for bytes in flips(Self.full) {
      guard case .success(let view) = RTPPacketView.parse(bytes.rawBytes) else { continue }
      #expect(view.packetByteCount == bytes.count)
      var iterator = ExtensionElementIterator(view, in: bytes.rawBytes)
      while let element = iterator.next() {
        #expect(Int(element.offset) + Int(element.byteCount) <= view.extensionOffset + view.extensionByteCount)
      }
    }
  }

  @Test("The cheap header agrees with the whole one wherever both read")
  func fixedHeader() throws {
    let view = try Self.parse(Self.full)
    let header = RTPFixedHeader.parse(Self.full.rawBytes)
    #expect(header == RTPFixedHeader(ssrc: view.ssrc, sequenceNumber: view.sequenceNumber, payloadType: view.payloadType))
    #expect(RTPFixedHeader.parse(Self.full.rawBytes.extracting(0..<11)) == nil)
    #expect(RTPFixedHeader.parse(hex("40 00 00 01 00 00 00 02 00 00 00 03").rawBytes) == nil)
  }
}
