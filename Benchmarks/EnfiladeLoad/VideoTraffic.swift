// Frames as Chromium cuts them: the sizes and gaps of packets, without their contents.

package import EnfiladeWire

/// How one encoding of video looks on the wire.
///
/// Taken from captures of Chromium sending VP8 at 1.7 and 2.5 Mbit/s on loopback: a frame is cut into as few packets as fit, of sizes that
/// differ by one byte at most; they leave some ten microseconds apart; a key frame is about four times an ordinary one.
package struct VideoShape: Hashable, Sendable {
  package var bitrate: Bitrate
  package var framesPerSecond: Int
  /// What key frames say of their size, in pixels.
  package var width = 1280
  package var height = 720
  /// The most bytes of UDP payload in one packet, SRTP tag included. Chromium: 1,208.
  package var packetByteCount: Int
  /// Key frames without being asked; `nil` for only those.
  package var keyframeInterval: TimeDelta?
  /// The gap between two packets of a frame, in nanoseconds.
  package var gapNanoseconds: ClosedRange<Int64> = 30_000...100_000
  /// How far an ordinary frame's size may be from the mean, as a part of it. Captured: a standard deviation of a ninth.
  package var sizeVariation = 0.2
  /// A key frame's size in ordinary frames. Captured: 2.8 to 4.6.
  package var keyframeFactor = 4.0

  package init(bitrate: Bitrate, framesPerSecond: Int = 30, packetByteCount: Int = 1200, keyframeInterval: TimeDelta? = nil) {
    self.bitrate = bitrate
    self.framesPerSecond = framesPerSecond
    self.packetByteCount = packetByteCount
    self.keyframeInterval = keyframeInterval
  }

  /// The time between two frames.
  package var frameInterval: TimeDelta { .nanoseconds(1_000_000_000 / Int64(max(1, framesPerSecond))) }
  /// The bytes of UDP payload in a frame, on average.
  package var frameByteCount: Int { Int(bitrate.bitsPerSecond) / 8 / max(1, framesPerSecond) }
}

/// One packet that is due.
package struct ScheduledPacket: Hashable, Sendable {
  package var due: Instant
  /// UDP payload, SRTP tag included.
  package var byteCount: Int
  package var startsFrame: Bool
  package var endsFrame: Bool
  package var isKeyframe: Bool
  /// On the codec's clock, from zero.
  package var timestamp: UInt32
}

/// The packets of one encoding, one after another.
package struct VideoTraffic: Sendable {
  /// A request for a key frame is answered at most this often, as encoders do.
  package static let keyframeSpacing = TimeDelta.milliseconds(300)
  /// The smallest packet that has room for headers, a stamp and a tag.
  package static let minimumPacketByteCount = 100
  private static let ticksPerSecond: Int64 = 90_000

  package let shape: VideoShape
  private var random: SeededRandom
  private var frameIndex: Int64 = 0
  private var start: Instant
  private var nextFrameAt: Instant
  private var packetsLeft = 0
  /// How many of the frame's last packets are one byte longer.
  private var longPackets = 0
  private var shortByteCount = 0
  private var next: ScheduledPacket
  private var wantsKeyframe = true
  private var lastKeyframeAt: Instant?
  /// Bytes that key frames and chance have taken beyond the rate; later frames pay them back.
  private var debtByteCount = 0.0
  package private(set) var keyframeCount = 0

  package init(_ shape: VideoShape, seed: UInt64, startingAt start: Instant) {
    self.shape = shape
    random = SeededRandom(seed: seed)
    self.start = start
    nextFrameAt = start
    next = ScheduledPacket(due: start, byteCount: 0, startsFrame: true, endsFrame: false, isKeyframe: true, timestamp: 0)
    beginFrame()
  }

  /// When the next packet is due.
  package var nextDue: Instant { next.due }

  /// The receiver asks for a key frame; the next frame is one, unless there was one just now.
  package mutating func requestKeyframe() { wantsKeyframe = true }

  /// Takes the packet that is due at ``nextDue``.
  package mutating func take() -> ScheduledPacket {
    let taken = next
    packetsLeft -= 1
    if packetsLeft == 0 {
      beginFrame()
    } else {
      next.startsFrame = false
      next.due = taken.due + .nanoseconds(Int64.random(in: shape.gapNanoseconds, using: &random))
      describePacket()
    }
    return taken
  }

  /// Leaves out what should have been sent before `now`: a client that was held up does not make good for it.
  package mutating func skip(to now: Instant) {
    guard packetsLeft > 0, next.startsFrame, now - next.due > shape.frameInterval else { return }
    let missed = (now - next.due).nanoseconds / shape.frameInterval.nanoseconds
    start += .nanoseconds(missed * shape.frameInterval.nanoseconds)
    nextFrameAt += .nanoseconds(missed * shape.frameInterval.nanoseconds)
    next.due += .nanoseconds(missed * shape.frameInterval.nanoseconds)
  }

  private mutating func beginFrame() {
    let due = max(nextFrameAt, packetsLeft == 0 && frameIndex > 0 ? next.due : nextFrameAt)
    let isKeyframe = decideKeyframe(at: nextFrameAt)
    let mean = Double(shape.frameByteCount)
    // The sum of two uniform numbers: near the mean mostly, never far out.
    let chance = Double.random(in: -1...1, using: &random) + Double.random(in: -1...1, using: &random)
    var wanted = isKeyframe ? mean * shape.keyframeFactor : mean * (1 + chance * shape.sizeVariation / 1.6)
    // Encoders pay a key frame back over half a second or so.
    let payback = isKeyframe ? 0 : min(mean * 0.3, max(-mean * 0.3, debtByteCount / 8))
    wanted -= payback
    let byteCount = max(Self.minimumPacketByteCount, Int(wanted))
    debtByteCount += Double(byteCount) - mean

    packetsLeft = max(1, (byteCount + shape.packetByteCount - 1) / shape.packetByteCount)
    shortByteCount = byteCount / packetsLeft
    longPackets = byteCount % packetsLeft
    // Counted in frames and divided once, so that no rounding adds up: real timestamps show the same jitter of one tick.
    let ticks = frameIndex * Self.ticksPerSecond / Int64(max(1, shape.framesPerSecond))
    next = ScheduledPacket(
      due: due, byteCount: 0, startsFrame: true, endsFrame: false, isKeyframe: isKeyframe, timestamp: UInt32(truncatingIfNeeded: ticks))
    describePacket()
    frameIndex += 1
    nextFrameAt += shape.frameInterval
  }

  private mutating func describePacket() {
    next.byteCount = shortByteCount + (packetsLeft <= longPackets ? 1 : 0)
    next.endsFrame = packetsLeft == 1
  }

  private mutating func decideKeyframe(at now: Instant) -> Bool {
    var isDue = wantsKeyframe
    if let interval = shape.keyframeInterval, let last = lastKeyframeAt, now - last >= interval { isDue = true }
    if let last = lastKeyframeAt, now - last < Self.keyframeSpacing { isDue = false }
    guard isDue else { return false }
    wantsKeyframe = false
    lastKeyframeAt = now
    keyframeCount += 1
    return true
  }
}
