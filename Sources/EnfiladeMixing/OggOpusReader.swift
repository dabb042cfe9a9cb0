// Opus packets from an Ogg stream (RFC 3533 §6, RFC 7845), piece by piece as the bytes come.
//
//     page ── page ── …        a page that is whole and unharmed gives the packets that end on it
//     OpusHead ── OpusTags ── sound

import EnfiladeWire

/// A packet of a file, and what of it is to be heard.
package struct FilePacket: Hashable, Sendable {
  package var payload: [UInt8]
  /// At 48 kHz.
  package var sampleCount: Int
  /// Samples at its beginning that belong to the pre-skip (RFC 7845 §4.2).
  package var leading = 0
  /// Samples at its end that lie behind the end of the stream (RFC 7845 §4.4).
  package var trailing = 0

  package init(payload: [UInt8], sampleCount: Int) {
    self.payload = payload
    self.sampleCount = sampleCount
  }

  /// Nothing of it is to be heard.
  package var isSilent: Bool { leading + trailing >= sampleCount }
}

/// Reads the first Opus stream of a file, in one or two channels. Keeps a page, and a packet that goes on from one page to the next.
package struct OggOpusReader: Sendable {
  /// What the identification header says (RFC 7845 §5.1).
  package struct Head: Hashable, Sendable {
    package var channelCount: Int
    /// Samples at 48 kHz to leave out at the beginning.
    package var preSkip: Int
    /// In 1/256 dB.
    package var outputGain: Int
  }

  /// What a file's bytes were not used for.
  package struct Statistics: Hashable, Sendable {
    /// Pages whose checksum does not fit, and bytes between pages.
    package var damagedPages = 0
    package var strayBytes = 0
    /// Packets that are no Opus, or larger than is kept.
    package var malformedPackets = 0
    package init() {}
  }

  private enum Phase { case head, tags, sound, over }

  /// The largest page (RFC 3533 §6): 27 bytes, 255 lengths, 255 segments of 255 bytes.
  private static let largestPage = 27 + 255 + 255 * 255
  /// The largest packet that is kept: two channels of 120 ms (RFC 7845 §4).
  private static let largestPacket = 15_318

  package private(set) var head: Head?
  package private(set) var statistics = Statistics()
  private var phase = Phase.head
  private var pending: [UInt8] = []
  private var serial: UInt32?
  private var packet: [UInt8] = []
  /// The packet that goes on is too large, or its beginning is missing.
  private var isUnusable = false
  /// The end of the last page's sound on the stream's line, in samples; `nil` before the first.
  private var position: Int64?
  private var skipLeft = 0
  private var packets: [FilePacket] = []

  package init() {}

  /// The stream is over; what comes is passed over.
  package var isOver: Bool { phase == .over }

  /// Takes the next bytes of the file, and gives the packets that are whole.
  package mutating func read(_ bytes: some Collection<UInt8>) throws(SoundFileError) -> [FilePacket] {
    guard phase != .over else { return [] }
    pending += bytes
    var offset = 0
    while phase != .over, try readPage(&offset) {}
    pending.removeFirst(phase == .over ? pending.count : offset)
    defer { packets = [] }
    return packets
  }

  /// The file is over. - Throws: where it ended before its sound began.
  package func finish() throws(SoundFileError) {
    if phase == .head || phase == .tags { throw .truncated }
  }

  // MARK: Pages

  /// Takes the next page, if it is there as a whole.
  private mutating func readPage(_ offset: inout Int) throws(SoundFileError) -> Bool {
    guard pending.count - offset >= 27 else { return false }
    guard pending[offset] == 0x4F, pending[offset + 1] == 0x67, pending[offset + 2] == 0x67, pending[offset + 3] == 0x53 else {
      guard serial != nil else { throw .unknownFormat }
      statistics.strayBytes += 1
      offset += 1
      return true
    }
    let segmentCount = Int(pending[offset + 26])
    guard pending.count - offset >= 27 + segmentCount else { return false }
    var byteCount = 27 + segmentCount
    for index in 0..<segmentCount { byteCount += Int(pending[offset + 27 + index]) }
    guard pending.count - offset >= byteCount else { return false }
    guard isIntact(offset..<offset + byteCount) else {
      statistics.damagedPages += 1
      isUnusable = true
      // What it says of its length may be wrong, too: the next page is looked for.
      offset += 4
      if serial == nil { throw .malformed("its first page is damaged") }
      return true
    }
    try take(offset, segmentCount: segmentCount)
    offset += byteCount
    return true
  }

  private func isIntact(_ page: Range<Int>) -> Bool {
    var bytes = Array(pending[page])
    let stored = number(at: page.lowerBound + 22, byteCount: 4)
    for index in 22..<26 { bytes[index] = 0 }
    return UInt64(OggOpusWriter.checksum(bytes)) == stored
  }

  private mutating func take(_ offset: Int, segmentCount: Int) throws(SoundFileError) {
    let flags = pending[offset + 5]
    let stream = UInt32(number(at: offset + 14, byteCount: 4))
    guard pending[offset + 4] == 0 else { throw .malformed("its pages are of version \(pending[offset + 4])") }
    if serial == nil {
      let body = offset + 27 + segmentCount
      let isOpus = segmentCount > 0 && pending[offset + 27] >= 8 && Array(pending[body..<body + 8]) == Array("OpusHead".utf8)
      // Other streams of the file begin before or behind ours (RFC 3533 §4), and are none of ours.
      guard flags & 2 != 0 else { throw .unsupported("no stream of it is Opus") }
      guard isOpus else { return }
      serial = stream
    }
    guard stream == serial else { return }
    // RFC 3533 §6: whether the page begins with the rest of a packet.
    if flags & 1 == 0 {
      if !packet.isEmpty { statistics.malformedPackets += 1 }
      packet = []
      isUnusable = false
    } else if packet.isEmpty {
      isUnusable = true
    }
    let first = packets.count
    try takeSegments(offset, segmentCount: segmentCount)
    settlePositions(from: first, granule: Int64(bitPattern: number(at: offset + 6, byteCount: 8)), isLast: flags & 4 != 0)
    if flags & 4 != 0, phase == .sound { phase = .over }
  }

  private mutating func takeSegments(_ offset: Int, segmentCount: Int) throws(SoundFileError) {
    var place = offset + 27 + segmentCount
    for index in 0..<segmentCount {
      let byteCount = Int(pending[offset + 27 + index])
      // Tags may hold pictures: nothing but their beginning is kept.
      if packet.count + byteCount <= Self.largestPacket {
        packet += pending[place..<place + byteCount]
      } else if phase != .tags {
        isUnusable = true
      }
      place += byteCount
      guard byteCount < 255 else { continue }
      try takePacket()
      packet = []
      isUnusable = false
    }
  }

  // MARK: Packets

  private mutating func takePacket() throws(SoundFileError) {
    switch phase {
    case .head:
      let head = try Self.readHead(packet)
      self.head = head
      skipLeft = head.preSkip
      phase = .tags
    case .tags:
      guard packet.starts(with: Array("OpusTags".utf8)) else { throw .malformed("its second packet is no OpusTags") }
      phase = .sound
    case .sound:
      guard !isUnusable, let sampleCount = OpusPacket.sampleCount(of: packet) else {
        statistics.malformedPackets += 1
        return
      }
      packets.append(FilePacket(payload: packet, sampleCount: sampleCount))
    case .over: break
    }
  }

  private static func readHead(_ packet: [UInt8]) throws(SoundFileError) -> Head {
    guard packet.count >= 19, packet.starts(with: Array("OpusHead".utf8)) else { throw .malformed("its first packet is no OpusHead") }
    // RFC 7845 §5.1: the upper half tells what cannot be read.
    guard packet[8] & 0xF0 == 0 else { throw .unsupported("version \(packet[8]) of the mapping") }
    let channelCount = Int(packet[9])
    let family = packet[18]
    guard 1...2 ~= channelCount, family == 0 else {
      throw .unsupported("\(channelCount) channels by the mapping family \(family)")
    }
    let gain = Int16(bitPattern: UInt16(packet[16]) | UInt16(packet[17]) << 8)
    return Head(channelCount: channelCount, preSkip: Int(packet[10]) | Int(packet[11]) << 8, outputGain: Int(gain))
  }

  /// Finds what of a page's packets is to be heard. The granule position is that of the end of the last packet that ends on the page
  /// (RFC 7845 §4); less than that at the end of the stream cuts off what is too much.
  private mutating func settlePositions(from first: Int, granule: Int64, isLast: Bool) {
    guard phase == .sound, packets.count > first else { return }
    let total = packets[first...].reduce(0) { $0 + $1.sampleCount }
    // −1: no packet ends here, which is not so. What is no position tells nothing.
    let hasPosition = granule >= 0 && granule < Int64.max / 2
    let expected = (position ?? (hasPosition && !isLast ? granule - Int64(total) : 0)) + Int64(total)
    if isLast, hasPosition, granule < expected {
      var excess = Int(min(Int64(total), expected - granule))
      for index in packets.indices.reversed() where index >= first && excess > 0 {
        packets[index].trailing = min(excess, packets[index].sampleCount)
        excess -= packets[index].trailing
      }
    }
    position = hasPosition && !isLast ? granule : expected
    for index in packets.indices where index >= first && skipLeft > 0 {
      packets[index].leading = min(skipLeft, packets[index].sampleCount)
      skipLeft -= packets[index].leading
    }
  }

  private func number(at position: Int, byteCount: Int) -> UInt64 {
    var number: UInt64 = 0
    for index in 0..<byteCount { number |= UInt64(pending[position + index]) << UInt64(8 * index) }
    return number
  }
}

/// What can be known of an Opus packet without decoding it.
package enum OpusPacket {
  /// How many samples at 48 kHz a packet stands for (RFC 6716 §3.1, §3.2); `nil` when it is none, or longer than 120 ms.
  package static func sampleCount(of packet: [UInt8]) -> Int? {
    guard let first = packet.first else { return nil }
    let configuration = Int(first >> 3)
    let frame =
      switch configuration {
      // SILK: 10, 20, 40, 60 ms. Hybrid: 10, 20. CELT: 2.5, 5, 10, 20.
      case 0..<12: [480, 960, 1_920, 2_880][configuration & 3]
      case 12..<16: [480, 960][configuration & 1]
      default: 120 << (configuration & 3)
      }
    let frameCount: Int
    switch first & 3 {
    case 0: frameCount = 1
    case 1:
      guard packet.count & 1 == 1 else { return nil }
      frameCount = 2
    case 2: frameCount = 2
    default:
      guard packet.count > 1 else { return nil }
      frameCount = Int(packet[1] & 0x3F)
    }
    let count = frame * frameCount
    return frameCount > 0 && count <= Limits.audioPacketSampleCount ? count : nil
  }

  /// Twenty milliseconds of silence that every decoder reads: one CELT frame over the whole band, of which nothing is coded (RFC 6716 §4.3).
  package static func silence(isStereo: Bool) -> [UInt8] { [isStereo ? 0xFC : 0xF8, 0xFF, 0xFE] }
}
