// What a generated frame really is, written at the end of each of its packets: the model decoder believes this and nothing else.

struct FrameTruth: Hashable, Sendable {
  /// Which run of an encoder.
  var source: UInt32
  /// Counts the frames of the source.
  var frame: UInt32
  var captureMilliseconds: UInt32
  var spatialID: UInt8
  var temporalID: UInt8
  var isKeyPicture: Bool
  var packetIndex: UInt8
  var packetCount: UInt8
  /// Frames of the same source.
  var references: [UInt32]

  /// The trailer's bytes.
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    func append(_ value: UInt32) { for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) } }
    append(source)
    append(frame)
    append(captureMilliseconds)
    bytes += [spatialID, temporalID, isKeyPicture ? 1 : 0, packetIndex, packetCount]
    for reference in references { append(reference) }
    bytes.append(UInt8(references.count))
    return bytes
  }

  init(
    source: UInt32, frame: UInt32, captureMilliseconds: UInt32, spatialID: Int, temporalID: Int, isKeyPicture: Bool, packetIndex: Int,
    packetCount: Int, references: [UInt32]
  ) {
    self.source = source
    self.frame = frame
    self.captureMilliseconds = captureMilliseconds
    self.spatialID = UInt8(spatialID)
    self.temporalID = UInt8(temporalID)
    self.isKeyPicture = isKeyPicture
    self.packetIndex = UInt8(packetIndex)
    self.packetCount = UInt8(packetCount)
    self.references = references
  }

  init(trailerOf payload: [UInt8]) {
    let count = Int(payload[payload.count - 1])
    var offset = payload.count - (18 + 4 * count)
    func read() -> UInt32 {
      defer { offset += 4 }
      return payload[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
    source = read()
    frame = read()
    captureMilliseconds = read()
    spatialID = payload[offset]
    temporalID = payload[offset + 1]
    isKeyPicture = payload[offset + 2] == 1
    packetIndex = payload[offset + 3]
    packetCount = payload[offset + 4]
    offset += 5
    references = (0..<count).map { _ in read() }
  }
}
