// One stream that a publisher sends: when, how large, and under which numbers.

import EnfiladeRTP
import EnfiladeWire

/// Where a stream's packets come from.
enum Traffic {
  case video(VideoTraffic)
  case audio(AudioTraffic)
  case replay(ReplayTraffic)

  var nextDue: Instant {
    switch self {
    case .video(let traffic): traffic.nextDue
    case .audio(let traffic): traffic.nextDue
    case .replay(let traffic): traffic.nextDue
    }
  }

  mutating func take(at now: Instant) -> ScheduledPacket {
    switch self {
    case .video(var traffic):
      traffic.skip(to: now)
      let packet = traffic.take()
      self = .video(traffic)
      return packet
    case .audio(var traffic):
      traffic.skip(to: now)
      let packet = traffic.take()
      self = .audio(traffic)
      return packet
    case .replay(var traffic):
      traffic.skip(to: now)
      let packet = traffic.take()
      self = .replay(traffic)
      return packet
    }
  }

  var keyframeCount: Int { if case .video(let traffic) = self { traffic.keyframeCount } else { 0 } }
}

/// A stream's numbers and what it has sent. A class, because its history is not to be copied with every packet.
final class OutgoingStream {
  /// What a retransmission needs of a packet that was sent; the rest of every payload is the same filler.
  struct Sent {
    var sequenceNumber = SequenceNumber(0)
    var timestamp: UInt32 = 0
    var marker = false
    var payloadByteCount = 0
    var head = InlineArray<32, UInt8>(repeating: 0)
  }

  /// Two seconds of 2.5 Mbit/s, as browsers keep.
  static let historyPacketCount = 512
  /// Packets that carry the section's and the encoding's name, until the server has surely learnt the source (RFC 9143 §15.1).
  static let namedPacketCount: UInt64 = 500

  let kind: MediaKind
  let source: SSRC
  let payloadType: PayloadType
  let retransmissionSource: SSRC
  /// `nil` where none was negotiated.
  let retransmissionType: PayloadType?
  let plan: ExtensionPlan
  /// A packet whose header extension holds the encoding's name, and where it stands; empty without simulcast.
  let template: [UInt8]
  let templateExtensions: RTPExtensions
  let sendsTransportNumbers: Bool
  var traffic: Traffic
  var next: ExtendedSequenceNumber
  var nextRetransmission = ExtendedSequenceNumber(1)
  let timestampBase: UInt32
  var pictureID: UInt16
  /// By sequence number; empty where nothing is retransmitted.
  var history: [Sent]
  var lastTimestamp: UInt32 = 0
  var lastSentAt = Instant.zero

  var packetCount: UInt64 = 0
  var payloadByteCount: UInt64 = 0
  var byteCount: UInt64 = 0
  var retransmissionCount: UInt64 = 0
  /// Asked for, and no longer known, or nothing to send it with.
  var unansweredCount: UInt64 = 0
  var keyframeRequestCount = 0

  /// `rid` names the encoding, where there are several.
  init(
    kind: MediaKind, source: SSRC, payloadType: PayloadType, retransmissionSource: SSRC, retransmissionType: PayloadType?,
    extensions map: ExtensionMap, mid: String, rid: String?, traffic: Traffic, random: inout SeededRandom
  ) {
    self.kind = kind
    self.source = source
    self.payloadType = payloadType
    self.retransmissionSource = retransmissionSource
    self.retransmissionType = retransmissionType
    let named = rid.flatMap { RTPExtensions.template(rid: $0, map: map) }
    template = named?.bytes ?? []
    templateExtensions = named?.extensions ?? RTPExtensions()
    plan = ExtensionPlan(map: map, allowsMixed: false, mid: Array(mid.utf8), copied: named == nil ? [] : ExtensionKinds(.rid))
    sendsTransportNumbers = map[.transportSequenceNumber] != nil
    self.traffic = traffic
    // Below half the range: a receiver must not have to guess the first rollover (RFC 3711 §3.3.1).
    next = ExtendedSequenceNumber(Int64(random.next() & 0x7FFF))
    timestampBase = UInt32(truncatingIfNeeded: random.next())
    pictureID = UInt16(truncatingIfNeeded: random.next() & 0x7FFF)
    history = retransmissionType == nil ? [] : Array(repeating: Sent(), count: Self.historyPacketCount)
  }

  func requestKeyframe() {
    keyframeRequestCount += 1
    if case .video(var traffic) = traffic {
      traffic.requestKeyframe()
      self.traffic = .video(traffic)
    }
  }

  /// The stream's clock now (RFC 3550 §6.4.1).
  func reportTimestamp(at now: Instant) -> UInt32 {
    let ticksPerSecond: Int64 = kind == .video ? 90_000 : 48_000
    return lastTimestamp &+ UInt32(truncatingIfNeeded: (now - lastSentAt).nanoseconds * ticksPerSecond / 1_000_000_000)
  }
}

extension RTPExtensions {
  /// A header that carries an encoding's name (RFC 8852 §3.1), to copy from.
  static func template(rid: String, map: ExtensionMap) -> (bytes: [UInt8], extensions: RTPExtensions)? {
    let name = Array(rid.utf8)
    guard let identifier = map[.rid], identifier <= 14, (1...16).contains(name.count) else { return nil }
    let words = (1 + name.count + 3) / 4
    let bytes = [UInt8].writing(capacity: 16 + 4 * words) { writer in
      writer.writeUInt8(0x90)
      writer.writeZeros(11)
      writer.writeUInt16(0xBEDE)
      writer.writeUInt16(UInt16(words))
      writer.writeUInt8(identifier << 4 | UInt8(name.count - 1))
      writer.writeBytes(name.rawBytes)
      writer.writeZeros(4 * words - 1 - name.count)
    }
    guard let bytes, case .success(let view) = RTPPacketView.parse(bytes.rawBytes) else { return nil }
    return (bytes, RTPExtensions(view, in: bytes.rawBytes, map: map))
  }
}
