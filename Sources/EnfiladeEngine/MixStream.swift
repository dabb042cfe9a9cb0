// One mixture as a publication: numbers of its own, and the shards that have listeners of it.

import EnfiladeMixing
import EnfiladeRTP
import EnfiladeStreams
import EnfiladeWire

/// A variant of a room's mixture on its way to the shards.
struct MixStream {
  /// The identifier of the levels (RFC 6465) in packets of ours; every shard rewrites it to what its subscribers negotiated.
  static let levelsIdentifier: UInt8 = 1
  /// The same, of the level of what is played (RFC 6464).
  static let levelIdentifier: UInt8 = 2
  /// Any: subscribers are sent the type that they negotiated.
  private static let payloadType = PayloadType(111)
  /// Opus, or one of the two of G.711.
  let format: MediaFormat

  /// The publication's number at its worker, and its place on the lanes.
  let number: Int32
  let serial: UInt32
  let ssrc: SSRC
  var sequence: ExtendedSequenceNumber
  /// Lanes to the shards that have listeners of it.
  var ports: [Int32] = []

  static var extensions: ExtensionMap {
    var map = ExtensionMap()
    map[.contributorAudioLevels] = levelsIdentifier
    map[.audioLevel] = levelIdentifier
    return map
  }

  /// Writes a packet of the mixture (RFC 3550 §5.1, RFC 6465 §3).
  ///
  /// - Returns: its length, or `nil` when it does not fit.
  @_lifetime(bytes: copy bytes)
  func write(_ output: borrowing AudioMixer.Output, payload: RawSpan, into bytes: inout MutableRawSpan) -> Int? {
    let count = output.contributorCount
    // A header, the contributors, and one element of one byte for each of them, in whole words.
    let levelsByteCount = count == 0 ? 0 : 4 + (1 + count + 3) / 4 * 4
    let start = 12 + 4 * count + levelsByteCount
    guard start + payload.byteCount <= PacketStore.noteOffset else { return nil }
    let first = UInt32(2) << 30 | (count > 0 ? 0x1000_0000 : 0) | UInt32(count) << 24 | UInt32(Self.payloadType.rawValue) << 16
    bytes.storeUInt32(first | UInt32(sequence.wire.rawValue), at: 0)
    bytes.storeUInt32(output.timestamp.rawValue, at: 4)
    bytes.storeUInt32(ssrc.rawValue, at: 8)
    for index in 0..<count { bytes.storeUInt32(output.contributors[index].rawValue, at: 12 + 4 * index) }
    if count > 0 {
      let offset = 12 + 4 * count
      bytes.storeUInt32(0xBEDE_0000 | UInt32((levelsByteCount - 4) / 4), at: offset)
      bytes.storeUInt8(Self.levelsIdentifier << 4 | UInt8(count - 1), at: offset + 4)
      for index in 0..<count { bytes.storeUInt8(output.levels[index] & 0x7F, at: offset + 5 + index) }
      for place in offset + 5 + count..<start { bytes.storeUInt8(0, at: place) }
    }
    for index in 0..<payload.byteCount { bytes.storeUInt8(payload.loadUInt8(at: index), at: start + index) }
    return start + payload.byteCount
  }

  /// Writes a packet of something that is played (RFC 3550 §5.1, RFC 6464 §3).
  ///
  /// - Returns: its length, or `nil` when it does not fit.
  @_lifetime(bytes: copy bytes)
  func write(timestamp: RTPTimestamp, marker: Bool, level: AudioLevel?, payload: RawSpan, into bytes: inout MutableRawSpan) -> Int? {
    let start = level == nil ? 12 : 20
    guard start + payload.byteCount <= PacketStore.noteOffset else { return nil }
    let type = UInt32(marker ? 0x80 : 0) | UInt32(Self.payloadType.rawValue)
    bytes.storeUInt32(UInt32(2) << 30 | (level == nil ? 0 : 0x1000_0000) | type << 16 | UInt32(sequence.wire.rawValue), at: 0)
    bytes.storeUInt32(timestamp.rawValue, at: 4)
    bytes.storeUInt32(ssrc.rawValue, at: 8)
    if let level {
      bytes.storeUInt32(0xBEDE_0001, at: 12)
      bytes.storeUInt32(UInt32(Self.levelIdentifier) << 28 | UInt32(level.byte) << 16, at: 16)
    }
    for index in 0..<payload.byteCount { bytes.storeUInt8(payload.loadUInt8(at: index), at: start + index) }
    return start + payload.byteCount
  }
}
