// RTCP against RFC 3550 §6, RFC 4585 §6, RFC 5104 §4.3.1, RFC 5506, RFC 8888 and the REMB draft.

import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("RTCP")
struct RTCPTests {
  /// Every type in the very bytes that our writer makes of it.
  static let fixtures: [(name: String, bytes: [UInt8])] = [
    (
      "sender report with two blocks, RFC 3550 §6.4.1",
      hex(
        """
        82 C8 00 12                  ; V=2 RC=2 PT=200, 19 words
        DE AD BE EF                  ; SSRC of the sender
        E1 C2 0F 01  80 00 00 00     ; NTP
        00 01 02 03                  ; RTP timestamp
        00 00 00 64  00 01 86 A0     ; 100 packets, 100000 octets
        00 00 00 11  40 FF FF FE     ; source, a quarter lost, minus two in all
        00 01 00 05  00 00 00 20     ; highest 65541, jitter 32
        0F 01 80 00  00 00 80 00     ; LSR, DLSR half a second
        00 00 00 22  00 00 00 07
        00 00 00 09  00 00 00 00
        00 00 00 00  00 00 00 00
        """)
    ),
    ("empty receiver report, RFC 3550 §6.4.2", hex("80 C9 00 01  00 00 00 01")),
    (
      "receiver report with one block, RFC 3550 §6.4.2",
      hex("81 C9 00 07 00 00 00 01  00 00 00 11 FF 7F FF FF 00 01 00 05 00 00 00 20 0F 01 80 00 00 00 80 00")
    ),
    (
      "CNAME of five bytes, RFC 3550 §6.5",
      hex("81 CA 00 03  00 00 00 01  01 05 68 65 6C 6C 6F 00  ; the null byte that ends the chunk fills the word")
    ),
    ("CNAME of six bytes, and a whole word of null bytes", hex("81 CA 00 04  00 00 00 01  01 06 68 65 6C 6C 6F 6F  00 00 00 00")),
    ("goodbye of two sources, RFC 3550 §6.6", hex("82 CB 00 02  00 00 00 01  00 00 00 02")),
    ("goodbye with a reason", hex("81 CB 00 03  00 00 00 01  04 64 6F 6E 65 00 00 00")),
    ("application-defined, RFC 3550 §6.7", hex("85 CC 00 03  00 00 00 01  74 65 73 74  01 02 03 04")),
    (
      "generic NACK, RFC 4585 §6.2.1",
      hex(
        """
        81 CD 00 04  00 00 00 01  00 00 00 02
        FF FE 80 05          ; 65534, 65535, 1, and 14 sixteen after it
        00 20 00 00          ; 32
        """)
    ),
    ("picture loss indication, RFC 4585 §6.3.1", hex("81 CE 00 02  00 00 00 01  00 00 00 02")),
    (
      "full intra request for two streams, RFC 5104 §4.3.1",
      hex("84 CE 00 06  00 00 00 01  00 00 00 00  00 00 00 11 07 00 00 00  00 00 00 22 FF 00 00 00")
    ),
    (
      "REMB of 522022 bit/s for three sources, as libwebrtc writes it",
      hex("8F CE 00 07 12 34 56 78 00 00 00 00 52 45 4D 42 03 07 FB 93 23 45 67 89 23 45 67 8A 23 45 67 8B")
    ),
    (
      "transport-wide feedback: four packets, the second lost",
      hex(
        """
        AF CD 00 06  00 00 00 01  00 00 00 02   ; P=1 FMT=15
        FF FE 00 04                              ; base 65534, four packets
        00 00 02 09                              ; reference 2 x 64 ms, the ninth feedback
        D2 40                                    ; two bits each: 1 0 2 1
        04                                       ; 1 ms
        FF FC                                    ; 1 ms back
        08 00 02                                 ; 2 ms; padding
        """)
    ),
    (
      "congestion control feedback for two streams, RFC 8888 §3.1",
      hex(
        """
        8B CD 00 0B  00 00 00 01
        00 00 00 11  00 05 00 03     ; three packets from 5
        84 00 00 00 E4 00 00 00      ; one second ago; lost; one second ago with CE; padding
        00 00 00 22  00 09 00 02
        BF FE DF FF                  ; ECT(1), too long ago; ECT(0), no time
        00 00 00 33  FF FF 00 00     ; nothing of a third
        12 34 56 78                  ; report timestamp
        """)
    ),
  ]

  @Test("What is parsed and built again has the same bytes", arguments: fixtures)
  func identity(name: String, bytes: [UInt8]) {
    #expect(RTCPReader.validate(bytes.rawBytes, isReducedSizeAllowed: true) == nil)
    #expect(rebuildRTCP(bytes.rawBytes) == bytes)
    var reader = RTCPReader(bytes.rawBytes)
    var count = 0
    while reader.next() != nil { count += 1 }
    #expect(count == 1)
    #expect(reader.malformedCount == 0)
    #expect(reader.unknownCount == 0)
  }

  @Test("Truncated at any length, nothing is understood", arguments: fixtures)
  func truncated(name: String, bytes: [UInt8]) {
    for short in truncations(bytes) {
      #expect(RTCPReader.validate(short.rawBytes, isReducedSizeAllowed: true) != nil)
      #expect(rebuildRTCP(short.rawBytes).isEmpty)
    }
  }

  @Test("Truncated with a length that agrees, nothing traps and building stays stable", arguments: fixtures)
  func shortened(name: String, bytes: [UInt8]) {
    for words in 1..<bytes.count / 4 {
      var short = Array(bytes[..<(4 * words)])
      short[2] = 0
      short[3] = UInt8(words - 1)
      #expect(violation(ofRTCP: short.rawBytes) == nil)
    }
  }

  @Test("With any bit flipped, nothing traps and building stays stable", arguments: fixtures)
  func flipped(name: String, bytes: [UInt8]) {
    for bytes in flips(bytes) { #expect(violation(ofRTCP: bytes.rawBytes) == nil) }
  }

  @Test("A compound is read packet by packet; what is unknown is skipped and counted")
  func compound() {
    let unknown = hex("81 CF 00 02 00 00 00 01 04 00 00 00")  // XR
    let otherFeedback = hex("82 CD 00 02 00 00 00 01 00 00 00 02")
    let malformed = hex("81 C9 00 01 00 00 00 01")  // one block promised, none there
    let known = Self.fixtures.filter { !$0.name.hasPrefix("transport-wide") }.flatMap(\.bytes)
    let bytes = known + unknown + otherFeedback + malformed + Self.fixtures[12].bytes
    var reader = RTCPReader(bytes.rawBytes)
    var count = 0
    while reader.next() != nil { count += 1 }
    #expect(count == Self.fixtures.count)
    #expect(reader.unknownCount == 2)
    #expect(reader.malformedCount == 1)
    #expect(RTCPReader.validate(bytes.rawBytes, isReducedSizeAllowed: false) == nil)
  }

  static let invalid: [(String, Bool, RTCPParseFailure?)] = [
    ("", true, .badLength),
    ("80 C9 00", true, .badLength),
    ("80 C9 00 01 00 00 00 01 80", true, .badLength),
    ("40 C9 00 01 00 00 00 01", true, .badVersion),
    ("80 C9 00 01 00 00 00 01 00 C9 00 00", true, .badVersion),
    ("80 C9 00 02 00 00 00 01", true, .truncated),
    ("A0 C9 00 01 00 00 00 04 80 CB 00 00", true, .badPadding),
    ("A0 C9 00 00", true, .badPadding),
    ("A0 C9 00 01 00 00 00 00", true, .badPadding),
    ("A0 C9 00 01 00 00 00 05", true, .badPadding),
    ("81 CE 00 02 00 00 00 01 00 00 00 02", false, .notCompound),
    ("81 CE 00 02 00 00 00 01 00 00 00 02", true, nil),
    ("80 C9 00 01 00 00 00 01 81 CE 00 02 00 00 00 01 00 00 00 02", false, nil),
    ("80 C9 00 01 00 00 00 01 A0 CB 00 01 00 00 00 04", false, nil),
  ]

  @Test("The header checks of RFC 3550 §A.2, with and without reduced size (RFC 5506)", arguments: invalid)
  func validation(text: String, isReducedSizeAllowed: Bool, failure: RTCPParseFailure?) {
    #expect(RTCPReader.validate(hex(text).rawBytes, isReducedSizeAllowed: isReducedSizeAllowed) == failure)
  }

  @Test("A sender report's numbers are where RFC 3550 §6.4.1 puts them")
  func senderReport() {
    let bytes = Self.fixtures[0].bytes
    var reader = RTCPReader(bytes.rawBytes)
    guard case .senderReport(let report)? = reader.next() else {
      Issue.record("no sender report")
      return
    }
    #expect(
      report.info
        == SenderInfo(
          ssrc: SSRC(0xDEAD_BEEF), ntp: NTPTimestamp(rawValue: 0xE1C2_0F01_8000_0000), rtpTimestamp: RTPTimestamp(0x0001_0203),
          packetCount: 100, octetCount: 100_000))
    #expect(report.reportBlocks.count == 2)
    #expect(
      report.reportBlocks[0]
        == ReportBlock(
          ssrc: SSRC(0x11), fractionLost: 64, cumulativeLost: -2, extendedHighestSequenceNumber: 65_541, jitter: 32,
          lastSenderReport: 0x0F01_8000, delaySinceLastSenderReport: 0x8000))
  }

  @Test("Profile-specific words after the report blocks are passed over (RFC 3550 §6.4.3)")
  func profileExtension() {
    let bytes = hex("80 C9 00 03  00 00 00 01  AA AA AA AA  BB BB BB BB")
    #expect(rebuildRTCP(bytes.rawBytes) == hex("80 C9 00 01  00 00 00 01"))
  }

  @Test("A report block gives the round trip of RFC 3550 §6.4.1's figure: 6.125 s")
  func roundTrip() {
    var block = ReportBlock(
      ssrc: SSRC(1), fractionLost: 0, cumulativeLost: 0, extendedHighestSequenceNumber: 0, jitter: 0, lastSenderReport: 0xB705_2000,
      delaySinceLastSenderReport: 0x0005_4000)
    let now = NTPTimestamp(rawValue: 0x0000_B710_8000_0000)
    #expect(block.roundTripTime(at: now) == .milliseconds(6125))
    // A delay longer than the time since is a clock that runs apart, and no report means no round trip.
    block.delaySinceLastSenderReport = 0x000C_0000
    #expect(block.roundTripTime(at: now) == nil)
    block.lastSenderReport = 0
    #expect(block.roundTripTime(at: now) == nil)
  }

  @Test(
    "A NACK names its PID and the sixteen after it by BLP (RFC 4585 §6.2.1)",
    arguments: [
      ([7], "00 07 00 00"), ([7, 9], "00 07 00 02"), ([7, 23], "00 07 80 00"), ([7, 24], "00 07 00 00 00 18 00 00"),
      ([65535, 0, 15, 16], "FF FF 80 01 00 10 00 00"), ([3, 3, 4], "00 03 00 01"),
      (Array(100...116), "00 64 FF FF"), (Array(100...117), "00 64 FF FF 00 75 00 00"),
    ] as [([UInt16], String)])
  func nack(lost: [UInt16], pairs: String) throws {
    let numbers = lost.map { SequenceNumber($0) }
    var covered = 0
    let bytes = try #require(
      [UInt8].writing(capacity: 100) {
        covered = RTCPWriter.genericNACK(senderSSRC: SSRC(1), mediaSSRC: SSRC(2), lost: numbers.span, into: &$0)
      })
    #expect(Array(bytes[12...]) == hex(pairs))
    #expect(covered == lost.count)
    #expect(RTCPReader.validate(bytes.rawBytes, isReducedSizeAllowed: true) == nil)
  }

  @Test("A NACK without room for all says how many it named")
  func nackWithoutRoom() {
    let numbers = [1, 2, 40, 80].map { SequenceNumber($0) }
    for (capacity, expected) in [(15, 0), (16, 2), (19, 2), (20, 3), (24, 4)] {
      var covered = -1
      let bytes = [UInt8].writing(capacity: capacity) {
        covered = RTCPWriter.genericNACK(senderSSRC: SSRC(1), mediaSSRC: SSRC(2), lost: numbers.span, into: &$0)
      }
      #expect(covered == expected)
      #expect(bytes?.isEmpty == (expected == 0))
    }
  }

  @Test("REMB keeps 18 significant bits, and every exponent survives", arguments: 0..<63)
  func maximumBitrate(shift: Int64) throws {
    for value in [Int64(1) << shift, (Int64(1) << shift) - 1, 0] {
      let sources = [SSRC(7)]
      let bytes = try #require(
        [UInt8].writing(capacity: 64) {
          RTCPWriter.maximumBitrate(senderSSRC: SSRC(1), bitrate: Bitrate(bitsPerSecond: value), sources: sources.span, into: &$0)
        })
      var reader = RTCPReader(bytes.rawBytes)
      guard case .maximumBitrate(let estimate)? = reader.next() else {
        Issue.record("no REMB for \(value)")
        return
      }
      let rate = estimate.bitrate.bitsPerSecond
      #expect(rate <= value)
      #expect(value - rate <= value >> 17)
    }
  }

  @Test(
    "REMB of more than 63 bits, or with another number of sources, is refused",
    arguments: [
      "8F CE 00 04 12 34 56 78 00 00 00 00 52 45 4D 42 00 FF FF FF", "8F CE 00 04 12 34 56 78 00 00 00 00 52 45 4D 42 00 BB FF FF",
      "8F CE 00 04 12 34 56 78 00 00 00 00 52 45 4D 42 01 07 FB 93",
      "8F CE 00 05 12 34 56 78 00 00 00 00 52 45 4D 42 00 07 FB 93 00 00 00 01",
    ])
  func badMaximumBitrate(text: String) {
    let bytes = hex(text)
    var reader = RTCPReader(bytes.rawBytes)
    #expect(rebuildRTCP(bytes.rawBytes).isEmpty)
    while reader.next() != nil {}
    #expect(reader.malformedCount == 1)
  }

  @Test("What does not fit is not begun, for every type and every length", arguments: fixtures)
  func noRoom(name: String, bytes: [UInt8]) {
    for capacity in 0..<bytes.count {
      let written = [UInt8].writing(capacity: capacity) { writer in
        var reader = RTCPReader(bytes.rawBytes)
        while let packet = reader.next() {
          switch packet {
          case .genericNACK, .congestionControlFeedback, .transportFeedback: break  // may write a part; tested by themselves
          case .senderReport(let report):
            let blocks = (0..<report.reportBlocks.count).map { report.reportBlocks[$0] }
            let fits = RTCPWriter.senderReport(report.info, reportBlocks: blocks.span, into: &writer)
            #expect(!fits)
          case .goodbye(let goodbye):
            let sources = (0..<goodbye.sources.count).map { goodbye.sources[$0] }
            let fits = RTCPWriter.goodbye(sources.span, reason: goodbye.reason, into: &writer)
            #expect(!fits)
          case .pictureLossIndication(let indication):
            let fits = RTCPWriter.pictureLossIndication(indication, into: &writer)
            #expect(!fits)
          case .applicationDefined(let application):
            let fits = RTCPWriter.applicationDefined(
              subtype: application.subtype, ssrc: application.ssrc, name: application.name, data: application.data, into: &writer)
            #expect(!fits)
          default: break
          }
        }
      }
      #expect(written == [])
    }
  }

  @Test("More blocks, sources or bytes than a field can count are refused")
  func tooMany() {
    let blocks = [ReportBlock](
      repeating: ReportBlock(
        ssrc: SSRC(1), fractionLost: 0, cumulativeLost: 0, extendedHighestSequenceNumber: 0, jitter: 0, lastSenderReport: 0,
        delaySinceLastSenderReport: 0), count: 32)
    let sources = [SSRC](repeating: SSRC(1), count: 256)
    let text = [UInt8](repeating: 0x61, count: 256)
    let bytes = [UInt8].writing(capacity: 4096) { writer in
      let report = RTCPWriter.receiverReport(ssrc: SSRC(1), reportBlocks: blocks.span, into: &writer)
      #expect(!report)
      let goodbye = RTCPWriter.goodbye(sources.span, into: &writer)
      #expect(!goodbye)
      let estimate = RTCPWriter.maximumBitrate(senderSSRC: SSRC(1), bitrate: .zero, sources: sources.span, into: &writer)
      #expect(!estimate)
      let description = RTCPWriter.sourceDescription(ssrc: SSRC(1), cname: text.rawBytes, into: &writer)
      #expect(!description)
    }
    #expect(bytes == [])
  }

  @Test(
    "A description whose last chunk has no end, or whose item runs over, is refused",
    arguments: [
      "81 CA 00 02 00 00 00 01 01 02 61 62", "81 CA 00 02 00 00 00 01 01 05 61 62", "82 CA 00 02 00 00 00 01 00 00 00 00",
      "81 CA 00 00", "81 CA 00 01 00 00 00 01",
    ])
  func badDescription(text: String) {
    let bytes = hex(text)
    var reader = RTCPReader(bytes.rawBytes)
    while reader.next() != nil {}
    #expect(reader.malformedCount == 1)
  }

  @Test("Descriptions of several chunks and items are walked in order (RFC 3550 §6.5)")
  func description() {
    let bytes = hex(
      """
      83 CA 00 07
      00 00 00 01  01 02 61 62  06 01 63 00   ; CNAME "ab", TOOL "c", end
      00 00 00 03  00 00 00 00                ; no items
      00 00 00 02  01 01 64 00                ; CNAME "d", end
      """)
    var reader = RTCPReader(bytes.rawBytes)
    guard case .sourceDescription(let description)? = reader.next() else {
      Issue.record("no description")
      return
    }
    var items = description.items()
    var seen: [String] = []
    while let item = items.next() {
      seen.append("\(item.ssrc.rawValue)/\(item.type)/\(String(decoding: item.text.copyToArray(), as: UTF8.self))")
    }
    #expect(seen == ["1/1/ab", "1/6/c", "2/1/d"])
  }

  @Test("A packet metric's age survives in 1024ths of a second; what is too old or in the future says so (RFC 8888 §3.1)")
  func packetMetric() {
    #expect(PacketMetric(receivedBefore: .seconds(Int64(1))).arrivalTimeOffset == 1024)
    #expect(PacketMetric(receivedBefore: .seconds(Int64(1))).age == .seconds(Int64(1)))
    #expect(PacketMetric(receivedBefore: .milliseconds(7998)).arrivalTimeOffset == 0x1FFD)
    #expect(PacketMetric(receivedBefore: .seconds(Int64(8))).arrivalTimeOffset == PacketMetric.offsetIsOver)
    #expect(PacketMetric(receivedBefore: .seconds(Int64(1_000_000))).age == nil)
    #expect(PacketMetric(receivedBefore: .milliseconds(-1)).arrivalTimeOffset == PacketMetric.offsetIsUnavailable)
    #expect(PacketMetric(isReceived: false, ecn: .congestionExperienced, arrivalTimeOffset: 5).rawValue == 0)
    for raw in stride(from: UInt16(0x8000), through: 0xFFFE, by: 7) { #expect(PacketMetric(rawValue: raw).rawValue == raw) }
  }
}
