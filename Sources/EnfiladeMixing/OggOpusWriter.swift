// An Ogg stream of Opus packets (RFC 3533 §6, RFC 7845).

/// Puts packets of 20 ms into pages. A page is half a second, so that whoever listens is not far behind.
package struct OggOpusWriter: Sendable {
  /// Half a second.
  private static let packetsPerPage = 25
  private static let packetSampleCount: UInt64 = 960
  /// What libopus looks ahead, which a player leaves out (RFC 7845 §5.1): 6.5 ms.
  private static let preSkip: UInt16 = 312
  /// A pause longer than this is cut short: a day.
  private static let longestPause: UInt64 = 86_400 * 50

  private let channelCount: Int
  private let serial: UInt32
  private var pageNumber: UInt32 = 0
  /// Samples for each channel up to the end of the last packet.
  private var position: UInt64 = 0
  private var segments: [UInt8] = []
  private var body: [UInt8] = []
  private var packetCount = 0
  private var lastTimestamp: UInt32?
  private var ready: [UInt8] = []

  package init(channelCount: Int, serial: UInt32) {
    self.channelCount = channelCount
    self.serial = serial
  }

  /// The two pages that come first (RFC 7845 §3).
  package mutating func head() -> [UInt8] {
    var identification = Array("OpusHead".utf8) + [1, UInt8(channelCount)]
    identification += bytes(Self.preSkip) + bytes(UInt32(48_000)) + bytes(UInt16(0)) + [0]
    let vendor = Array("enfilade".utf8)
    let comment = Array("OpusTags".utf8) + bytes(UInt32(vendor.count)) + vendor + bytes(UInt32(0))
    return page(segments: [UInt8(identification.count)], body: identification, flags: 2, position: 0)
      + page(segments: [UInt8(comment.count)], body: comment, flags: 0, position: 0)
  }

  /// Adds a packet. The time between it and the one before is filled with packets that say nothing, so that every moment keeps its place
  /// (RFC 7845 §4.1).
  ///
  /// - Parameter timestamp: of its first sample, at 48 kHz.
  package mutating func append(_ payload: [UInt8], timestamp: UInt32) {
    guard let first = payload.first, payload.count <= 254 * 255 else { return }
    if let lastTimestamp {
      let gap = Int64(Int32(bitPattern: timestamp &- lastTimestamp)) / Int64(Self.packetSampleCount) - 1
      // One frame of no bytes: the decoder makes something up, which after the last packets of a talk is silence (RFC 6716 §3.1).
      for _ in 0..<min(UInt64(max(0, gap)), Self.longestPause) { add([first & 0xFC]) }
    }
    lastTimestamp = timestamp
    add(payload)
  }

  /// The pages that are full.
  package mutating func takePage() -> [UInt8]? {
    guard !ready.isEmpty else { return nil }
    defer { ready = [] }
    return ready
  }

  /// The last page.
  package mutating func finish() -> [UInt8] {
    defer { (segments, body, ready) = ([], [], []) }
    return ready + page(segments: segments, body: body, flags: 4, position: position)
  }

  private mutating func add(_ payload: [UInt8]) {
    let segmentCount = payload.count / 255 + 1
    if packetCount >= Self.packetsPerPage || segments.count + segmentCount > 255 { flush() }
    for _ in 0..<segmentCount - 1 { segments.append(255) }
    segments.append(UInt8(payload.count % 255))
    body += payload
    packetCount += 1
    position += Self.packetSampleCount
  }

  private mutating func flush() {
    guard packetCount > 0 else { return }
    ready += page(segments: segments, body: body, flags: 0, position: position)
    (segments, body, packetCount) = ([], [], 0)
  }

  /// - Parameter flags: 2 begins the stream, 4 ends it.
  private mutating func page(segments: [UInt8], body: [UInt8], flags: UInt8, position: UInt64) -> [UInt8] {
    var page = Array("OggS".utf8) + [0, flags] + bytes(position) + bytes(serial) + bytes(pageNumber) + bytes(UInt32(0))
    page += [UInt8(segments.count)] + segments + body
    pageNumber += 1
    let checksum = bytes(Self.checksum(page))
    for index in 0..<4 { page[22 + index] = checksum[index] }
    return page
  }

  private func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> Number($0 * 8)) }
  }

  /// CRC-32 with the polynomial 0x04C11DB7, nothing reflected (RFC 3533 §6).
  package static func checksum(_ bytes: [UInt8]) -> UInt32 {
    let table = table
    var checksum: UInt32 = 0
    for byte in bytes { checksum = checksum << 8 ^ table[Int(UInt8(truncatingIfNeeded: checksum >> 24) ^ byte)] }
    return checksum
  }

  private static let table: [UInt32] = (0..<256).map { index in
    var value = UInt32(index) << 24
    for _ in 0..<8 { value = value & 0x8000_0000 != 0 ? value << 1 ^ 0x04C1_1DB7 : value << 1 }
    return value
  }
}
