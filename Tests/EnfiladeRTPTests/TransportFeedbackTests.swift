// Transport-wide feedback against draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.

import EnfiladeRTP
import EnfiladeWire
import Testing

@Suite("Transport-wide feedback")
struct TransportFeedbackTests {
  /// A feedback around chunks and deltas, padded as it must be.
  static func packet(base: UInt16 = 100, count: UInt16, reference: UInt32 = 1, tail: String) -> [UInt8] {
    var bytes = hex("8F CD 00 00 00 00 00 01 00 00 00 02")
    bytes += [UInt8(base >> 8), UInt8(base & 0xFF), UInt8(count >> 8), UInt8(count & 0xFF)]
    bytes += [UInt8(reference >> 16 & 0xFF), UInt8(reference >> 8 & 0xFF), UInt8(reference & 0xFF), 7]
    bytes += hex(tail)
    let padding = (4 - bytes.count % 4) % 4
    if padding > 0 {
      bytes += [UInt8](repeating: 0, count: padding - 1) + [UInt8(padding)]
      bytes[0] |= 0x20
    }
    bytes[3] = UInt8(bytes.count / 4 - 1)
    return bytes
  }

  /// What a feedback says: `nil` for lost, else ticks. `nil` when it is refused.
  static func ticks(_ bytes: [UInt8]) -> [Int32?]? {
    var reader = RTCPReader(bytes.rawBytes)
    guard case .transportFeedback(let feedback)? = reader.next() else { return nil }
    var statuses = feedback.statuses()
    var result: [Int32?] = []
    var number = feedback.baseSequenceNumber
    while let status = statuses.next() {
      #expect(status.sequenceNumber == number)
      number &+= 1
      result.append(status.ticks)
    }
    #expect(result.count == feedback.statusCount)
    return result
  }

  // MARK: The draft's examples

  @Test("0x00DD is a run of 221 packets not received (§3.1.3)")
  func runOfLosses() {
    #expect(Self.ticks(Self.packet(count: 221, tail: "00 DD")) == [Int32?](repeating: nil, count: 221))
  }

  @Test("0x6018 is a run of 24 packets of the reserved symbol, which is refused as libwebrtc refuses it (§3.1.3)")
  func runOfReserved() {
    #expect(Self.ticks(Self.packet(count: 24, tail: "60 18")) == nil)
  }

  @Test("0x9F1C is 0 11111 000 111 00 in single bits (§3.1.4)")
  func vectorOfOneBit() {
    #expect(
      Self.ticks(Self.packet(count: 14, tail: "9F 1C  04 04 04 04 04 08 08 08"))
        == [nil, 4, 8, 12, 16, 20, nil, nil, nil, 28, 36, 44, nil, nil])
  }

  @Test("0xCD50 is 0 3 1 1 1 0 0 in pairs of bits, and its reserved symbol is refused; with 2 in its place it is read (§3.1.4)")
  func vectorOfTwoBits() {
    #expect(Self.ticks(Self.packet(count: 7, tail: "CD 50  01 01 01 01 01")) == nil)
    #expect(Self.ticks(Self.packet(count: 7, tail: "C9 50  FF FF 02 03 04")) == [nil, -1, 1, 4, 8, nil, nil])
  }

  // MARK: Reading

  @Test("Deltas are of one byte unsigned and of two bytes signed, summed from the reference time (§3.1.5)")
  func deltas() {
    #expect(Self.ticks(Self.packet(count: 4, tail: "DA 40  FF  80 00  7F FF 00")) == [255, -32_513, 254, 254])
  }

  @Test("A run longer than the count means no more than the count")
  func clampedRun() {
    #expect(Self.ticks(Self.packet(count: 2, tail: "3F FF  01 02")) == [1, 3])
  }

  @Test("The rest of a last vector means nothing, not even a reserved symbol")
  func clampedVector() {
    #expect(Self.ticks(Self.packet(count: 2, tail: "D7 FF  01 02")) == [1, 3])
  }

  @Test("Feedback without times says what was received")
  func withoutTimes() {
    let bytes = Self.packet(count: 30, tail: "20 1E")
    #expect(Self.ticks(bytes) == [Int32?](repeating: nil, count: 30))
    var reader = RTCPReader(bytes.rawBytes)
    guard case .transportFeedback(let feedback)? = reader.next() else {
      Issue.record("refused")
      return
    }
    let hasTimes = feedback.hasTimes
    #expect(!hasTimes)
    var statuses = feedback.statuses()
    while let status = statuses.next() { #expect(status.isReceived) }
    // Some deltas but not all are no feedback at all.
    #expect(Self.ticks(Self.packet(count: 30, tail: "20 1E  01 02 03 04 05 06")) == nil)
  }

  @Test(
    "No packets, no chunks, or chunks that end before the count are refused",
    arguments: [(0, "20 01 00"), (1, ""), (30, "20 1D"), (15, "80 00"), (5, "20 00 20 00")])
  func refused(count: UInt16, tail: String) {
    #expect(Self.ticks(Self.packet(count: count, tail: tail)) == nil)
  }

  // MARK: Building

  static func build(
    _ packets: [(number: Int64, microseconds: Int64)], base: Int64? = nil, capacity: Int = 1500, maximumByteCount: Int = .max
  ) -> (bytes: [UInt8], covered: Int) {
    let arrivals = packets.map {
      TransportArrival(sequenceNumber: ExtendedSequenceNumber($0.number), arrival: .zero + .microseconds($0.microseconds))
    }
    var covered = 0
    let bytes = [UInt8].writing(capacity: capacity) {
      covered = RTCPWriter.transportFeedback(
        senderSSRC: SSRC(1), mediaSSRC: SSRC(2), feedbackCount: 7, base: ExtendedSequenceNumber(base ?? packets[0].number),
        arrivals: arrivals.span, maximumByteCount: maximumByteCount, into: &$0)
    }
    return (bytes ?? [], covered)
  }

  static func chunks(_ bytes: [UInt8], _ count: Int) -> [String] {
    (0..<count).map { String(UInt16(bytes[20 + 2 * $0]) << 8 | UInt16(bytes[21 + 2 * $0]), radix: 16) }
  }

  @Test("Packets at even distance are one run of small deltas")
  func evenRun() {
    let (bytes, covered) = Self.build((0..<20).map { (100 + $0, 64_000 + 1000 * $0) })
    #expect(covered == 20)
    #expect(bytes == Self.packet(count: 20, tail: "20 14 00" + String(repeating: " 04", count: 19)))
  }

  @Test(
    "Chunks are chosen by what they cover",
    arguments: [
      // Losses among small deltas: single bits.
      ([1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1], ["addf"]),
      // A large delta among them: pairs.
      ([1, 0, 2, 1, 0, 1, 1], ["d245"]),
      // A run beats a vector when it covers more, and when it covers the same.
      ([1] + [Int](repeating: 0, count: 30) + [1], ["a000", "11", "2001"]),
      ([1, 1, 1, 1, 1, 1, 1, 1, 2, 2], ["2008", "4002"]),
      // At the end, a vector says what is left.
      ([1, 0, 1], ["a800"]),
      ([0, 1], ["9000"]),
      // Fourteen where the last is large cannot be single bits.
      ([1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2], ["d155", "d556"]),
    ] as [([Int], [String])])
  func choice(symbols: [Int], expected: [String]) {
    var packets: [(number: Int64, microseconds: Int64)] = []
    var time: Int64 = 64_000_000
    for (index, symbol) in symbols.enumerated() where symbol != 0 {
      time += symbol == 1 ? 1_000 : 70_000
      packets.append((Int64(index), time))
    }
    let (bytes, covered) = Self.build(packets, base: 0)
    #expect(covered == packets.count)
    let found = Self.chunks(bytes, expected.count)
    #expect(found == expected)
  }

  @Test("A gap of more than 8 s between two packets ends the feedback; the rest goes into the next (§3.1.5)")
  func tooFarApart() {
    let packets: [(number: Int64, microseconds: Int64)] = [(1, 1_000_000), (2, 2_000_000), (3, 10_200_000), (4, 10_201_000)]
    let (_, covered) = Self.build(packets)
    #expect(covered == 2)
    #expect(Self.build(Array(packets[2...])).covered == 2)
    // The largest that fits, both ways.
    #expect(Self.build([(1, 64_000_000), (2, 64_000_000 + 32_767 * 250)]).covered == 2)
    #expect(Self.build([(1, 64_000_000), (2, 64_000_000 + 32_768 * 250)]).covered == 1)
    #expect(Self.build([(1, 64_000_000), (2, 64_000_000 - 32_768 * 250)]).covered == 2)
    #expect(Self.build([(1, 64_000_000), (2, 64_000_000 - 32_769 * 250)]).covered == 1)
  }

  @Test("A feedback spans at most 2^15 numbers")
  func tooWide() {
    #expect(Self.build([(0, 0), (0x7FFF, 0)]).covered == 2)
    #expect(Self.build([(0, 0), (0x8000, 0)]).covered == 1)
    #expect(Self.build([(0x8000, 0)], base: 0).covered == 0)
  }

  @Test("Into any room goes the largest feedback that fits, and nothing when none does")
  func anyRoom() {
    var packets: [(number: Int64, microseconds: Int64)] = []
    for index in Int64(0)..<60 { packets.append((index * 3 / 2, 64_000 + 20_000 * (index % 7) + 100 * index)) }
    var last = 0
    for room in 0..<200 {
      let (bytes, covered) = Self.build(packets, capacity: room)
      #expect(bytes.count <= room)
      #expect(bytes.isEmpty == (covered == 0))
      #expect(covered >= last)
      // One more would not have fitted.
      if covered < packets.count { #expect(Self.build(Array(packets[...covered])).bytes.count > room & ~3) }
      #expect(Self.build(packets, maximumByteCount: room).covered == covered)
      last = covered
    }
    #expect(last == packets.count)
  }

  @Test("Numbers wrap, and the reference time wraps after 2^24 steps of 64 ms")
  func wraps() {
    let (bytes, covered) = Self.build([(65_534, (1 << 24) * 64_000 + 1_000), (65_537, (1 << 24) * 64_000 + 2_000)])
    #expect(covered == 2)
    #expect(Self.ticks(bytes) == [4, nil, nil, 8])
    #expect(Array(bytes[12..<20]) == hex("FF FE 00 04 00 00 00 07"))
  }

  @Test("What is built says the same times, rounded down to 250 µs, for any arrivals", arguments: 0..<300)
  func roundTrip(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var packets: [(number: Int64, microseconds: Int64)] = []
    var number = Int64.random(in: 0...200_000, using: &random)
    var time = Int64.random(in: 0...20_000_000_000, using: &random)
    let lossOneIn = Int.random(in: 1...40, using: &random)
    let base = number - Int64.random(in: 0...20, using: &random)
    for _ in 0..<Int.random(in: 1...400, using: &random) {
      packets.append((number, max(0, time)))
      number += 1
      if Int.random(in: 0..<lossOneIn, using: &random) == 0 { number += Int64.random(in: 0...30, using: &random) }
      switch Int.random(in: 0..<10, using: &random) {
      case 0: time += Int64.random(in: -100_000...200_000, using: &random)
      case 1: time += 0
      default: time += Int64.random(in: 0...10_000, using: &random)
      }
    }
    var rest = packets[...]
    var start = base
    while !rest.isEmpty {
      let (bytes, covered) = Self.build(Array(rest), base: start, maximumByteCount: 300)
      try #require(covered > 0)
      #expect(bytes.count <= 300)
      #expect(RTCPReader.validate(bytes.rawBytes, isReducedSizeAllowed: true) == nil)
      let expected = rest.prefix(covered)
      let ticks = try #require(Self.ticks(bytes))
      var reader = RTCPReader(bytes.rawBytes)
      guard case .transportFeedback(let feedback)? = reader.next() else { return }
      #expect(Int64(ticks.count) == expected.last!.number - start + 1)
      var wanted = [Int64?](repeating: nil, count: ticks.count)
      for packet in expected { wanted[Int(packet.number - start)] = (packet.microseconds / 250) & 0xFFFF_FFFF }
      let reference = Int64(feedback.referenceTime) * 256
      #expect(ticks.map { $0.map { (reference + Int64($0)) & 0xFFFF_FFFF } } == wanted)
      start = expected.last!.number + 1
      rest = rest.dropFirst(covered)
    }
  }

  @Test("Looking one chunk ahead costs at most a tenth more chunks than the best choice", arguments: 0..<50)
  func chunkCount(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let mode = Int(seed % 5)
    var symbols = (0..<300).map { _ -> Int in
      switch Int.random(in: 0..<20, using: &random) {
      case 0..<mode: 0
      case 18, 19: mode % 2 == 0 ? 1 : 2
      default: 1
      }
    }
    symbols[0] = 1
    symbols[299] = 1
    var packets: [(number: Int64, microseconds: Int64)] = []
    var time: Int64 = 64_000_000
    for (index, symbol) in symbols.enumerated() where symbol != 0 {
      time += symbol == 1 ? 1_000 : 70_000
      packets.append((Int64(index), time))
    }
    let (bytes, covered) = Self.build(packets)
    #expect(covered == packets.count)
    let deltas = symbols.reduce(0, +)
    let chunkCount = (bytes.count - (bytes[0] & 0x20 != 0 ? Int(bytes.last!) : 0) - 20 - deltas) / 2
    // The best choice, by dynamic programming from the end.
    var best = [Int](repeating: Int.max / 2, count: symbols.count + 1)
    best[symbols.count] = 0
    for start in (0..<symbols.count).reversed() {
      var end = start
      while end < symbols.count, symbols[end] == symbols[start] {
        end += 1
        best[start] = min(best[start], 1 + best[end])
      }
      for (length, largest) in [(14, 1), (7, 2)] {
        let stop = min(start + length, symbols.count)
        if symbols[start..<stop].allSatisfy({ $0 <= largest }) { best[start] = min(best[start], 1 + best[stop]) }
      }
    }
    #expect(chunkCount >= best[0])
    #expect(chunkCount <= best[0] + max(1, best[0] / 10))
  }
}
