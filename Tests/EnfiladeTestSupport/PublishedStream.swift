// A stream that a scripted peer sends: frames on time, key frames on request, answers to NACKs.

package import EnfiladeEngine
package import EnfiladeWire

/// One source, with what it has sent.
package final class PublishedStream {
  package let kind: MediaKind
  package let publication: PublicationKey
  package let mid: [UInt8]
  /// Which encoding of its section it is, when there are several (RFC 8851).
  package var rid: [UInt8] = []
  package var ssrc: SSRC
  package var retransmissionSSRC: SSRC
  package var payloadType: UInt8
  package var retransmissionPayloadType: UInt8?

  /// The next sequence number, and how often the wire's number has come round.
  package var next: ExtendedSequenceNumber
  package var nextRetransmission = ExtendedSequenceNumber(1000)
  /// What was captured at ``epoch`` has this timestamp.
  package var baseTimestamp: UInt32
  package var epoch: Instant
  /// What is sent was captured this long ago.
  package var captureDelay = TimeDelta.zero

  package var interval: TimeDelta
  package var packetsPerFrame: Int
  /// Packets of a key frame, when it has another number of them.
  package var keyframePacketCount: Int?
  package var payloadByteCount: Int
  /// Whether frames come in three temporal layers: every fourth of the lowest, with two fifths of the bits, every second up to the middle one.
  package var hasTemporalLayers = false
  /// The next frame's place in its group of four, its picture id, and the number of the last frame of the lowest layer.
  package var layerPlace = 0
  package var picture: UInt16 = 0x7FF0
  package var tl0: UInt8 = 0xFE
  package var nextFrameAt = Instant.distantFuture
  package var isPaused = false
  package var wantsKeyframe = true
  /// When the encoder will have done what it was asked for.
  package var keyframeDueAt: Instant?
  package var keyframeCount = 0
  package var frameCount = 0
  /// Whether each packet says which section it belongs to.
  package var carriesMID = true
  package var audioLevel: UInt8? = 0x23
  /// What each packet carries beside that, asked for when it is made.
  package var moreExtensions: ((Instant) -> [RTPBytes.Extension])?
  package var usesTwoByteForm = false
  /// Clear packets by number, for repair.
  package var sent: [UInt16: RTPBytes] = [:]
  package var sentCount = 0

  package init(
    kind: MediaKind, publication: PublicationKey, mid: [UInt8], payloadType: UInt8, retransmissionPayloadType: UInt8?,
    using random: inout SeededRandom, epoch: Instant
  ) {
    self.kind = kind
    self.publication = publication
    self.mid = mid
    self.payloadType = payloadType
    self.retransmissionPayloadType = retransmissionPayloadType
    ssrc = SSRC(UInt32(truncatingIfNeeded: random.next() | 1))
    retransmissionSSRC = SSRC(UInt32(truncatingIfNeeded: random.next() | 1))
    next = ExtendedSequenceNumber(Int64(random.next() & 0x7FFF))
    baseTimestamp = UInt32(truncatingIfNeeded: random.next())
    self.epoch = epoch
    interval = kind == .audio ? .milliseconds(20) : .milliseconds(40)
    packetsPerFrame = kind == .audio ? 1 : 3
    payloadByteCount = kind == .audio ? 80 : 200
  }

  package var clockRate: Int64 { kind == .audio ? 48_000 : 90_000 }

  /// The timestamp of what is captured at `instant`.
  package func timestamp(at instant: Instant) -> UInt32 {
    // Millisecond epochs and intervals make this exact.
    baseTimestamp &+ UInt32(truncatingIfNeeded: (instant - epoch).nanoseconds / 1000 * clockRate / 1_000_000)
  }

  /// A new source in the same section, as after a restart of the application.
  package func restart(using random: inout SeededRandom) {
    ssrc = SSRC(UInt32(truncatingIfNeeded: random.next() | 1))
    retransmissionSSRC = SSRC(UInt32(truncatingIfNeeded: random.next() | 1))
    next = ExtendedSequenceNumber(Int64(random.next() & 0x7FFF))
    baseTimestamp = UInt32(truncatingIfNeeded: random.next())
    nextRetransmission = ExtendedSequenceNumber(1000)
    sent = [:]
    wantsKeyframe = true
  }
}

/// What a tag inside a payload leads back to.
package struct TaggedPacket: Sendable {
  package var publication: PublicationKey
  package var ssrc: SSRC
  package var index: ExtendedSequenceNumber
  package var timestamp: UInt32
  package var captured: Instant
  package var isKeyframeStart: Bool

  package init(
    publication: PublicationKey, ssrc: SSRC, index: ExtendedSequenceNumber, timestamp: UInt32, captured: Instant, isKeyframeStart: Bool
  ) {
    self.publication = publication
    self.ssrc = ssrc
    self.index = index
    self.timestamp = timestamp
    self.captured = captured
    self.isKeyframeStart = isKeyframeStart
  }
}

/// What a scripted peer has received on one SSRC.
package struct ReceivedPacket: Sendable {
  package var at: Instant
  package var index: ExtendedSequenceNumber
  package var rtp: RTPBytes
  /// The original number, of a packet that came as a retransmission (RFC 4588 §4).
  package var originalSequence: UInt16?
  /// The payload without the original number.
  package var payload: [UInt8]
  package var tag: UInt64?
}
