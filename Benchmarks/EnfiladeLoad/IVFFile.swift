// Reads IVF files: the frames of one encoded video, as encoders write them.

package import EnfiladeWire
import Foundation

/// A recorded VP8 video that begins with a key frame.
package struct IVFFile: Sendable {
  /// One frame.
  package struct Frame: Sendable {
    package let bytes: [UInt8]
    package let isKeyframe: Bool
  }

  package let frames: [Frame]
  package let framesPerSecond: Int

  /// A minute at 60 frames per second.
  package static let frameLimit = 3600
  private static let headerByteCount = 32

  /// Reads a file.
  package init(contentsOf path: String) throws(LoadError) {
    guard let data = FileManager.default.contents(atPath: path) else { throw .badRecording("cannot read \(path)") }
    try self.init(parsing: [UInt8](data))
  }

  package init(parsing bytes: [UInt8]) throws(LoadError) {
    var reader = ByteReader(bytes.rawBytes)
    // Signature, version, header size, codec, width and height, rate and scale of the clock, number of frames; all little-endian.
    guard bytes.starts(with: Array("DKIF".utf8)), reader.skip(6), let headerSize = reader.readUInt16()?.byteSwapped,
      headerSize == Self.headerByteCount, let codec = reader.readUInt32(), codec == 0x5650_3830, reader.skip(4),
      let rate = reader.readUInt32()?.byteSwapped, let scale = reader.readUInt32()?.byteSwapped, reader.skip(8), scale > 0,
      (1...240).contains(rate / scale)
    else { throw .badRecording("no IVF file with VP8 of 1 to 240 frames per second") }
    framesPerSecond = Int(rate / scale)
    var frames: [Frame] = []
    while !reader.isAtEnd {
      guard let count = reader.readUInt32()?.byteSwapped, reader.skip(8), count > 0, let frame = reader.readBytes(Int(count)) else {
        throw .badRecording("it ends in the middle of a frame")
      }
      guard frames.count < Self.frameLimit else { throw .badRecording("more than \(Self.frameLimit) frames") }
      // RFC 6386 §9.1: the lowest bit is zero in a key frame.
      let isKeyframe = frame.byte(at: 0) & 1 == 0
      frames.append(Frame(bytes: (0..<Int(count)).map { frame.byte(at: $0) }, isKeyframe: isKeyframe))
    }
    guard frames.first?.isKeyframe == true else { throw .badRecording("it does not begin with a key frame") }
    self.frames = frames
  }
}

/// The frames of a recording cut into packets, over and over; a request for a key frame begins anew.
package struct RecordedTraffic: Sendable {
  /// A piece of a frame.
  package struct Piece: Hashable, Sendable {
    package var frame: Int
    package var range: Range<Int>
  }

  /// The descriptor in front of each piece: flags and a picture id of 15 bits (RFC 7741 §4.2).
  package static let descriptorByteCount = 4
  private static let ticksPerSecond: Int64 = 90_000
  private static let gap = TimeDelta.microseconds(50)

  package let file: IVFFile
  private let payloadByteCount: Int
  private var frame = 0
  private var offset = 0
  private var frameIndex: Int64 = 0
  private var frameDue: Instant
  private var wantsKeyframe = false
  private var lastKeyframeAt: Instant
  package private(set) var keyframeCount = 0
  package private(set) var nextDue: Instant
  /// What the packet that was taken last consists of.
  package private(set) var piece = Piece(frame: 0, range: 0..<0)

  /// - Parameter payloadByteCount: the most bytes of a frame in one packet.
  package init(_ file: IVFFile, payloadByteCount: Int, startingAt start: Instant) {
    self.file = file
    self.payloadByteCount = max(100, payloadByteCount)
    frameDue = start
    nextDue = start
    lastKeyframeAt = start - VideoTraffic.keyframeSpacing
  }

  package mutating func requestKeyframe() { wantsKeyframe = true }

  /// Takes the packet that is due; its size is that of the payload, descriptor included.
  package mutating func take() -> ScheduledPacket {
    let bytes = file.frames[frame].bytes
    // Pieces of one size, give or take a byte.
    let pieces = (bytes.count - offset + payloadByteCount - 1) / payloadByteCount
    let end = offset + (bytes.count - offset + pieces - 1) / pieces
    let isKeyframe = file.frames[frame].isKeyframe
    piece = Piece(frame: frame, range: offset..<end)
    let packet = ScheduledPacket(
      due: nextDue, byteCount: Self.descriptorByteCount + piece.range.count, startsFrame: offset == 0, endsFrame: end == bytes.count,
      isKeyframe: isKeyframe, timestamp: UInt32(truncatingIfNeeded: frameIndex * Self.ticksPerSecond / Int64(file.framesPerSecond)))
    if packet.startsFrame, isKeyframe {
      keyframeCount += 1
      lastKeyframeAt = nextDue
      wantsKeyframe = false
    }
    if packet.endsFrame { beginFrame() } else { (offset, nextDue) = (end, nextDue + Self.gap) }
    return packet
  }

  /// Leaves out what should have been sent before `now`: the time, not the frames, which refer to one another.
  package mutating func skip(to now: Instant) {
    guard offset == 0, now - nextDue > .milliseconds(100) else { return }
    let interval = 1_000_000_000 / Int64(file.framesPerSecond)
    let missed = (now - nextDue).nanoseconds / interval
    frameIndex += missed
    frameDue += .nanoseconds(missed * interval)
    nextDue = frameDue
  }

  private mutating func beginFrame() {
    frame = (frame + 1) % file.frames.count
    if wantsKeyframe, nextDue - lastKeyframeAt >= VideoTraffic.keyframeSpacing { frame = 0 }
    offset = 0
    frameIndex += 1
    frameDue += .nanoseconds(1_000_000_000 / Int64(file.framesPerSecond))
    nextDue = max(frameDue, nextDue)
  }
}
